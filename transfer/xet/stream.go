package xet

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hffs/cache/ref"
)

// A stream gives the chunks of a span one by one. Only one recipe, one request
// for data and a few chunks are at hand at a time.
//
// When anything breaks, a URL that has expired or a body cut short, it asks for
// a new recipe from the chunk where it stands: that has fresh URLs, and ranges
// that begin with what is still missing. So one way back serves for all faults,
// and no byte is fetched twice but those of the chunk that was cut.
type stream struct {
	c     *Client
	watch *watch
	entry ref.Entry
	pos   int64 // of the next byte to give, in the blob
	end   int64
	tries int         // since the last chunk
	blame func(error) // is told what the host of the data did, where not nil

	recipe *recipe
	upTo   int64 // where the recipe's part of the span ends
	at     int64 // where the next chunk begins, in the blob
	term   int
	chunk  int   // the next, by its number in its xorb
	size   int64 // of this term's chunks so far
	data   *download
	kept   map[keptChunk][]byte
	keeps  int // bytes in kept
}

type keptChunk struct {
	from  *fetch
	chunk int
}

var errClosed = errors.New("closed")

func (c *Client) stream(ctx context.Context, e ref.Entry, off, n int64) (*stream, error) {
	switch {
	case e.Blob.Xet == "":
		return nil, fmt.Errorf("read %s: %w", e, ErrNoXet)
	case off < 0 || n < 0 || off > e.Blob.Size-n:
		return nil, fmt.Errorf("bytes %d+%d lie outside a blob of %d", off, n, e.Blob.Size)
	}
	return &stream{c: c, watch: newWatch(ctx, c.cfg.StallTimeout), entry: e, pos: off, end: off + n}, nil
}

// close ends all requests; the connections of unfinished ones go with them.
func (s *stream) close() { s.watch.cancel(errClosed) }

// over is why the stream must not go on: closed, or its context has ended.
func (s *stream) over() error { return context.Cause(s.watch.ctx) }

// next is the chunk that holds pos, whole, and where it begins in the blob. It is
// good until the next call. At the end of the span the error is io.EOF.
func (s *stream) next() (data []byte, at int64, err error) {
	for s.pos < s.end {
		data, at, err := s.step()
		switch {
		case err == nil && at+int64(len(data)) > s.pos:
			s.pos, s.tries = at+int64(len(data)), 0
			return data, at, nil
		case err != nil:
			s.reset()
			if err := s.again(err); err != nil {
				return nil, 0, err
			}
		}
	}
	return nil, 0, io.EOF
}

// again waits before another try, or says that there is none.
func (s *stream) again(err error) error {
	s.tries++
	return s.c.pause(s.watch.ctx, s.tries, err)
}

// reset forgets the recipe and ends its request.
func (s *stream) reset() {
	s.recipe, s.kept, s.keeps = nil, nil, 0
	s.drop()
}

func (s *stream) drop() {
	if s.data != nil {
		s.data.close()
		s.data = nil
	}
}

// step gives the next chunk of the recipe, asking for one where there is none.
func (s *stream) step() (data []byte, at int64, err error) {
	if s.recipe == nil {
		if err := s.begin(); err != nil {
			return nil, 0, err
		}
	}
	t := s.recipe.terms[s.term]
	if data, err = s.take(t.from, s.chunk); err != nil {
		if s.blame != nil {
			s.blame(err)
		}
		return nil, 0, err
	}
	at = s.at
	s.at += int64(len(data))
	s.size += int64(len(data))
	s.chunk++
	if s.chunk < t.end {
		if s.size >= t.size {
			return nil, 0, s.wrong(t.from, "a term with more bytes than its %d", t.size)
		}
	} else if s.size != t.size {
		return nil, 0, s.wrong(t.from, "a term of %d bytes with %d", t.size, s.size)
	} else {
		s.enter(s.term + 1)
	}
	if s.at >= s.upTo {
		s.reset() // data stays good until the next chunk is unpacked
	}
	return data, at, nil
}

func (s *stream) begin() error {
	n := min(s.end-s.pos, maxStep)
	r, err := s.c.recipe(s.watch, s.entry, s.pos, n)
	if err != nil {
		return err
	}
	s.recipe, s.upTo, s.at = r, s.pos+n, s.pos-r.skip
	s.enter(0)
	return nil
}

// enter begins a term. Behind the last one there is nothing to begin: the terms
// cover the recipe's part.
func (s *stream) enter(i int) {
	s.term, s.size = i, 0
	if i < len(s.recipe.terms) {
		s.chunk = s.recipe.terms[i].start
	}
}

func (s *stream) wrong(f *fetch, format string, args ...any) error {
	return fault(f.url.Host, nil, format, args...)
}

// take gives one chunk of a fetch: one that was kept, or the next of the request
// that is under way, or the first of a new one.
func (s *stream) take(f *fetch, i int) ([]byte, error) {
	if data, ok := s.kept[keptChunk{f, i}]; ok {
		return data, nil
	}
	if s.data == nil || s.data.fetch != f || s.data.chunk > i {
		s.drop()
		d, err := s.c.download(s.watch, f)
		if err != nil {
			return nil, err
		}
		s.data = d
	}
	for {
		at := s.data.chunk
		data, err := s.data.next(f.terms == 1 && at < i)
		if err != nil {
			return nil, err
		}
		s.keep(f, at, data)
		if at == i {
			return data, nil
		}
	}
}

// keep puts by what other terms may need again: a file of zeros is one chunk,
// over and over. What is too much is fetched again.
func (s *stream) keep(f *fetch, i int, data []byte) {
	if f.terms == 1 {
		return
	}
	if s.kept == nil || s.keeps+len(data) > maxKept {
		s.kept, s.keeps = map[keptChunk][]byte{}, 0
	}
	s.kept[keptChunk{f, i}] = append([]byte(nil), data...)
	s.keeps += len(data)
}
