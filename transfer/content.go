package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
// somebody has the map, or it can be worked out. From then on each chunk can be
// held against the Hub's own word as it arrives, and be taken from wherever it is
// found. It says how many bytes the Hub sent on the way; who told a map that is none
// is told on lies, perhaps only later.
func (t *Transfer) recut(ctx context.Context, part *cache.Partial, b *board, lies chan<- lie) (fresh int64) {
	e := part.Entry()
	if e.Blob.Xet == "" || e.Blob.Size < contentMin {
		return 0
	}
	if part.Map().Step() == 0 { // an earlier run has done it, and may have ended before it reused anything
		if t.cfg.Learn != nil {
			t.cfg.Learn(ctx, e)
		}
		return 0
	}
	var mk *making
	if t.cfg.Derive != nil {
		var made func()
		mk, made = t.makes(e.Blob.ETag)
		defer made()
	}
	m, found, ok := t.contentMap(ctx, e, lies)
	switch {
	case ok && t.cfg.Learn != nil:
		t.cfg.Learn(ctx, e) // working out a map has learnt them already
	case !ok && t.cfg.Derive != nil:
		var err error
		if m, fresh, err = t.derive(ctx, part, b, mk, found.Fellows, lies, newMost(e, found)); err != nil {
			t.cfg.Log.Debug("the map of chunks is not worked out", "file", e, "err", err)
			return 0
		}
	case !ok:
		return 0
	}
	if err := part.Recut(m); err != nil {
		t.cfg.Log.Warn("the map of chunks is not used", "file", e, "err", err)
		return 0
	}
	return fresh
}

// lie is a map that the Hub's hash does not prove, and who told it.
type lie struct {
	by  source.Source
	err error
}

// newMost is how many bytes may be fetched to work out a map. More than that is
// better fetched in the ordinary way, from all sources at once; and so it is sooner
// where others fetch the blob too, since each of them would fetch the same.
func newMost(e ref.Entry, found Found) int64 {
	if len(found.Fellows) > 0 {
		return e.Blob.Size / 8
	}
	return e.Blob.Size / 2
}

// errTold ends the working out of a map that somebody else has told meanwhile.
var errTold = errors.New("another node has worked it out")

// derive works out the map that nobody has, or waits for the one who does.
func (t *Transfer) derive(ctx context.Context, part *cache.Partial, b *board, mk *making, fellows []source.Source, lies chan<- lie, most int64) (m chunk.Map, fresh int64, err error) {
	var told chunk.Map
	m, err = t.cfg.Derive(ctx, Derivation{
		Entry: part.Entry(), Ahead: part.Ahead(), Most: most,
		Ready: func(ctx context.Context) error {
			var ok bool
			if told, ok = t.await(ctx, part.Entry(), mk, fellows, lies); ok {
				return errTold
			}
			return ctx.Err()
		},
		Keep: func(off int64, data []byte) error {
			done := mk.done.Add(int64(len(data)))
			b.update(func(p *Progress) { p.Phase, p.Done = PhaseFetch, done })
			return part.Put(off, data)
		},
	})
	if errors.Is(err, errTold) {
		return told, 0, nil
	}
	return m, mk.done.Load(), err
}

// contentMap finds a blob's map: here, or with a peer that holds it. It tells who
// was found, if it had to look.
func (t *Transfer) contentMap(ctx context.Context, e ref.Entry, lies chan<- lie) (m chunk.Map, found Found, ok bool) {
	if m, err := t.cfg.Cache.ContentMap(e.Blob); err == nil && m.Verify(e.Blob.Xet, e.Blob.Size) == nil {
		return m, found, true
	}
	if t.cfg.Peers == nil {
		return m, found, false
	}
	ctx, cancel := context.WithTimeout(ctx, mapDeadline)
	defer cancel()
	found, err := t.cfg.Peers(ctx, e)
	if err != nil {
		t.cfg.Log.Debug("looked for peers", "file", e, "err", err)
	}
	m, ok = t.askMap(ctx, e, append(slices.Clone(found.Holders), found.Fellows...), lies)
	return m, found, ok
}

// askMap takes the first map that the Hub's hash proves.
func (t *Transfer) askMap(ctx context.Context, e ref.Entry, peers []source.Source, lies chan<- lie) (m chunk.Map, ok bool) {
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
				var err error
				if m, err = t.mapFrom(ctx, e, mapper); errors.Is(err, source.ErrWrong) {
					t.cfg.Log.Debug("a map is wrong", "source", p.Name(), "err", err)
					accuse(lies, lie{p, fmt.Errorf("%s told a map of the file that the Hub's hash does not prove", p.Name())})
				} else if err != nil {
					t.cfg.Log.Debug("asked for a map", "source", p.Name(), "err", err)
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

// liesMost is how many lies wait to be heard.
const liesMost = 16

func accuse(lies chan<- lie, l lie) {
	select {
	case lies <- l:
	default:
	}
}

// mapFrom asks one peer. What it tells is worth nothing before it is proven.
func (t *Transfer) mapFrom(ctx context.Context, e ref.Entry, p source.ContentMapper) (chunk.Map, error) {
	m, err := p.ContentMap(ctx, e.Blob)
	if err == nil {
		err = m.Verify(e.Blob.Xet, e.Blob.Size)
		if err != nil {
			err = fmt.Errorf("%w: %w: %w", source.ErrRefused, source.ErrWrong, err)
		}
	}
	if err != nil {
		return chunk.Map{}, err
	}
	return m, nil
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
	f.findTwins()
	f.copying += len(held)
	if len(held) > 0 {
		f.background.Go(func() { f.copyChunks(ctx, held) })
	}
}

// findTwins keeps all but the first of equal chunks from being fetched.
func (f *fetch) findTwins() {
	f.twins = map[int][]int{}
	first := map[chunk.Hash]int{}
	for i := range f.m.Len() {
		if f.plan.Have().Has(i) {
			continue
		}
		h := f.m.Hash(i)
		if k, ok := first[h]; !ok {
			first[h] = i
		} else if f.plan.Hold(i) {
			f.twins[k] = append(f.twins[k], i)
		}
	}
}

// copyTwins copies chunks that have come to where else they belong.
func (f *fetch) copyTwins(ctx context.Context) {
	came := f.came
	f.came = nil
	for _, i := range came {
		twins := f.twins[i]
		delete(f.twins, i)
		f.copying += len(twins)
		f.background.Go(func() { f.copyTo(ctx, i, twins) })
	}
}

func (f *fetch) copyTo(ctx context.Context, i int, twins []int) {
	data, err := f.part.ReadChunk(i, nil)
	for _, k := range twins {
		r := reused{chunk: k}
		if err == nil {
			r.err = f.part.WriteHashed(k, data, f.m.Hash(k))
			r.ok = r.err == nil
		}
		select {
		case f.copies <- r:
		case <-ctx.Done():
			return
		}
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
	f.inquiries++ // the search itself
	f.background.Go(func() {
		found := f.t.cfg.Neighbours(ctx, f.entry)
		select {
		case f.around <- found:
		case <-ctx.Done():
		}
	})
}

func (f *fetch) inquire(ctx context.Context, found []source.Source) {
	f.inquiries--
	for _, n := range found {
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
	if f.crowd.living(source.Peer) == 0 && !f.hubBegan() {
		f.began = time.Now() // it could not bring anything before
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
		if m.Kind() != source.Peer || m.dropped || m.node != "" {
			continue // fellows are another matter: what they lack today they have tomorrow
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
