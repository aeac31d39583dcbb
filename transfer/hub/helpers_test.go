package hub_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
	"hffs/transfer/source"
)

var (
	tiny  = repo(ref.Model, "acme/tiny")
	other = repo(ref.Model, "acme/other")
)

func repo(t ref.Type, id string) ref.Repo {
	r, err := ref.ParseRepo(t, id)
	if err != nil {
		panic(err)
	}
	return r
}

func file(t *testing.T, r ref.Repo, revision, path string) ref.File {
	t.Helper()
	f, err := ref.NewFile(r, revision, path)
	require.NoError(t, err)
	return f
}

func start(t *testing.T, h *standin.Hub) *standin.Running {
	t.Helper()
	run, err := h.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, run.Close()) })
	return run
}

func client(t *testing.T, cfg hub.Config) *hub.Client {
	t.Helper()
	c, err := hub.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// tinyHub has one repo with a small file and a large one.
func tinyHub(t *testing.T) (*standin.Hub, *standin.Running) {
	t.Helper()
	h := standin.New()
	h.Add(tiny, "", map[string]standin.Content{
		"config.json": standin.String(`{"tiny":true}`),
		"model.bin":   standin.Synthetic(1, 300_000),
	})
	return h, start(t, h)
}

func resolve(t *testing.T, c *hub.Client, path string) ref.Entry {
	t.Helper()
	e, err := c.Resolve(t.Context(), file(t, tiny, "", path))
	require.NoError(t, err)
	return e
}

func fetch(ctx context.Context, s source.Source, e ref.Entry, off, n int64) ([]byte, error) {
	r, err := s.Open(ctx, e, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func all(t *testing.T, c standin.Content) []byte {
	t.Helper()
	r, err := c.Open()
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return b
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

// deadURL is an origin where nobody listens.
func deadURL(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return "http://" + ln.Addr().String()
}

// netmap is a transport for made-up host names: it carries requests for
// https://mirror.example to the stand-in that plays it, and lets what that
// redirects to be https as well.
type netmap map[string]string // host -> origin of a stand-in

func (m netmap) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	if origin, ok := m[r.URL.Host]; ok {
		r.URL.Host, r.Host = hostOf(origin), ""
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		if away, ok := strings.CutPrefix(resp.Header.Get("Location"), "http://"); ok {
			resp.Header.Set("Location", "https://"+away)
		}
	}
	return resp, err
}

func hostOf(origin string) string {
	_, host, _ := strings.Cut(origin, "//")
	return host
}

// ear collects what the client says to users and writes to its log.
type ear struct {
	mu      sync.Mutex
	notices []string
	log     bytes.Buffer
}

func (e *ear) notice(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notices = append(e.notices, s)
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(p)
}

func (e *ear) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// impatient is for tests in which somebody falls silent.
func impatient(endpoints ...string) hub.Config {
	return hub.Config{Endpoints: endpoints, HeaderTimeout: 300 * time.Millisecond, StallTimeout: 300 * time.Millisecond}
}
