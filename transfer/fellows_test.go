package transfer

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/crossing"
	"hffs/transfer/source"
)

// fellow is a teller that fetches the blob as well: it tells its news, and then
// stays until the test ends, or breaks off.
type fellow struct {
	*teller
	news    []source.News
	breaks  bool // the feed ends with an error behind the news
	follows atomic.Int32
	goesOn  bool // it tells the same again and again
}

func (f *fellow) NodeID() string { return f.name }

func (f *fellow) Follow(ctx context.Context, _ ref.Blob, tell func([]source.News)) error {
	f.follows.Add(1)
	tell(f.news)
	if f.breaks {
		return io.ErrUnexpectedEOF
	}
	for f.goesOn && ctx.Err() == nil {
		tell(f.news)
		time.Sleep(time.Millisecond) // the pace of its news
	}
	<-ctx.Done()
	return ctx.Err()
}

// fellow adds a fellow that has the chunks from first up to end of its content, and
// tells their hashes. by answers for them; empty is the fellow itself.
func (w *world) fellow(name string, content []byte, first, end int, by string) *fellow {
	m := mapOf(content)
	s := chunk.Span{First: first, End: end}
	off, n := m.Bytes(s)
	news := source.News{Kind: source.NewsHave, Off: off, Len: n, By: by}
	for i := first; i < end; i++ {
		news.Sums = append(news.Sums, m.Hash(i))
	}
	f := &fellow{
		teller: &teller{name: name, kind: source.Peer, content: content},
		news:   []source.News{{Kind: source.NewsDraws, Len: 1}, news},
	}
	w.fellows = append(w.fellows, f)
	return f
}

func sourceBytes(r Result, name string) int64 {
	for _, s := range r.Sources {
		if s.Name == name {
			return s.Bytes
		}
	}
	return 0
}

func TestFellowsGiveWhatTheyHave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	w.fellow("desk-1", w.content, 0, 15, "")
	w.fellow("desk-2", w.content, 15, 30, "")
	r := w.get()
	require.EqualValues(t, 15*chunk.FixedLen, sourceBytes(r, "desk-1"))
	require.EqualValues(t, 15*chunk.FixedLen, sourceBytes(r, "desk-2"))
	require.EqualValues(t, big-30*chunk.FixedLen, hub.sent.Load(), "the Hub sends what no fellow has, and once")
	require.Empty(t, dropped(r))
}

func TestCellsThatOthersDrawAreLeftToThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	f := w.fellow("desk-1", w.content, 0, 1, "")
	cell := crossing.CellBytes(big)
	f.news = append(f.news, source.News{Kind: source.NewsClaim, Off: 4 * cell, Len: 10 * cell})
	f.breaks = true // it dies with its claims
	w.get()
	require.Positive(t, f.follows.Load())
	require.GreaterOrEqual(t, hub.sent.Load(), int64(big-chunk.FixedLen))
	require.LessOrEqual(t, hub.sent.Load(), int64(big+2*chunk.FixedLen))
}

func TestFellowThatSendsWhatItHasNotToldIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	f := w.fellow("liar", w.content, 0, 10, "")
	f.content = flip(w.content, 3*chunk.FixedLen+5)
	w.fellow("honest", w.content, 10, 30, "")
	r := w.get()
	require.Equal(t, []string{"liar"}, dropped(r))
	require.EqualValues(t, 20*chunk.FixedLen, sourceBytes(r, "honest"))
	require.LessOrEqual(t, hub.sent.Load(), int64(big-20*chunk.FixedLen))
}

// TestLiarThatGoesOnTellingIsNotHeard: what it tells is of no use any more, and
// does no harm.
func TestLiarThatGoesOnTellingIsNotHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub().busy.Store(2) // so that the download outlasts the lie
	f := w.fellow("liar", w.content, 0, 10, "")
	f.content, f.goesOn = flip(w.content, 3*chunk.FixedLen+5), true
	require.Equal(t, []string{"liar"}, dropped(w.get()))
}

// TestWhoAnsweredForALieIsNamed: the lie is told and sent consistently, and passed
// on in good faith. Only the whole file's hash finds it out.
func TestWhoAnsweredForALieIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub()
	wrong := flip(w.content, 3*chunk.FixedLen+5)
	w.fellow("liar", wrong, 20, 21, "") // has told of little, and drew what others have
	w.fellow("relay", wrong, 0, 10, "liar")
	w.fellow("honest", w.content, 10, 20, "")
	r := w.get()
	require.Equal(t, []string{"liar"}, dropped(r))
}

func TestFellowThatBecomesWholeGivesTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	hub.stallAt = 1 // it is of no use
	f := w.fellow("desk-1", w.content, 0, 1, "")
	f.news = append(f.news, source.News{Kind: source.NewsWhole})
	r := w.get()
	require.GreaterOrEqual(t, sourceBytes(r, "desk-1"), int64(big-2*chunk.FixedLen))
}

