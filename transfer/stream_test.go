package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

func TestReaderGetsProvenBytesWhileTheRestIsToCome(t *testing.T) {
	t.Parallel()
	w := xetWorld(t)
	const half = big / 2
	g := gate(w.mapping("desk", w.content, contentMap(t, w.content)), half)
	w.peers = []source.Source{struct {
		*gated
		source.ContentMapper
	}{g, w.peers[0].(*mapper)}}
	r, wait := w.reader(w.reads(), 0, big)
	r.await(t, half-chunk.MaxLen)
	w.prefix(r, 0)
	g.allow(big)
	require.Equal(t, sentAll{big, nil}, wait())
	w.prefix(r, 0)
}

func TestReaderGetsTheHubsBytesWhileTheRestIsToCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	g := gate(w.theHub(), big/2)
	w.hub = []source.Source{g}
	r, wait := w.reader(w.reads(), 5, big-5)
	r.await(t, big/2-5-chunk.FixedLen)
	w.prefix(r, 5)
	g.allow(big)
	require.Equal(t, sentAll{big - 5, nil}, wait())
	w.prefix(r, 5)
}

// TestWhatAReaderIsAtIsFetchedFirst: the fetch begins where readers wait, however far
// ahead that is.
func TestWhatAReaderIsAtIsFetchedFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	g := gate(w.theHub(), big)
	w.hub = []source.Source{g}
	tr := w.reads()
	seated := make(chan struct{})
	tr.cfg.Peers = func(context.Context, ref.Entry) (Found, error) {
		<-seated // until then the Hub is not asked
		return Found{}, nil
	}
	offs := []int64{30*chunk.FixedLen + 7, 12 * chunk.FixedLen}
	var ends []func() sentAll
	var records []*record
	for _, off := range offs {
		r, wait := w.reader(tr, off, 100)
		ends, records = append(ends, wait), append(records, r)
	}
	fl := tr.flights[w.entry.Blob.ETag]
	require.Eventually(t, func() bool { return len(fl.readers.wanted(1)) == len(offs) }, 10*time.Second, time.Millisecond)
	time.AfterFunc(2*tick, func() { close(seated) }) // the owner has heard of them by then
	for k, wait := range ends {
		require.Equal(t, sentAll{100, nil}, wait())
		w.prefix(records[k], offs[k])
	}
	require.Subset(t, g.began(), []int64{12 * chunk.FixedLen, 30 * chunk.FixedLen}, "tasks begin where readers are")
}

// TestNoWrongByteIsSentUnderAProvenMap, whatever peers send.
func TestNoWrongByteIsSentUnderAProvenMap(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(w *world, m chunk.Map) []byte{
		"one bit": func(w *world, m chunk.Map) []byte { return flip(w.content, big/3) },
		"swapped": func(w *world, m chunk.Map) []byte { return swapped(m, w.content) },
		"all":     func(w *world, m chunk.Map) []byte { return inverted(w.content) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := xetWorld(t)
			m := contentMap(t, w.content)
			w.mapping("liar", lie(w, m), m)
			w.mapping("honest", w.content, m)
			w.readAll(w.reads())
		})
	}
}

func inverted(data []byte) []byte {
	out := bytes.Clone(data)
	for i := range out {
		out[i] ^= 0xff
	}
	return out
}

// TestNoWrongByteIsSentWithoutAProvenMap: liars tell a map that goes with what they
// send, so that only the whole file's hash finds them out. Readers are hungry enough
// to be given bytes of the Hub meanwhile.
func TestNoWrongByteIsSentWithoutAProvenMap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrong   func(data []byte) []byte
		stallAt int64
	}{
		"one bit":              {func(d []byte) []byte { return flip(d, big/2) }, 0},
		"all":                  {inverted, 0},
		"all, and then silent": {inverted, big / 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, big)
			liar := w.peer("liar")
			liar.content, liar.stallAt = c.wrong(w.content), c.stallAt
			liar.m = mapOf(liar.content)
			w.theHub()
			tr := w.reads()
			tr.hungry = 20 * time.Millisecond
			w.readAll(tr)
		})
	}
}

