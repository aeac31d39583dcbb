// Package chunk describes what a blob is made of: its chunks, their hashes, the
// ordered list of them (a [Map]), runs of neighbours (a [Span]) and the set
// that somebody holds (a [Have]). Everything here is a pure function or value.
//
// Today a map has chunks of one fixed length and its hashes are hearsay: they
// come from a holder that computed them when it checked the whole blob, and
// serve to pin a wrong byte on its sender while a fetch runs. The blob's own
// hash, which came from the Hub, decides at the end.
package chunk

import (
	"encoding/hex"
	"sort"

	"github.com/zeebo/blake3"
)

// FixedLen is the chunk length of maps that follow no content, in bytes. Small
// enough that a kill loses little, large enough that the hashes of a blob are
// about a ten-thousandth of it.
const FixedLen = 256 << 10

// Hash is a BLAKE3 hash, keyed as Xet keys the hashes of chunks.
type Hash [32]byte

// dataKey is Xet's key for chunk hashes (reference implementation: DATA_KEY in
// merklehash).
var dataKey = mustHex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Hasher hashes chunks one after the other without allocating. It is not for
// concurrent use; it takes 11 KB, so keep one per worker.
type Hasher struct{ h *blake3.Hasher }

// NewHasher returns a hasher ready for use.
func NewHasher() *Hasher {
	h, err := blake3.NewKeyed(dataKey)
	if err != nil {
		panic(err) // only for a key of the wrong length
	}
	return &Hasher{h}
}

// Sum is the hash of one whole chunk.
func (h *Hasher) Sum(data []byte) (sum Hash) {
	h.h.Reset()
	_, _ = h.h.Write(data)
	h.h.Sum(sum[:0])
	return sum
}

// Map is the ordered list of a blob's chunks. The zero Map is that of an empty
// blob. Maps are immutable and may be shared.
type Map struct {
	size   int64
	length int64   // of each chunk but the last; 0 where ends says it
	ends   []int64 // end offset of each chunk, for chunks of unequal length
	hashes []Hash  // nil where nobody has told
}

// Fixed is the map of a blob of the given size (bytes) in chunks of length
// bytes, the last one shorter. hashes is nil or has one hash for each chunk.
func Fixed(size, length int64, hashes []Hash) Map {
	m := Map{size: size, length: length, hashes: hashes}
	if hashes != nil && len(hashes) != m.Len() {
		panic("chunk: as many hashes as chunks are needed")
	}
	return m
}

// Len is the number of chunks.
func (m Map) Len() int {
	if m.length == 0 {
		return len(m.ends)
	}
	return int((m.size + m.length - 1) / m.length)
}

// Size is the blob's size in bytes.
func (m Map) Size() int64 { return m.size }

// Step is the length that every chunk but the last has, in bytes; 0 for a map
// whose chunks follow the content.
func (m Map) Step() int64 { return m.length }

// Offset is where chunk i begins, in bytes; Offset(Len()) is Size().
func (m Map) Offset(i int) int64 {
	if m.length == 0 {
		if i == 0 {
			return 0
		}
		return m.ends[i-1]
	}
	return min(int64(i)*m.length, m.size)
}

// Length is the length of chunk i in bytes.
func (m Map) Length(i int) int64 { return m.Offset(i+1) - m.Offset(i) }

// At is the index of the chunk that holds the byte at offset off.
func (m Map) At(off int64) int {
	if m.length == 0 {
		return sort.Search(len(m.ends), func(i int) bool { return m.ends[i] > off })
	}
	return int(off / m.length)
}

// Hashed reports whether the chunks' hashes are known.
func (m Map) Hashed() bool { return m.hashes != nil }

// Hash is the hash of chunk i; the map must be Hashed.
func (m Map) Hash(i int) Hash { return m.hashes[i] }

// Same reports whether two maps cut a blob at the same places.
func (m Map) Same(o Map) bool {
	if m.size != o.size || m.Len() != o.Len() {
		return false
	}
	if m.length != 0 && o.length != 0 {
		return m.length == o.length || m.Len() <= 1
	}
	for i := range m.Len() {
		if m.Offset(i) != o.Offset(i) {
			return false
		}
	}
	return true
}

// Span is a run of neighbouring chunks, from First up to but not End.
type Span struct{ First, End int }

// Len is the number of chunks in the span.
func (s Span) Len() int { return s.End - s.First }

// Bytes is where the span begins in the blob and how long it is, in bytes.
func (m Map) Bytes(s Span) (off, n int64) {
	off = m.Offset(s.First)
	return off, m.Offset(s.End) - off
}
