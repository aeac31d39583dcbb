package plan

import (
	"math/rand/v2"
	"slices"
	"testing"

	"hffs/cache/chunk"

	"github.com/stretchr/testify/require"
)

// Cells of four chunks.
const cell = 4 * chunk.FixedLen

func span(first, end int) chunk.Span { return chunk.Span{First: first, End: end} }

func crowded(chunks int, seed uint64) *Plan {
	p := New(blob(chunks), chunk.NewHave(chunks))
	p.Crowd(cell, seed)
	return p
}

func TestTheRarestCellComesFirst(t *testing.T) {
	t.Parallel()
	p := crowded(40, 1)
	for id := 1; id <= 3; id++ {
		p.Add(id, chunk.NewHave(40))
		p.Gain(id, span(0, 40))
	}
	p.Lose(2, span(20, 24))
	p.Lose(3, span(20, 24))
	p.Lose(3, span(8, 12))
	a, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, span(20, 24), a.Span, "one cell, the one that only this one has")
	b, _, ok := p.Next(2)
	require.True(t, ok)
	require.Equal(t, span(8, 12), b.Span)
	p.Remove(2)
	p.Ended(b.ID)
	c, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, span(8, 12), c.Span)
}

func TestWholeCellsComeBeforePieces(t *testing.T) {
	t.Parallel()
	for _, first := range []int{4, 12} { // of the cell with the piece: before the whole one, and behind
		p := crowded(40, 1)
		p.Add(1, chunk.NewHave(40))
		p.Add(2, chunk.NewHave(40))
		p.Gain(1, span(first, first+2)) // nobody else has any of it
		p.Gain(1, span(8, 12))
		p.Gain(2, span(8, 12))
		a, _, ok := p.Next(1)
		require.True(t, ok)
		require.Equal(t, span(8, 12), a.Span, "not the rarest, but whole")
		b, _, ok := p.Next(1)
		require.True(t, ok)
		require.Equal(t, span(first, first+2), b.Span, "better a piece than nothing")
		p.Ended(b.ID)
		p.Ended(a.ID)
		p.Gain(1, span(first+2, first+4))
		c, _, ok := p.Next(1)
		require.True(t, ok)
		require.Equal(t, span(first, first+4), c.Span, "whole by now, and the rarest")
	}
}

func TestAskersTakeDifferentCells(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for seed := range uint64(8) {
		p := crowded(4*512, seed)
		p.Add(1, nil)
		a, _, ok := p.Next(1)
		require.True(t, ok)
		seen[a.Span.First] = true
	}
	require.Greater(t, len(seen), 6)
}

func TestAFastFellowIsAskedForMore(t *testing.T) {
	t.Parallel()
	p := crowded(400, 1)
	p.Add(1, nil)
	p.Rate(1, 100e6)
	a, _, ok := p.Next(1)
	require.True(t, ok)
	_, n := p.m.Bytes(a.Span)
	require.Greater(t, n, int64(2*cell))
}

func TestOriginsAreAskedForWhatIsAllowed(t *testing.T) {
	t.Parallel()
	p := crowded(40, 1)
	p.Add(1, chunk.NewHave(40))
	p.Origin(1)
	_, _, ok := p.Next(1)
	require.False(t, ok)
	p.Gain(1, span(12, 16))
	p.Gain(1, span(4, 8))
	require.Zero(t, p.grid.fellows[1], "origins do not make cells common")
	a, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, span(4, 8), a.Span, "file order")
	p.Lose(1, span(12, 16))
	_, _, ok = p.Next(1)
	require.False(t, ok)
}

func TestAnothersHaveIsLeftAlone(t *testing.T) {
	t.Parallel()
	has := chunk.NewHave(40)
	p := crowded(40, 1)
	p.Add(1, has)
	p.Gain(1, span(0, 4))
	require.Zero(t, has.Count())
}

func TestWhatAReaderWaitsForComesFirst(t *testing.T) {
	t.Parallel()
	for _, crowd := range []bool{false, true} {
		p := New(blob(80), chunk.NewHave(80))
		if crowd {
			p.Crowd(cell, 1)
		}
		p.Add(1, nil)
		p.Want(span(50, 56))
		a, _, ok := p.Next(1)
		require.True(t, ok)
		require.Equal(t, 50, a.Span.First)
		require.LessOrEqual(t, a.Span.End, 56)
		p.Want(span(0, 0))
		b, _, ok := p.Next(1)
		require.True(t, ok)
		require.True(t, b.Span.End <= 50 || b.Span.First >= a.Span.End)
	}
}

func TestShortenGivesTheRestBack(t *testing.T) {
	t.Parallel()
	p := New(blob(20), chunk.NewHave(20))
	p.Add(1, nil)
	a, _, _ := p.Next(1)
	require.Greater(t, a.Span.End, 3)
	p.Got(a.ID, 0)
	p.Shorten(a.ID, 3)
	require.True(t, p.Needed(a.ID))
	b, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, 3, b.Span.First)
	p.Shorten(a.ID, 0)
	require.False(t, p.Needed(a.ID))
}

