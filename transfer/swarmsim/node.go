package swarmsim

import (
	"slices"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/crossing"
	"hffs/transfer/plan"
)

// What package transfer goes by as well.
const (
	tick      = 250 * time.Millisecond
	stallPeer = time.Second
	stallHub  = 3 * time.Second
	giveUp    = 10 * time.Second
	// detect is how long the crowd takes to see that a machine is gone. Of a
	// process that ends its fellows learn at once, as connections break.
	detect = 2500 * time.Millisecond
)

// node is one machine of the crowd and the owner of its download.
type node struct {
	sim       *Sim
	id        crossing.ID
	up        uplink
	wan, down *pipe

	liar, cut, slow, doomed, dead bool
	began, finished               time.Duration
	running                       bool
	came                          int64

	plan     *plan.Plan
	cross    *crossing.Crossing
	sources  []*peer // index is the plan's number less one; origins first
	fellows  map[*node]*peer
	known    map[crossing.ID]*node
	banned   map[*node]bool
	errands  map[int]*errand
	turn     int // whose turn it is to be asked first
	feed     feed
	watch    crossing.Watch
	choosing bool
	chose    time.Duration // when last
}

// peer is a source as the owner sees it.
type peer struct {
	n       int // in the plan
	origin  *origin
	node    *node
	gone    bool
	errands int
	flowed  int64
	seen    int64
	now     int64 // in the last tick
	rate    float64
	wait    float64
}

// errand is a task under way.
type errand struct {
	id      int
	from    *peer
	next    int // chunk
	end     int
	partial int64 // bytes of chunk next that are here
	began   time.Duration
	alive   time.Duration
	flow    *flow
	over    bool
}

func newNode(s *Sim, i int) *node {
	n := &node{
		sim: s, id: crossing.ID(s.rand.Uint64()),
		up:      uplink{clock: &s.clock, rate: s.cfg.Link},
		down:    &pipe{clock: &s.clock, rate: s.cfg.Link},
		fellows: map[*node]*peer{}, known: map[crossing.ID]*node{}, banned: map[*node]bool{},
		errands: map[int]*errand{},
	}
	if s.cfg.HubLink > 0 {
		n.wan = &pipe{clock: &s.clock, rate: s.cfg.HubLink}
	}
	n.plan = plan.New(s.m, chunk.NewHave(s.m.Len()))
	n.plan.Crowd(s.grid.Bytes(), uint64(n.id))
	n.cross = crossing.New(s.grid.Len(), n.id, 77)
	return n
}

// counts tells whether the crowd is to be judged by this node.
func (n *node) counts() bool { return !n.liar && !n.doomed }

func (n *node) start() {
	if n.dead {
		return
	}
	n.began, n.chose, n.running = n.sim.now, -rechoose, true
	for _, o := range n.sim.origins {
		if o.hub && n.cut {
			continue
		}
		p := n.add(&peer{origin: o})
		n.plan.Add(p.n, chunk.NewHave(n.sim.m.Len()))
		n.plan.Origin(p.n)
	}
	if len(n.sources) == 0 {
		n.cross.Draws(n.id, false)
	}
	n.sim.after(n.sim.cfg.Learn, calling(n.meet))
	n.sim.after(tick, calling(n.tick))
	if n.lookAround(); len(n.known) == 0 {
		n.handOut()
	}
}

func (n *node) add(p *peer) *peer {
	n.sources = append(n.sources, p)
	p.n = len(n.sources)
	return p
}

// handOut gives every source that has room something to do: the origin first,
// which is what all wait for, then fellows, those with fewest errands first.
func (n *node) handOut() {
	if !n.running || n.dead || n.plan.Done() {
		return
	}
	n.turn += 7
	for _, p := range n.sources {
		if p.origin == nil {
			break
		}
		for len(n.errands) < n.sim.cfg.InAll && p.errands < n.sim.cfg.Origin && n.draw(p) {
		}
	}
	for room := range n.each() {
		for i := range n.sources {
			p := n.sources[(i+n.turn)%len(n.sources)]
			if len(n.errands) >= n.sim.cfg.InAll {
				return
			}
			if p.origin == nil && !p.gone && p.errands <= room {
				n.ask(p)
			}
		}
	}
}

// each is how many errands one fellow may have: one where there are many, since
// what is asked for late comes from more places; a few where these few must fill
// the link.
func (n *node) each() int {
	if n.sim.cfg.Fellow > 0 {
		return n.sim.cfg.Fellow
	}
	return min(max(1, 4/max(1, len(n.fellows))), 3)
}

// draw asks an origin for what is claimed, and claims more if that is nothing.
func (n *node) draw(p *peer) bool {
	if n.ask(p) {
		return true
	}
	want := n.sim.grid.Run(p.rate/float64(max(1, p.errands)), p.wait)
	claimed := false
	for ; want > 0; want -= n.sim.grid.Bytes() {
		cell, ok := n.cross.Next(n.sim.now)
		if !ok && !claimed && n.watch.Short() {
			cell, ok = n.cross.Rescue(n.sim.now)
		}
		if !ok {
			break
		}
		claimed = true
		n.allow(cell, true)
		n.tell(news{claims: []int{cell}})
	}
	return claimed && n.ask(p)
}

// look keeps watch over what comes, and from whom.
func (n *node) look() {
	var fellows, origins int64
	drawing := false
	for _, p := range n.sources {
		if p.origin == nil {
			fellows += p.now
		} else {
			origins += p.now
			drawing = drawing || p.errands > 0
		}
	}
	n.watch.Tick(fellows, origins, drawing, n.sim.cfg.Size-n.plan.Have().Bytes(n.sim.m))
}

