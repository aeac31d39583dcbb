package gossip

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"time"

	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

const (
	pullTime    = 10 * time.Second
	pullLater   = 15 * time.Second // between tries, after the first ones
	pullOffence = 4 * time.Minute  // the most, for who sends nonsense
	askOthers   = 2                // tries after which others are asked too
)

// pull brings a node's manifest up to date, unless that is under way or not
// needed. Each node has one slot: however often its version moves meanwhile,
// the pull goes on until nothing newer is known.
func (s *Swarm) pull(id string) {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	p := s.roster.peers[id]
	if p == nil || p.pulling || !p.behindLocked() || s.roster.closed {
		return
	}
	p.pulling = true
	s.work.Go(func() { s.pullUntilCurrent(s.life, p) })
}

// ask has a node's manifest looked at again, though nothing newer is known.
func (s *Swarm) ask(id string) {
	s.roster.mu.Lock()
	if p := s.roster.peers[id]; p != nil && p.current != nil {
		p.again = true
	}
	s.roster.mu.Unlock()
	s.pull(id)
}

func (s *Swarm) pullUntilCurrent(ctx context.Context, p *peer) {
	spread := 200 * time.Millisecond
	if s.roster.size() >= 100 {
		spread = time.Second
	}
	pause := rand.N(spread) // not everybody at the same moment
	for tries := 0; ; {
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-p.wake:
		case <-ctx.Done():
		}
		t.Stop()
		if !s.stillBehind(ctx, p) {
			return
		}
		err := s.pullOnce(ctx, p, tries)
		if err == nil {
			tries, pause = 0, 0
			continue
		}
		tries++
		pause = pullPause(tries, err)
		s.complain(p, err)
	}
}

// stillBehind decides whether to go on. The slot is given up under the same lock
// under which newer versions are noted, so that none is missed.
func (s *Swarm) stillBehind(ctx context.Context, p *peer) bool {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	p.pulling = ctx.Err() == nil && p.behindLocked()
	return p.pulling
}

func pullPause(tries int, err error) time.Duration {
	if errors.Is(err, manifest.ErrMalformed) {
		return min(pullLater<<min(tries-1, 8), pullOffence)
	}
	first := []time.Duration{300 * time.Millisecond, time.Second, 3 * time.Second}
	if tries <= len(first) {
		return first[tries-1]
	}
	return pullLater
}

func (s *Swarm) complain(p *peer, err error) {
	s.roster.mu.Lock()
	m := p.current
	s.roster.mu.Unlock()
	if m == nil || s.life.Err() != nil || !s.quiet.pass("pull "+p.id) {
		return
	}
	log := s.log.Debug
	if errors.Is(err, manifest.ErrMalformed) {
		log = s.log.Warn
	}
	log("manifest of a node cannot be had; keeping what was known", "node", m.meta.name, "id", p.id, "addr", m.node().Addr, "err", err)
}

// pullOnce asks the owner, and others when it does not answer, and takes over
// what they say.
func (s *Swarm) pullOnce(ctx context.Context, p *peer, tries int) error {
	select {
	case s.pulls <- struct{}{}:
		defer func() { <-s.pulls }()
	case <-ctx.Done():
		return ctx.Err()
	}
	node, query, ok := s.question(p)
	if !ok {
		return nil
	}
	err := s.pullFrom(ctx, p, node, query)
	if errors.Is(err, manifest.ErrGap) {
		err = s.pullFrom(ctx, p, node, nil) // all of it, then
	}
	if err == nil || tries < askOthers || errors.Is(err, manifest.ErrMalformed) {
		return err
	}
	for _, other := range s.others([]directory.Node{node}, askOthers) {
		if s.pullFrom(ctx, p, other, url.Values{"node": {p.id}}) == nil {
			return nil
		}
	}
	return err
}

// question is whom to ask, and what for.
func (s *Swarm) question(p *peer) (n directory.Node, q url.Values, ok bool) {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	if p.current == nil {
		return n, nil, false
	}
	if told := p.current.meta; told.version != p.have || told.check == p.check {
		q = url.Values{
			"epoch": {strconv.FormatUint(p.have.Epoch, 10)},
			"seq":   {strconv.FormatUint(p.have.Seq, 10)},
		}
	}
	return p.current.node(), q, true
}

func (s *Swarm) pullFrom(ctx context.Context, p *peer, from directory.Node, query url.Values) error {
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	b, err := s.door(from.Addr).get(ctx, manifestPath, query, manifest.MaxWire)
	if err != nil {
		return err
	}
	a, err := manifest.DecodeAnswer(b, s.now())
	if err != nil {
		return err
	}
	s.roster.mu.Lock()
	deltas, err := p.applyLocked(a)
	s.roster.mu.Unlock()
	if err != nil {
		return err
	}
	s.settle(p)
	for _, d := range deltas {
		s.lists.patch(d.Changed, s.ownList)
	}
	return nil
}

// others are up to n nodes, any of them but those in not.
func (s *Swarm) others(not []directory.Node, n int) (ns []directory.Node) {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	for _, p := range s.roster.peers { // Go's maps begin anywhere
		same := func(n directory.Node) bool { return n.ID == p.id }
		if p.current != nil && len(ns) < n && !slices.ContainsFunc(not, same) {
			ns = append(ns, p.current.node())
		}
	}
	return ns
}
