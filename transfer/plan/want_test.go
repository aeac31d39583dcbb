package plan

import (
	"math/rand/v2"
	"testing"

	"hffs/cache/chunk"

	"github.com/stretchr/testify/require"
)

func TestEveryReaderIsServed(t *testing.T) {
	t.Parallel()
	p := New(blob(400), chunk.NewHave(400))
	p.Add(1, nil)
	p.Want(span(300, 340), span(100, 140), span(200, 240))
	begun := map[int]bool{}
	for range 3 {
		task, _, ok := p.Next(1)
		require.True(t, ok)
		begun[task.Span.First] = true
	}
	require.Equal(t, map[int]bool{100: true, 200: true, 300: true}, begun, "who has nothing under way comes first")
}

func TestASpanThatIsWaitedForIsDivided(t *testing.T) {
	t.Parallel()
	p := New(blob(1000), chunk.NewHave(1000))
	p.Add(1, nil)
	p.Rate(1, 1e9)
	p.Want(span(0, 64))
	a, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, span(0, 16), a.Span)
	for range 3 {
		_, _, ok = p.Next(1)
		require.True(t, ok)
	}
	beyond, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, 64, beyond.Span.First, "then it goes on as it would without a reader")
}

func TestAStalledTaskThatAReaderWaitsForIsRelieved(t *testing.T) {
	t.Parallel()
	for _, crowd := range []bool{false, true} {
		p := New(blob(400), chunk.NewHave(400))
		if crowd {
			p.Crowd(cell, 1)
		}
		p.Add(1, nil)
		p.Add(2, nil)
		p.Want(span(100, 116))
		head, _, ok := p.Next(1)
		require.True(t, ok)
		p.Stalled(head.ID, true)
		again, cut, ok := p.Next(2)
		require.True(t, ok)
		require.True(t, again.Again)
		require.Equal(t, head.Span, again.Span, "at once, although much is free")
		require.Equal(t, &Cut{Task: head.ID, End: 101}, cut)
	}
}

func TestASlowTaskThatAReaderWaitsForIsShared(t *testing.T) {
	t.Parallel()
	p := New(blob(400), chunk.NewHave(400))
	p.Add(1, nil)
	p.Add(2, nil)
	p.Rate(1, 1e5)
	p.Rate(2, 1e7)
	p.Want(span(0, 16))
	head, _, ok := p.Next(1)
	require.True(t, ok)
	help, cut, ok := p.Next(2)
	require.True(t, ok)
	require.Equal(t, head.ID, cut.Task)
	require.Equal(t, head.Span.End, help.Span.End)
	require.Greater(t, help.Span.First, head.Span.First)
}

func TestWhatIsWaitedForComesOnlyFromWhoHasIt(t *testing.T) {
	t.Parallel()
	has := chunk.NewHave(400)
	has.Add(7)
	p := New(blob(400), chunk.NewHave(400))
	p.Add(1, has)
	p.Want(span(100, 140))
	require.True(t, p.Free(100))
	a, _, ok := p.Next(1)
	require.True(t, ok)
	require.Equal(t, span(7, 8), a.Span)
	require.False(t, p.Free(7))
}

// TestEveryRunWithReadersEnds plays random downloads, in a crowd and outside of one,
// whose readers move on, jump, come and go. Whatever happens, nobody is asked for what
// it lacks, what is free and waited for comes first, every chunk is handed out, and the
// run ends.
func TestEveryRunWithReadersEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		playReaders(t, rand.New(rand.NewPCG(seed, 23)))
	}
}

func playReaders(t *testing.T, r *rand.Rand) {
	n := 1 + r.IntN(200)
	p := New(mixed(r, n), chunk.NewHave(n))
	if r.IntN(2) == 0 {
		p.Crowd(1+r.Int64N(1<<20), r.Uint64())
	}
	has := map[int]*chunk.Have{1: nil}
	for id := 2; id <= 1+r.IntN(5); id++ {
		has[id] = chunk.NewHave(n)
		for i := range n {
			if r.IntN(2) == 0 {
				has[id].Add(i)
			}
		}
	}
	for id, h := range has {
		p.Add(id, h)
		p.Rate(id, float64(r.IntN(3))*float64(1+r.IntN(50))*1e6)
	}
	var readers []chunk.Span
	running := map[int]*player{}
	for steps := 0; !p.Done(); steps++ {
		require.Less(t, steps, 100_000, "the run does not end")
		readers = move(r, p, readers, n)
		id := 1 + r.IntN(len(has))
		waited := firstWaited(p, readers, has[id])
		task, cut, ok := p.Next(id)
		require.True(t, ok || waited < 0, "something is waited for and free")
		if ok {
			check(t, p, task, has[id])
			if waited >= 0 && !task.Again && cut == nil {
				require.True(t, within(readers, task.Span), "what is waited for comes first")
			}
			if cut != nil {
				running[cut.Task].end = cut.End
			}
			running[task.ID] = &player{task: task, next: task.Span.First, end: task.Span.End}
		}
		for tid, pl := range running {
			stepOne(r, p, tid, pl, running)
		}
	}
}

// move has readers come, go on, jump and leave.
func move(r *rand.Rand, p *Plan, readers []chunk.Span, n int) []chunk.Span {
	switch r.IntN(8) {
	case 0:
		at := r.IntN(n)
		readers = append(readers, span(at, at+1+r.IntN(40)))
	case 1:
		if len(readers) > 0 {
			readers = readers[1:]
		}
	case 2:
		for k := range readers {
			next := min(p.have.NextMissing(readers[k].First), n-1)
			readers[k] = span(next, next+1+r.IntN(40))
		}
	default:
		return readers
	}
	p.Want(readers...)
	return readers
}

// firstWaited is a chunk that is waited for and free, and that a source has; -1: none.
func firstWaited(p *Plan, readers []chunk.Span, has *chunk.Have) int {
	for _, s := range readers {
		for i := s.First; i < min(s.End, p.have.Len()); i++ {
			if p.Free(i) && (has == nil || has.Has(i)) {
				return i
			}
		}
	}
	return -1
}

func within(readers []chunk.Span, s chunk.Span) bool {
	for _, r := range readers {
		if r.First <= s.First && s.End <= r.End {
			return true
		}
	}
	return false
}
