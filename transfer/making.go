package transfer

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// Many nodes may want a new revision at the same moment, while nobody has its map yet.
// To work it out costs all that is new, fetched from the Hub; so one of them does, and
// the others wait for its map and then for its chunks, each of which is proven like any
// other. Whoever has begun to fetch goes before who has not; of those who have not, the
// order of their identities under the blob's etag decides.

// How long somebody else's work is waited for.
const (
	makingPoll    = 100 * time.Millisecond
	makingWindow  = 3 * time.Second // in which it has to move on
	makingAnswer  = 1 * time.Second // for the first word of it
	makingLongest = 2 * time.Minute // in all: what others say of their progress is not proven
	makingSlow    = 1 << 20         // bytes per second: below that everybody is better off alone, and a map is not waited for
	makersMost    = 64
)

// making is a map that this node works out.
type making struct {
	begun  atomic.Bool
	done   atomic.Int64
	passed atomic.Int64       // what the one who is waited for has done
	met    chan source.Source // nodes that have said that they fetch the blob too
}

// makes has others see that the map of a blob is being worked out here.
func (t *Transfer) makes(etag ref.ETag) (mk *making, end func()) {
	mk = &making{met: make(chan source.Source, makersMost)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makings[etag] = mk
	return mk, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.makings[etag] == mk {
			delete(t.makings, etag)
		}
	}
}

// Making is how far this node has come with working out a blob's map. One that waits
// tells how far those are that it waits for: somebody else may not know them.
func (t *Transfer) Making(etag ref.ETag) (m source.Making, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mk := t.makings[etag]
	if mk == nil {
		return m, false
	}
	if mk.begun.Load() {
		return source.Making{Begun: true, Done: mk.done.Load()}, true
	}
	return source.Making{Done: mk.passed.Load()}, true
}

// maker is another node that may be working out the same map.
type maker struct {
	source.Fellow
	source.ContentMapper
	before bool // it goes before this node even when it has not begun

	asked time.Time // for the first time
	told  bool      // it has said that it works it out
	over  bool      // it is not waited for any more
	said  source.Making
	since time.Time // beginning of the window, and how far it was then
	done  int64
}

// waiting is one wait for others. Its owner reads answers.
type waiting struct {
	t       *Transfer
	e       ref.Entry
	lies    chan<- lie
	makers  map[string]*maker // by node
	answers chan answer
}

type answer struct {
	from *maker
	m    chunk.Map
	err  error
}

// await waits for those who go before this node, and gives the map that one of them has
// worked out; ok is false when it is this node's turn.
func (t *Transfer) await(ctx context.Context, e ref.Entry, mk *making, fellows []source.Source, lies chan<- lie) (m chunk.Map, ok bool) {
	ctx, stop := context.WithTimeout(ctx, makingLongest)
	defer stop()
	w := &waiting{t: t, e: e, lies: lies, makers: map[string]*maker{}, answers: make(chan answer)}
	w.ask(ctx, fellows...)
	for len(mk.met) > 0 { // while this node looked around
		w.ask(ctx, <-mk.met)
	}
	tick := time.NewTicker(makingPoll)
	defer tick.Stop()
	for w.ahead(time.Now(), mk) && ctx.Err() == nil {
		select {
		case s := <-mk.met:
			w.ask(ctx, s)
		case a := <-w.answers:
			if a.err == nil {
				return a.m, true
			}
			w.hear(a)
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	mk.begun.Store(true)
	return m, false
}

// ask has nodes be asked again and again.
func (w *waiting) ask(ctx context.Context, all ...source.Source) {
	for _, s := range all {
		fellow, isFellow := s.(source.Fellow)
		mapper, isMapper := s.(source.ContentMapper)
		if !isFellow || !isMapper || len(w.makers) >= makersMost {
			continue
		}
		node := fellow.NodeID()
		if _, known := w.makers[node]; known || node == w.t.cfg.Node {
			continue
		}
		k := &maker{Fellow: fellow, ContentMapper: mapper, asked: time.Now(), before: turn(w.e, node) < turn(w.e, w.t.cfg.Node)}
		w.makers[node] = k
		go w.poll(ctx, k)
	}
}

// poll asks one node until it has no more to say.
func (w *waiting) poll(ctx context.Context, k *maker) {
	for {
		asking, cancel := context.WithTimeout(ctx, makingWindow+mapTime(w.e))
		m, err := w.t.mapFrom(asking, w.e, k.ContentMapper)
		cancel()
		select {
		case w.answers <- answer{k, m, err}:
		case <-ctx.Done():
			return
		}
		if !worthAsking(err) {
			return
		}
		select {
		case <-time.After(makingPoll):
		case <-ctx.Done():
			return
		}
	}
}

// mapTime is how long a map may be on its way, to many at once.
func mapTime(e ref.Entry) time.Duration {
	const entry, chunkLen = 35, 64 << 10 // bytes of a chunk in a map; of a chunk, on average
	return time.Duration(e.Blob.Size/chunkLen*entry/makingSlow) * time.Second
}

// worthAsking tells whether the next answer may be another.
func worthAsking(err error) bool {
	_, making := errors.AsType[source.Making](err)
	return making || errors.Is(err, source.ErrBusy) || errors.Is(err, context.DeadlineExceeded)
}

// hear takes in what a node has said.
func (w *waiting) hear(a answer) {
	k, now := a.from, time.Now()
	said, making := errors.AsType[source.Making](a.err)
	switch {
	case making && said.Done <= 2*w.e.Blob.Size: // a part may be fetched twice, by two ways
		if k.said = said; !k.told {
			k.told, k.since, k.done = true, now, said.Done
		}
	case making || !worthAsking(a.err):
		k.over = true
	}
	if errors.Is(a.err, source.ErrWrong) {
		accuse(w.lies, lie{k.Fellow, a.err})
	}
}

// ahead tells whether there is anybody to wait for, and passes on how far that one is.
func (w *waiting) ahead(now time.Time, mk *making) (any bool) {
	for _, k := range w.makers {
		if k.waitedFor(now) {
			any = true
			mk.passed.Store(max(mk.passed.Load(), k.said.Done))
		}
	}
	return any
}

// waitedFor tells whether a node is ahead of this one and gets on.
func (k *maker) waitedFor(now time.Time) bool {
	switch passed := now.Sub(k.since); {
	case k.over:
		return false
	case !k.told:
		return now.Sub(k.asked) < makingAnswer
	case !k.said.Begun && !k.before:
		return false
	case passed < makingWindow:
	case float64(k.said.Done-k.done) < makingSlow*passed.Seconds():
		k.over = true
		return false
	default:
		k.since, k.done = now, k.said.Done
	}
	return true
}

// turn is a node's place among those who want a blob: another one for each blob, so
// that it is not always the same who works.
func turn(e ref.Entry, node string) uint64 { return hashed(string(e.Blob.ETag) + node) }