// A chunk that is in good hands is not asked for again in a crowd, however slow
// they seem, unless it is one of the last.
func TestNoSecondTransferWithoutReason(t *testing.T) {
	t.Parallel()
	p := crowded(400, 1)
	one := chunk.NewHave(400)
	one.Add(7)
	p.Add(1, one)
	p.Rate(1, 1e5)
	slow, _, ok := p.Next(1)
	require.True(t, ok)
	p.Add(2, one)
	p.Rate(2, 1e9)
	_, _, ok = p.Next(2)
	require.False(t, ok)
	p.Stalled(slow.ID, true)
	again, _, ok := p.Next(2)
	require.True(t, ok)
	require.True(t, again.Again)
	p.Ended(again.ID)
	p.Stalled(slow.ID, false)
	for i := range 400 {
		if i != 7 {
			p.Got(0, i)
		}
	}
	again, _, ok = p.Next(2)
	require.True(t, ok, "it is the last")
	require.True(t, again.Again)
}

// TestEveryCrowdEnds plays random crowds: fellows that gain and lose chunks, come
// and go, an origin that is allowed now this, now that, and all that may happen to
// tasks. Nobody is asked for what it lacks, no chunk is in more than two hands, and
// the run ends; the counts that are kept of cells stay right.
func TestEveryCrowdEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(80) {
		playCrowd(t, rand.New(rand.NewPCG(seed, 11)))
	}
}

func playCrowd(t *testing.T, r *rand.Rand) {
	n := 1 + r.IntN(150)
	p := New(mixed(r, n), chunk.NewHave(n))
	late := r.IntN(30)
	has := map[int]*chunk.Have{}
	running := map[int]*player{}
	for steps := 0; !p.Done(); steps++ {
		require.Less(t, steps, 100_000, "the run does not end")
		if steps == late {
			p.Crowd(1+r.Int64N(1<<20), r.Uint64())
		}
		disturb(r, p, has, n)
		id := 1 + r.IntN(6)
		if task, cut, ok := p.Next(id); ok {
			check(t, p, task, has[id])
			if cut != nil {
				running[cut.Task].end = cut.End
			}
			running[task.ID] = &player{task: task, next: task.Span.First, end: task.Span.End}
		}
		for tid, pl := range running {
			stepOne(r, p, tid, pl, running)
			if r.IntN(40) == 0 && running[tid] != nil {
				pl.end = max(pl.next, min(pl.end, pl.next+r.IntN(4)))
				p.Shorten(tid, pl.end)
			}
		}
		recount(t, p)
	}
}

func mixed(r *rand.Rand, n int) chunk.Map {
	if r.IntN(2) == 0 {
		return blob(n)
	}
	chunks := make([]chunk.Chunk, n)
	for i := range chunks {
		chunks[i].Length = 1 + r.Int64N(chunk.MaxLen)
	}
	m, err := chunk.Content(chunks)
	if err != nil {
		panic(err)
	}
	return m
}

// disturb changes what sources have; 1 is an origin.
func disturb(r *rand.Rand, p *Plan, has map[int]*chunk.Have, n int) {
	id := 1 + r.IntN(6)
	first := r.IntN(n)
	s := span(first, min(n, first+1+r.IntN(20)))
	switch h := has[id]; {
	case h == nil:
		has[id] = chunk.NewHave(n)
		p.Add(id, chunk.NewHave(n))
		if id == 1 {
			p.Origin(id)
		}
	case r.IntN(100) == 0:
		delete(has, id)
		p.Remove(id)
	case r.IntN(20) == 0:
		p.Want(s)
	case r.IntN(3) > 0:
		p.Gain(id, s)
		for i := s.First; i < s.End; i++ {
			h.Add(i)
		}
	default:
		p.Lose(id, s)
		for i := s.First; i < s.End; i++ {
			h.Remove(i)
		}
	}
}

func recount(t *testing.T, p *Plan) {
	if p.grid == nil {
		return
	}
	open := make([]int, len(p.grid.open))
	for i := range p.have.Len() {
		if !p.have.Has(i) && p.flying[i] == 0 {
			open[p.grid.of[i]]++
		}
	}
	require.True(t, slices.Equal(open, p.grid.open), "open chunks are miscounted")
	fellows := make([]int, len(open))
	for _, s := range p.sources {
		for c := range fellows {
			some := false
			for i := p.grid.first[c]; i < p.grid.first[c+1]; i++ {
				some = some || s.has.Has(i)
			}
			if some != (s.cells[c/64]&(1<<(c%64)) != 0) {
				require.Fail(t, "a source's cells are wrong", "cell %d", c)
			}
			if some && !s.origin {
				fellows[c]++
			}
		}
	}
	require.True(t, slices.Equal(fellows, p.grid.fellows), "fellows are miscounted")
}

// TestCommonCellsGoAlong has requests to a fast fellow longer than a cell: with cells as
// rare, and with any that it has whole where the first is common anyway.
func TestCommonCellsGoAlong(t *testing.T) {
	t.Parallel()
	first := func(fellows int) chunk.Span {
		p := crowded(12, 1)
		for id := 1; id <= fellows; id++ {
			p.Add(id, chunk.NewHave(12))
			p.Gain(id, span(0, 4))
		}
		p.Add(9, chunk.NewHave(12)) // makes cells 1 and 2 less rare than cell 0
		for id := 1; id <= fellows; id++ {
			p.Gain(id, span(4, 8))
		}
		p.Gain(9, span(4, 12))
		p.Gain(1, span(8, 10)) // a piece
		for id := 2; id <= fellows; id++ {
			p.Gain(id, span(8, 12))
		}
		p.Rate(1, 100*cell)
		a, _, ok := p.Next(1)
		require.True(t, ok)
		return a.Span
	}
	require.Equal(t, span(0, 4), first(enough-1), "what few have is not sent twice")
	require.Equal(t, span(0, 8), first(enough), "whole ones, and no piece")
}
