package xet_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
	"hffs/transfer/source"
	"hffs/transfer/xet"
)

var tiny = ref.Repo{Type: ref.Model, ID: "acme/tiny"}

// A world is a stand-in Hub with one file, and clients for it.
type world struct {
	hub     *standin.Hub
	run     *standin.Running
	hubSide *hub.Client
	c       *xet.Client
	entry   ref.Entry
	content []byte
}

func newWorld(t *testing.T, content []byte, rule chunk.Rule, change func(*xet.Config)) *world {
	t.Helper()
	w := &world{hub: standin.New(), content: content}
	c, err := w.hub.OverXet(standin.Bytes(content), rule)
	require.NoError(t, err)
	w.hub.Add(tiny, "", map[string]standin.Content{"model.bin": c})
	w.start(t)
	w.entry, err = w.hubSide.Resolve(t.Context(), ref.File{Repo: tiny, Revision: "main", Path: "model.bin"})
	require.NoError(t, err)
	require.NotEmpty(t, w.entry.Blob.Xet)
	w.c = w.client(t, change)
	return w
}

func (w *world) start(t testing.TB) {
	t.Helper()
	var err error
	w.run, err = w.hub.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.run.Close()) })
	w.hubSide, err = hub.New(hub.Config{Endpoints: []string{w.run.URL()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.hubSide.Close()) })
}

func (w *world) client(t testing.TB, change func(*xet.Config)) *xet.Client {
	cfg := xet.Config{Token: w.token, RetryWait: time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	c := xet.New(cfg)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func (w *world) token(ctx context.Context, e ref.Entry) (xet.Token, error) {
	t, err := w.hubSide.XetToken(ctx, e)
	return xet.Token(t), err
}

func (w *world) source(t *testing.T) source.Source {
	t.Helper()
	s, err := w.c.Source(t.Context(), w.entry)
	require.NoError(t, err)
	return s
}

// requests are what a host of the stand-in was asked, as "path range".
func (w *world) requests(host string) (list []standin.Request) {
	for _, r := range w.hub.Requests() {
		if r.Host == host {
			list = append(list, r)
		}
	}
	return list
}

func fetch(ctx context.Context, s source.Source, e ref.Entry, off, n int64) ([]byte, error) {
	r, err := s.Open(ctx, e, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// weights shrink when they are grouped.
func weights(n int) []byte {
	b := noise(n)
	for i := range b {
		if i%4 >= 2 {
			b[i] = 0x3c
		}
	}
	return b
}

// mixed has chunks of all three schemes.
func mixed(n int) []byte {
	b := append(noise(n/3), weights(n/3)...)
	return append(b, bytes.Repeat([]byte("text and more text "), n/19)[:n-len(b)]...)
}

// ear collects a log.
type ear struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(p)
}

func (e *ear) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}

func (e *ear) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
