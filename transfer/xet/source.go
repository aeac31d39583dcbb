package xet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// Source is the CAS as a source for the entry. It needs a token, from which the
// CAS's name is known; when the Hub gives none, there is no such source.
func (c *Client) Source(ctx context.Context, e ref.Entry) (source.Source, error) {
	if e.Blob.Xet == "" {
		return nil, fmt.Errorf("xet source for %s: %w", e, ErrNoXet)
	}
	t, err := c.tokens.get(ctx, e)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(t.CAS)
	if err != nil {
		return nil, errors.New("the token's CAS is no URL")
	}
	return casSource{c, u.Host}, nil
}

type casSource struct {
	c    *Client
	host string
}

func (s casSource) Name() string      { return s.host }
func (s casSource) Kind() source.Kind { return source.Hub }

// Open reads a span. A span that begins and ends with chunks costs no byte more
// than they have; others are fetched with the whole of the chunks at their ends.
func (s casSource) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	st, err := s.c.stream(ctx, e, off, n)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		st.close()
		return http.NoBody, nil
	}
	r := &reader{stream: st, off: off, left: n}
	if err := r.load(); err != nil {
		st.close()
		return nil, err
	}
	return r, nil
}

// A Chunk is one chunk of a blob as the CAS keeps it.
type Chunk struct {
	chunk.Chunk
	Off  int64  // where it begins in the blob
	Data []byte // good until the next step
}

// Chunks reads the chunks that hold the n bytes from off, whole and in order.
// Read from 0 to the blob's end they are its map, which then can be checked
// against the Xet hash whatever rule has made it. An error is the last step.
func (c *Client) Chunks(ctx context.Context, e ref.Entry, off, n int64) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		st, err := c.stream(ctx, e, off, n)
		if err != nil {
			yield(Chunk{}, err)
			return
		}
		st.all()(yield)
	}
}

// all reads the chunks to the end and closes the stream.
func (s *stream) all() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		defer s.close()
		hasher := chunk.NewHasher()
		for {
			data, at, err := s.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(Chunk{}, err)
				return
			}
			ch := chunk.Chunk{Length: int64(len(data)), Hash: hasher.Sum(data)}
			if !yield(Chunk{ch, at, data}, nil) {
				return
			}
		}
	}
}

// reader is a stream of chunks as a stream of bytes, cut to the span.
type reader struct {
	stream *stream
	chunk  []byte // what is left of it
	off    int64  // of the next byte in the blob
	left   int64
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.stream.over(); err != nil {
		return 0, err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if len(r.chunk) == 0 {
		if err := r.load(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	r.off += int64(n)
	r.left -= int64(n)
	return n, nil
}

// load takes the next chunk, without what lies outside the span.
func (r *reader) load() error {
	data, at, err := r.stream.next()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF // cannot be: recipes cover what was asked for
	}
	if err != nil {
		return err
	}
	data = data[r.off-at:]
	r.chunk = data[:min(int64(len(data)), r.left)]
	return nil
}

// Close ends the requests. It may be called while another goroutine reads.
func (r *reader) Close() error {
	r.stream.close()
	return nil
}
