package discovery

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The rhythm of asking. A few quick rounds find whoever is there; a wire
// answers within milliseconds, Wi-Fi can hold multicast back for a few tenths
// of a second. Then the pauses double up to a cap that grows with the swarm, so
// that a LAN carries about one question a second however many nodes it has.
const (
	fastRounds = 4
	fastWait   = 250 * time.Millisecond
	slowWait   = time.Second
	firstPause = 500 * time.Millisecond
	capPause   = 20 * time.Second
	perMember  = time.Second
	aloneAfter = time.Minute
)

// MDNSConfig says who looks, and for what. Swarm is required; everything else
// may be left out.
type MDNSConfig struct {
	// Swarm is the id of the swarm to find, 16 hex digits. Nodes of others are
	// not looked at any further.
	Swarm string
	// Self tells what to announce. It is asked each time, as addresses and
	// member name change; false means not now. nil means never.
	Self func() (Self, bool)
	// Members counts the members of the swarm that are seen now, this node
	// included; nil means that nobody knows, and counts as one.
	Members func() int
	// IsMember tells whether a member of that name is in the swarm now; such a
	// one is no candidate. nil means that nobody is.
	IsMember func(member string) bool
	// Service is the DNS-SD service type; empty means "_hffs._tcp".
	Service string
	// Interfaces names the interfaces to use; empty means all that look like a
	// LAN.
	Interfaces []string
	// Loopback uses loopback alone: several nodes of one machine, unseen by
	// the network.
	Loopback bool
	// AtOnce reports each candidate as soon as it answers, and not when the round
	// has ended: for somebody who looks for few and has no time.
	AtOnce bool
	// Log is where news and trouble go; nil means nowhere.
	Log *slog.Logger
}

// MDNS is the finder that needs no set-up: it announces this node by multicast
// DNS and keeps asking for others. It works with several interfaces, beside
// another responder on port 5353, and without default route or IPv6. One Find
// at a time.
type MDNS struct {
	cfg       MDNSConfig
	announcer *announcer
	nudge     chan struct{}
	ask       func(context.Context, func(link) (bool, bool), func(heard, []link)) ([]heard, []link)

	mu    sync.Mutex // guards heard
	heard string

	// What follows belongs to the goroutine of Find.
	brought map[string]families // what worked since the rounds began anew
	alone   time.Time           // since when there is a network and nobody on it
	company bool                // there was somebody, or the hint was given
	apart   map[string]bool     // links that have peers which cannot reach us
}

// families says over which of them answers came in.
type families struct{ v4, v6 bool }

// NewMDNS makes the finder; nothing is sent before Find.
func NewMDNS(cfg MDNSConfig) *MDNS {
	cfg = cfg.withDefaults()
	scan := func() ([]link, error) { return links(cfg.Interfaces, cfg.Loopback) }
	a := &asker{service: cfg.Service, scan: scan, log: cfg.Log}
	return &MDNS{
		cfg:   cfg,
		nudge: make(chan struct{}, 1),
		ask: func(ctx context.Context, f func(link) (bool, bool), tell func(heard, []link)) ([]heard, []link) {
			return a.round(ctx, f, func(h heard, here []link) bool {
				tell(h, here)
				return false
			})
		},
		announcer: &announcer{
			service: cfg.Service, self: cfg.Self, members: cfg.Members, scan: scan,
			retry: retry, log: cfg.Log, limit: rate.NewLimiter(answerRate, answerRate),
			servers: map[string]serving{}, told: map[string]bool{},
		},
		brought: map[string]families{},
		apart:   map[string]bool{},
	}
}

func (c MDNSConfig) withDefaults() MDNSConfig {
	if c.Service == "" {
		c.Service = serviceName
	}
	if c.Self == nil {
		c.Self = func() (Self, bool) { return Self{}, false }
	}
	self, swarm := c.Self, c.Swarm
	c.Self = func() (Self, bool) {
		s, ok := self()
		s.Swarm = cmp.Or(s.Swarm, swarm)
		return s, ok
	}
	if c.Members == nil {
		c.Members = func() int { return 1 }
	}
	if c.IsMember == nil {
		c.IsMember = func(string) bool { return false }
	}
	c.Log = orDiscard(c.Log)
	return c
}

// Find announces and asks until ctx ends.
func (m *MDNS) Find(ctx context.Context, found func(Peer)) error {
	m.announcer.sync() // before the first question: of two that start together, one at least finds the other
	var wg sync.WaitGroup
	wg.Go(func() { m.announcer.run(ctx, m.Nudge) })
	m.keepAsking(ctx, found)
	wg.Wait()
	return nil
}

// Nudge starts the quick rounds again, as when a member was lost. It is also
// what a changed interface and a wake-up from sleep do. Nudging often costs
// little: rounds keep their distance.
func (m *MDNS) Nudge() {
	select {
	case m.nudge <- struct{}{}:
	default: // one is on its way
	}
}

// StopAnnouncing makes this node invisible at once and for good, while Find
// goes on asking. A node that leaves does this first; otherwise the others find
// it and join it again while it says goodbye.
func (m *MDNS) StopAnnouncing() { m.announcer.stop() }

