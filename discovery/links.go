package discovery

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// link is a network interface with its addresses, at the moment of the scan.
type link struct {
	net.Interface
	prefixes []netip.Prefix // each address with its subnet, in the system's order
}

// Interfaces that a machine has for its own containers and virtual machines,
// by how their names begin. A LAN is behind one only when it carries the
// default route, as a Hyper-V switch over the network card does.
var bridges = []string{"docker", "br-", "veth", "virbr", "vmnet", "vethernet"}

// Tunnels, and the radio links that Apple's systems keep for themselves. They
// are no LAN even when they carry everything.
var tunnels = []string{"tun", "utun", "wg", "tailscale", "zt", "awdl", "llw"}

// links scans for the interfaces to use: the named ones, or else loopback
// alone if asked for, or else all that look like a LAN.
func links(names []string, loopback bool) ([]link, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	routes := defaultRoutes()
	var usable []link
	for _, i := range all {
		l := link{i, prefixesOf(i)}
		if l.wanted(names, loopback, routes) {
			usable = append(usable, l)
		}
	}
	return usable, nil
}

// lanLinks are the links of a node that was told nothing about interfaces.
func lanLinks() ([]link, error) { return links(nil, false) }

func prefixesOf(i net.Interface) []netip.Prefix {
	addrs, _ := i.Addrs() // an error means that it has just gone
	var ps []netip.Prefix
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			ip, _ := netip.AddrFromSlice(n.IP)
			ones, _ := n.Mask.Size()
			ps = append(ps, netip.PrefixFrom(ip.Unmap(), ones))
		}
	}
	return ps
}

func (l link) wanted(names []string, loopback bool, routes []netip.Addr) bool {
	return l.unfit(names, loopback, routes) == ""
}

// unfit is why a link is not used; empty when it is.
func (l link) unfit(names []string, loopback bool, routes []netip.Addr) string {
	lo := l.Flags&net.FlagLoopback != 0
	switch {
	case l.Flags&net.FlagUp == 0:
		return "it is down"
	case len(l.prefixes) == 0:
		return "it has no address"
	case len(names) > 0 && slices.Contains(names, l.Name):
		return ""
	case len(names) > 0:
		return "it was not named"
	case loopback && lo:
		return ""
	case loopback:
		return "only loopback is used"
	case lo:
		return "it is loopback"
	case l.Flags&net.FlagPointToPoint != 0 || named(l.Name, tunnels):
		return "it is a tunnel"
	case l.Flags&net.FlagMulticast == 0:
		return "multicast is switched off on it"
	case named(l.Name, bridges) && !l.hasAny(routes):
		return "it is for containers or virtual machines"
	}
	return ""
}

func named(name string, beginnings []string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(name, b) })
}

func (l link) hasAny(addrs []netip.Addr) bool {
	return slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return slices.Contains(addrs, p.Addr()) })
}

// loopback tells whether the link never leaves this machine.
func (l link) loopback() bool { return l.Flags&net.FlagLoopback != 0 }

// v4 is the address to ask from; invalid when the link has none. A link-local
// one is the last resort, as nodes with a real address may have no way back.
func (l link) v4() (addr netip.Addr) {
	for _, p := range l.prefixes {
		if a := p.Addr(); a.Is4() && (!addr.IsValid() || addr.IsLinkLocalUnicast()) {
			addr = a
		}
	}
	return addr
}

// v6 tells whether IPv6 multicast may work here. On loopback it does not:
// there is no link-local address to send from.
func (l link) v6() bool {
	return !l.loopback() && slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// defaultRoutes gives the addresses from which this machine would speak to the
// world, if it has any way there. Connecting a UDP socket asks the routing
// table and sends nothing; the targets are addresses kept for documentation.
func defaultRoutes() (addrs []netip.Addr) {
	for _, to := range []string{"203.0.113.1:9", "[2001:db8::1]:9"} {
		if c, err := net.Dial("udp", to); err == nil {
			addrs = append(addrs, c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap())
			c.Close()
		}
	}
	return addrs
}