// TestPeersAndTheHubRaceForTheSameBytes: a peer falls silent with much in its hands,
// the Hub takes over, and the peer wakes up and sends wrong bytes of the same.
func TestPeersAndTheHubRaceForTheSameBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	liar := &teller{name: "liar", kind: source.Peer, content: inverted(w.content)}
	g := gate(liar, 0)
	w.peers = append(w.peers, g)
	w.theHub()
	time.AfterFunc(1100*time.Millisecond, func() { g.allow(big) }) // just when others take over
	w.readAll(w.reads())
}

// TestWrongWholeIsNeverSentWhole: the Hub itself sends wrong bytes, which nothing shows
// before the end.
func TestWrongWholeIsNeverSentWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub().content = flip(w.content, 9)
	r, wait := w.reader(w.reads(), 0, big)
	end := wait()
	require.ErrorIs(t, end.err, ErrMismatch)
	require.Less(t, end.n, int64(big))
	require.EqualValues(t, len(r.got()), end.n)
}

func TestFailedFetchIsAnErrorForItsReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub().fail = source.ErrRefused
	_, wait := w.reader(w.reads(), 0, big)
	end := wait()
	var none *NoSourceError
	require.ErrorAs(t, end.err, &none)
	require.Zero(t, end.n)
}

// TestHungryReaderGetsSignsOfLife: peers' bytes are not sure before the end, and that
// is long in coming.
func TestHungryReaderGetsSignsOfLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	g := gate(w.peer("desk"), big/2)
	w.peers = []source.Source{g}
	hub := w.theHub()
	hub.breakEach = 100_000 // a draw that breaks off is no harm
	tr := w.reads()
	tr.hungry = 50 * time.Millisecond
	var asked atomic.Int32
	tr.cfg.Hub = func(ref.Entry) []source.Source {
		if asked.Add(1) == 1 {
			return nil // the fetch itself is to come from the peer alone
		}
		return w.hub
	}
	r, wait := w.reader(tr, 0, big)
	r.await(t, 2*drawMost)
	w.prefix(r, 0)
	g.allow(big)
	require.Equal(t, sentAll{big, nil}, wait())
	w.prefix(r, 0)
	require.Less(t, hub.sent.Load(), int64(big))
}

// TestAllButTheEndTrickles: where the whole is long in being checked, of what is held
// back ever smaller parts are sent, and never the last byte.
func TestAllButTheEndTrickles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, chunk.FixedLen)
	tr := w.reads()
	tr.hungry = time.Millisecond
	fl := &flight{readers: newReaders(), board: newBoard(), done: make(chan struct{})}
	p, err := w.cache.Begin(t.Context(), w.entry)
	require.NoError(t, err)
	require.NoError(t, p.WriteChunk(0, w.content))
	fl.readers.begin(p, p.Map(), false, chunk.NewHave(1), nil)
	fl.readers.check(0, p.Sum(0))
	s := &Stream{t: tr, entry: w.entry, fl: fl}
	r, end := newRecord(), make(chan error, 1)
	go func() {
		_, err := s.Send(t.Context(), r, 0, chunk.FixedLen)
		end <- err
	}()
	r.await(t, chunk.FixedLen-2)
	require.Less(t, len(r.got()), chunk.FixedLen)
	_, err = p.Commit(t.Context())
	require.NoError(t, err)
	close(fl.done)
	require.NoError(t, <-end)
	w.prefix(r, 0)
	require.Len(t, r.got(), chunk.FixedLen)
	require.NoError(t, s.Close())
}

func TestBlobThatIsHereIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	w.get()
	sent := hub.sent.Load()
	tr := w.reads()
	require.True(t, tr.Place(t.Context(), w.entry))
	s, err := tr.Open(t.Context(), w.entry)
	require.NoError(t, err)
	require.NotNil(t, s.File())
	require.Empty(t, tr.Active())
	r := newRecord()
	n, err := s.Send(t.Context(), r, 1000, 500_000)
	require.NoError(t, err)
	require.EqualValues(t, 500_000, n)
	w.prefix(r, 1000)
	for _, bad := range [][2]int64{{-1, 5}, {0, big + 1}, {big, 1}, {5, -1}} {
		_, err := s.Send(t.Context(), r, bad[0], bad[1])
		require.Error(t, err)
	}
	require.NoError(t, s.Close())
	require.Equal(t, sent, hub.sent.Load())
}

func TestFileIsThereOnceItHasCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub()
	tr := w.reads()
	s, err := tr.Open(t.Context(), w.entry)
	require.NoError(t, err)
	_, err = s.Send(t.Context(), io.Discard, 0, big)
	require.NoError(t, err)
	<-s.fl.done
	f := s.File()
	require.NotNil(t, f)
	got, err := io.ReadAll(io.NewSectionReader(f, 0, big+1))
	require.NoError(t, err)
	require.True(t, bytes.Equal(w.content, got))
	require.NoError(t, s.Close())
}

// TestDamageInWhatWasThereIsNotSent: the power went after an earlier run, and the disk
// lost what the journal still tells of.
func TestDamageInWhatWasThereIsNotSent(t *testing.T) {
	t.Parallel()
	w := xetWorld(t)
	m := contentMap(t, w.content)
	p, err := w.cache.Begin(t.Context(), w.entry)
	require.NoError(t, err)
	require.NoError(t, p.Recut(m))
	for i := range m.Len() / 2 {
		require.NoError(t, p.WriteChunk(i, w.content[m.Offset(i):m.Offset(i+1)]))
	}
	require.NoError(t, p.Close())
	w.damage(m.Offset(3) + 10)
	w.theHub()
	w.readAll(w.reads())
}

// TestWhatTheHubHasSentIsRemembered: a fetch was broken off, and the next reader gets
// at once what the Hub had sent by then, though nothing more comes; of an unknown past
// it gets nothing.
func TestWhatTheHubHasSentIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	hub := w.theHub()
	w.hub = []source.Source{gate(hub, big/2)}
	tr := w.reads()
	tr.grace = 0
	s, err := tr.Open(t.Context(), w.entry)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	r := newRecord()
	go func() { r.await(t, big/4); cancel() }()
	_, err = s.Send(ctx, r, 0, big)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, s.Close())
	<-s.fl.done
	require.Error(t, s.fl.err)

	w.hub = []source.Source{gate(hub, 0)}
	again, _ := w.reader(tr, 0, big/4-chunk.FixedLen)
	again.await(t, big/4-chunk.FixedLen)
	w.prefix(again, 0)

	tr.lingering.Wait()
	w.damage(chunk.FixedLen + 5)
	w.hub = []source.Source{hub}
	w.readAll(tr)
}

// TestByHub: whose bytes are on disk is sure only where no peer may have written them.
func TestByHub(t *testing.T) {
	t.Parallel()
	hub := &member{Source: &teller{kind: source.Hub}}
	peer := &member{Source: &teller{kind: source.Peer}}
	f := &fetch{origin: []*member{hub, hub, peer, nil, hub, hub}, mixed: map[int]bool{}, errands: map[int]*errand{}}
	late := &errand{from: peer}
	late.task.Span = chunk.Span{First: 1, End: 2}
	f.errands[1] = late
	other := &errand{from: hub}
	other.task.Span = chunk.Span{First: 0, End: 6}
	f.errands[2] = other
	f.twice(late, 4)
	f.twice(other, 5)
	var sure []int
	for i := range f.origin {
		if f.byHub(i) {
			sure = append(sure, i)
		}
	}
	require.Equal(t, []int{0, 5}, sure)
	delete(f.errands, 1)
	require.True(t, f.byHub(1), "it is over, and did not come by")
}

// TestOverHTTP streams through a real connection while the file comes, and has a client
// go away in between.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	g := gate(w.theHub(), big/2)
	w.hub = []source.Source{g}
	tr := w.reads()
	ends := make(chan error, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		s, err := tr.Open(req.Context(), w.entry)
		if err != nil {
			ends <- err
			return
		}
		defer s.Close()
		rw.Header().Set("Content-Length", fmt.Sprint(big))
		_, err = s.Send(req.Context(), rw, 0, big)
		ends <- err
	}))
	t.Cleanup(srv.Close)

	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	require.NoError(t, err)
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, make([]byte, big/4))
	require.NoError(t, err)
	cancel()
	require.Error(t, <-ends)
	resp.Body.Close()

	g.allow(big)
	resp, err = srv.Client().Get(srv.URL)
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.True(t, bytes.Equal(w.content, got))
	require.NoError(t, <-ends)
}

