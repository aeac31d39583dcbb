package transfer

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

func TestManyReadersCauseOneFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	tr := w.reads()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { w.readAll(tr) })
	}
	wait.Wait()
	require.EqualValues(t, big, hub.sent.Load())
}

func TestReaderAndGetShareAFetch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	tr := w.reads()
	r, wait := w.reader(tr, 0, big)
	require.Len(t, tr.Active(), 1)
	_, err := tr.Get(t.Context(), w.file(), nil)
	require.NoError(t, err)
	require.NoError(t, wait().err)
	w.prefix(r, 0)
	require.EqualValues(t, big, hub.sent.Load())
}

func TestReaderThatComesBackFindsItFurtherOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	g := gate(hub, big/2)
	w.hub = []source.Source{g}
	tr := w.reads()
	s, err := tr.Open(t.Context(), w.entry)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	r := newRecord()
	go func() { r.await(t, big/4); cancel() }()
	n, err := s.Send(ctx, r, 0, big)
	require.ErrorIs(t, err, context.Canceled)
	require.GreaterOrEqual(t, n, int64(big/4))
	require.NoError(t, s.Close())
	require.Len(t, tr.Active(), 1, "it goes on")
	g.allow(big)
	w.readAll(tr)
	require.EqualValues(t, big, hub.sent.Load())
}

func TestReadersThatAreGoneLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.hub = []source.Source{gate(w.theHub(), big/2)}
	tr := w.reads()
	tr.grace = time.Millisecond
	s, err := tr.Open(t.Context(), w.entry)
	require.NoError(t, err)
	fl := s.fl
	ctx, cancel := context.WithCancel(t.Context())
	r := newRecord()
	go func() { r.await(t, 1); cancel() }()
	_, err = s.Send(ctx, r, 0, big)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice is as good as once")
	<-fl.done
	tr.lingering.Wait()
	require.Empty(t, tr.Active())
	require.Empty(t, fl.readers.seats)
	p, err := w.cache.Begin(t.Context(), w.entry)
	require.NoError(t, err, "nothing is locked")
	require.NoError(t, p.Close())
}

// TestCloseEndsTheGrace: what nobody waits for does not hold up who wants to go.
func TestCloseEndsTheGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.hub = []source.Source{gate(w.theHub(), 0)}
	tr := w.transfer()
	tr.grace = time.Hour
	early, err := tr.Open(t.Context(), w.entry)
	require.NoError(t, err)
	late, err := tr.Open(t.Context(), w.entry)
	require.NoError(t, err)
	require.NoError(t, early.Close())
	require.NoError(t, tr.Close())
	require.Len(t, tr.Active(), 1, "somebody is still there")
	require.NoError(t, late.Close())
	require.Empty(t, tr.Active())
}

// TestCheckedAfterTheLastReaderLeft: a blob that is all here is kept, even where the
// grace is over.
func TestCheckedAfterTheLastReaderLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, chunk.FixedLen)
	tr := w.reads()
	tr.grace = time.Millisecond
	fl := &flight{board: newBoard(), done: make(chan struct{})}
	fl.board.update(func(p *Progress) { p.Phase = PhaseCheck })
	idle := make(chan struct{})
	go func() { tr.idle(fl); close(idle) }()
	select {
	case <-idle:
		require.Fail(t, "it left")
	case <-time.After(50 * time.Millisecond):
	}
	close(fl.done)
	<-idle
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 0)
	w.theHub()
	tr := w.reads()
	s, err := tr.Open(t.Context(), w.entry)
	require.NoError(t, err)
	n, err := s.Send(t.Context(), io.Discard, 0, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, s.Close())
	require.True(t, tr.Place(t.Context(), w.entry))
}

func TestPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	tr := w.reads()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.True(t, tr.Place(ctx, w.entry))
	_, err := w.cache.Find(t.Context(), w.entry)
	require.NoError(t, err)
	require.EqualValues(t, big, hub.sent.Load())
}

func TestPlaceThatCannotBeDoneInTimeIsGivenUpEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	g := gate(w.theHub(), big/4)
	w.hub = []source.Source{g}
	tr := w.reads()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.False(t, tr.Place(ctx, w.entry))
	require.NoError(t, ctx.Err(), "long before the end")
	require.Len(t, tr.Active(), 1, "it goes on for who comes to read it")
	g.allow(big)
	w.readAll(tr)
}

func TestPlaceEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100)
	w.hub = []source.Source{gate(w.theHub(), 0)}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	require.False(t, w.reads().Place(ctx, w.entry))
}

func TestOutlook(t *testing.T) {
	t.Parallel()
	began := time.Unix(1000, 0)
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	const total = 100 << 20
	for name, c := range map[string]struct {
		done  map[float64]int64 // at which second
		phase string
		total int64
		want  bool
	}{
		"too early to say":          {map[float64]int64{0.5: 1}, PhaseFetch, total, true},
		"fast enough":               {map[float64]int64{0.5: 1, 1.5: 20 << 20}, PhaseFetch, total, true},
		"too slow":                  {map[float64]int64{0.5: 1, 1.5: 5 << 20}, PhaseFetch, total, false},
		"what was there is no rate": {map[float64]int64{0.5: 90 << 20, 1.5: 90<<20 + 10<<10}, PhaseFetch, total, false},
		"not begun":                 {map[float64]int64{0.5: 0, 1.5: 0}, PhaseLocate, total, true},
		"not begun for long":        {map[float64]int64{0.5: 0, 3.5: 0}, PhaseLocate, total, false},
		"silent":                    {map[float64]int64{0.5: 9, 3.5: 9}, PhaseFetch, total, false},
		"being checked":             {map[float64]int64{0.5: 1, 7.5: total}, PhaseCheck, total, true},
		"small":                     {map[float64]int64{0.5: 0, 7.5: 0}, PhaseLocate, 1000, true},
	} {
		o := outlook{began: began, deadline: at(8)}
		good := true
		for _, s := range []float64{0.5, 1.5, 3.5, 7.5} {
			if done, ok := c.done[s]; ok {
				good = o.good(Progress{Done: done, Total: c.total, Phase: c.phase}, at(s))
			}
		}
		require.Equal(t, c.want, good, name)
	}
}

// TestEveryNameIsGiven: several ask for one blob by different names, and go before it
// is there.
func TestEveryNameIsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	g := gate(w.theHub(), big/2)
	w.hub = []source.Source{g}
	tr := w.reads()
	other := w.entry
	other.Repo.ID, other.Path = "org/copy", "sub/model.bin"
	var fl *flight
	for _, e := range []ref.Entry{w.entry, other} {
		s, err := tr.Open(t.Context(), e)
		require.NoError(t, err)
		fl = s.fl
		tr.Named(t.Context(), ref.File{Repo: e.Repo, Revision: "main", Path: e.Path}, Resolved{Entry: e})
		tr.Named(t.Context(), ref.File{Repo: e.Repo, Revision: "old", Path: e.Path}, Resolved{Entry: e, Stale: true})
		require.NoError(t, s.Close())
	}
	g.allow(big)
	<-fl.done
	for _, e := range []ref.Entry{w.entry, other} {
		got, err := os.ReadFile(filepath.Join(w.dir, "hub", e.Repo.Folder(), "snapshots", string(e.Commit), e.Path))
		require.NoError(t, err)
		require.True(t, bytes.Equal(w.content, got))
		commit, err := os.ReadFile(filepath.Join(w.dir, "hub", e.Repo.Folder(), "refs", "main"))
		require.NoError(t, err)
		require.Equal(t, string(e.Commit), string(commit))
		require.NoFileExists(t, filepath.Join(w.dir, "hub", e.Repo.Folder(), "refs", "old"))
	}
	tr.Named(t.Context(), ref.File{Repo: other.Repo, Revision: "v1", Path: other.Path}, Resolved{Entry: other})
	require.FileExists(t, filepath.Join(w.dir, "hub", other.Repo.Folder(), "refs", "v1"), "at once, as it is here")
}

// TestFileOfAnotherToolIsRead: it lies in the cache and nobody has hashed it yet.
func TestFileOfAnotherToolIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	blobs := filepath.Join(w.dir, "hub", w.entry.Repo.Folder(), "blobs")
	require.NoError(t, os.MkdirAll(blobs, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(blobs, string(w.entry.Blob.ETag)), w.content, 0o666))
	w.readAll(w.reads())
	require.Zero(t, hub.sent.Load())
}
