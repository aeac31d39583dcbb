package pace_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/transfer/pace"
)

// endless answers every request with zeros that never end, at once.
type endless struct{}

func (endless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: zeros{}}, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
func (zeros) Close() error               { return nil }

// read counts what readers, with buffers of so many bytes each, get out of a
// transport until ctx ends.
func read(ctx context.Context, t *testing.T, via http.RoundTripper, buffers ...int) int64 {
	var all sync.WaitGroup
	var got atomic.Int64
	for _, size := range buffers {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node/blob", nil)
		require.NoError(t, err)
		resp, err := via.RoundTrip(req)
		require.NoError(t, err)
		all.Go(func() {
			defer resp.Body.Close()
			for buf := make([]byte, size); ctx.Err() == nil; {
				n, _ := resp.Body.Read(buf)
				got.Add(int64(n))
			}
		})
	}
	all.Wait()
	return got.Load()
}

func TestRateIsExactOverAllReaders(t *testing.T) {
	t.Parallel()
	for _, rate := range []int64{20e3, 1e6, 50e6} {
		synctest.Test(t, func(t *testing.T) {
			const seconds = 10
			ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
			defer cancel()
			via := &pace.Transport{Next: endless{}, Node: pace.New(pace.Rates{Down: rate})}
			got := read(ctx, t, via, 1000, 4<<10, 64<<10, 256<<10, 1<<20, 4<<20)
			require.InEpsilon(t, rate*seconds, got, 0.05, "at %d bytes per second", rate)
		})
	}
}

func TestTheTightestLimitCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		node, own pace.Rates
		hub       bool
		want      int64
	}{
		"the node's":                   {node: pace.Rates{Down: 1e6, Hub: 9e6}, own: pace.Rates{Down: 2e6}, hub: true, want: 1e6},
		"the download's own":           {node: pace.Rates{Down: 5e6}, own: pace.Rates{Down: 2e6}, want: 2e6},
		"the Hub's, from the Hub":      {node: pace.Rates{Down: 5e6, Hub: 1e6}, hub: true, want: 1e6},
		"the Hub's, not from peers":    {node: pace.Rates{Down: 5e6, Hub: 1e6}, own: pace.Rates{Hub: 1e6}, want: 5e6},
		"the download's, from the Hub": {node: pace.Rates{Down: 5e6}, own: pace.Rates{Hub: 3e6}, hub: true, want: 3e6},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(pace.With(t.Context(), pace.New(c.own)), 10*time.Second)
				defer cancel()
				via := &pace.Transport{Next: endless{}, Node: pace.New(c.node), Hub: c.hub}
				require.InEpsilon(t, 10*c.want, read(ctx, t, via, 64<<10, 64<<10, 64<<10), 0.05)
			})
		})
	}
}

func TestReadersHaveEqualShares(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		via := &pace.Transport{Next: endless{}, Node: pace.New(pace.Rates{Down: 1e6})}
		var large, small int64
		var both sync.WaitGroup
		both.Go(func() { large = read(ctx, t, via, 4<<20) })
		both.Go(func() { small = read(ctx, t, via, 100) })
		both.Wait()
		require.InEpsilon(t, large, small, 0.1)
	})
}

func TestWhoWaitsForALimitIsSeenToWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var held atomic.Int32
		ctx, cancel := context.WithCancel(pace.Tell(t.Context(), &held))
		via := &pace.Transport{Next: endless{}, Node: pace.New(pace.Rates{Down: 1000})}
		var done sync.WaitGroup
		done.Go(func() { read(ctx, t, via, 1<<20, 1<<20) })
		synctest.Wait()
		require.EqualValues(t, 2, held.Load())
		cancel()
		done.Wait()
		require.Zero(t, held.Load())
	})
}

func TestManyShortAnswersAreCounted(t *testing.T) {
	t.Parallel()
	const size, rate, answers = 1000, 100_000, 500
	body := strings.Repeat("x", size)
	short := roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
	})
	for name, left := range map[string]int{"read to the end": size + 1, "closed early": size} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				via := &pace.Transport{Next: short, Node: pace.New(pace.Rates{Down: rate})}
				began := time.Now()
				for range answers {
					resp, err := via.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://node/", nil))
					require.NoError(t, err)
					_, _ = io.ReadAtLeast(resp.Body, make([]byte, left), left)
					require.NoError(t, resp.Body.Close())
				}
				require.GreaterOrEqual(t, time.Since(began), (answers*size-rate/10)*time.Second/rate)
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSeveralWhoWaitGetTheLoosestLimit(t *testing.T) {
	t.Parallel()
	j := pace.NewJoint()
	require.Zero(t, j.Rates())
	leaveSlow := j.Join(pace.Rates{Down: 1e6, Hub: 5e5})
	require.Equal(t, pace.Rates{Down: 1e6, Hub: 5e5}, j.Rates())
	leaveFast := j.Join(pace.Rates{Down: 3e6})
	require.Equal(t, pace.Rates{Down: 3e6}, j.Rates(), "one of them sets no limit for the Hub")
	leaveFree := j.Join(pace.Rates{})
	require.Zero(t, j.Rates())
	leaveFree()
	leaveFast()
	require.Equal(t, pace.Rates{Down: 1e6, Hub: 5e5}, j.Rates())
	leaveSlow()
}

func TestALimitThatIsSetWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := pace.New(pace.Rates{Down: 1e6})
		half, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		via := &pace.Transport{Next: endless{}, Node: l}
		first := read(half, t, via, 64<<10)
		l.Down.Set(10e3)
		rest, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.InEpsilon(t, 5e6, first, 0.05)
		require.InEpsilon(t, 100e3, read(rest, t, via, 64<<10), 0.1)
	})
}

// Over real sockets only one side of exactness can be held against the clock: no
// more than the limit came.
func TestNoMoreThanTheLimitComesOverSockets(t *testing.T) {
	t.Parallel()
	const size, conns, rate = 400 << 10, 6, 2 << 20
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, size))
	}))
	defer srv.Close()
	client := &http.Client{Transport: &pace.Transport{Next: srv.Client().Transport, Node: pace.New(pace.Rates{Down: rate})}}
	began := time.Now()
	var all sync.WaitGroup
	for range conns {
		all.Go(func() {
			resp, err := client.Get(srv.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if err != nil || n != size {
				t.Error(n, err)
			}
		})
	}
	all.Wait()
	took := time.Since(began).Seconds()
	require.LessOrEqual(t, float64(conns*size), rate*took+rate/10)
}
