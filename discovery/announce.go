package discovery

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"
	"golang.org/x/time/rate"
)

const (
	retry      = time.Minute // until a taken port 5353 is tried again
	answerers  = 8           // nodes that a question is meant to be answered by
	answerRate = 100         // answers per second, so that nobody can use us to flood
	sleepGap   = 15 * time.Second
)

// announcer keeps one mDNS server on each usable link. All of them serve the
// same record: Linux hands a multicast packet to every socket on the port,
// whichever interface that one joined on, so a server cannot know which network
// is asking.
type announcer struct {
	service string
	self    func() (Self, bool)
	members func() int
	scan    func() ([]link, error)
	retry   time.Duration
	log     *slog.Logger
	limit   *rate.Limiter

	mu      sync.Mutex        // guards all below
	links   map[string]string // by name, with what a socket there depends on
	servers map[string]serving
	told    map[string]bool // links whose port 5353 was said to be taken
	stopped bool
}

// serving is a link that was tried, and the server there if that worked.
type serving struct {
	server *mdns.Server // nil when it could not start
	whole  bool         // false when it should be tried again
	since  time.Time
}

// run follows the links until ctx ends, and calls changed when they are other
// ones than at the last sync or when this machine seems to have slept.
func (a *announcer) run(ctx context.Context, changed func()) {
	defer a.stop()
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		woke := slept(last, time.Now())
		last = time.Now()
		if a.sync() || woke {
			changed()
		}
	}
}

// slept compares by the wall clock, since the other one stands still in sleep.
// A clock that was set looks the same, and asking once more does no harm.
func slept(last, now time.Time) bool {
	return now.Round(0).Sub(last.Round(0)).Abs() > sleepGap
}

// sync brings the servers in line with the links, and tells whether the links
// are other ones than before.
func (a *announcer) sync() (changed bool) {
	all, err := a.scan()
	if err != nil {
		a.log.Debug("list interfaces", "err", err)
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	changed = a.followLocked(all)
	for _, l := range all {
		if s, ok := a.servers[l.Name]; !a.stopped && (!ok || !s.whole && time.Since(s.since) >= a.retry) {
			a.startLocked(l)
		}
	}
	return changed
}

// followLocked drops the servers of links that are gone or have become
// something else: a group is joined by interface index and address, and the
// membership dies with either.
func (a *announcer) followLocked(all []link) (changed bool) {
	now := map[string]string{}
	for _, l := range all {
		now[l.Name] = l.key()
	}
	for name, key := range a.links {
		if now[name] != key {
			a.servers[name].close()
			delete(a.servers, name)
		}
	}
	changed = !maps.Equal(a.links, now)
	a.links = now
	return changed
}

// key changes with everything that a socket on the link depends on.
func (l link) key() string { return fmt.Sprint(l.Index, l.prefixes) }

func (a *announcer) startLocked(l link) {
	a.servers[l.Name].close()
	listening := tryPort(l)
	server, err := mdns.NewServer(&mdns.Config{
		Zone:   a,
		Iface:  &l.Interface,
		Logger: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	})
	if err != nil {
		server = nil
	}
	if err = cmp.Or(listening, err); err != nil {
		a.tellLocked(l.Name, err)
	}
	a.servers[l.Name] = serving{server, err == nil, time.Now()}
}

// tryPort tries what the library is about to try over IPv4: when one family
// fails and the other does not, it says nothing.
func tryPort(l link) error {
	if !l.v4().IsValid() {
		return nil
	}
	c, err := net.ListenMulticastUDP("udp4", &l.Interface, net.UDPAddrFromAddrPort(groupV4))
	if err == nil {
		c.Close()
	}
	return err
}

func (a *announcer) tellLocked(name string, err error) {
	if a.told[name] {
		return
	}
	a.told[name] = true
	a.log.Warn("mDNS cannot listen: this node finds others, but they may not find it; trying again every minute",
		"interface", name, "err", err)
}

func (s serving) close() {
	if s.server != nil {
		_ = s.server.Shutdown() // never fails
	}
}

// stop ends all announcing for good.
func (a *announcer) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	for _, s := range a.servers {
		s.close()
	}
	clear(a.servers)
}

// Records makes the announcer the zone of its servers. The record is built
// afresh each time, so a new address or member name needs no new server. Of
// many nodes only some answer, about 8 of them: the asker needs one.
func (a *announcer) Records(q dns.Question) []dns.RR {
	if !a.concerns(q) || rand.Float64() >= answerChance(a.members()) {
		return nil
	}
	self, ok := a.self()
	if !ok || !a.limit.Allow() {
		return nil
	}
	return self.records(a.service, q)
}

// concerns keeps other people's questions from using up our answers.
func (a *announcer) concerns(q dns.Question) bool {
	return strings.HasSuffix(q.Name, a.service+"."+domain) || strings.HasSuffix(q.Name, hostDomain) ||
		q.Name == "_services._dns-sd._udp."+domain
}

func answerChance(members int) float64 {
	return min(1, answerers/float64(max(members, 1)))
}

var (
	groupV4 = netip.MustParseAddrPort("224.0.0.251:5353")
	groupV6 = netip.MustParseAddrPort("[ff02::fb]:5353")
)
