package xorb

import (
	"encoding/binary"

	"github.com/pierrec/lz4/v4"
)

// sampleLen is how much of a chunk tells how the whole is best packed.
const sampleLen = 8 << 10

// Append packs a chunk in the way that suits its beginning, if that makes it
// shorter, and puts it, with its header, behind b. The chunk has at most MaxChunk
// bytes.
func Append(b, chunk []byte) []byte {
	best, scheme := chunk, schemeFor(chunk[:min(len(chunk), sampleLen)])
	if scheme != schemeNone {
		best = packFrame(arranged(chunk, scheme))
	}
	if best == nil || len(best) >= len(chunk) {
		best, scheme = chunk, schemeNone
	}
	b = header{len(best), scheme, len(chunk)}.append(b)
	return append(b, best...)
}

func schemeFor(sample []byte) (best byte) {
	shortest := len(sample)
	for _, scheme := range []byte{schemeLZ4, schemeGrouped} {
		if f := packFrame(arranged(sample, scheme)); f != nil && len(f) < shortest {
			best, shortest = scheme, len(f)
		}
	}
	return best
}

// arranged is the chunk's bytes in the order in which the scheme packs them.
func arranged(chunk []byte, scheme byte) []byte {
	if scheme != schemeGrouped {
		return chunk
	}
	grouped := make([]byte, len(chunk))
	group(grouped, chunk)
	return grouped
}

// packFrame is a frame of one block, as xet-core writes it; nil where the data
// does not shrink.
func packFrame(data []byte) []byte {
	const flags, blocksOf256K, sum = flagVersion | 0x20, 0x50, 0xfb // the sum is that of the two before it
	block := make([]byte, len(data))
	n, err := lz4.CompressBlock(data, block, nil)
	if err != nil || n == 0 {
		return nil
	}
	f := binary.LittleEndian.AppendUint32(nil, frameMagic)
	f = append(f, flags, blocksOf256K, sum)
	f = binary.LittleEndian.AppendUint32(f, uint32(n))
	f = append(f, block[:n]...)
	return binary.LittleEndian.AppendUint32(f, 0)
}
