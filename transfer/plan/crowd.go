package plan

import (
	"math/bits"

	"hffs/cache/chunk"
)

// In a crowd many fetch the same blob at once and hand each other what they have.
// Then a fellow is asked for the rarest it has, counted over all fellows that are
// known, so that what few have becomes common soon, and of what it has whole before
// what it is getting itself; where chunks are equally rare
// each node has an order of its own, so that one holder gives different chunks to
// different askers and need not send the same one twice. What is counted is cells,
// stretches of the blob that are the same for all.
//
// An origin is a source outside the crowd. It is asked in file order, for no more
// than [Plan.Limit] and [Plan.Gain] allow: which cells those are is not decided
// here.
const (
	// crowdTarget is to a fellow what Target is to others: others wait to hand on
	// what a task brings.
	crowdTarget = 0.25
	// enough is how many fellows have some of a cell that needs no care any more.
	enough = 3
	// crowdMost is how many seconds a task within one cell may take.
	crowdMost = 2
	// In a crowd everybody's rate swings. So a chunk in flight is asked for again
	// only when no more than lastBytes are missing and the gain is this clear.
	lastBytes   = 4 << 20
	clearlyMore = 4
)

type grid struct {
	first     []int // chunk of each cell, and one behind the last
	of        []int32
	open      []int // chunks of each cell that are missing and free
	some      bitset
	fellows   []int // how many fellows have some of each cell
	order     []uint64
	cellBytes int64
}

// Crowd begins to plan for a crowd, in cells of the given length. seed is this
// node's own, for an order that others do not have.
func (p *Plan) Crowd(cellBytes int64, seed uint64) {
	n := int((p.m.Size() + cellBytes - 1) / cellBytes)
	g := &grid{
		first: make([]int, n+1), of: make([]int32, p.m.Len()), open: make([]int, n), some: newBitset(n),
		fellows: make([]int, n), order: make([]uint64, n), cellBytes: cellBytes,
	}
	next := 0
	for i := range p.m.Len() {
		g.of[i] = int32(p.m.Offset(i) / cellBytes)
		for ; next <= int(g.of[i]); next++ {
			g.first[next] = i
		}
	}
	for ; next <= n; next++ {
		g.first[next] = p.m.Len()
	}
	for cell := range n {
		g.order[cell] = mix(seed + uint64(cell))
	}
	p.grid = g
	for i := range p.m.Len() {
		if !p.have.Has(i) && p.flying[i] == 0 {
			g.opened(i, 1)
		}
	}
	for _, s := range p.sources {
		p.count(s, 1)
	}
}

// Origin says that a source is outside the crowd.
func (p *Plan) Origin(source int) {
	if s := p.sources[source]; s != nil && !s.origin {
		p.count(s, -1)
		s.origin = true
		p.count(s, 1)
	}
}

// mix spreads a number over all 64 bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// rarest finds what to ask a source for in a crowd. Of a cell that the source is still
// getting it could bring a piece only, and what is left would cost a request of its own;
// so such cells come after those that it has whole: most are a moment later.
func (p *Plan) rarest(s *sourceState) (chunk.Span, bool) {
	g := p.grid
	best, first, whole := -1, 0, false
	for w, word := range g.some {
		if s.cells != nil {
			word &= s.cells[w]
		}
		for ; word != 0; word &= word - 1 {
			cell := w*64 + bits.TrailingZeros64(word)
			all := g.whole(s, cell)
			if best >= 0 && (s.origin || whole && !all || whole == all && !g.rarer(cell, best)) {
				continue
			}
			if i := p.firstOpen(s, cell); i >= 0 {
				best, first, whole = cell, i, all
			}
		}
	}
	if best < 0 {
		return chunk.Span{}, false
	}
	if s.origin {
		return p.run(s, first, p.have.Len(), p.length(s, first)), true
	}
	want := p.crowdLength(s)
	return p.run(s, first, p.further(s, best, first, want), want), true
}

func (g *grid) rarer(a, b int) bool {
	if g.fellows[a] != g.fellows[b] {
		return g.fellows[a] < g.fellows[b]
	}
	return g.order[a] < g.order[b]
}

