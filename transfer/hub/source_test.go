package hub_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
	"hffs/transfer/source"
	"hffs/transfer/source/sourcetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, stored := range map[string]func(standin.Content) standin.Content{
		"from the CDN": standin.Content.LFS, "from the Hub": standin.Content.Regular,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve := func(t *testing.T, content []byte) (*standin.Hub, source.Source, ref.Entry) {
				h := standin.New()
				h.Add(tiny, "", map[string]standin.Content{"x": stored(standin.Bytes(content))})
				c := client(t, hub.Config{Endpoints: []string{start(t, h).URL()}})
				e := resolve(t, c, "x")
				return h, c.Sources(e)[0], e
			}
			sourcetest.Run(t, sourcetest.World{
				Serve: func(t *testing.T, content []byte) (source.Source, ref.Entry) {
					_, s, e := serve(t, content)
					return s, e
				},
				Cut: func(t *testing.T, content []byte, after int64) (source.Source, ref.Entry) {
					h, s, e := serve(t, content)
					require.NoError(t, h.Break(standin.Fault{Do: standin.FaultCut, N: after}))
					return s, e
				},
				Missing: func(t *testing.T) (source.Source, ref.Entry) {
					_, s, e := serve(t, []byte("here"))
					e.Path = "elsewhere"
					return s, e
				},
			})
		})
	}
}

// What goes wrong with a body, and what the source makes of it.
func TestFaults(t *testing.T) {
	t.Parallel()
	const size = 300_000
	content := standin.Synthetic(1, size)
	for _, tt := range []struct {
		name   string
		fault  standin.Fault
		off, n int64
		want   error // nil: the bytes arrive all the same
		said   string
	}{
		{"a web page", standin.Fault{Do: standin.FaultHTML}, 10, 20, hub.ErrUnreachable, "web page"},
		{"a compressed body", standin.Fault{Do: standin.FaultGzip}, 0, size, hub.ErrUnreachable, "encoding"},
		{"a body too long", standin.Fault{Do: standin.FaultLength, N: 5}, 0, size, hub.ErrUnreachable, "300005 bytes"},
		{"a body too short", standin.Fault{Do: standin.FaultLength, N: -5}, 0, size, hub.ErrUnreachable, "299995 bytes"},
		{"no ranges, from the start", standin.Fault{Do: standin.FaultIgnoreRange}, 0, 1000, nil, ""},
		{"no ranges, in the middle", standin.Fault{Do: standin.FaultIgnoreRange}, 5, 1000, hub.ErrUnreachable, "ignored the range"},
		{"a link that has expired", standin.Fault{Do: standin.FaultExpired, Host: "cdn", Times: 1}, 5, 1000, nil, ""},
		{"a CDN that refuses", standin.Fault{Do: standin.FaultExpired, Host: "cdn"}, 5, 1000, hub.ErrUnreachable, "403"},
		{"a server error", standin.Fault{Do: standin.FaultStatus, N: 502}, 5, 1000, hub.ErrUnreachable, "502"},
		{"too many requests", standin.Fault{Do: standin.FaultRateLimit, N: 9}, 5, 1000, hub.ErrRateLimited, "429"},
		{"a reset", standin.Fault{Do: standin.FaultRefuse}, 5, 1000, hub.ErrUnreachable, "reset"},
		{"silence before the headers", standin.Fault{Do: standin.FaultSlow, N: 60_000}, 5, 1000, hub.ErrUnreachable, "timeout"},
		{"silence in the body", standin.Fault{Do: standin.FaultStall, N: 50_000}, 5, 200_000, hub.ErrUnreachable, "sent nothing for"},
		{"a body cut off", standin.Fault{Do: standin.FaultCut, N: 50_000}, 5, 200_000, io.ErrUnexpectedEOF, "broke off"},
		{"a slow line", standin.Fault{Do: standin.FaultThrottle, N: 1 << 20}, 5, 100_000, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, run := tinyHub(t)
			c := client(t, impatient(run.URL()))
			e := resolve(t, c, "model.bin")
			require.NoError(t, h.Break(tt.fault))
			got, err := fetch(t.Context(), c.Sources(e)[0], e, tt.off, tt.n)
			if tt.want == nil {
				require.NoError(t, err)
				require.Equal(t, all(t, content)[tt.off:tt.off+tt.n], got)
				return
			}
			require.ErrorIs(t, err, tt.want)
			require.ErrorContains(t, err, tt.said)
			require.ErrorContains(t, err, hostOf(run.URL()), "whose fault it was")
		})
	}
}

