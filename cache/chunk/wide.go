package chunk

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
	"lukechampine.com/blake3/guts"
)

// Where a processor has AVX-512, a chunk in one piece is hashed 16 KiB at a time by the
// compression functions of lukechampine.com/blake3, 1.4 times as fast as by
// zeebo/blake3, which knows AVX2 only and is the faster one elsewhere. That library's own
// hasher would lose more with the odd ends of chunks than it gains.

// group is how many bytes are compressed at once: 16 of BLAKE3's chunks.
const group = guts.MaxSIMD * guts.ChunkSize

// wideFrom is the length in bytes from which it is the faster way.
const wideFrom = 10 << 10

var hasWide = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW

// wide hashes whole chunks. Its scratch makes it unfit for concurrent use.
type wide struct {
	key  [8]uint32
	tail [group]byte
}

func newWide(key []byte) *wide {
	w := &wide{}
	for i := range w.key {
		w.key[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	return w
}

// sum builds BLAKE3's tree over groups of 16 leaves (section 5.1.2 of its paper): stack
// holds the roots of whole subtrees to the left, one for each bit set in done.
func (w *wide) sum(data []byte) Hash {
	var stack [54][8]uint32 // 2^64 bytes are 2^54 leaves
	height := 0
	done := uint64(0) // groups
	for len(data) > group {
		cv := guts.ChainingValue(w.compress(data[:group], done))
		data = data[group:]
		done++
		for n := done; n&1 == 0; n >>= 1 {
			height--
			cv = guts.ChainingValue(guts.ParentNode(stack[height], cv, &w.key, guts.FlagKeyedHash))
		}
		stack[height] = cv
		height++
	}
	root := w.compress(data, done)
	for height > 0 {
		height--
		root = guts.ParentNode(stack[height], guts.ChainingValue(root), &w.key, guts.FlagKeyedHash)
	}
	root.Flags |= guts.FlagRoot
	out := guts.WordsToBytes(guts.CompressNode(root))
	return Hash(out[:len(Hash{})])
}

// compress is the subtree over data, which is group number n. The library wants room for
// a whole group, whatever lies behind the data.
func (w *wide) compress(data []byte, n uint64) guts.Node {
	room := &w.tail
	if cap(data) >= group {
		room = (*[group]byte)(data[:group])
	} else {
		copy(room[:], data)
	}
	return guts.CompressBuffer(room, len(data), &w.key, n*guts.MaxSIMD, guts.FlagKeyedHash)
}