func TestNobodyLeftAmongFellows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	f := w.fellow("desk-1", w.content, 0, 10, "")
	f.news[0].Len = 0 // it cannot reach the Hub either
	_, err := w.transfer().Get(t.Context(), w.file(), nil)
	var none *NoSourceError
	require.ErrorAs(t, err, &none)
}

func TestBulletinTellsAllAndThenWhatIsNew(t *testing.T) {
	t.Parallel()
	const size = 10*chunk.FixedLen + 7
	m := chunk.Fixed(size, chunk.FixedLen, nil)
	b := newBulletin(m, 2*chunk.FixedLen, false)
	sum := func(i int) chunk.Hash { return chunk.Hash{byte(i) + 1} }
	for i := range 3 {
		b.got(i, sum(i), "")
	}
	b.got(3, sum(3), "other")
	b.claimed(4, true)
	all, pos, err := b.News(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, []source.News{
		{Kind: source.NewsDraws, Len: 1},
		{Kind: source.NewsHave, Len: 3 * chunk.FixedLen, Sums: []chunk.Hash{sum(0), sum(1), sum(2)}},
		{Kind: source.NewsHave, Off: 3 * chunk.FixedLen, Len: chunk.FixedLen, By: "other", Sums: []chunk.Hash{sum(3)}},
		{Kind: source.NewsClaim, Off: 8 * chunk.FixedLen, Len: 2 * chunk.FixedLen},
	}, all)

	b.lost(1)
	b.got(10, sum(10), "")
	b.claimed(4, false)
	b.draw(false)
	news, pos, err := b.News(t.Context(), pos)
	require.NoError(t, err)
	require.Equal(t, []source.News{
		{Kind: source.NewsLost, Off: chunk.FixedLen, Len: chunk.FixedLen},
		{Kind: source.NewsHave, Off: 10 * chunk.FixedLen, Len: 7, Sums: []chunk.Hash{sum(10)}},
		{Kind: source.NewsRelease, Off: 8 * chunk.FixedLen, Len: 2 * chunk.FixedLen},
		{Kind: source.NewsDraws},
	}, news)

	quiet, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, _, err = b.News(quiet, pos)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	b.end(true)
	news, pos, err = b.News(t.Context(), pos)
	require.NoError(t, err)
	require.Equal(t, []source.News{{Kind: source.NewsWhole}}, news)
	_, _, err = b.News(t.Context(), pos)
	require.ErrorIs(t, err, io.EOF)
}

// TestBulletinStartsOverForTheSlow: who has not read for long is told all again.
func TestBulletinStartsOverForTheSlow(t *testing.T) {
	t.Parallel()
	b := newBulletin(chunk.Fixed(4*chunk.FixedLen, chunk.FixedLen, nil), chunk.FixedLen, true)
	_, pos, err := b.News(t.Context(), 0)
	require.NoError(t, err)
	for range logMost {
		b.claimed(2, true)
		b.claimed(2, false)
	}
	b.got(3, chunk.Hash{}, "")
	news, _, err := b.News(t.Context(), pos)
	require.NoError(t, err)
	require.Equal(t, []source.News{{Kind: source.NewsDraws, Len: 1}, {Kind: source.NewsHave, Off: 3 * chunk.FixedLen, Len: chunk.FixedLen}}, news)
}

func TestRanges(t *testing.T) {
	t.Parallel()
	var r ranges
	for _, s := range []stretch{{10, 20}, {30, 40}, {5, 5}, {20, 30}, {50, 60}, {0, 3}} {
		r = r.add(s.from, s.to)
	}
	require.Equal(t, ranges{{0, 3}, {10, 40}, {50, 60}}, r)
	require.Equal(t, stretch{10, 40}, r.around(10))
	require.Equal(t, stretch{10, 40}, r.around(39))
	require.Equal(t, stretch{40, 40}, r.around(40))
	require.Equal(t, ranges{{0, 3}, {10, 15}, {35, 40}, {50, 60}}, r.cut(15, 35))
	require.Equal(t, ranges{{55, 60}}, r.cut(0, 55))
}

// TestFellowsMayLeave: one that has what it wanted and is not there any more is no
// news for the user; one that is there and breaks off is.
func TestFellowsMayLeave(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		told bool
	}{
		"nobody at the door": {fmt.Errorf("ask desk-1: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), false},
		"breaks off":         {fmt.Errorf("ask desk-1: %w", &net.OpError{Op: "read", Err: syscall.ECONNRESET}), true},
	} {
		w := newWorld(t, big)
		w.theHub()
		f := w.fellow("desk-1", w.content, 0, 41, "")
		f.news = append(f.news, source.News{Kind: source.NewsWhole})
		f.fail = c.err
		r := w.get()
		require.Equal(t, c.told, len(r.Notes) > 0, "%s: %v", name, r.Notes)
	}
}