// firstOpen is the first chunk of a cell that the source can be asked for, or -1.
func (p *Plan) firstOpen(s *sourceState, cell int) int {
	for i := p.grid.first[cell]; i < p.grid.first[cell+1]; i++ {
		if p.open(s, i) {
			return i
		}
	}
	return -1
}

// crowdLength is how many bytes a task of a fellow should have: one cell, more of a
// fast or distant one, less of one that would take very long for it.
func (p *Plan) crowdLength(s *sourceState) int64 {
	cell := p.grid.cellBytes
	if s.rate == 0 {
		return cell
	}
	long := min(max(int64(s.rate*crowdTarget), int64(s.rate*s.wait*patience)), farBytes)
	return max(long, min(cell, max(minBytes, int64(s.rate*crowdMost))))
}

// further is the end of the run of cells behind a cell that go along with it: those that
// are as rare, and where it is common anyway and no reader waits, all that the source has
// whole.
func (p *Plan) further(s *sourceState, cell, first int, want int64) int {
	g := p.grid
	common := g.fellows[cell] >= enough && len(p.wants) == 0
	end := cell + 1
	for end < len(g.open) && p.m.Offset(g.first[end])-p.m.Offset(first) < want &&
		(g.fellows[end] <= g.fellows[cell] || common && g.whole(s, end)) {
		end++
	}
	return g.first[end]
}

// whole tells that a source has all of a cell.
func (g *grid) whole(s *sourceState, cell int) bool {
	return s.held == nil || s.held[cell] == g.first[cell+1]-g.first[cell]
}

// last tells whether so little is missing that chunks in flight may be asked for
// again although nothing has stalled.
func (p *Plan) last() bool {
	if p.grid == nil {
		return true
	}
	missing := int64(0)
	for i := p.have.NextMissing(0); i < p.have.Len() && missing <= lastBytes; i = p.have.NextMissing(i + 1) {
		missing += p.m.Length(i)
	}
	return missing <= lastBytes
}

// fly and land count the tasks that fetch a chunk; arrive and vanish change what
// is there. They keep the grid's count of open chunks.
func (p *Plan) fly(i int) {
	if p.flying[i] == 0 && !p.have.Has(i) {
		p.grid.opened(i, -1)
	}
	p.flying[i]++
}

func (p *Plan) land(i int) {
	p.flying[i]--
	if p.flying[i] == 0 && !p.have.Has(i) {
		p.grid.opened(i, 1)
	}
}

func (p *Plan) arrive(i int) bool {
	fresh := p.have.Add(i)
	if fresh && p.flying[i] == 0 {
		p.grid.opened(i, -1)
	}
	return fresh
}

func (p *Plan) vanish(i int) {
	if p.have.Has(i) && p.flying[i] == 0 {
		p.grid.opened(i, 1)
	}
	p.have.Remove(i)
}

func (g *grid) opened(i, by int) {
	if g == nil {
		return
	}
	cell := g.of[i]
	g.open[cell] += by
	g.some.set(int(cell), g.open[cell] > 0)
}

// count takes what a source holds into the grid (by 1), or out of it (by -1).
func (p *Plan) count(s *sourceState, by int) {
	if p.grid == nil {
		return
	}
	if by > 0 {
		s.held, s.cells = nil, nil
	}
	if s.has == nil {
		return
	}
	if by > 0 {
		s.held, s.cells = make([]int, len(p.grid.open)), newBitset(len(p.grid.open))
	}
	for i := range s.has.Len() {
		if s.has.Has(i) {
			p.countChunk(s, i, by)
		}
	}
}

func (p *Plan) countChunk(s *sourceState, i, by int) {
	if p.grid == nil {
		return
	}
	cell := int(p.grid.of[i])
	before := s.held[cell]
	s.held[cell] += by
	s.cells.set(cell, s.held[cell] > 0)
	if !s.origin && (before == 0) != (s.held[cell] == 0) {
		p.grid.fellows[cell] += by
	}
}

type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int, is bool) {
	b[i/64] &^= 1 << (i % 64)
	if is {
		b[i/64] |= 1 << (i % 64)
	}
}

// At is the chunk that a task is at; false when it is over.
func (p *Plan) At(id int) (int, bool) {
	if t := p.tasks[id]; t != nil && t.next < t.end {
		return t.next, true
	}
	return 0, false
}
