package xet

import (
	"cmp"
	"slices"

	"hffs/cache/chunk"
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

func (r *run) end() int64   { return r.off + r.length }
func (r *run) count() int64 { return int64(r.last - r.first) }

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