func TestFlippedBytesAreNotOurBusiness(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	e := resolve(t, c, "model.bin")
	require.NoError(t, h.Break(standin.Fault{Do: standin.FaultFlip, N: 70_000}))
	got, err := fetch(t.Context(), c.Sources(e)[0], e, 0, e.Blob.Size)
	require.NoError(t, err)
	want := all(t, standin.Synthetic(1, 300_000))
	want[70_000] ^= 0xff
	require.Equal(t, want, got)
}

// After Resolve the first bytes come straight from the CDN: the Hub counts
// requests, and signs once for all spans.
func TestLinksAreKept(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	e := resolve(t, c, "model.bin")
	h.ResetLog()
	for i := range int64(5) {
		_, err := fetch(t.Context(), c.Sources(e)[0], e, i*1000, 1000)
		require.NoError(t, err)
	}
	require.Len(t, h.Requests(), 5)
	for i, r := range h.Requests() {
		require.Equal(t, "cdn", r.Host)
		require.Equal(t, []string{"bytes=0-999", "bytes=1000-1999", "bytes=2000-2999", "bytes=3000-3999", "bytes=4000-4999"}[i], r.Range)
	}
	require.EqualValues(t, 5000, h.BodyBytes(tiny, "model.bin"))
}

func TestLinksAreRenewed(t *testing.T) {
	t.Parallel()
	h := standin.New()
	h.LinkLife = time.Nanosecond // expired when it arrives
	h.Add(tiny, "", map[string]standin.Content{"model.bin": standin.Synthetic(1, 300_000)})
	c := client(t, hub.Config{Endpoints: []string{start(t, h).URL()}})
	e := resolve(t, c, "model.bin")
	_, err := fetch(t.Context(), c.Sources(e)[0], e, 0, 10)
	require.ErrorIs(t, err, hub.ErrUnreachable)
	_, err = fetch(t.Context(), c.Sources(e)[0], e, 0, 10)
	require.Error(t, err)
	var hosts []string
	for _, r := range h.Requests() {
		hosts = append(hosts, r.Method+" "+r.Host)
	}
	require.Equal(t, []string{
		"HEAD hub", "GET cdn", "GET hub", "GET cdn", // once anew, and no more
		"GET hub", "GET cdn", // what was refused is not tried first again
	}, hosts)
}

// An entry that was never resolved here, as when a peer named it.
func TestSourceWithoutResolve(t *testing.T) {
	t.Parallel()
	_, run := tinyHub(t)
	e := resolve(t, client(t, hub.Config{Endpoints: []string{run.URL()}}), "config.json")
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	got, err := fetch(t.Context(), c.Sources(e)[0], e, 1, 6)
	require.NoError(t, err)
	require.Equal(t, `"tiny"`, string(got))
}

func TestOtherContentIsGone(t *testing.T) {
	t.Parallel()
	_, run := tinyHub(t)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	for _, path := range []string{"config.json", "model.bin"} {
		e := resolve(t, c, path)
		for name, change := range map[string]func(*ref.Entry){
			"another size": func(e *ref.Entry) { e.Blob.Size += 100 },
			"another hash": func(e *ref.Entry) { e.Blob.ETag = gitSHA1("?"); e.Commit = e.Commit[:39] },
			"another path": func(e *ref.Entry) { e.Path = "nope" },
		} {
			e := e
			change(&e)
			_, err := fetch(t.Context(), c.Sources(e)[0], e, 5, e.Blob.Size-5)
			require.ErrorIs(t, err, source.ErrGone, "%s of %s", name, path)
		}
	}
}

