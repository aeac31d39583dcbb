package chunk

import "math/bits"

// Have is the set of a blob's chunks that somebody holds. The zero value is
// unusable; make one with [NewHave]. Not for concurrent use.
type Have struct {
	bits  []uint64
	n     int
	count int
}

// NewHave is the empty set over n chunks.
func NewHave(n int) *Have { return &Have{bits: make([]uint64, (n+63)/64), n: n} }

// Add puts chunk i into the set and reports whether it was new.
func (h *Have) Add(i int) bool {
	w, b := i/64, uint64(1)<<(i%64)
	if h.bits[w]&b != 0 {
		return false
	}
	h.bits[w] |= b
	h.count++
	return true
}

// Remove takes chunk i out of the set.
func (h *Have) Remove(i int) {
	w, b := i/64, uint64(1)<<(i%64)
	if h.bits[w]&b != 0 {
		h.bits[w] &^= b
		h.count--
	}
}

// Has reports whether chunk i is in the set.
func (h *Have) Has(i int) bool { return h.bits[i/64]&(1<<(i%64)) != 0 }

// Count is the number of chunks in the set, Len the number there could be.
func (h *Have) Count() int { return h.count }

// Len is the number of chunks that the blob has.
func (h *Have) Len() int { return h.n }

// Full reports whether every chunk is there.
func (h *Have) Full() bool { return h.count == h.n }

// Clone is an independent copy.
func (h *Have) Clone() *Have {
	return &Have{bits: append([]uint64(nil), h.bits...), n: h.n, count: h.count}
}

// NextMissing is the first chunk at or after i that is not in the set, or Len.
func (h *Have) NextMissing(i int) int {
	for i < h.n {
		rest := ^h.bits[i/64] >> (i % 64)
		if rest != 0 {
			return min(i+bits.TrailingZeros64(rest), h.n)
		}
		i = (i/64 + 1) * 64
	}
	return h.n
}

// Bytes is how many bytes of m's blob the set covers.
func (h *Have) Bytes(m Map) (n int64) {
	for i := range h.n {
		if h.Has(i) {
			n += m.Length(i)
		}
	}
	return n
}
