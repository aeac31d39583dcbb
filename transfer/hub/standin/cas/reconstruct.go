package cas

import (
	"slices"
	"sort"

	"hffs/cache/chunk"
)

// Reconstruction says how the bytes asked for are put together: the terms, how
// many bytes of the first come before them, and the runs of chunks to fetch.
type Reconstruction struct {
	Skip  int64
	Terms []Term
	Runs  map[chunk.Hash][]Run // ascending, apart from one another
}

// A Run is chunks of a xorb that lie side by side, and their bytes; First and
// Last are inclusive.
type Run struct {
	Start, End  int
	First, Last int64
}

// Reconstruct answers for n bytes from off; what lies behind the end of the file
// is left out. Terms at the edges are cut down to the chunks that are needed.
func (s *Store) Reconstruct(hash chunk.Hash, off, n int64) (r Reconstruction, err error) {
	f, err := s.file(hash)
	if err != nil {
		return r, err
	}
	if off < 0 || off >= f.size() || n <= 0 {
		return r, ErrRange
	}
	end := min(off+n, f.size())
	i := sort.Search(len(f.ends), func(i int) bool { return f.ends[i] > off })
	at := f.ends[i] - f.terms[i].Size
	for ; at < end; i++ {
		t, err := s.trim(f.terms[i], off-at, end-at)
		if err != nil {
			return r, err
		}
		if len(r.Terms) == 0 {
			r.Skip = off - at - t.cutFront
		}
		r.Terms = append(r.Terms, t.Term)
		at = f.ends[i]
	}
	r.Runs, err = s.runs(r.Terms)
	return r, err
}

type trimmed struct {
	Term
	cutFront int64 // bytes of the chunks taken off its front
}

// trim leaves the chunks of the term that hold its bytes from first up to end.
func (s *Store) trim(t Term, first, end int64) (trimmed, error) {
	x, err := s.Xorb(t.Xorb)
	if err != nil {
		return trimmed{}, err
	}
	out := trimmed{Term: Term{Xorb: t.Xorb, Start: t.Start, End: t.Start}}
	var at int64
	for i := t.Start; i < t.End && at < end; i++ {
		n := x.chunks[i].Length
		if at+n <= first {
			out.cutFront += n
			out.Start = i + 1
		} else {
			out.Size += n
		}
		out.End = i + 1
		at += n
	}
	return out, nil
}

// runs joins what the terms need of each xorb.
func (s *Store) runs(terms []Term) (map[chunk.Hash][]Run, error) {
	need := map[chunk.Hash][]Run{}
	for _, t := range terms {
		need[t.Xorb] = append(need[t.Xorb], Run{Start: t.Start, End: t.End})
	}
	for hash, list := range need {
		slices.SortFunc(list, func(a, b Run) int { return a.Start - b.Start })
		joined := list[:1]
		for _, r := range list[1:] {
			if last := &joined[len(joined)-1]; r.Start <= last.End {
				last.End = max(last.End, r.End)
			} else {
				joined = append(joined, r)
			}
		}
		x, err := s.Xorb(hash)
		if err != nil {
			return nil, err
		}
		for i := range joined {
			joined[i].First, joined[i].Last = x.span(joined[i].Start, joined[i].End)
		}
		need[hash] = joined
	}
	return need, nil
}
