package chunk

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/blake3"

	"hffs/cache/ref"
)

// Hash is a BLAKE3 hash, keyed as Xet keys the hashes of chunks. It also holds
// what is made of them: nodes of the tree, xorb hashes and file hashes.
type Hash [32]byte

// Xet's keys. Data and nodes are hashed with different ones, so that no chunk
// can pass for a node of the tree or the other way round.
var (
	dataKey = mustHex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
	nodeKey = mustHex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
	fileKey = make([]byte, 32)
)

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// String is the hash as Xet writes it wherever it is text: four little-endian
// numbers of 16 hex digits each, which is not the hex of its bytes in order.
func (h Hash) String() string { return string(h.appendText(nil)) }

func (h Hash) appendText(b []byte) []byte {
	var swapped Hash
	for i := 0; i < len(h); i += 8 {
		binary.BigEndian.PutUint64(swapped[i:], binary.LittleEndian.Uint64(h[i:]))
	}
	return hex.AppendEncode(b, swapped[:])
}

// ParseHash is the reverse of [Hash.String]: exactly 64 hex digits of either
// case.
func ParseHash(s string) (h Hash, err error) {
	bad := &ref.Error{What: "chunk hash", Value: s, Why: "it is not 64 hex digits"}
	if len(s) != 2*len(h) {
		return Hash{}, bad
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, bad
	}
	for i := 0; i < len(h); i += 8 {
		binary.LittleEndian.PutUint64(h[i:], binary.BigEndian.Uint64(h[i:]))
	}
	return h, nil
}

// Hasher hashes chunks one after the other without allocating. It is not for
// concurrent use; it takes 28 KB, so keep one per worker.
type Hasher struct {
	h    *blake3.Hasher
	wide *wide // nil where the processor is not made for it, and for what is no data
}

// NewHasher returns a hasher ready for use.
func NewHasher() *Hasher {
	h := newHasher(dataKey)
	if hasWide {
		h.wide = newWide(dataKey)
	}
	return h
}

func newHasher(key []byte) *Hasher {
	h, err := blake3.NewKeyed(key)
	if err != nil {
		panic(err) // only for a key of the wrong length
	}
	return &Hasher{h: h}
}

// Sum is the hash of one whole chunk.
func (h *Hasher) Sum(data []byte) Hash {
	if h.wide != nil && len(data) >= wideFrom {
		return h.wide.sum(data)
	}
	h.write(data)
	return h.end()
}

// write adds a part of a chunk.
func (h *Hasher) write(data []byte) { _, _ = h.h.Write(data) }

// end is the hash of all that was written; the next write begins anew.
func (h *Hasher) end() (sum Hash) {
	h.h.Sum(sum[:0])
	h.h.Reset()
	return sum
}

// become makes h stand where o stands. The library's Sum may move its state on,
// so whoever wants a hash and to go on writing asks a copy.
func (h *Hasher) become(o *Hasher) { *h.h = *o.h }
