package xet

import (
	"cmp"
	"slices"

	"hffs/cache/chunk"
	"hffs/transfer/xorb"
)

// A run is neighbouring chunks of a xorb somewhere in the blob: known ones, or
// new ones, of which only the length of all together is known. New ones are
// fetched, or are among those of another run that is fetched.
type run struct {
	xorb        string
	first, last int // chunks of the xorb, last excluded
	off, length int64
	known       bool
	like        *run // the run whose chunks these are, too

	chunks []chunk.Chunk
	legacy []chunk.Chunk // the same as the legacy rule cuts it; nil where nothing was cut here
}

func (r *run) end() int64 { return r.off + r.length }

// add puts one more chunk at the end, whose cut is not ours.
func (r *run) add(c chunk.Chunk) {
	r.chunks = append(r.chunks, c)
	if r.legacy != nil {
		r.legacy = append(r.legacy, c)
	}
}

// under is the list of the run's chunks where the rule has cut what was cut
// here. The outline has told how many they are, and how long together.
func (r *run) under(rule chunk.Rule) ([]chunk.Chunk, error) {
	from := r
	if r.like != nil {
		from = r.like
	}
	chunks := from.chunks
	if rule == chunk.Legacy && from.legacy != nil {
		chunks = from.legacy
	}
	if len(chunks) != from.last-from.first {
		return nil, nonsense("%d chunks where %d belong", len(chunks), from.last-from.first)
	}
	chunks = chunks[r.first-from.first : r.last-from.first]
	var length int64
	for _, c := range chunks {
		length += c.Length
	}
	if length != r.length {
		return nil, nonsense("chunks of %d bytes where %d belong", length, r.length)
	}
	return chunks, nil
}

// split cuts the terms into known and new runs. In a term with several new runs
// all between them counts as new, since only the term's length is known.
func split(terms []term, shared map[place]chunk.Chunk) (runs []*run, err error) {
	off := int64(0)
	for _, t := range terms {
		front := knownRun(t, shared, t.start, 1)
		back := &run{first: t.end, last: t.end}
		if front.last < t.end {
			back = knownRun(t, shared, t.end-1, -1)
		}
		rest := &run{xorb: t.xorb, first: front.last, last: back.first, length: t.size - front.length - back.length}
		for _, r := range []*run{front, rest, back} {
			count := int64(r.last - r.first)
			if r.length < count || r.length > count*xorb.MaxChunk {
				return nil, nonsense("%d bytes in %d chunks", r.length, count)
			}
			if r.off = off; count > 0 {
				runs = append(runs, r)
			}
			off += r.length
		}
	}
	return runs, nil
}

// knownRun is the run of known chunks at an end of a term.
func knownRun(t term, shared map[place]chunk.Chunk, from, step int) *run {
	r := &run{xorb: t.xorb, known: true}
	i := from
	for ; t.start <= i && i < t.end; i += step {
		ch, ok := shared[place{t.xorb, i}]
		if !ok {
			break
		}
		r.length += ch.Length
		r.chunks = append(r.chunks, ch)
	}
	if r.first, r.last = from, i; step < 0 {
		r.first, r.last = i+1, from+1
		slices.Reverse(r.chunks)
	}
	return r
}

// link ties new runs to those that have all their chunks as well, and gives what
// is then left to be fetched, in the blob's order.
func link(runs []*run) (fresh []*run) {
	byStart := slices.Clone(runs)
	byStart = slices.DeleteFunc(byStart, func(r *run) bool { return r.known })
	slices.SortStableFunc(byStart, func(a, b *run) int {
		return cmp.Or(cmp.Compare(a.xorb, b.xorb), a.first-b.first, b.last-a.last)
	})
	var furthest *run
	for _, r := range byStart {
		if furthest != nil && furthest.xorb == r.xorb && r.last <= furthest.last {
			r.like = furthest
			continue
		}
		furthest = r
		fresh = append(fresh, r)
	}
	slices.SortFunc(fresh, func(a, b *run) int { return cmp.Compare(a.off, b.off) })
	return fresh
}
