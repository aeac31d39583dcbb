package transfer

import "slices"

// ranges are parts of a blob, sorted, neither touching nor empty.
type ranges []stretch

type stretch struct{ from, to int64 } // bytes

// add joins a part to them.
func (r ranges) add(from, to int64) ranges {
	if from >= to {
		return r
	}
	i, _ := slices.BinarySearchFunc(r, from, func(s stretch, at int64) int {
		if s.to < at {
			return -1
		}
		return 1
	})
	k := i
	for ; k < len(r) && r[k].from <= to; k++ {
		from, to = min(from, r[k].from), max(to, r[k].to)
	}
	return slices.Replace(r, i, k, stretch{from, to})
}

// cut takes a part out.
func (r ranges) cut(from, to int64) ranges {
	var out ranges
	for _, s := range r {
		if s.from < min(s.to, from) {
			out = append(out, stretch{s.from, min(s.to, from)})
		}
		if max(s.from, to) < s.to {
			out = append(out, stretch{max(s.from, to), s.to})
		}
	}
	return out
}

// around is the stretch that at lies in, empty for none.
func (r ranges) around(at int64) stretch {
	i, _ := slices.BinarySearchFunc(r, at, func(s stretch, at int64) int {
		if s.to <= at {
			return -1
		}
		return 1
	})
	if i < len(r) && r[i].from <= at {
		return r[i]
	}
	return stretch{at, at}
}
