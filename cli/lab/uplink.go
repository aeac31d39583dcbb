package lab

import (
	"fmt"
	"strings"
)

// Uplink gives the host a line of its own to the Hub, of a rate of its own both
// ways, beside the cable that it shares with the others: a slow way out of a fast
// network. It is a second cable that only the Hub's address is routed by, since a
// kernel need not know how to sort packets of one cable into classes.
func (h *Host) Uplink(rate string) {
	h.lab.t.Helper()
	hub, far := h.lab.hub, "up"+h.Name
	h.lab.ip(h.space, fmt.Sprintf("link add up0 type veth peer name %s netns %d", far, hub.space.pid()))
	// Without addresses of its own nobody takes it for a network to find others on.
	h.lab.sysctl(h.space, "net.ipv6.conf.up0.disable_ipv6=1")
	h.lab.sysctl(hub.space, "net.ipv6.conf."+far+".disable_ipv6=1")
	h.lab.ip(h.space, "link set up0 multicast off", "link set up0 up",
		fmt.Sprintf("route replace %s/32 dev up0 src %s congctl cubic", hub.Addr, h.Addr))
	h.lab.ip(hub.space, "link set "+far+" multicast off", "link set "+far+" up",
		fmt.Sprintf("route replace %s/32 dev %s src %s congctl cubic", h.Addr, far, hub.Addr))
	h.lab.shape(h.space, "up0", rate)
	h.lab.shape(hub.space, far, rate)
}

// BarHub makes the Hub unreachable from this host, and nobody else: either the
// host's own system says so at once, or nothing ever comes back.
func (h *Host) BarHub(silently bool) {
	h.lab.t.Helper()
	if silently {
		h.lab.ip(h.lab.hub.space, "route replace blackhole "+h.Addr+"/32")
		return
	}
	h.lab.ip(h.space, "route replace unreachable "+h.lab.hub.Addr+"/32")
}

// shape limits what leaves a namespace by a device; "" lifts the limit. The bucket
// holds two of the largest pieces that the kernel hands down, the queue 50 ms.
func (l *Lab) shape(s *space, dev, rate string) {
	l.t.Helper()
	args := []string{"qdisc", "replace", "dev", dev, "root", "tbf", "rate", rate, "burst", "128kb", "latency", "50ms"}
	if rate == "" {
		args = []string{"qdisc", "del", "dev", dev, "root"}
	}
	if out, err := s.command("tc", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("tc %s: %v: %s", strings.Join(args, " "), err, out)
	}
}
