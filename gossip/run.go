package gossip

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

const updateTime = 2 * time.Second

// Run takes part in the swarm until ctx ends, and then leaves it. It waits for
// [Swarm.SetAddr] first. It returns an error only when it cannot begin, such as
// [ErrPortInUse]. Run may be called once.
func (s *Swarm) Run(ctx context.Context) error {
	defer s.work.Wait()
	defer s.roster.close()
	defer s.stop()
	if !s.hasAddr(ctx) {
		return nil
	}
	s.work.Go(s.publish)

	var former []netip.AddrPort
	for port, first := s.cfg.Port, true; ctx.Err() == nil; {
		se, err := s.open(s.wanted(), port)
		switch {
		case err != nil && first:
			return fmt.Errorf("join swarm: %w", err)
		case err != nil:
			s.log.Warn("cannot come back to the swarm yet", "err", err)
			sleep(ctx, time.Second)
			continue
		}
		s.attach(se, first)
		before := former
		s.work.Go(func() { s.rejoin(before) })
		s.serve(ctx, se)
		se.close()
		former = s.detach()
		port, first = se.port, false
	}
	return nil
}

// hasAddr waits for the first address.
func (s *Swarm) hasAddr(ctx context.Context) bool {
	for !s.wanted().IsValid() {
		select {
		case <-s.moved:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

func (s *Swarm) wanted() netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

func (s *Swarm) attach(se *session, first bool) {
	s.mu.Lock()
	s.session, s.name, s.port = se, se.name, se.port
	s.mu.Unlock()
	if first {
		close(s.ready)
	}
	s.log.Info("in the swarm", "member", se.name, "addr", netip.AddrPortFrom(se.addr, uint16(se.port)))
}

// detach ends what hangs on a membership, and returns where the others were.
func (s *Swarm) detach() []netip.AddrPort {
	s.mu.Lock()
	s.session = nil
	s.lives++ // the next membership is younger, and others prefer it
	s.mu.Unlock()
	ids, were := s.roster.clear(s.now())
	for _, id := range ids {
		s.table.Drop(id)
	}
	poke(s.changes)
	return were
}

// rejoin goes back to some of those who were there before our address changed;
// one success brings all.
func (s *Swarm) rejoin(former []netip.AddrPort) {
	for batch := range slices.Chunk(former[:min(len(former), 5*maxJoins)], maxJoins) {
		for _, a := range batch {
			if s.Join(s.life, "", []netip.AddrPort{a}) == nil {
				return
			}
		}
	}
}

// serve follows one membership until ctx ends or the address has changed.
func (s *Swarm) serve(ctx context.Context, se *session) {
	advertise, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); s.advertise(advertise, se) }()
	defer func() { stop(); <-done }()

	purge := time.NewTicker(time.Minute)
	defer purge.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.moved:
			if s.wanted() != se.addr {
				return
			}
		case <-se.inbox.wake:
			s.empty(se)
		case <-purge.C:
			s.roster.purge(s.now())
		}
	}
}

// advertise tells the others about each new version of our manifest. UpdateNode
// returns when its message was sent often enough, which keeps us from talking
// faster than the swarm can listen.
func (s *Swarm) advertise(ctx context.Context, se *session) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.pub.changed:
			_ = se.ml.UpdateNode(updateTime) // not told in time: push/pull repairs it
		}
	}
}

// empty works off what memberlist has told us.
func (s *Swarm) empty(se *session) {
	events, news := se.inbox.empty()
	for _, name := range slices.Sorted(maps.Keys(events)) {
		if name != se.name {
			s.event(name, events[name])
		}
	}
	for _, msg := range news {
		s.hear(se, msg)
	}
}

func (s *Swarm) event(name string, e event) {
	var p *peer
	var moved bool
	id, now := name[:min(len(name), 16)], s.now()
	m, err := decodeMeta(e.meta)
	if id == s.cfg.NodeID {
		s.double(name, e, m)
		return
	}
	s.roster.mu.Lock()
	switch {
	case e.gone:
		p, moved = s.roster.goneLocked(name, now)
	case err == nil:
		p, moved = s.roster.aliveLocked(&member{name: name, id: id, gossip: e.addr, meta: m}, now)
	}
	s.roster.mu.Unlock()
	if p == nil {
		return
	}
	s.settle(p)
	if moved {
		s.note(name, e, m)
		poke(p.wake)
		poke(s.changes)
	}
	s.pull(p.id)
}

// note has the log know who has come or gone.
func (s *Swarm) note(name string, e event, m meta) {
	what := "a peer is there"
	if e.gone {
		what = "a peer is gone"
	}
	s.log.Info(what, "peer", m.name, "member", name, "addr", e.addr)
}

// double notes a member with our own node id: our own ghost after a restart, or
// a machine that was copied together with its state. Nobody can tell the two
// apart from us; the others listen to whichever began last.
func (s *Swarm) double(name string, e event, m meta) {
	if !e.gone && m.version.Epoch > s.pub.version().Epoch && s.quiet.pass("double") {
		s.log.Warn("another node has our node id; was this machine copied?", "member", name, "addr", e.addr)
	}
}

// settle makes the table say of a node what the roster says.
func (s *Swarm) settle(p *peer) {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	if p.current == nil {
		s.table.Drop(p.id)
		return
	}
	s.table.Set(p.current.node(), p.summary)
}
