package sourcetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"hffs/cache/ref"
	"hffs/transfer/source"
	"hffs/transfer/source/sourcetest"
)

// memory is the smallest source there is: it shows that the suite asks for
// nothing that a source need not have.
type memory struct {
	content []byte
	cut     int64 // break off after so many bytes; 0 never
}

func (memory) Name() string      { return "memory" }
func (memory) Kind() source.Kind { return source.Local }

func (m memory) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.Path != "x" {
		return nil, source.ErrGone
	}
	if off < 0 || off+n > int64(len(m.content)) {
		return nil, errors.New("outside")
	}
	return &reader{ctx: ctx, from: bytes.NewReader(m.content[off : off+n]), cut: m.cut}, nil
}

type reader struct {
	ctx  context.Context
	from io.Reader
	cut  int64
	done int64
}

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, r.ctx.Err()
	}
	if r.from == nil {
		return 0, errors.New("closed")
	}
	if r.cut > 0 {
		if r.done == r.cut {
			return 0, io.ErrUnexpectedEOF
		}
		p = p[:min(int64(len(p)), r.cut-r.done)]
	}
	n, err := r.from.Read(p)
	r.done += int64(n)
	return n, err
}

func (r *reader) Close() error { r.from = nil; return nil }

func TestMemory(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, sourcetest.World{
		Serve: func(_ *testing.T, content []byte) (source.Source, ref.Entry) {
			return memory{content: content}, ref.Entry{Path: "x"}
		},
		Cut: func(_ *testing.T, content []byte, after int64) (source.Source, ref.Entry) {
			return memory{content, after}, ref.Entry{Path: "x"}
		},
		Missing: func(*testing.T) (source.Source, ref.Entry) { return memory{}, ref.Entry{Path: "y"} },
	})
}
