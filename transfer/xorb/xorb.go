// Package xorb reads and writes what the Xet CAS stores: xorbs, which are
// chunks one behind the other, each with a header of its own and packed for
// itself. The client of the CAS reads runs of chunks out of them, the stand-in
// Hub keeps whole ones; both meet here.
//
// Read it in this order: xorb.go has the format and its limits, reader.go takes
// chunks out of a stream one by one, lz4.go unpacks them, writer.go packs them.
//
// A chunk on the wire, integers little-endian:
//
//	1 byte   version, 0
//	3 bytes  length of the payload
//	1 byte   how it is packed: 0 not at all, 1 one LZ4 frame, 2 grouped and one LZ4 frame
//	3 bytes  length of the chunk
//	         payload
//
// A stored xorb may end in a footer, which begins with "XETBLOB" where a chunk
// would begin. Nothing here needs what it says.
//
// Nothing is believed: lengths are held against the limits before memory is
// taken for them, and a payload must give exactly the length that its header
// tells. Whether the bytes are the right ones is for the owner of the hash.
package xorb

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits of the format.
const (
	MaxChunk  = 128 << 10 // bytes of a chunk
	MaxPacked = 256 << 10 // bytes of its payload
	MaxChunks = 8192      // in a xorb

	// MaxSize is the length of a xorb in bytes, without its footer: writers stop at
	// 64 MiB of payload, and headers come on top (hf_xet 1.8.0 has been seen to
	// upload 64 MiB and 3,212 bytes).
	MaxSize = 64<<20 + MaxChunks*HeaderLen

	// HeaderLen is the length of a chunk's header in bytes.
	HeaderLen = 8
)

// How a payload is packed.
const (
	schemeNone    = 0
	schemeLZ4     = 1
	schemeGrouped = 2 // all first bytes of each four, then all second ones, …
)

// ErrMalformed marks bytes that no writer of xorbs can have meant.
var ErrMalformed = errors.New("malformed xorb")

// errFooter: what begins here is the footer.
var errFooter = errors.New("the footer begins")

var footerMark = []byte("XETBLOB")

// header is what stands in front of a chunk.
type header struct {
	packed int // length of the payload
	scheme byte
	size   int // length of the chunk
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func parseHeader(b []byte) (h header, err error) {
	if bytes.HasPrefix(b, footerMark) {
		return h, errFooter
	}
	h = header{packed: uint24(b[1:]), scheme: b[4], size: uint24(b[5:])}
	switch {
	case b[0] != 0:
		return h, malformed("version %d of a chunk's header", b[0])
	case h.scheme > schemeGrouped:
		return h, malformed("a chunk packed in way %d", h.scheme)
	case h.size > MaxChunk || h.packed > MaxPacked:
		return h, malformed("a chunk of %d bytes in %d", h.size, h.packed)
	case h.scheme == schemeNone && h.size != h.packed:
		return h, malformed("a bare chunk of %d bytes in %d", h.size, h.packed)
	}
	return h, nil
}

func (h header) append(b []byte) []byte {
	return append(b, 0, byte(h.packed), byte(h.packed>>8), byte(h.packed>>16),
		h.scheme, byte(h.size), byte(h.size>>8), byte(h.size>>16))
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
