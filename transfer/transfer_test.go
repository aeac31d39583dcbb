package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache"
	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
	"hffs/transfer/source/sourcetest"
)

// teller is a source in memory, with every bad habit that a peer can have.
type teller struct {
	name    string
	kind    source.Kind
	content []byte    // what it sends
	m       chunk.Map // what it says of it; the zero map: nothing
	sent    atomic.Int64

	fail   error // of Open
	died   atomic.Bool
	healed atomic.Bool  // it does not die any more
	busy   atomic.Int32 // so many times it says that it is

	id        string        // besides its name
	drip      time.Duration // between one byte and the next
	breakEach int           // bytes after which each body breaks off
	dieAt     int64         // bodies end with an error once so many bytes were sent in all; 0: never
	stallAt   int64         // likewise, but they fall silent
}

func (s *teller) Name() string      { return s.name }
func (s *teller) Kind() source.Kind { return s.kind }
func (s *teller) ID() string        { return s.name + s.id }

func (s *teller) Open(ctx context.Context, _ ref.Entry, off, n int64) (io.ReadCloser, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	if s.busy.Add(-1) >= 0 {
		return nil, source.ErrBusy
	}
	if s.died.Load() && !s.healed.Load() {
		return nil, errDied
	}
	body := s.content[off : off+n]
	if s.breakEach > 0 && len(body) > s.breakEach {
		return &telling{ctx, s, io.MultiReader(bytes.NewReader(body[:s.breakEach]), iotest.ErrReader(io.ErrUnexpectedEOF))}, nil
	}
	return &telling{ctx, s, bytes.NewReader(body)}, nil
}

func (s *teller) Map(context.Context, ref.Blob) (chunk.Map, error) {
	if !s.m.Hashed() {
		return chunk.Map{}, source.ErrGone
	}
	return s.m, nil
}

type telling struct {
	ctx context.Context
	s   *teller
	r   io.Reader
}

var errDied = errors.New("connection reset")

func (t *telling) Read(p []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	if t.s.stallAt > 0 && t.s.sent.Load() >= t.s.stallAt {
		<-t.ctx.Done()
		return 0, t.ctx.Err()
	}
	if t.s.dieAt > 0 && !t.s.healed.Load() && t.s.sent.Load() >= t.s.dieAt {
		t.s.died.Store(true)
		return 0, errDied
	}
	most := 64 << 10
	if t.s.drip > 0 {
		most = 1
		select {
		case <-t.ctx.Done():
			return 0, t.ctx.Err()
		case <-time.After(t.s.drip):
		}
	}
	n, err := t.r.Read(p[:min(len(p), most)])
	t.s.sent.Add(int64(n))
	return n, err
}

func (t *telling) Close() error { return nil }

// world is a machine with a cache, and the sources around it.
type world struct {
	t       *testing.T
	dir     string
	cache   *cache.Cache
	content []byte
	entry   ref.Entry
	peers   []source.Source
	fellows []source.Source
	hub     []source.Source
	failed  sync.Map // name → error
}

const big = 40*chunk.FixedLen + 12345

func newWorld(t *testing.T, size int) *world {
	w := &world{t: t, dir: t.TempDir(), content: sourcetest.Content(size)}
	sum := sha256.Sum256(w.content)
	w.entry = ref.Entry{
		Repo: ref.Repo{Type: ref.Model, ID: "org/model"}, Commit: ref.Commit(strings.Repeat("c", 40)), Path: "weights.bin",
		Blob: ref.Blob{ETag: ref.ETag(hex.EncodeToString(sum[:])), Size: int64(size)},
	}
	w.open()
	return w
}

func (w *world) open() {
	c, err := cache.Open(cache.Config{Dir: w.dir + "/hub", State: w.dir + "/hffs"})
	require.NoError(w.t, err)
	w.cache = c
	w.t.Cleanup(func() { _ = c.Close() })
}

func (w *world) peer(name string) *teller {
	p := &teller{name: name, kind: source.Peer, content: w.content, m: mapOf(w.content)}
	w.peers = append(w.peers, p)
	return p
}

func (w *world) theHub() *teller {
	h := &teller{name: "hub.example", kind: source.Hub, content: w.content}
	w.hub = append(w.hub, h)
	return h
}

func (w *world) transfer() *Transfer {
	return New(Config{
		Cache:   w.cache,
		Resolve: func(context.Context, ref.File) (Resolved, error) { return Resolved{Entry: w.entry}, nil },
		Peers: func(context.Context, ref.Entry) (Found, error) {
			return Found{Holders: w.peers, Fellows: w.fellows}, nil
		},
		Hub: func(ref.Entry) []source.Source { return w.hub },
		Learn: func(ctx context.Context, e ref.Entry) {
			for _, v := range w.cache.Relatives(ctx, e, 1, big) {
				_ = w.cache.Learn(ctx, v.Blob)
			}
		},
		Failed: func(name string, _ ref.Entry, err error) { w.failed.Store(name, err) },
		Log:    slog.New(slog.DiscardHandler),
	})
}