// Heard is the interface on which a node of our swarm answered last; empty if
// none ever did. The addresses there are the ones to be known by.
func (m *MDNS) Heard() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard
}

func (m *MDNS) keepAsking(ctx context.Context, found func(Peer)) {
	for round := 0; ctx.Err() == nil; round++ {
		wait := fastWait
		if round >= fastRounds {
			wait = slowWait
		}
		m.once(ctx, round, wait, found)
		if m.pause(ctx, pauseAfter(round, m.cfg.Members())) {
			round = -1
			clear(m.brought)
		}
	}
}

// pauseAfter is how long to wait after a round, before the dice.
func pauseAfter(round, members int) time.Duration {
	longest := max(capPause, time.Duration(members)*perMember)
	if round > 20 { // 2^20 half seconds are beyond any cap
		return longest
	}
	return min(firstPause<<round, longest)
}

// pause waits, give or take a quarter, and tells whether it was nudged. Its
// first part takes no nudge, so that no storm of events becomes one of packets.
func (m *MDNS) pause(ctx context.Context, d time.Duration) (nudged bool) {
	d = time.Duration((0.75 + 0.5*rand.Float64()) * float64(d))
	calm := min(d, firstPause)
	if !sleep(ctx, calm) {
		return false
	}
	rest := time.NewTimer(d - calm)
	defer rest.Stop()
	select {
	case <-m.nudge:
		// Others were nudged by the same event; not all at once.
		return sleep(ctx, time.Duration(rand.Int64N(int64(fastWait))))
	case <-rest.C:
	case <-ctx.Done():
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once asks and reports the candidates in random order, so that those who can
// join only a few in a round do not all choose the same.
func (m *MDNS) once(ctx context.Context, round int, wait time.Duration, found func(Peer)) {
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	hs, here := m.ask(asking, m.families(round), func(h heard, here []link) {
		if m.cfg.AtOnce {
			m.report(ctx, peersOf(m.ours([]heard{h}), here), found)
		}
	})
	hs = m.ours(hs)
	m.note(hs)
	if round >= fastRounds { // by now the wiring has settled on an address
		m.warnApart(hs, here)
	}
	peers := peersOf(hs, here)
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	m.report(ctx, peers, found)
	m.hint(len(here) > 0, len(hs) > 0)
}

func (m *MDNS) report(ctx context.Context, peers []Peer, found func(Peer)) {
	for _, p := range peers {
		if ctx.Err() == nil && !m.cfg.IsMember(p.Member) {
			found(p)
		}
	}
}

// families asks both ways at first, later only where answers came from.
func (m *MDNS) families(round int) func(link) (bool, bool) {
	return func(l link) (v4, v6 bool) {
		b := m.brought[l.Name]
		if round < fastRounds || !b.v4 && !b.v6 {
			return true, true
		}
		return b.v4, b.v6 && !b.v4
	}
}

// ours leaves out other swarms and this very node.
func (m *MDNS) ours(hs []heard) (ours []heard) {
	self, _ := m.cfg.Self()
	for _, h := range hs {
		if h.Swarm == m.cfg.Swarm && h.Member != self.Member {
			ours = append(ours, h)
		}
	}
	return ours
}

// note remembers what worked, and where.
func (m *MDNS) note(hs []heard) {
	for _, h := range hs {
		b := m.brought[h.link]
		m.brought[h.link] = families{b.v4 || !h.v6, b.v6 || h.v6}
	}
	if len(hs) > 0 {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.heard = hs[len(hs)-1].link
	}
}

// warnApart says so, once for each link, when peers are on a network where our
// own address is not: a member has one address, so a node on two networks is in
// the swarm of one.
func (m *MDNS) warnApart(hs []heard, here []link) {
	self, ok := m.cfg.Self()
	if !ok || len(self.Addrs) == 0 {
		return
	}
	near := map[string]bool{}
	for _, h := range hs {
		near[h.Member] = near[h.Member] || onLink(self.Addrs[0], h.link, here)
	}
	for _, h := range hs {
		if !near[h.Member] && !m.apart[h.link] && !m.cfg.IsMember(h.Member) {
			m.apart[h.link] = true
			m.cfg.Log.Warn("nodes of this swarm are on another network than this node's address and may not reach it",
				"interface", h.link, "node", h.Node, "address", self.Addrs[0])
		}
	}
}

func onLink(a netip.Addr, name string, here []link) bool {
	for _, l := range here {
		if l.Name == name && shared(a, []link{l}) {
			return true
		}
	}
	return false
}

// hint says once what may be wrong when nobody answers for a minute although
// there is a network. Members that came by other ways are company too.
func (m *MDNS) hint(network, answered bool) {
	switch {
	case m.company || !network:
		m.alone = time.Time{}
	case answered || m.cfg.Members() > 1:
		m.company = true
	case m.alone.IsZero():
		m.alone = time.Now()
	case time.Since(m.alone) >= aloneAfter:
		m.company = true
		m.cfg.Log.Warn("no other node has answered for a minute. If there are some, this network keeps multicast from them " +
			"(guest Wi-Fi, a firewall, a container); name one with \"hffs peer add HOST\", or see \"hffs doctor\"")
	}
}
