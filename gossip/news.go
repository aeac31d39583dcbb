package gossip

import (
	"hffs/gossip/manifest"
)

// tell sends a change to everybody when it is small enough.
func (s *Swarm) tell(d *manifest.Delta) {
	news := manifest.News{Node: s.cfg.NodeID, Epoch: s.pub.version().Epoch, Delta: *d}
	msg := news.Encode(s.now())
	s.mu.Lock()
	se := s.session
	s.mu.Unlock()
	if msg != nil && se != nil {
		se.news.put(s.cfg.NodeID, msg)
	}
}

// hear takes in news that came as a broadcast, and passes it on when it was new:
// memberlist itself does not.
func (s *Swarm) hear(se *session, msg []byte) {
	n, err := manifest.DecodeNews(msg, s.now())
	if err != nil {
		if s.quiet.pass("news") {
			s.log.Warn("refused a broadcast", "err", err)
		}
		return
	}
	if n.Node == s.cfg.NodeID {
		return
	}
	fresh, applied := s.roster.hear(&n)
	if !fresh {
		return
	}
	se.news.put(n.Node, msg)
	if applied != nil {
		s.settle(applied)
		s.lists.patch(n.Delta.Changed, s.ownList)
		return
	}
	s.pull(n.Node)
}

// hear applies news to a node's manifest. fresh tells whether it was new, and
// applied is nil where the manifest has to be pulled instead.
func (r *roster) hear(n *manifest.News) (fresh bool, applied *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[n.Node]
	if p == nil || p.current == nil || p.current.meta.version.Epoch != n.Epoch {
		return false, nil
	}
	v := n.Version()
	if v == p.told || p.told.After(v) {
		return false, nil
	}
	p.told = v
	if p.have.Epoch != n.Epoch || n.Delta.From != p.have.Seq {
		p.again = p.again || p.have.Epoch != n.Epoch || v.After(p.have)
		return true, nil
	}
	s, err := n.Delta.Apply(p.summary)
	if err != nil {
		p.again = true
		return true, nil
	}
	p.setLocked(v, s, n.Delta.Check)
	return true, p
}