// TestReaderGetsWhatTheHubBringsInstead: a peer has taken on the beginning, and falls
// silent. What the Hub then brings is sure as soon as the peer is called back.
func TestReaderGetsWhatTheHubBringsInstead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.peers = []source.Source{gate(w.peer("silent"), 0)}
	g := gate(w.theHub(), big/2)
	w.hub = []source.Source{g}
	tr := w.reads()
	tr.hungry = time.Hour
	r, wait := w.reader(tr, 0, big)
	r.await(t, big/2-chunk.FixedLen)
	w.prefix(r, 0)
	g.allow(big)
	require.Equal(t, sentAll{big, nil}, wait())
	w.prefix(r, 0)
}

// unsteady sends what it is given for the first time it is asked for something, and
// what is right from then on.
type unsteady struct {
	source.Source
	wrong source.Source
	turn  atomic.Bool // over to the right one
}

func (u *unsteady) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	if u.turn.Load() {
		return u.Source.Open(ctx, e, off, n)
	}
	return u.wrong.Open(ctx, e, off, n)
}

// TestWhoHasHadWrongBytesNeverGetsTheRest: without a proven map the Hub's own bytes are
// given as they come, and they may be wrong.
func TestWhoHasHadWrongBytesNeverGetsTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	right := w.theHub()
	wrong := &teller{name: right.name, kind: right.kind, content: flip(w.content, 9)}
	hub := &unsteady{Source: right, wrong: wrong}
	w.hub = []source.Source{hub}
	tr := w.reads()
	r, wait := w.reader(tr, 0, big)
	r.await(t, 1)
	hub.turn.Store(true) // what comes from now on is right, and so is all of it the second time
	end := wait()
	require.Error(t, end.err)
	require.Less(t, end.n, int64(big))

	_, wait = w.reader(tr, end.n, big-end.n)
	back := wait()
	require.ErrorIs(t, back.err, errSpoilt, "nor when it comes back for the rest")
	require.Zero(t, back.n)
	w.readAll(tr) // from the start it is right
	_, wait = w.reader(tr, big-1000, 10)
	require.NoError(t, wait().err, "a part for itself completes nothing")
}

// mirror passes on what it says that it has from the Hub.
type mirror struct{ source.Source }

func (mirror) Secondhand() bool { return true }

func TestAMirrorsBytesAreNotTheHubs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	w.theHub().content = flip(w.content, 9)
	w.hub = []source.Source{mirror{w.hub[0]}}
	r, wait := w.reader(w.reads(), 0, big)
	require.ErrorIs(t, wait().err, ErrMismatch)
	require.Empty(t, r.got())
}

// TestAStarvingReaderTakesWhatPeersHaveSent where the Hub cannot be asked.
func TestAStarvingReaderTakesWhatPeersHaveSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	g := gate(w.peer("desk"), big/2)
	w.peers = []source.Source{g}
	w.hub = nil
	tr := w.reads()
	tr.hungry = 50 * time.Millisecond
	r, wait := w.reader(tr, 0, big)
	r.await(t, big/2-3*chunk.FixedLen)
	g.allow(big)
	require.Equal(t, sentAll{big, nil}, wait())
	w.prefix(r, 0)
}

func TestAStarvingReaderNeverEndsWithWhatALiarSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	liar := w.peer("liar")
	liar.content = flip(w.content, 9)
	g := gate(liar, big/2)
	w.peers = []source.Source{g}
	w.hub = nil
	tr := w.reads()
	tr.hungry = 50 * time.Millisecond
	r, wait := w.reader(tr, 0, big)
	r.await(t, big/4)
	g.allow(big)
	end := wait()
	require.Error(t, end.err)
	require.Less(t, end.n, int64(big))
}