func TestRefusedSource(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	e := resolve(t, c, "config.json")
	h.Gate(tiny, "manual")
	_, err := fetch(t.Context(), c.Sources(e)[0], e, 0, 1)
	require.ErrorIs(t, err, source.ErrRefused)
	require.ErrorIs(t, err, hub.ErrGated)
}

func TestNothingToFetch(t *testing.T) {
	t.Parallel()
	h := standin.New()
	h.Add(tiny, "", map[string]standin.Content{"empty": standin.String("")})
	c := client(t, hub.Config{Endpoints: []string{start(t, h).URL()}})
	e := resolve(t, c, "empty")
	h.ResetLog()
	got, err := fetch(t.Context(), c.Sources(e)[0], e, 0, 0)
	require.NoError(t, err)
	require.Empty(t, got)
	require.Empty(t, h.Requests())
}

func TestPagesThatWereAskedFor(t *testing.T) {
	t.Parallel()
	page := "<!doctype html><p>a page in the repo"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("X-Repo-Commit", strings.Repeat("a", 40))
		w.Header().Set("Etag", `"`+string(gitSHA1(page))+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(page))
	}))
	defer s.Close()
	c := client(t, hub.Config{Endpoints: []string{s.URL}})
	e := resolve(t, c, "index.html")
	got, err := fetch(t.Context(), c.Sources(e)[0], e, 2, 7)
	require.NoError(t, err)
	require.Equal(t, page[2:9], string(got))
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "-3": 0, "soon": 0, "999999999": time.Hour, "Mon, 02 Jan 2006 15:04:05 GMT": 0,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		c := client(t, hub.Config{Endpoints: []string{s.URL}})
		e := ref.Entry{Repo: tiny, Commit: ref.Commit(strings.Repeat("a", 40)), Path: "x", Blob: ref.Blob{ETag: gitSHA1("x"), Size: 1}}
		_, err := fetch(t.Context(), c.Sources(e)[0], e, 0, 1)
		busy, ok := errors.AsType[*hub.Error](err)
		require.True(t, ok)
		require.Equal(t, want, busy.RetryAfter, header)
		s.Close()
	}
}

// Answers that look right but are not the span.
func TestWrongSpans(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter){
		"another range": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 11-15/100")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "abcde")
		},
		"half the range": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 10-12/100")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "abc")
		},
		"no range said": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "abcde")
		},
		"an end too soon, of unknown length": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 10-14/100")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "ab")
			_ = http.NewResponseController(w).Flush()
		},
		"no content": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w) }))
			defer s.Close()
			c := client(t, hub.Config{Endpoints: []string{s.URL}})
			e := ref.Entry{Repo: tiny, Commit: ref.Commit(strings.Repeat("a", 40)), Path: "x", Blob: ref.Blob{ETag: gitSHA1("x"), Size: 100}}
			got, err := fetch(t.Context(), c.Sources(e)[0], e, 10, 5)
			require.Error(t, err)
			require.Less(t, len(got), 5)
			require.Equal(t, name == "an end too soon, of unknown length", errors.Is(err, io.ErrUnexpectedEOF))
		})
	}
	t.Run("too much, of unknown length", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 10-14/*")
			w.WriteHeader(http.StatusPartialContent)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "abcdefgh")
		}))
		defer s.Close()
		c := client(t, hub.Config{Endpoints: []string{s.URL}})
		e := ref.Entry{Repo: tiny, Commit: ref.Commit(strings.Repeat("a", 40)), Path: "x", Blob: ref.Blob{ETag: gitSHA1("x"), Size: 100}}
		got, err := fetch(t.Context(), c.Sources(e)[0], e, 10, 5)
		require.NoError(t, err)
		require.Equal(t, "abcde", string(got))
	})
}
