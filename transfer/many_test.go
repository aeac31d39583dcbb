package transfer

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/transfer/pace"
	"hffs/transfer/source"
)

// manyFiles are small regular files with what is in them, by etag.
func (w *world) manyFiles(n int) (entries []ref.Entry, content map[ref.ETag][]byte) {
	content = map[ref.ETag][]byte{}
	for i := range n {
		data := fmt.Appendf(nil, "file %d of many\n", i)
		sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data))
		e := w.entry
		e.Path, e.Blob = fmt.Sprintf("data/%04d.txt", i), ref.Blob{ETag: ref.ETag(hex.EncodeToString(sum[:])), Size: int64(len(data))}
		entries, content[e.Blob.ETag] = append(entries, e), data
	}
	return entries, content
}

// library is a neighbour with many small blobs, and bad habits.
type library struct {
	*teller
	held    map[ref.ETag][]byte
	asked   atomic.Int64 // for blobs
	given   atomic.Int64
	mute    error  // instead of any answer
	spoils  string // the etag of what it gives wrong
	breakAt int64  // answers break off after so many blobs; 0: never
}

func (l *library) HasBlobs(_ context.Context, etags []ref.ETag) ([]bool, error) {
	has := make([]bool, len(etags))
	for i, e := range etags {
		_, has[i] = l.held[e]
	}
	return has, l.mute
}

func (l *library) Blobs(_ context.Context, blobs []ref.Blob, each func(int, []byte) error) error {
	l.asked.Add(1)
	for i, b := range blobs {
		if l.breakAt > 0 && l.given.Load() >= l.breakAt {
			return errDied
		}
		data, ok := l.held[b.ETag]
		if !ok {
			continue
		}
		if string(b.ETag) == l.spoils {
			data = flip(data, 0)
		}
		l.given.Add(1)
		if err := each(i, data); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) library(name string, held map[ref.ETag][]byte) *library {
	return &library{teller: &teller{name: name, kind: source.Peer}, held: held}
}

// getAll brings entries with these neighbours; the Hub gives what content says.
func (w *world) getAll(entries []ref.Entry, content map[ref.ETag][]byte, near ...source.Batcher) (*Transfer, []Outcome, *atomic.Int64) {
	t := w.transfer()
	fromHub := &atomic.Int64{}
	t.cfg.Batchers = func(context.Context, ref.Entry) []source.Batcher { return near }
	t.cfg.Hub = func(e ref.Entry) []source.Source {
		data, ok := content[e.Blob.ETag]
		if !ok {
			return []source.Source{&teller{name: "hub", kind: source.Hub, fail: source.ErrGone}}
		}
		fromHub.Add(1)
		return []source.Source{&teller{name: "hub", kind: source.Hub, content: data}}
	}
	return t, t.GetAll(w.t.Context(), entries, nil), fromHub
}

func (w *world) allRight(entries []ref.Entry, content map[ref.ETag][]byte, all []Outcome) {
	w.t.Helper()
	require.Len(w.t, all, len(entries))
	for i, o := range all {
		require.NoError(w.t, o.Err)
		got, err := os.ReadFile(o.Path)
		require.NoError(w.t, err)
		require.Equal(w.t, string(content[entries[i].Blob.ETag]), string(got))
	}
}

func TestManyFromNeighbours(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000)
	entries, content := w.manyFiles(600)
	a, b := w.library("a", content), w.library("b", content)
	_, all, fromHub := w.getAll(entries, content, a, b)
	w.allRight(entries, content, all)
	require.Zero(t, fromHub.Load())
	require.Positive(t, a.given.Load())
	require.Positive(t, b.given.Load(), "they share the work")
	require.Less(t, a.asked.Load()+b.asked.Load(), int64(10))

	_, all, _ = w.getAll(entries, nil)
	w.allRight(entries, content, all)
	require.Equal(t, source.Local, all[0].Sources[0].Kind, "the second time they are here")
}

func TestManyFromTheHub(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000)
	entries, content := w.manyFiles(300)
	twin := entries[7]
	twin.Path = "twin.txt"
	entries = append(entries, twin)
	half := map[ref.ETag][]byte{}
	for _, e := range entries[:100] {
		half[e.Blob.ETag] = content[e.Blob.ETag]
	}
	_, all, fromHub := w.getAll(entries, content, w.library("half", half), w.library("none", nil))
	w.allRight(entries, content, all)
	require.EqualValues(t, 200, fromHub.Load(), "each once, and none that a neighbour has")
}

func TestBadNeighboursAreReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000)
	entries, content := w.manyFiles(200)
	liar, mute, breaks := w.library("liar", content), w.library("mute", content), w.library("breaks", content)
	first := entries[0].Blob.ETag
	liar.spoils, liar.held = string(first), map[ref.ETag][]byte{first: content[first]}
	mute.mute, breaks.breakAt = errors.New("it will not say"), 20
	_, all, fromHub := w.getAll(entries, content, mute, liar, breaks)
	w.allRight(entries, content, all)
	require.Positive(t, fromHub.Load())
	_, blamed := w.failed.Load("liar")
	require.True(t, blamed)
}

func TestOneThatFailsDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000)
	entries, content := w.manyFiles(20)
	lost := entries[3]
	delete(content, lost.Blob.ETag)
	_, all, _ := w.getAll(entries, content)
	var none *NoSourceError
	require.ErrorAs(t, all[3].Err, &none)
	w.allRight(append(entries[:3:3], entries[4:]...), content, append(all[:3:3], all[4:]...))
}

func TestManyLargeAndSmall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3<<20)
	entries, content := w.manyFiles(30)
	entries, content[w.entry.Blob.ETag] = append([]ref.Entry{w.entry}, entries...), w.content
	var mu sync.Mutex
	var looks []Many
	tr, _, _ := w.getAll(nil, content)
	tr.cfg.Hub = func(e ref.Entry) []source.Source {
		return []source.Source{&teller{name: "hub", kind: source.Hub, content: content[e.Blob.ETag]}}
	}
	all := tr.GetAll(pace.Ask(t.Context(), pace.Rates{Down: 50 << 20}), entries, func(m Many) {
		mu.Lock()
		defer mu.Unlock()
		looks = append(looks, m)
	})
	w.allRight(entries, content, all)
	last := looks[len(looks)-1]
	require.Equal(t, 31, last.Files)
	require.Equal(t, 31, last.FilesDone)
	require.Equal(t, last.Total, last.Done)
	require.Empty(t, last.Active)
}

func TestManyInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000)
	entries, content := w.manyFiles(50)
	ctx, cancel := context.WithCancel(t.Context())
	near := w.library("near", content)
	tr, _, _ := w.getAll(nil, nil)
	tr.cfg.Batchers = func(context.Context, ref.Entry) []source.Batcher {
		cancel()
		return []source.Batcher{near}
	}
	for _, o := range tr.GetAll(ctx, entries, nil) {
		if o.Err != nil {
			require.ErrorIs(t, o.Err, context.Canceled)
		}
	}
	_, all, _ := w.getAll(entries, content)
	w.allRight(entries, content, all)
	_, err := w.cache.Find(t.Context(), entries[0])
	require.False(t, errors.Is(err, cache.ErrNotFound))
}
