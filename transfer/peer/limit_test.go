package peer

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/transfer/pace"
)

// away is a connection that takes whatever is sent.
type away struct{ http.ResponseWriter }

func (away) Write(p []byte) (int, error) { return len(p), nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestLimitIsSharedByAskers: each asker has the same share of the limit, however
// many requests it makes, and all of it is used.
func TestLimitIsSharedByAskers(t *testing.T) {
	t.Parallel()
	for _, rate := range []int64{50e3, 1e6, 20e6} {
		synctest.Test(t, func(t *testing.T) {
			s := NewServer(nil, slog.New(slog.DiscardHandler))
			s.Limit = pace.NewLimit(rate)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			sent := map[string]int64{}
			var mu sync.Mutex // guards sent
			var all sync.WaitGroup
			ask := func(host string) {
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
				r.RemoteAddr = host + ":1"
				leave, ok := s.enter(r)
				require.True(t, ok)
				all.Go(func() {
					defer leave()
					n, _ := s.count(away{}, r).ReadFrom(zeros{})
					mu.Lock()
					defer mu.Unlock()
					sent[host] += n
				})
			}
			for range 8 {
				ask("10.0.0.1")
			}
			ask("10.0.0.2")
			ask("10.0.0.3")
			all.Wait()
			require.Empty(t, s.askers)
			require.InEpsilon(t, rate*10, sent["10.0.0.1"]+sent["10.0.0.2"]+sent["10.0.0.3"], 0.05)
			for host, n := range sent {
				require.InEpsilon(t, rate*10/3, n, 0.05, host)
			}
		})
	}
}

// TestNoMoreThanTheLimitIsSent over real connections, which can only be held
// against the clock from one side.
func TestNoMoreThanTheLimitIsSent(t *testing.T) {
	t.Parallel()
	const rate, size, askers = 4 << 20, 1 << 20, 5
	src, e, _ := serve(t, bytes.Repeat([]byte("limit"), size/5+1), func(h http.Handler) http.Handler {
		h.(*Server).Limit = pace.NewLimit(rate)
		return h
	})
	began := time.Now()
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			body, err := src.Open(t.Context(), e, 0, size)
			if err != nil {
				t.Error(err)
				return
			}
			defer body.Close()
			if n, err := io.Copy(io.Discard, body); err != nil || n != size {
				t.Error(n, err)
			}
		})
	}
	// What downloads wait for is not held up meanwhile.
	_, err := src.Map(t.Context(), e.Blob)
	require.NoError(t, err)
	all.Wait()
	require.LessOrEqual(t, float64(askers*size), rate*time.Since(began).Seconds()+rate/10)
}

// TestDialerKeepsToItsLimit, over all its connections.
func TestDialerKeepsToItsLimit(t *testing.T) {
	t.Parallel()
	const rate, size = 4 << 20, 2 << 20
	src, e, _ := serve(t, make([]byte, size), nil)
	d := NewDialer()
	d.Limit(pace.New(pace.Rates{Down: rate}))
	t.Cleanup(d.Close)
	limited := *src
	limited.http = d.http
	began := time.Now()
	body, err := limited.Open(t.Context(), e, 0, size)
	require.NoError(t, err)
	defer body.Close()
	n, err := io.Copy(io.Discard, body)
	require.NoError(t, err)
	require.LessOrEqual(t, float64(n), rate*time.Since(began).Seconds()+rate/10)
	require.EqualValues(t, size, n)
}