func (w *world) file() ref.File {
	return ref.File{Repo: w.entry.Repo, Revision: "main", Path: w.entry.Path}
}

// get fetches the file and checks that what lies under its name is right.
func (w *world) get() Result {
	w.t.Helper()
	res, err := w.transfer().Get(w.t.Context(), w.file(), nil)
	require.NoError(w.t, err)
	got, err := os.ReadFile(res.Path)
	require.NoError(w.t, err)
	require.True(w.t, bytes.Equal(w.content, got), "the file is wrong")
	var sum int64
	for _, s := range res.Sources {
		sum += s.Bytes
	}
	require.EqualValues(w.t, len(w.content), sum, "sources add up to the file")
	return res
}

func dropped(r Result) (names []string) {
	for _, n := range r.Notes {
		if n.Dropped {
			names = append(names, n.Source)
		}
	}
	return names
}

func mapOf(data []byte) chunk.Map {
	m := chunk.Fixed(int64(len(data)), chunk.FixedLen, nil)
	h := chunk.NewHasher()
	hashes := make([]chunk.Hash, m.Len())
	for i := range hashes {
		hashes[i] = h.Sum(data[m.Offset(i):m.Offset(i+1)])
	}
	return chunk.Fixed(m.Size(), chunk.FixedLen, hashes)
}

func flip(data []byte, at int) []byte {
	out := bytes.Clone(data)
	out[at] ^= 1
	return out
}

func TestPeersGiveAllAndTheHubNothing(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, chunk.FixedLen, chunk.FixedLen + 1, big} {
		w := newWorld(t, size)
		a, b, hub := w.peer("a"), w.peer("b"), w.theHub()
		w.get()
		require.Zero(t, hub.sent.Load())
		if size == big {
			require.Positive(t, a.sent.Load())
			require.Positive(t, b.sent.Load())
			require.LessOrEqual(t, a.sent.Load()+b.sent.Load(), int64(size+errandsInAll*chunk.FixedLen), "nothing is fetched twice but what hung at the end")
		}
	}
}

func TestHubServesWhenNobodyElseDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub()
	res := w.get()
	require.Equal(t, source.Hub, res.Sources[0].Kind)
	again := w.get()
	require.Equal(t, source.Local, again.Sources[0].Kind)
}

func TestDeadPeerIsNamedAndReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.peer("dead").dieAt = 3 * chunk.FixedLen
	w.peer("alive")
	res := w.get()
	require.NotEmpty(t, res.Notes)
	require.Equal(t, "dead", res.Notes[0].Source)
}

func TestStalledPeerLosesItsSpans(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.peer("silent").stallAt = 3 * chunk.FixedLen
	w.peer("alive").busy.Store(6) // long enough for the silence to be noticed
	res := w.get()
	require.NotEmpty(t, res.Notes)
	require.Equal(t, "silent", res.Notes[0].Source)
	require.Contains(t, res.Notes[0].Text, "nothing")
}

// TestDrippingPeerHoldsNothingUp: a peer that never quite falls silent must not be
// waited for.
func TestDrippingPeerHoldsNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.peer("drip").drip = 300 * time.Millisecond
	w.theHub()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := w.transfer().Get(ctx, w.file(), nil)
	require.NoError(t, err)
}

func TestLinkThatBreaksAllTheTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub().breakEach = 200_000 // less than a chunk
	w.get()
}

func TestTwoNodesOfOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.peer("desk").fail = source.ErrRefused
	twin := w.peer("desk")
	twin.id = "another"
	w.get()
	require.Positive(t, twin.sent.Load())
}

func TestLoneStalledPeerIsReplacedByTheHub(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.peer("silent").stallAt = 1
	hub := w.theHub()
	w.get()
	require.Positive(t, hub.sent.Load())
}

func TestWrongBytesArePinnedOnTheirSender(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	liar := w.peer("liar")
	liar.content = flip(w.content, 5)
	for i := range w.content { // wrong everywhere, so that whatever it sends is
		liar.content[i] ^= 0xff
	}
	w.peer("honest")
	res := w.get()
	require.Equal(t, []string{"liar"}, dropped(res))
	err, ok := w.failed.Load("liar")
	require.True(t, ok)
	require.ErrorContains(t, err.(error), "liar sent wrong bytes")
	for _, s := range res.Sources {
		require.NotEqual(t, "liar", s.Name)
	}
}

func TestLyingMapIsFoundOutAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		setUp func(*world)
		want  []string
	}{
		{"alone, then the Hub", func(w *world) {
			liar := w.peer("liar")
			liar.content = flip(w.content, big/2)
			liar.m = mapOf(liar.content)
			w.theHub()
		}, []string{"liar"}},
		{"two against one honest", func(w *world) {
			for _, name := range []string{"liar-1", "liar-2"} {
				liar := w.peer(name)
				liar.content = flip(w.content, big/2)
				liar.m = mapOf(liar.content)
			}
			w.peer("honest")
		}, []string{"liar-1", "liar-2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, big)
			c.setUp(w)
			res := w.get()
			require.Subset(t, dropped(res), c.want)
		})
	}
}

func TestMapThatContradictsTheHubGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	liar := w.peer("liar")
	liar.m = mapOf(flip(w.content, 7))
	liar.stallAt = 1 // so that the Hub comes in
	w.theHub()
	res := w.get()
	require.Contains(t, dropped(res), "liar")
}

func TestLieEverywhereDoesNotTakeTheHubDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	liar := w.peer("liar")
	other := bytes.Clone(w.content)
	for i := range other {
		other[i] ^= 0x55
	}
	liar.m, liar.stallAt = mapOf(other), 1
	w.theHub()
	require.Contains(t, dropped(w.get()), "liar")
}

func TestHonestHolderIsAskedAgainWhenTheLiarFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	liar := w.peer("liar")
	liar.m = mapOf(flip(w.content, 5))
	liar.content = flip(w.content, 5)
	liar.dieAt = 2 * chunk.FixedLen
	w.peer("honest").m = chunk.Map{}
	w.get()
}

// TestLiarThatIsGoneIsStillToBlame, and not the Hub, which brought the rest.
func TestLiarThatIsGoneIsStillToBlame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	liar := w.peer("liar")
	liar.content, liar.m, liar.dieAt = flip(w.content, 5), chunk.Map{}, 8*chunk.FixedLen
	w.theHub()
	require.Contains(t, dropped(w.get()), "liar")
}

func TestBlipIsForgiven(t *testing.T) {
	t.Parallel()
	for _, kind := range []source.Kind{source.Peer, source.Hub} {
		w := newWorld(t, big)
		var s *teller
		if kind == source.Peer {
			s = w.peer("only")
		} else {
			s = w.theHub()
		}
		s.dieAt = 3 * chunk.FixedLen
		time.AfterFunc(1500*time.Millisecond, func() { s.healed.Store(true) })
		w.get()
	}
}

func TestBusyHolderIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.peer("busy").busy.Store(6)
	require.Empty(t, dropped(w.get()))
}

func TestHubThatSendsWrongBytesIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub().content = flip(w.content, 9)
	_, err := w.transfer().Get(t.Context(), w.file(), nil)
	require.Error(t, err)
	_, err = w.cache.Find(t.Context(), w.entry)
	require.ErrorIs(t, err, cache.ErrNotFound, "nothing wrong was kept")
}

func TestMirrorThatSendsWrongBytesIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	mirror := w.theHub()
	mirror.name, mirror.content = "mirror.example", flip(w.content, 9)
	w.theHub()
	res := w.get()
	require.Contains(t, dropped(res), "mirror.example")
}

func TestNobodyLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.peer("gone").fail = source.ErrGone
	w.theHub().fail = source.ErrRefused
	_, err := w.transfer().Get(t.Context(), w.file(), nil)
	var none *NoSourceError
	require.ErrorAs(t, err, &none)
	require.Len(t, none.Asked, 2)
}

func TestInterruptedFetchGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	hub.stallAt = big / 2
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.transfer().Get(ctx, w.file(), func(p Progress) {
		if p.Done >= big/2-8*chunk.FixedLen {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	before := hub.sent.Load()
	hub.stallAt = 0
	res := w.get()
	require.Equal(t, "resumed", res.Sources[0].Name)
	require.LessOrEqual(t, hub.sent.Load(), int64(big+errandsPerHub*chunk.FixedLen), "sent %d before", before)
}

func TestManyWantOneFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	tr := w.transfer()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			_, err := tr.Get(t.Context(), w.file(), nil)
			require.NoError(t, err)
		})
	}
	wait.Wait()
	require.EqualValues(t, big, hub.sent.Load())
}

func TestDamagedRestIsFetchedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	p, err := w.cache.Begin(t.Context(), w.entry)
	require.NoError(t, err)
	for i := range 20 {
		m := p.Map()
		require.NoError(t, p.WriteChunk(i, w.content[m.Offset(i):m.Offset(i+1)]))
	}
	require.NoError(t, p.Close())
	parts, err := filepath.Glob(w.dir + "/hub/*/.hffs/*.part")
	require.NoError(t, err)
	require.Len(t, parts, 1)
	f, err := os.OpenFile(parts[0], os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("power was lost here"), 7*chunk.FixedLen+99)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	w.get()
	require.LessOrEqual(t, hub.sent.Load(), int64(big-19*chunk.FixedLen+errandsPerHub*chunk.FixedLen), "only the damaged chunk again")
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
