package plan

import (
	"math/rand/v2"
	"testing"

	"hffs/cache/chunk"

	"github.com/stretchr/testify/require"
)

func blob(chunks int) chunk.Map {
	return chunk.Fixed(int64(chunks)*chunk.FixedLen-100, chunk.FixedLen, nil)
}

func TestNextHandsOutFileOrder(t *testing.T) {
	p := New(blob(100), chunk.NewHave(100))
	p.Add(1, nil)
	p.Add(2, nil)
	a, cut, ok := p.Next(1)
	require.True(t, ok)
	require.Nil(t, cut)
	require.Equal(t, 0, a.Span.First)
	b, _, ok := p.Next(2)
	require.True(t, ok)
	require.Equal(t, a.Span.End, b.Span.First)
}

func TestNextSkipsWhatIsThere(t *testing.T) {
	have := chunk.NewHave(20)
	for i := range 10 {
		have.Add(i)
	}
	p := New(blob(20), have)
	p.Add(1, nil)
	a, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, 10, a.Span.First)
}

func TestEndedGivesTheRestBack(t *testing.T) {
	p := New(blob(20), chunk.NewHave(20))
	p.Add(1, nil)
	p.Add(2, nil)
	a, _, _ := p.Next(1)
	p.Got(a.ID, 0)
	p.Ended(a.ID)
	b, _, ok := p.Next(2)
	require.True(t, ok)
	require.Equal(t, 1, b.Span.First)
}

func TestFastSourceTakesTheBackOfASlowTask(t *testing.T) {
	p := New(blob(8), chunk.NewHave(8))
	p.Add(1, nil)
	p.Add(2, nil)
	p.Rate(1, 1e6)
	p.Rate(2, 9e6)
	slow, _, ok := p.Next(1)
	require.True(t, ok)
	for i := slow.Span.End; i < 8; i++ {
		task, _, ok := p.Next(2)
		require.True(t, ok)
		for j := task.Span.First; j < task.Span.End; j++ {
			p.Got(task.ID, j)
		}
		p.Ended(task.ID)
		i = task.Span.End - 1
	}
	fast, cut, ok := p.Next(2)
	require.True(t, ok)
	require.NotNil(t, cut)
	require.Equal(t, slow.ID, cut.Task)
	require.Equal(t, fast.Span.First, cut.End)
	require.Equal(t, slow.Span.End, fast.Span.End)
	require.Greater(t, fast.Span.First, slow.Span.First, "the chunk in flight stays with its owner")
	require.False(t, fast.Again)
}

func TestStalledChunkIsAskedForOnceMore(t *testing.T) {
	p := New(blob(4), chunk.NewHave(4))
	for id := 1; id <= 3; id++ {
		p.Add(id, nil)
	}
	dead, _, _ := p.Next(1)
	require.Equal(t, 4, dead.Span.Len())
	p.Stalled(dead.ID, true)
	second, cut, ok := p.Next(2)
	require.True(t, ok)
	require.True(t, second.Again)
	require.Equal(t, chunk.Span{First: 0, End: 4}, second.Span)
	require.Equal(t, &Cut{Task: dead.ID, End: 1}, cut)
	_, _, ok = p.Next(3)
	require.False(t, ok, "two are fetching it")
}

func TestBothHandsThatHoldAChunkMayBeDead(t *testing.T) {
	p := New(blob(4), chunk.NewHave(4))
	p.Add(1, nil)
	p.Add(2, nil)
	dead, _, _ := p.Next(1)
	p.Stalled(dead.ID, true)
	own, cut, ok := p.Next(1)
	require.True(t, ok, "by another connection it may be alive")
	require.True(t, own.Again)
	require.Equal(t, &Cut{Task: dead.ID, End: 1}, cut)
	_, _, ok = p.Next(2)
	require.False(t, ok, "two are fetching it, one of them well")

	p.Stalled(own.ID, true)
	_, _, ok = p.Next(1)
	require.False(t, ok, "it has been asked twice")
	other, cut, ok := p.Next(2)
	require.True(t, ok)
	require.True(t, other.Again)
	require.Equal(t, dead.Span, other.Span)
	require.Equal(t, &Cut{Task: own.ID, End: 1}, cut)
	_, _, ok = p.Next(2)
	require.False(t, ok)
	p.Ended(dead.ID)
	p.Ended(own.ID)
	for i := range 4 {
		require.True(t, p.Got(other.ID, i))
	}
	require.True(t, p.Done())
}

