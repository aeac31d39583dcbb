// Package verify stands between a source and the disk: bytes that do not hash
// do not pass, and the error names who sent them.
package verify

import (
	"fmt"
	"io"

	"hffs/cache/chunk"
)

// An Error says that a source sent bytes that are not those of the blob.
type Error struct {
	From  string
	Chunk int   // index in the map
	Off   int64 // where it begins in the blob, in bytes
	Want  chunk.Hash
	Got   chunk.Hash
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s sent wrong bytes at offset %d", e.From, e.Off)
}

// Reader cuts a stream into chunks and checks each before it gives it away.
type Reader struct {
	r    io.Reader
	from string
	h    *chunk.Hasher
}

// NewReader reads what the source called from sends.
func NewReader(r io.Reader, from string, h *chunk.Hasher) *Reader {
	return &Reader{r: r, from: from, h: h}
}

// Next reads chunk i of m into buf, which must be large enough, and returns its
// bytes and their hash. A map without hashes lets everything pass. A stream that
// ends early is io.ErrUnexpectedEOF.
func (v *Reader) Next(m chunk.Map, i int, buf []byte) ([]byte, chunk.Hash, error) {
	data := buf[:m.Length(i)]
	if _, err := io.ReadFull(v.r, data); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, chunk.Hash{}, fmt.Errorf("read from %s: %w", v.from, err)
	}
	sum := v.h.Sum(data)
	if m.Hashed() && sum != m.Hash(i) {
		return nil, sum, &Error{From: v.from, Chunk: i, Off: m.Offset(i), Want: m.Hash(i), Got: sum}
	}
	return data, sum, nil
}
