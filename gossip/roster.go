package gossip

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

// roster is who is there: members by their name, and for each node id the
// manifest that was last heard. A node has more than one member for a while
// when it was restarted or moved; the youngest speaks for it.
type roster struct {
	mu      sync.Mutex // guards all below
	members map[string]*member
	peers   map[string]*peer
	count   uint64      // of arrivals
	heard   []time.Time // when others last changed, to tell a busy swarm
	closed  bool        // no pull may begin any more
}

// member is one process of one node.
type member struct {
	name   string
	id     string
	gossip netip.AddrPort
	meta   meta
	since  time.Time
	order  uint64
}

// peer is one node, by its id.
type peer struct {
	id      string
	current *member // nil when it is gone
	gone    time.Time

	have    manifest.Version
	check   manifest.Check
	summary *manifest.Summary
	told    manifest.Version       // the newest news that was passed on
	again   bool                   // ask its owner, though nothing newer is known for sure
	denied  map[ref.ETag]time.Time // what it turned out not to hold

	pulling bool
	wake    chan struct{} // its address is new: try at once
}

const (
	// keepGone is how long the manifest of a node that left is kept: when it
	// comes back, a look at the version does.
	keepGone  = 10 * time.Minute
	keepDeny  = time.Minute
	maxDenied = 1024
	// maxMembers bounds what strangers can make us remember.
	maxMembers = 4096
)

var emptyCheck = (&manifest.Summary{}).Check()

func (r *roster) init() {
	r.members = map[string]*member{}
	r.peers = map[string]*peer{}
}

func (m *member) node() directory.Node {
	return directory.Node{ID: m.id, Name: m.meta.name, Addr: netip.AddrPortFrom(m.gossip.Addr(), m.meta.door)}
}

// behindLocked reports whether the owner has told of a manifest that is not here.
func (p *peer) behindLocked() bool {
	if p.current == nil {
		return false
	}
	v := p.current.meta.version
	return p.again || v.Epoch != p.have.Epoch || v.After(p.have) || v == p.have && p.current.meta.check != p.check
}

func (p *peer) setLocked(v manifest.Version, s *manifest.Summary, c manifest.Check) {
	if v != p.have {
		p.denied = nil
	}
	p.have, p.summary, p.check = v, s, c
}

func (r *roster) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members[name] != nil
}

func (r *roster) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.members)
}

func (r *roster) list() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Member
	for _, p := range r.peers {
		if m := p.current; m != nil {
			out = append(out, Member{
				Node: m.node(), Member: m.name, Gossip: m.gossip, Files: int(m.meta.files), Bytes: int64(m.meta.bytes),
				Version: m.meta.program, Since: m.since, Behind: p.behindLocked(),
			})
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out
}

// aliveLocked notes that a member is there or has changed. It returns its peer, and
// whether another member, or one at another address, speaks for it now.
func (r *roster) aliveLocked(m *member, now time.Time) (p *peer, moved bool) {
	if old := r.members[m.name]; old != nil {
		m.since, m.order = old.since, old.order
	} else {
		r.count++
		m.since, m.order = now, r.count
	}
	r.members[m.name] = m
	r.heardLocked(now)
	if p = r.peers[m.id]; p == nil {
		p = &peer{id: m.id, wake: make(chan struct{}, 1)}
		p.setLocked(manifest.Version{Epoch: m.meta.version.Epoch}, &manifest.Summary{}, emptyCheck)
		r.peers[m.id] = p
	}
	return p, r.electLocked(p, now)
}

// goneLocked notes that a member left or died.
func (r *roster) goneLocked(name string, now time.Time) (p *peer, moved bool) {
	m := r.members[name]
	if m == nil {
		return nil, false
	}
	delete(r.members, name)
	p = r.peers[m.id]
	return p, r.electLocked(p, now)
}

// electLocked chooses who speaks for the node: the process begun last, its
// latest membership, and else whom we met last.
func (r *roster) electLocked(p *peer, now time.Time) (moved bool) {
	var best *member
	for _, m := range r.members {
		if m.id == p.id && (best == nil || younger(m, best)) {
			best = m
		}
	}
	old := p.current
	p.current = best
	switch {
	case best == nil:
		p.gone = now
	case best.meta.version.Seq == 0 && best.meta.version.Epoch != p.have.Epoch:
		// A new process that has announced nothing yet: nothing is to be pulled.
		p.setLocked(best.meta.version, &manifest.Summary{}, emptyCheck)
	}
	return old == nil || best == nil || old.name != best.name || old.node() != best.node()
}

func younger(a, b *member) bool {
	return cmp.Or(
		cmp.Compare(a.meta.version.Epoch, b.meta.version.Epoch),
		cmp.Compare(a.meta.life, b.meta.life),
		cmp.Compare(a.order, b.order)) > 0
}

// heardLocked notes when others change, to tell how busy the swarm is.
func (r *roster) heardLocked(now time.Time) {
	r.heard = append(r.heard, now)
	if len(r.heard) > 64 {
		r.heard = r.heard[len(r.heard)-64:]
	}
}

// busy reports how many members there are, and whether many change just now.
func (r *roster) busy(now time.Time) (members int, many bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	recent := 0
	for _, t := range r.heard {
		if now.Sub(t) < 2*time.Second {
			recent++
		}
	}
	return len(r.members), recent > 16
}

// clear forgets all members, as a membership ends, and returns where they were.
func (r *roster) clear(now time.Time) (ids []string, were []netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, m := range r.members {
		were = append(were, m.gossip)
		ids = append(ids, m.id)
		r.goneLocked(name, now)
	}
	return ids, were
}

func (r *roster) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// purge forgets nodes that have been gone for long.
func (r *roster) purge(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, p := range r.peers {
		if p.current == nil && !p.pulling && now.Sub(p.gone) > keepGone {
			delete(r.peers, id)
		}
	}
}

// deny notes that a node does not hold a blob that its manifest names.
func (r *roster) deny(id string, etag ref.ETag, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[id]
	if p == nil || p.current == nil {
		return false
	}
	if p.denied == nil || len(p.denied) >= maxDenied {
		p.denied = map[ref.ETag]time.Time{}
	}
	p.denied[etag] = now
	p.again = true
	return true
}

func (r *roster) denied(id string, etag ref.ETag, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[id]
	if p == nil {
		return false
	}
	at, ok := p.denied[etag]
	return ok && now.Sub(at) < keepDeny
}