func TestSourceIsOnlyAskedForWhatItHas(t *testing.T) {
	has := chunk.NewHave(10)
	has.Add(7)
	has.Add(8)
	p := New(blob(10), chunk.NewHave(10))
	p.Add(1, has)
	a, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, chunk.Span{First: 7, End: 9}, a.Span)
	_, _, ok = p.Next(1)
	require.False(t, ok)
}

func TestHeldChunksAreNotHandedOut(t *testing.T) {
	p := New(blob(10), chunk.NewHave(10))
	p.Add(1, nil)
	for i := range 6 {
		require.True(t, p.Hold(i))
	}
	require.False(t, p.Hold(3))
	a, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, 6, a.Span.First)
	p.Release(2, true)
	p.Release(4, false)
	b, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, chunk.Span{First: 4, End: 5}, b.Span)
	require.False(t, p.Hold(2), "it is there")
}

// TestEveryRunEnds plays random downloads: sources of random rates that hold
// random parts, fail, stall, come late and lose chunks. Whatever happens, no
// source is asked for what it lacks, no chunk is in more than two hands, and as
// long as one holder of everything lives, the run ends.
func TestEveryRunEnds(t *testing.T) {
	for seed := range uint64(300) {
		play(t, rand.New(rand.NewPCG(seed, 7)))
	}
}

type player struct {
	task  Task
	next  int
	end   int
	alive bool
}

func play(t *testing.T, r *rand.Rand) {
	n := 1 + r.IntN(200)
	p := New(blob(n), chunk.NewHave(n))
	has := map[int]*chunk.Have{}
	sources := 1 + r.IntN(5)
	for id := 1; id <= sources; id++ {
		if id > 1 && r.IntN(2) == 0 {
			has[id] = chunk.NewHave(n)
			for i := range n {
				if r.IntN(2) == 0 {
					has[id].Add(i)
				}
			}
		}
		p.Add(id, has[id])
		p.Rate(id, float64(r.IntN(3))*float64(1+r.IntN(50))*1e6)
	}
	running := map[int]*player{}
	for steps := 0; !p.Done(); steps++ {
		require.Less(t, steps, 200_000, "the run does not end")
		id := 1 + r.IntN(sources)
		if task, cut, ok := p.Next(id); ok && len(running) < 3*sources {
			check(t, p, task, has[id])
			if cut != nil {
				running[cut.Task].end = cut.End
			}
			running[task.ID] = &player{task: task, next: task.Span.First, end: task.Span.End}
		} else if ok {
			if cut != nil {
				running[cut.Task].end = cut.End
			}
			p.Ended(task.ID)
		}
		for tid, pl := range running {
			stepOne(r, p, tid, pl, running)
		}
	}
}

func check(t *testing.T, p *Plan, task Task, has *chunk.Have) {
	require.Positive(t, task.Span.Len())
	for i := task.Span.First; i < task.Span.End; i++ {
		require.False(t, p.have.Has(i), "chunk is there already")
		require.True(t, has == nil || has.Has(i), "source lacks the chunk")
		require.True(t, p.flying[i] <= 2 || othersStalled(p, task.ID, i), "chunk is in more than two hands")
	}
}

// othersStalled tells whether nobody else who fetches a chunk is at work.
func othersStalled(p *Plan, id, i int) bool {
	for other, t := range p.tasks {
		if other != id && !t.stalled && t.next <= i && i < t.end {
			return false
		}
	}
	return true
}

func stepOne(r *rand.Rand, p *Plan, tid int, pl *player, running map[int]*player) {
	switch k := r.IntN(20); {
	case k == 0 && pl.task.Source != 1: // fails
		p.Ended(tid)
		delete(running, tid)
	case k == 1:
		p.Stalled(tid, true)
	case pl.next < pl.end:
		p.Got(tid, pl.next)
		if r.IntN(200) == 0 {
			p.Lost(pl.next)
		}
		pl.next++
	default:
		p.Ended(tid)
		delete(running, tid)
	}
}

// TestStartIsWhereTasksBegin, until nothing is left there.
func TestStartIsWhereTasksBegin(t *testing.T) {
	t.Parallel()
	m := chunk.Fixed(40*chunk.FixedLen, chunk.FixedLen, nil)
	p := New(m, chunk.NewHave(m.Len()))
	p.Add(1, nil)
	p.Start(30)
	first, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, 30, first.Span.First)
	next := first
	for next.Span.First >= 30 {
		next, _, ok = p.Next(1)
		require.True(t, ok)
	}
	require.Zero(t, next.Span.First, "what lies before comes when all behind is in hand")
	p.Ended(first.ID)
	p.Start(0)
	again, _, ok := p.Next(1)
	require.True(t, ok)
	require.Less(t, again.Span.First, 30, "in file order again")
}
