package swarmsim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/crossing"
)

// news is what a node tells those who listen to it.
type news struct {
	has, claims, released []int
}

// feed is a node's side of telling.
type feed struct {
	listeners []*node
	wait      news // what has not been told yet
	waiting   bool
}

// tell tells all who listen: claims at once, the rest in a moment, together.
func (n *node) tell(w news) {
	f := &n.feed
	f.wait.has = append(f.wait.has, w.has...)
	f.wait.claims = append(f.wait.claims, w.claims...)
	f.wait.released = append(f.wait.released, w.released...)
	if len(f.wait.claims)+len(f.wait.released) > 0 {
		n.flush()
	} else if !f.waiting {
		f.waiting = true
		n.sim.after(n.sim.cfg.Feed, calling(n.flush))
	}
}

func (n *node) flush() {
	f := &n.feed
	w := f.wait
	f.wait, f.waiting = news{}, false
	if n.dead || len(w.has)+len(w.claims)+len(w.released) == 0 {
		return
	}
	for _, to := range f.listeners {
		n.sim.after(n.sim.cfg.Latency, calling(func() { to.hear(n, w) }))
	}
}

// hear takes in news of a fellow.
func (n *node) hear(from *node, w news) {
	p := n.fellows[from]
	if p == nil || n.dead || n.finished > 0 {
		return
	}
	now := n.sim.now
	for _, cell := range w.claims {
		if n.cross.Claimed(from.id, cell, now) {
			n.yield(cell)
			n.tell(news{released: []int{cell}})
		}
	}
	for _, cell := range w.released {
		n.cross.Released(from.id, cell)
	}
	for _, cell := range w.has {
		if n.cross.Has(from.id, cell, now) {
			n.yield(cell)
		}
		n.plan.Gain(p.n, n.sim.grid.Chunks(cell))
	}
	if p.errands < n.each() && len(n.errands) < n.sim.cfg.InAll {
		n.ask(p)
	}
}

// lookAround: of those who began before, a node knows from the start.
func (n *node) lookAround() {
	for _, o := range n.sim.nodes {
		if o != n && o.running && !o.dead && n.sim.now-o.began >= n.sim.cfg.Learn {
			n.learnOf(o)
		}
	}
}

// meet: by now all know that this node has begun, and it knows them.
func (n *node) meet() {
	if n.dead {
		return
	}
	n.lookAround()
	for _, o := range n.sim.nodes {
		if o != n && o.running && !o.dead {
			o.learnOf(n)
		}
	}
}

func (n *node) learnOf(o *node) {
	if n.known[o.id] != nil || n.banned[o] || n.finished > 0 {
		return
	}
	n.known[o.id] = o
	n.cross.Join(o.id, !o.cut)
	n.choose()
}

// rechoose is how long a node keeps its partners before it thinks again.
const rechoose = 500 * time.Millisecond

// choose looks at whom to listen to, in a moment, when all is heard.
func (n *node) choose() {
	if n.choosing {
		return
	}
	n.choosing = true
	n.sim.after(max(n.sim.cfg.Latency, n.chose+rechoose-n.sim.now), calling(n.chosen))
}

func (n *node) chosen() {
	n.choosing, n.chose = false, n.sim.now
	if n.dead || n.finished > 0 {
		return
	}
	want := map[*node]bool{}
	for _, id := range n.cross.Partners() {
		want[n.known[id]] = true
	}
	for _, o := range inOrder(n.fellows) {
		if !want[o] {
			n.unfollow(o)
			n.cross.Forget(o.id)
		}
	}
	for _, cell := range n.cross.Recall() {
		n.yield(cell)
		n.tell(news{released: []int{cell}})
	}
	for _, o := range inOrder(want) {
		if n.fellows[o] == nil {
			n.follow(o)
		}
	}
	n.handOut()
}

func inOrder[V any](m map[*node]V) []*node {
	return slices.SortedFunc(maps.Keys(m), func(a, b *node) int { return cmp.Compare(a.id, b.id) })
}

// follow begins to listen; what there is to tell comes first.
func (n *node) follow(o *node) {
	p := n.add(&peer{node: o})
	n.fellows[o] = p
	n.plan.Add(p.n, chunk.NewHave(n.sim.m.Len()))
	n.sim.after(n.sim.cfg.Latency, calling(func() {
		if o.dead || n.fellows[o] != p {
			return
		}
		w := news{claims: o.cross.Claims()}
		for cell := range n.sim.grid.Len() {
			if n.sim.grid.Whole(o.plan.Have(), cell) {
				w.has = append(w.has, cell)
			}
		}
		o.feed.listeners = append(o.feed.listeners, n)
		n.sim.after(n.sim.cfg.Latency, calling(func() { n.hear(o, w) }))
	}))
}

func (n *node) unfollow(o *node) {
	p := n.fellows[o]
	if p == nil {
		return
	}
	p.gone = true
	delete(n.fellows, o)
	n.plan.Remove(p.n)
	for _, e := range n.underWay() {
		if e.from == p {
			n.end(e)
		}
	}
	o.feed.listeners = slices.DeleteFunc(slices.Clone(o.feed.listeners), func(l *node) bool { return l == n })
}

// ban drops a fellow that lies, for good.
func (n *node) ban(o *node) {
	n.banned[o] = true
	n.part(o)
}

// part is the end of a fellow, for this node.
func (n *node) part(o *node) {
	if n.known[o.id] == nil {
		return
	}
	n.unfollow(o)
	delete(n.known, o.id)
	n.cross.Leave(crossing.ID(o.id))
	n.choose()
	n.handOut()
}

// die ends a node, half of them with the whole machine.
func (n *node) die() {
	n.dead = true
	for _, e := range n.underWay() {
		n.end(e)
	}
	for _, f := range n.up.ready {
		f.left = 0
	}
	later := n.sim.cfg.Learn
	if n.sim.rand.IntN(2) == 0 {
		later = detect
	} else {
		for _, l := range n.feed.listeners {
			n.sim.after(n.sim.cfg.Latency, calling(func() { l.part(n) }))
		}
	}
	n.sim.after(later, calling(func() {
		for _, o := range n.sim.nodes {
			if !o.dead && o.finished == 0 {
				o.part(n)
			}
		}
	}))
}
