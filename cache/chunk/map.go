package chunk

import (
	"errors"
	"fmt"
	"sort"

	"hffs/cache/ref"
)

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

// Content is the map of a blob that was cut by its content. It refuses lists
// that no cutter makes: a chunk that is empty or longer than MaxLen, more bytes
// than a blob can have.
//
// The upper bound is not for tidiness. The nodes above a blob's chunks, taken for
// chunks, have the same root, so a list of them would pass [Map.Verify]; but they
// are the sums of at least three, and hardly any such list keeps to the bound.
func Content(chunks []Chunk) (Map, error) {
	m := Map{ends: make([]int64, 0, len(chunks)), hashes: make([]Hash, 0, len(chunks))}
	for _, c := range chunks {
		if err := m.add(c); err != nil {
			return Map{}, err
		}
	}
	return m, nil
}

// add puts one more chunk at the end of a map that is being made.
func (m *Map) add(c Chunk) error {
	if c.Length < 1 || c.Length > MaxLen {
		return fmt.Errorf("chunk %d has %d bytes", len(m.ends), c.Length)
	}
	if err := ref.CheckSize(m.size + c.Length); err != nil {
		return fmt.Errorf("chunk %d: %w", len(m.ends), err)
	}
	m.size += c.Length
	m.ends = append(m.ends, m.size)
	m.hashes = append(m.hashes, c.Hash)
	return nil
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

// ByContent says that the map has chunks, and that they follow the content.
func (m Map) ByContent() bool { return m.Step() == 0 && m.Len() > 0 }

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

// Chunk is chunk i; the map must be Hashed.
func (m Map) Chunk(i int) Chunk { return Chunk{m.Length(i), m.hashes[i]} }

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

// XorbHash is what Xet calls a xorb of these chunks: the root of the tree over
// them. The map must be Hashed.
func (m Map) XorbHash() Hash {
	t := newTree()
	for i := range m.Len() {
		t.add(0, m.Chunk(i))
	}
	return t.root()
}

// FileHash is Xet's hash of a file of these chunks, which the Hub announces as
// X-Xet-Hash: the root hashed once more, except that of an empty file, which is
// zero. The map must be Hashed.
func (m Map) FileHash() Hash {
	if m.Len() == 0 {
		return Hash{}
	}
	root := m.XorbHash()
	return newHasher(fileKey).Sum(root[:])
}

// Verify makes sure that this is the map of the blob with a Xet hash and a size
// in bytes: from then on each of its chunks can be trusted to whoever sends it.
//
// What it cannot see is the height of the tree. A short list of inner nodes
// whose sums keep to MaxLen passes, though no bytes have their hashes; so a map of
// which no chunk can be found anywhere is worth dropping for another one.
func (m Map) Verify(root ref.XetHash, size int64) error {
	if m.Len() > 0 && (m.length != 0 || m.hashes == nil) {
		return errors.New("map has no content-defined chunks with hashes")
	}
	if m.size != size {
		return fmt.Errorf("map is of a blob of %d bytes, not %d", m.size, size)
	}
	if got := m.FileHash().String(); got != string(root) {
		return fmt.Errorf("map has the root %s, not %s", got, root)
	}
	return nil
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
