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

// Reader cuts a stream into chunks and checks each before it gives it away. What has
// come is taken in one read, so that a fast source costs few calls and a slow one's
// chunks are not kept waiting for each other.
type Reader struct {
	r    io.Reader
	from string
	h    *chunk.Hasher
	buf  []byte
	data []byte // what has come and was not given away; in buf
	sums []chunk.Hash
	err  error // why no more comes
}

// NewReader reads what the source called from sends, through buf, which must have
// room for the longest chunk.
func NewReader(r io.Reader, from string, h *chunk.Hasher, buf []byte) *Reader {
	return &Reader{r: r, from: from, h: h, buf: buf, data: buf[:0]}
}

// Next gives chunks of m from i on, those before end that have come, and at least
// one: their bytes, one behind the other, and their hashes. Both are good until the
// next call. A map without hashes lets everything pass. An error is about the chunk
// behind those that it comes with; a stream that ends early is io.ErrUnexpectedEOF.
func (v *Reader) Next(m chunk.Map, i, end int) ([]byte, []chunk.Hash, error) {
	if err := v.fill(m.Length(i), v.most(m, i, end)); err != nil {
		return nil, nil, err
	}
	v.sums = v.sums[:0]
	n := int64(0)
	var err error
	for ; i < end && n+m.Length(i) <= int64(len(v.data)) && err == nil; i++ {
		sum := v.h.Sum(v.data[n : n+m.Length(i)])
		if m.Hashed() && sum != m.Hash(i) {
			err = &Error{From: v.from, Chunk: i, Off: m.Offset(i), Want: m.Hash(i), Got: sum}
			break
		}
		v.sums, n = append(v.sums, sum), n+m.Length(i)
	}
	good := v.data[:n]
	v.data = v.data[n:]
	return good, v.sums, err
}

// most is how many bytes the chunks from i on have that are taken in together: as many
// as have room, so that none is left cut in two, to be moved, where much has come.
func (v *Reader) most(m chunk.Map, i, end int) int64 {
	room := m.Offset(i) + int64(len(v.buf))
	if room < m.Offset(end) {
		end = max(m.At(room), i+1)
	}
	return m.Offset(end) - m.Offset(i)
}

// fill reads until there are least bytes, and no more than most. What has come stays
// where it is as long as there is room behind it.
func (v *Reader) fill(least, most int64) error {
	if int64(len(v.data)) >= least {
		return nil
	}
	if v.err != nil {
		return v.err
	}
	kept := int64(len(v.data))
	if kept == 0 || int64(cap(v.data)) < least {
		copy(v.buf, v.data)
		v.data = v.buf[:kept]
	}
	room := v.data[kept:min(most, int64(cap(v.data)))]
	n, err := io.ReadAtLeast(v.r, room, int(least-kept))
	v.data = v.data[:kept+int64(n)]
	if err == nil {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	v.err = fmt.Errorf("read from %s: %w", v.from, err)
	return v.err
}
