package transfer

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/source"
)

// mapPatience is how long the owner waits for what peers say of the chunks
// before it lets their bytes in unchecked; the blob's own hash decides anyway.
const mapPatience = 500 * time.Millisecond

// mapVoices is how many peers are asked for their map, of all that are found: it
// takes 32 bytes for each 256 KiB of the blob.
const mapVoices = 4

// hearsay is what peers say that a blob's chunks are. A map is adopted, and what
// arrives is held against it, so that a wrong byte is pinned on its sender at
// once. But a map is only as good as who vouched for it: when the whole does not
// have the Hub's hash, the map's vouchers are to blame.
type hearsay struct {
	adopted atomic.Pointer[chunk.Map] // read by errands
	layout  chunk.Map                 // the cut everybody uses, without hashes
	groups  []*group
	current *group
	refuted []*group // what the Hub's bytes spoke against
	pending int      // peers asked that have not answered
	voices  int      // peers asked
	until   time.Time
}

// group is the peers that told the same map.
type group struct {
	m        chunk.Map
	vouchers []*member
}

type toldMap struct {
	by  *member
	m   chunk.Map
	err error
}

func newHearsay(layout chunk.Map) *hearsay {
	h := &hearsay{layout: layout}
	h.adopted.Store(&layout)
	return h
}

// chosen is the map to hold bytes against; without hashes where there is none.
func (h *hearsay) chosen() *chunk.Map { return h.adopted.Load() }

// settled reports whether peers' bytes may come in.
func (h *hearsay) settled(now time.Time) bool {
	return h.current != nil || h.pending == 0 || now.After(h.until)
}

// ask asks peers for their maps; each answer arrives on told.
func (h *hearsay) ask(ctx context.Context, now time.Time, e *fetch, peers []*member) {
	if h.layout.Len() < 2 {
		return // the blob's own hash says it all
	}
	for _, p := range peers[:max(0, min(len(peers), mapVoices-h.voices))] {
		h.voices++
		mapper, ok := p.Source.(source.Mapper)
		if !ok {
			continue
		}
		h.pending++
		h.until = now.Add(mapPatience)
		e.background.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			m, err := mapper.Map(ctx, e.entry.Blob)
			select {
			case e.maps <- toldMap{p, m, err}:
			case <-ctx.Done():
			}
		})
	}
}

// hear sorts an answer in. It reports whether a map should be chosen now.
func (h *hearsay) hear(t toldMap) {
	h.pending--
	if t.err != nil || !t.m.Same(h.layout) {
		return
	}
	for _, g := range h.groups {
		if sameHashes(g.m, t.m) {
			g.vouchers = append(g.vouchers, t.by)
			return
		}
	}
	h.groups = append(h.groups, &group{m: t.m, vouchers: []*member{t.by}})
}

// best is the map with most living vouchers, nil for none.
func (h *hearsay) best() *group {
	var best *group
	for _, g := range h.groups {
		if slices.Contains(h.refuted, g) {
			continue
		}
		if best == nil || g.living() > best.living() {
			best = g
		}
	}
	if best == nil || best.living() == 0 {
		return nil
	}
	return best
}

// use holds what arrives from now on against g's map; nil is none.
func (h *hearsay) use(g *group) {
	h.current = g
	if g == nil {
		h.adopted.Store(&h.layout)
		return
	}
	h.adopted.Store(&g.m)
}

func (g *group) living() (n int) {
	for _, v := range g.vouchers {
		if !v.dropped {
			n++
		}
	}
	return n
}

func sameHashes(a, b chunk.Map) bool {
	for i := range a.Len() {
		if a.Hash(i) != b.Hash(i) {
			return false
		}
	}
	return true
}
