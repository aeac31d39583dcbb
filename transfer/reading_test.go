package transfer

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/source"
)

// gated is a source that sends no more than it is allowed to: nothing of what lies
// behind a byte of the blob.
type gated struct {
	source.Source
	mu    sync.Mutex // guards what follows
	upTo  int64
	moved chan struct{}
	opens []int64 // where each request began
}

func gate(s source.Source, upTo int64) *gated {
	return &gated{Source: s, upTo: upTo, moved: make(chan struct{})}
}

func (g *gated) allow(upTo int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.upTo = upTo
	close(g.moved)
	g.moved = make(chan struct{})
}

func (g *gated) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	r, err := g.Source.Open(ctx, e, off, n)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opens = append(g.opens, off)
	return &gatedBody{r, g, ctx, off}, err
}

func (g *gated) began() []int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]int64(nil), g.opens...)
}

type gatedBody struct {
	io.ReadCloser
	g   *gated
	ctx context.Context
	at  int64
}

func (b *gatedBody) Read(p []byte) (int, error) {
	for {
		b.g.mu.Lock()
		room, moved := b.g.upTo-b.at, b.g.moved
		b.g.mu.Unlock()
		if room > 0 {
			n, err := b.ReadCloser.Read(p[:min(int64(len(p)), room)])
			b.at += int64(n)
			return n, err
		}
		select {
		case <-moved:
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
}

// record is a reader's client: it keeps what it was sent, and tells when so much has
// come.
type record struct {
	mu    sync.Mutex // guards what follows
	data  []byte
	moved chan struct{}
}

func newRecord() *record { return &record{moved: make(chan struct{})} }

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data = append(r.data, p...)
	close(r.moved)
	r.moved = make(chan struct{})
	return len(p), nil
}

func (r *record) got() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.data)
}

// await waits until n bytes have come.
func (r *record) await(t *testing.T, n int) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		have, moved := len(r.data), r.moved
		r.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-moved:
		case <-limit:
			require.FailNow(t, "nothing comes", "%d of %d bytes", have, n)
		}
	}
}

// sentAll is how a Send ended.
type sentAll struct {
	n   int64
	err error
}

// reader opens the file and begins to read; wait gives how it ended.
func (w *world) reader(tr *Transfer, off, n int64) (r *record, wait func() sentAll) {
	w.t.Helper()
	s, err := tr.Open(w.t.Context(), w.entry)
	require.NoError(w.t, err)
	r = newRecord()
	end := make(chan sentAll, 1)
	go func() {
		defer s.Close()
		n, err := s.Send(w.t.Context(), r, off, n)
		end <- sentAll{n, err}
	}()
	return r, func() sentAll { return <-end }
}

// reads is a Transfer that does not linger when the test is over.
func (w *world) reads() *Transfer {
	tr := w.transfer()
	w.t.Cleanup(func() { require.NoError(w.t, tr.Close()) })
	return tr
}

// prefix makes sure that what was sent is what belongs there.
func (w *world) prefix(r *record, off int64) {
	w.t.Helper()
	got := r.got()
	require.True(w.t, bytes.Equal(w.content[off:off+int64(len(got))], got), "a wrong byte was sent, among %d", len(got))
}

func (w *world) readAll(tr *Transfer) {
	w.t.Helper()
	r, wait := w.reader(tr, 0, int64(len(w.content)))
	require.Equal(w.t, sentAll{int64(len(w.content)), nil}, wait())
	w.prefix(r, 0)
}

// damage overwrites a few bytes of the partial file.
func (w *world) damage(off int64) {
	parts, err := filepath.Glob(w.dir + "/hub/*/.hffs/*.part")
	require.NoError(w.t, err)
	require.Len(w.t, parts, 1)
	f, err := os.OpenFile(parts[0], os.O_WRONLY, 0)
	require.NoError(w.t, err)
	_, err = f.WriteAt([]byte("power was lost here"), off)
	require.NoError(w.t, err)
	require.NoError(w.t, f.Close())
}
