package xorb

import (
	"encoding/binary"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame (lz4_Frame_format.md): a magic number, two bytes of flags,
// fields that the flags announce, a checksum of the header, then blocks until
// one of length zero. The frame is read by hand and only its blocks by the
// library: so they go straight into the chunk, which is also their bound.
const (
	frameMagic = 0x184d2204

	flagVersion     = 0x40 // of the two bits at 0xc0, the only valid setting
	flagBlockSum    = 0x10 // a checksum follows each block
	flagContentSize = 0x08
	flagContentSum  = 0x04 // a checksum follows the end
	flagDict        = 0x01

	bareBlock = 1 << 31 // in a block's length: it is not packed
	dictLen   = 64 << 10
)

// unpackFrame unpacks one frame, which must give exactly len(dst) bytes. The
// frame's checksums are not looked at: chunks have hashes.
func unpackFrame(dst, frame []byte) error {
	in := cursor{b: frame}
	flags := in.open()
	n := 0
	for {
		length := in.uint32()
		if in.short || length == 0 {
			break
		}
		block := in.take(int(length &^ bareBlock))
		if flags&flagBlockSum != 0 {
			in.take(4)
		}
		if in.short {
			break
		}
		m, ok := unpackBlock(dst, n, block, length&bareBlock != 0)
		if !ok {
			return malformed("an LZ4 block that does not unpack")
		}
		n += m
	}
	if flags&flagContentSum != 0 {
		in.take(4)
	}
	switch {
	case in.short:
		return malformed("no LZ4 frame, or one that is cut off")
	case len(in.b) != 0:
		return malformed("%d bytes behind the LZ4 frame", len(in.b))
	case n != len(dst):
		return malformed("a chunk of %d bytes that unpacks to %d", len(dst), n)
	}
	return nil
}

// unpackBlock puts a block behind the n bytes that earlier ones gave, which it
// may refer to.
func unpackBlock(dst []byte, n int, block []byte, bare bool) (int, bool) {
	room := dst[n:]
	if bare {
		return copy(room, block), len(block) <= len(room)
	}
	m, err := lz4.UncompressBlockWithDict(block, room, dst[max(0, n-dictLen):n])
	return m, err == nil && m >= 0
}

// cursor cuts pieces off the front of b; short says that there was too little.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if c.short || n > len(c.b) {
		c.short = true
		return nil
	}
	piece := c.b[:n]
	c.b = c.b[n:]
	return piece
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// open reads the frame's header up to its first block.
func (c *cursor) open() (flags byte) {
	magic := c.uint32()
	head := c.take(2)
	if c.short || magic != frameMagic || head[0]&0xc0 != flagVersion || head[0]&flagDict != 0 {
		c.short = true
		return 0
	}
	flags = head[0]
	if flags&flagContentSize != 0 {
		c.take(8)
	}
	c.take(1) // the header's checksum
	return flags
}

// ungroup puts the bytes of a grouped chunk back in order. Group k holds the
// bytes at positions k, k+4, k+8, …
func ungroup(dst, grouped []byte) {
	n := len(grouped)
	for k, from := 0, 0; k < 4; k++ {
		size := (n + 3 - k) / 4
		for i, b := range grouped[from : from+size] {
			dst[4*i+k] = b
		}
		from += size
	}
}

func group(dst, chunk []byte) {
	n := len(chunk)
	for k, to := 0, 0; k < 4; k++ {
		size := (n + 3 - k) / 4
		for i := range size {
			dst[to+i] = chunk[4*i+k]
		}
		to += size
	}
}
