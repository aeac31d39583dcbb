package transfer

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
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
	makingPoll   = 100 * time.Millisecond
	makingWindow = 3 * time.Second // in which it has to move on
	makingSlow   = 1 << 20         // bytes per second of what it fetches: below that everybody is better off alone
	makingsMost  = 16              // nodes asked at the same time
)

// making is a map that this node works out.
type making struct {
	begun atomic.Bool
	done  atomic.Int64
	met   chan source.Source // nodes that have said that they fetch the blob too
}

// makes has others see that the map of a blob is being worked out here.
func (t *Transfer) makes(etag ref.ETag) (mk *making, end func()) {
	mk = &making{met: make(chan source.Source, 64)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makings[etag] = mk
	return mk, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.makings, etag)
	}
}

// Making is how far this node has come with working out a blob's map.
func (t *Transfer) Making(etag ref.ETag) (m source.Making, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mk := t.makings[etag]
	if mk == nil {
		return m, false
	}
	return source.Making{Begun: mk.begun.Load(), Done: mk.done.Load()}, true
}

// maker is another node that may be working out the same map.
type maker struct {
	source.Fellow
	source.ContentMapper
	said source.Making
}

// await waits for those who go before this node, and gives the map that one of them has
// worked out; ok is false when it is this node's turn.
func (t *Transfer) await(ctx context.Context, e ref.Entry, mk *making, fellows []source.Source, lies chan<- lie) (m chunk.Map, ok bool) {
	makers := t.makersOf(fellows)
	watch := moving{since: time.Now()}
	for {
		for len(mk.met) > 0 {
			makers = append(makers, t.makersOf([]source.Source{<-mk.met})...)
		}
		if m, makers = t.askMakers(ctx, e, makers, lies); m.Len() > 0 {
			return m, true
		}
		if len(makers) == 0 || !watch.on(makers[0]) {
			mk.begun.Store(true)
			return m, false
		}
		select {
		case <-time.After(makingPoll):
		case <-ctx.Done():
			return m, false
		}
	}
}

func (t *Transfer) makersOf(fellows []source.Source) (all []*maker) {
	for _, s := range fellows {
		fellow, isFellow := s.(source.Fellow)
		mapper, isMapper := s.(source.ContentMapper)
		if isFellow && isMapper && fellow.NodeID() != t.cfg.Node {
			all = append(all, &maker{Fellow: fellow, ContentMapper: mapper})
		}
	}
	return all
}

// askMakers asks all how far they are, and leaves those who go before this node, the
// first of them first.
func (t *Transfer) askMakers(ctx context.Context, e ref.Entry, makers []*maker, lies chan<- lie) (m chunk.Map, before []*maker) {
	ctx, cancel := context.WithTimeout(ctx, makingWindow)
	defer cancel()
	var mu sync.Mutex // guards m and before
	var wait sync.WaitGroup
	places := make(chan struct{}, makingsMost)
	for _, k := range makers {
		wait.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			told, err := t.mapFrom(ctx, e, k.ContentMapper)
			said, making := errors.AsType[source.Making](err)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				m = told
				cancel() // one will do
			case making && (said.Begun || t.goesBefore(e, k)):
				k.said = said
				before = append(before, k)
			case errors.Is(err, source.ErrRefused):
				accuse(lies, lie{k.Fellow, err})
			}
		})
	}
	wait.Wait()
	slices.SortFunc(before, func(a, b *maker) int {
		return cmp.Or(-cmp.Compare(a.said.Done, b.said.Done), cmp.Compare(turn(e, a.NodeID()), turn(e, b.NodeID())))
	})
	return m, before
}

func (t *Transfer) goesBefore(e ref.Entry, k *maker) bool {
	return turn(e, k.NodeID()) < turn(e, t.cfg.Node)
}

// turn is a node's place among those who want a blob: another one for each blob, so
// that it is not always the same who works.
func turn(e ref.Entry, node string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(string(e.Blob.ETag) + node))
	return h.Sum64()
}

// moving watches whether the one who is waited for gets on.
type moving struct {
	node  string
	since time.Time
	done  int64
}

// on tells whether it is still worth waiting.
func (w *moving) on(k *maker) bool {
	passed := time.Since(w.since)
	switch {
	case w.node != k.NodeID():
		if w.node != "" && passed >= makingWindow {
			return false // one after the other gives up
		}
		w.node, w.done = k.NodeID(), k.said.Done
	case passed < makingWindow:
	case float64(k.said.Done-w.done) < makingSlow*passed.Seconds():
		return false
	default:
		w.since, w.done = time.Now(), k.said.Done
	}
	return true
}