// allow says whether the origins may be asked for a cell.
func (n *node) allow(cell int, may bool) {
	for _, p := range n.sources {
		if p.origin == nil {
			return
		}
		if may {
			n.plan.Gain(p.n, n.sim.grid.Chunks(cell))
		} else {
			n.plan.Lose(p.n, n.sim.grid.Chunks(cell))
		}
	}
}

// ask sends a source on its next errand.
func (n *node) ask(p *peer) bool {
	n.plan.Rate(p.n, p.rate/float64(max(1, p.errands)))
	n.plan.Wait(p.n, p.wait)
	task, cut, ok := n.plan.Next(p.n)
	if !ok {
		return false
	}
	if cut != nil {
		n.shorten(n.errands[cut.Task], cut.End)
	}
	e := &errand{id: task.ID, from: p, next: task.Span.First, end: task.Span.End, began: n.sim.now, alive: n.sim.now}
	n.errands[task.ID] = e
	p.errands++
	n.open(e)
	return true
}

// open sends the request; the answer begins when it has arrived.
func (n *node) open(e *errand) {
	s := n.sim
	_, size := s.m.Bytes(chunk.Span{First: e.next, End: e.end})
	f := &flow{sim: s, left: size, path: []*pipe{n.down}, latency: s.cfg.Latency}
	f.from = &uplink{}
	switch o := e.from.origin; {
	case o == nil:
		f.from = &e.from.node.up
	default:
		f.from, f.latency = &o.up, o.latency
		if o.hub && n.wan != nil {
			f.path = []*pipe{n.wan, n.down}
		}
	}
	f.room = 3 + int(min(f.from.rate, s.cfg.Link)*2*f.latency.Seconds()/float64(s.segment))
	f.arrived = func(bytes int64) { n.arrived(e, bytes) }
	e.flow = f
	s.after(f.latency, calling(func() {
		if e.from.node == nil || !e.from.node.dead {
			f.from.begin(f)
		}
	}))
}

// arrived takes in bytes of an errand.
func (n *node) arrived(e *errand, bytes int64) {
	if n.dead {
		return
	}
	n.came += bytes
	if e.over {
		return
	}
	if e.flow.latency > 0 && e.alive == e.began {
		e.from.wait += 0.3 * ((n.sim.now - e.began).Seconds() - e.from.wait)
	}
	e.alive = n.sim.now
	e.from.flowed += bytes
	for e.partial += bytes; !e.over && e.next < e.end && e.partial >= n.sim.m.Length(e.next); e.next++ {
		e.partial -= n.sim.m.Length(e.next)
		if e.from.node != nil && e.from.node.liar {
			n.ban(e.from.node)
			break
		}
		n.got(e, e.next)
	}
	if !e.over && e.next >= e.end {
		n.end(e)
	}
	if e.over && n.finished == 0 {
		n.handOut()
	}
}

func (n *node) got(e *errand, i int) {
	if !n.plan.Got(e.id, i) {
		return
	}
	if cell := n.sim.grid.Of(i); n.sim.grid.Whole(n.plan.Have(), cell) {
		n.cross.Mine(cell, n.sim.now)
		n.tell(news{has: []int{cell}})
	}
	if n.plan.Done() {
		n.finish()
	}
}

func (n *node) finish() {
	n.finished = n.sim.now
	for _, e := range n.underWay() {
		n.end(e)
	}
	if n.counts() {
		n.sim.waiting--
	}
}

// underWay is the errands in the order in which they began: chance has no place
// in a simulation that is to be repeated.
func (n *node) underWay() []*errand {
	all := make([]*errand, 0, len(n.errands))
	for _, e := range n.errands {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *errand) int { return a.id - b.id })
	return all
}

// end is the end of an errand, for whatever reason; what is under way still comes.
func (n *node) end(e *errand) {
	if e.over {
		return
	}
	e.over = true
	delete(n.errands, e.id)
	e.from.errands--
	n.plan.Ended(e.id)
	if e.flow.left > 0 {
		n.sim.after(e.flow.latency, calling(func() { e.flow.left = 0 }))
	}
}

// shorten lets an errand end before a chunk.
func (n *node) shorten(e *errand, end int) {
	if e == nil {
		return
	}
	if e.end = min(e.end, end); e.next >= e.end {
		n.end(e)
	}
}

// tick measures and looks for errands that bring nothing.
func (n *node) tick() {
	if n.dead || n.finished > 0 {
		return
	}
	for _, p := range n.sources {
		p.measure()
	}
	n.look()
	for _, e := range n.underWay() {
		limit := stallPeer
		if e.from.origin != nil {
			limit = stallHub
		}
		quiet := n.sim.now - e.alive
		n.plan.Stalled(e.id, quiet > limit)
		if quiet > giveUp || !n.plan.Needed(e.id) {
			n.end(e)
		}
	}
	n.handOut()
	n.sim.after(tick, calling(n.tick))
}

func (p *peer) measure() {
	p.now, p.seen = p.flowed-p.seen, p.flowed
	now := float64(p.now) / tick.Seconds()
	switch {
	case p.errands == 0 && now == 0:
	case p.rate == 0:
		p.rate = max(now, 1)
	default:
		p.rate = max(p.rate+0.3*(now-p.rate), 1)
	}
}

// yield lets go of a cell that this node was to draw.
func (n *node) yield(cell int) {
	n.allow(cell, false)
	span := n.sim.grid.Chunks(cell)
	for _, e := range n.underWay() {
		if e.from.origin != nil && e.end > span.First && e.next < span.End {
			end := max(span.First, e.next)
			n.plan.Shorten(e.id, end)
			n.shorten(e, end)
		}
	}
}
