package transfer

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"hffs/cache"
	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// What it takes to go by a blob's content. Below contentMin (bytes) the whole
// file's hash does as well; and a map of few chunks could be one of inner nodes
// of its tree, which the root would prove just as well.
const (
	contentMin  = 1 << 20
	mapDeadline = 2 * time.Second // for peers to give a map; without one it goes on by hearsay
	mapAskers   = 3               // peers asked for it at the same time
)

// recut has the blob cut by its content, where the Hub stated its Xet hash and
// somebody has the map. From then on each chunk can be held against the Hub's
// own word as it arrives, and be taken from wherever it is found. It says how
// many bytes the Hub sent on the way.
func (t *Transfer) recut(ctx context.Context, part *cache.Partial) (fresh int64) {
	e := part.Entry()
	if e.Blob.Xet == "" || e.Blob.Size < contentMin || part.Map().Step() == 0 {
		return 0
	}
	m, ok := t.contentMap(ctx, e)
	switch {
	case ok && t.cfg.Learn != nil:
		t.cfg.Learn(ctx, e) // working out a map has learnt them already
	case !ok && t.cfg.Derive != nil:
		var sent atomic.Int64
		var err error
		m, err = t.cfg.Derive(ctx, e, func(off int64, data []byte) error {
			sent.Add(int64(len(data)))
			return part.Put(off, data)
		})
		if err != nil {
			t.cfg.Log.Debug("the map of chunks is not worked out", "file", e, "err", err)
			return 0
		}
		fresh = sent.Load()
	case !ok:
		return 0
	}
	if err := part.Recut(m); err != nil {
		t.cfg.Log.Warn("the map of chunks is not used", "file", e, "err", err)
		return 0
	}
	return fresh
}

// contentMap finds a blob's map: here, or with a peer that holds it.
func (t *Transfer) contentMap(ctx context.Context, e ref.Entry) (chunk.Map, bool) {
	if m, err := t.cfg.Cache.ContentMap(e.Blob); err == nil && m.Verify(e.Blob.Xet, e.Blob.Size) == nil {
		return m, true
	}
	if t.cfg.Peers == nil {
		return chunk.Map{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, mapDeadline)
	defer cancel()
	peers, err := t.cfg.Peers(ctx, e)
	if err != nil {
		t.cfg.Log.Debug("looked for peers", "file", e, "err", err)
	}
	return t.askMap(ctx, e, peers)
}

// askMap takes the first map that the Hub's hash proves.
func (t *Transfer) askMap(ctx context.Context, e ref.Entry, peers []source.Source) (chunk.Map, bool) {
	answers := make(chan chunk.Map, len(peers))
	places := make(chan struct{}, mapAskers)
	asked := 0
	for _, p := range peers {
		mapper, ok := p.(source.ContentMapper)
		if !ok {
			continue
		}
		asked++
		go func() {
			var m chunk.Map
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
				got, err := mapper.ContentMap(ctx, e.Blob)
				if err != nil {
					t.cfg.Log.Debug("asked for a map", "source", p.Name(), "err", err)
				} else if got.Verify(e.Blob.Xet, e.Blob.Size) == nil {
					m = got
				}
			case <-ctx.Done():
			}
			answers <- m
		}()
	}
	for range asked {
		if m := <-answers; m.Len() > 0 {
			return m, true
		}
	}
	return chunk.Map{}, false
}

// reused is a chunk that was looked for on this disk.
type reused struct {
	chunk int
	ok    bool
	err   error
}

// reuse brings the chunks that this machine has in other files, while the rest
// is fetched.
func (f *fetch) reuse(ctx context.Context) {
	held := map[int]cache.Places{}
	const batch = 4096
	for from := 0; from < f.m.Len(); from += batch {
		hashes := make([]chunk.Hash, min(batch, f.m.Len()-from))
		for i := range hashes {
			hashes[i] = f.m.Hash(from + i)
		}
		for i, places := range f.t.cfg.Cache.Chunks(hashes) {
			if len(places) > 0 && f.plan.Hold(from+i) {
				held[from+i] = places
			}
		}
	}
	f.copying = len(held)
	if len(held) > 0 {
		f.background.Go(func() { f.copyChunks(ctx, held) })
	}
}

func (f *fetch) copyChunks(ctx context.Context, held map[int]cache.Places) {
	buf := make([]byte, chunk.MaxLen)
	for _, i := range slices.Sorted(maps.Keys(held)) {
		r := reused{chunk: i}
		data, err := f.t.cfg.Cache.ReadChunkAt(f.m.Hash(i), held[i], buf)
		if err == nil && int64(len(data)) == f.m.Length(i) {
			r.err = f.part.WriteHashed(i, data, f.m.Hash(i))
			r.ok = r.err == nil
		}
		select {
		case f.copies <- r:
		case <-ctx.Done():
			return
		}
	}
}

// neighbours asks the nodes around which chunks they hold in whatever blob.
func (f *fetch) neighbours(ctx context.Context) {
	if f.t.cfg.Neighbours == nil {
		return
	}
	for _, n := range f.t.cfg.Neighbours() {
		holder, ok := n.(source.ChunkHolder)
		if !ok {
			continue
		}
		f.inquiries++
		f.background.Go(func() {
			answer := partHolder{}
			asking, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if has, err := holder.HasChunks(asking, f.m); err == nil && has.Count() > 0 {
				answer = partHolder{holder.OfChunks(f.m), has}
			}
			select {
			case f.holders <- answer:
			case <-ctx.Done():
			}
		})
	}
}

// partHolder is a source of some chunks; the zero value is one of none.
type partHolder struct {
	source source.Source
	has    *chunk.Have
}

// takePart adds a source of some chunks, unless it is one of the whole already.
func (f *fetch) takePart(h partHolder) {
	f.inquiries--
	if h.source == nil {
		return
	}
	for _, m := range f.crowd.add([]source.Source{h.source}) {
		m.has = h.has
		f.plan.Add(m.id, h.has)
	}
	f.limitHub()
}

// limitHub finds what no peer can bring: those chunks the Hub is asked for at
// once, since there is nobody else.
func (f *fetch) limitHub() {
	f.lacking = nil
	var union []*chunk.Have
	for _, m := range f.crowd.all {
		if m.Kind() != source.Peer || m.dropped {
			continue
		}
		if m.has == nil {
			return
		}
		union = append(union, m.has)
	}
	if len(union) == 0 {
		return
	}
	f.lacking = chunk.NewHave(f.m.Len())
	for i := range f.m.Len() {
		if !heldByAny(union, i) {
			f.lacking.Add(i)
		}
	}
}

func heldByAny(all []*chunk.Have, i int) bool {
	for _, h := range all {
		if h.Has(i) {
			return true
		}
	}
	return false
}
