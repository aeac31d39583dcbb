package xorb

import (
	"bufio"
	"errors"
	"io"
)

// Reader takes chunks out of a stream one at a time; it never holds more than
// one. It is not for concurrent use.
type Reader struct {
	from   *bufio.Reader
	packed []byte // the payload at hand
	frame  []byte // what a frame gave, still grouped
	chunk  []byte
	read   int64
}

// NewReader reads chunks from a stream that begins with a chunk's header.
func NewReader(r io.Reader) *Reader { return &Reader{from: bufio.NewReaderSize(r, 64<<10)} }

// Next is the next chunk, unpacked; it is good until the next call. At the end
// of the stream, or where the footer begins, the error is io.EOF; a stream that
// ends inside a chunk gives io.ErrUnexpectedEOF, nonsense ErrMalformed.
func (r *Reader) Next() ([]byte, error) {
	h, err := r.header()
	if err != nil {
		return nil, err
	}
	r.packed = resize(r.packed, h.packed)
	if err := r.fill(r.packed); err != nil {
		return nil, err
	}
	r.chunk = resize(r.chunk, h.size)
	switch h.scheme {
	case schemeLZ4:
		err = unpackFrame(r.chunk, r.packed)
	case schemeGrouped:
		r.frame = resize(r.frame, h.size)
		err = unpackFrame(r.frame, r.packed)
		ungroup(r.chunk, r.frame)
	default:
		copy(r.chunk, r.packed)
	}
	return r.chunk, err
}

// Skip passes over the next chunk without unpacking it, and tells its length.
// Its errors are those of Next.
func (r *Reader) Skip() (size int, err error) {
	h, err := r.header()
	if err != nil {
		return 0, err
	}
	n, err := r.from.Discard(h.packed)
	r.read += int64(n)
	return h.size, cut(err)
}

// Offset is how many bytes of the stream have been used.
func (r *Reader) Offset() int64 { return r.read }

func (r *Reader) header() (header, error) {
	var b [HeaderLen]byte
	if _, err := r.from.Peek(1); err != nil {
		return header{}, err // io.EOF between two chunks is the end
	}
	if err := r.fill(b[:]); err != nil {
		return header{}, err
	}
	h, err := parseHeader(b[:])
	if errors.Is(err, errFooter) {
		return h, io.EOF
	}
	return h, err
}

func (r *Reader) fill(b []byte) error {
	n, err := io.ReadFull(r.from, b)
	r.read += int64(n)
	return cut(err)
}

// cut: an end where more had to come is not an end.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// resize gives a buffer of n bytes; n has been held against the limits.
func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
