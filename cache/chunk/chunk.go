// Package chunk describes what a blob is made of: its chunks, their hashes, the
// ordered list of them (a [Map]), runs of neighbours (a [Span]) and the set
// that somebody holds (a [Have]). Everything here is a pure function or value.
//
// There are two kinds of maps. A fixed map ([Fixed]) has chunks of one length
// and its hashes are hearsay: they come from a holder that computed them when
// it checked the whole blob, and serve to pin a wrong byte on its sender while a
// fetch runs. A content-defined map ([Content]) is what Xet makes of a blob: the
// content itself says where to cut, so equal bytes give equal chunks wherever
// they stand, and the Hub's Xet hash is the root of a Merkle tree over the list.
// Whoever gave such a map, [Map.Verify] proves it.
//
// To read it in order: hash.go is what names a chunk, gear.go and rule.go say
// where one ends, cutter.go does both to a stream and scan.go to a file on all
// cores; tree.go makes a list of chunks into a root; map.go and have.go are what
// other rooms hold in their hands, and codec.go is a map as bytes.
//
// What is cut and hashed here is proven against the reference implementation:
// see the vectors in testdata/xet.
package chunk

// Lengths of content-defined chunks in bytes, as Xet fixes them. Only a blob's
// last chunk may be shorter than MinLen, but see [Legacy].
const (
	TargetLen = 64 << 10
	MinLen    = TargetLen / 8
	MaxLen    = TargetLen * 2
)

// FixedLen is the chunk length of maps that follow no content, in bytes. Small
// enough that a kill loses little, large enough that the hashes of a blob are
// about a ten-thousandth of it.
const FixedLen = 256 << 10

// Chunk is one entry of a map: how long the chunk is, in bytes, and its hash.
type Chunk struct {
	Length int64
	Hash   Hash
}
