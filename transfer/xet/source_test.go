package xet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
	"hffs/transfer/hub/standin"
	"hffs/transfer/source"
	"hffs/transfer/source/sourcetest"
	"hffs/transfer/xet"
	"hffs/transfer/xorb"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, sourcetest.World{
		Serve: func(t *testing.T, content []byte) (source.Source, ref.Entry) {
			w := newWorld(t, content, chunk.Current, nil)
			return w.source(t), w.entry
		},
		Cut: func(t *testing.T, content []byte, after int64) (source.Source, ref.Entry) {
			w := newWorld(t, content, chunk.Current, nil)
			require.NoError(t, w.hub.Break(standin.Fault{Do: standin.FaultCut, N: after, Host: "cdn"}))
			return w.source(t), w.entry
		},
		Missing: func(t *testing.T) (source.Source, ref.Entry) {
			w := newWorld(t, []byte("here"), chunk.Current, nil)
			e := w.entry
			e.Blob.Xet = ref.XetHash(strings.Repeat("ab", 32))
			return w.source(t), e
		},
	})
}

// Spans of files cut by either rule, with chunks packed in every way.
func TestSpans(t *testing.T) {
	t.Parallel()
	for _, rule := range []chunk.Rule{chunk.Current, chunk.Legacy} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mixed(3_000_000), rule, nil)
			for _, r := range [][2]int64{{0, 3_000_000}, {0, 1}, {2_999_999, 1}, {1_234_567, 765_432}, {8191, 2}, {100_000, 1_000_000}} {
				got, err := fetch(t.Context(), w.source(t), w.entry, r[0], r[1])
				require.NoError(t, err)
				require.True(t, bytes.Equal(w.content[r[0]:r[0]+r[1]], got), "%v", r)
			}
		})
	}
}

// What is read whole is the map of the blob, and it has the Xet hash, whichever
// rule made it.
func TestChunksAreTheMap(t *testing.T) {
	t.Parallel()
	for _, rule := range []chunk.Rule{chunk.Current, chunk.Legacy} {
		w := newWorld(t, noise(5_000_000), rule, nil)
		var list []chunk.Chunk
		for c, err := range w.c.Chunks(t.Context(), w.entry, 0, w.entry.Blob.Size) {
			require.NoError(t, err)
			require.True(t, bytes.Equal(w.content[c.Off:c.Off+c.Length], c.Data))
			require.Equal(t, chunk.NewHasher().Sum(c.Data), c.Hash)
			list = append(list, c.Chunk)
		}
		m, err := chunk.Content(list)
		require.NoError(t, err)
		require.NoError(t, m.Verify(w.entry.Blob.Xet, w.entry.Blob.Size))

		// A span in the middle gives the same chunks, whole.
		first := m.At(2_000_000)
		for c, err := range w.c.Chunks(t.Context(), w.entry, 2_000_000, 1_000_000) {
			require.NoError(t, err)
			require.Equal(t, m.Offset(first), c.Off)
			require.Equal(t, m.Chunk(first), c.Chunk)
			first++
		}
		require.Equal(t, m.At(2_999_999)+1, first)
	}
}

// A span of whole chunks costs the bytes of these and one question.
func TestOnlyWhatIsAskedForIsFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(5_000_000), chunk.Current, nil)
	var cuts []int64
	for c, err := range w.c.Chunks(t.Context(), w.entry, 0, w.entry.Blob.Size) {
		require.NoError(t, err)
		cuts = append(cuts, c.Off)
	}
	s := w.source(t)
	w.hub.ResetLog()
	_, err := fetch(t.Context(), s, w.entry, cuts[10], cuts[20]-cuts[10])
	require.NoError(t, err)
	require.Equal(t, cuts[20]-cuts[10]+10*xorb.HeaderLen, w.hub.XorbBytes())
	require.Len(t, w.requests("cas"), 1)
	require.Len(t, w.requests("cdn"), 1)
	require.Empty(t, w.requests("hub"), "the token is still good")
}

// A file of zeros is one chunk, again and again; it is fetched once.
func TestRepeatedChunksAreFetchedOnce(t *testing.T) {
	t.Parallel()
	content := make([]byte, 4<<20)
	w := newWorld(t, content, chunk.Current, nil)
	got, err := fetch(t.Context(), w.source(t), w.entry, 0, w.entry.Blob.Size)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.Len(t, w.requests("cdn"), 1)
	require.Less(t, w.hub.XorbBytes(), int64(1000))
}

// Everything that a bad day brings, and the bytes arrive all the same.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]standin.Fault{
		"the CAS refuses the token":          {{Do: standin.FaultStatus, N: 401, Host: "cas", Times: 1}},
		"the CAS has no v2":                  {{Do: standin.FaultStatus, N: 404, Path: "/v2/*"}},
		"the CAS has not made v2":            {{Do: standin.FaultStatus, N: 501, Path: "/v2/*"}},
		"the CAS fails for a moment":         {{Do: standin.FaultStatus, N: 503, Host: "cas", Times: 2}},
		"the CAS is reset":                   {{Do: standin.FaultRefuse, Host: "cas", Times: 1}},
		"the CAS says a web page":            {{Do: standin.FaultHTML, Host: "cas", Times: 1}},
		"a URL has expired":                  {{Do: standin.FaultExpired, Host: "cdn", Times: 1}},
		"a URL expires twice":                {{Do: standin.FaultExpired, Host: "cdn", Times: 2}},
		"a xorb range is cut short":          {{Do: standin.FaultCut, N: 700_000, Host: "cdn", Times: 1}},
		"cut short again and again":          {{Do: standin.FaultCut, N: 700_000, Host: "cdn"}},
		"a xorb range falls silent":          {{Do: standin.FaultStall, N: 300_000, Host: "cdn", Times: 1}},
		"a recipe is cut short":              {{Do: standin.FaultCut, N: 60, Host: "cas", Times: 2}},
		"a recipe stops in the middle":       {{Do: standin.FaultStall, N: 60, Host: "cas", Times: 1}},
		"a recipe is announced too long":     {{Do: standin.FaultLength, N: 60, Host: "cas", Times: 1}},
		"a recipe is announced too short":    {{Do: standin.FaultLength, N: -60, Host: "cas", Times: 1}},
		"a recipe has a wrong byte":          {{Do: standin.FaultFlip, N: 0, Host: "cas", Times: 1}},
		"a recipe falls silent":              {{Do: standin.FaultSlow, N: 60_000, Host: "cas", Times: 1}},
		"the data host fails for a moment":   {{Do: standin.FaultStatus, N: 500, Host: "cdn", Times: 2}},
		"the data host ignores ranges, once": {{Do: standin.FaultIgnoreRange, Host: "cdn", Times: 1}},
		"the data comes packed, once":        {{Do: standin.FaultGzip, Host: "cdn", Times: 1}},
		"a chunk's header is broken, once":   {{Do: standin.FaultFlip, N: 0, Host: "cdn", Times: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, noise(2_500_000), chunk.Current, func(c *xet.Config) {
				c.HeaderTimeout, c.StallTimeout = 300*time.Millisecond, 300*time.Millisecond
			})
			s := w.source(t)
			for _, f := range faults {
				require.NoError(t, w.hub.Break(f))
			}
			got, err := fetch(t.Context(), s, w.entry, 0, w.entry.Blob.Size)
			require.NoError(t, err)
			require.True(t, bytes.Equal(w.content, got))
		})
	}
}

// What does not pass ends after a bounded number of requests, says who did what,
// and is an error by which the bridge is taken.
func TestFaultsThatStay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		fault    standin.Fault
		want     error
		said     string
		requests int // at most, to the host at fault
	}{
		{"the CAS refuses every token", standin.Fault{Do: standin.FaultStatus, N: 401, Host: "cas"}, source.ErrRefused, "401", 3},
		{"the CAS forbids", standin.Fault{Do: standin.FaultStatus, N: 403, Host: "cas"}, source.ErrRefused, "403", 1},
		{"the CAS does not know", standin.Fault{Do: standin.FaultStatus, N: 404, Host: "cas"}, source.ErrGone, "404", 2},
		{"the CAS fails", standin.Fault{Do: standin.FaultStatus, N: 502, Host: "cas"}, xet.ErrUnavailable, "502", 3},
		{"the CAS is a web page", standin.Fault{Do: standin.FaultHTML, Host: "cas"}, xet.ErrUnavailable, "makes no sense", 3},
		{"recipes that break off", standin.Fault{Do: standin.FaultCut, N: 60, Host: "cas"}, xet.ErrUnavailable, "broke off", 3},
		{"recipes that stop", standin.Fault{Do: standin.FaultStall, N: 60, Host: "cas"}, xet.ErrUnavailable, "broke off", 3},
		{"every URL is refused", standin.Fault{Do: standin.FaultExpired, Host: "cdn"}, xet.ErrUnavailable, "Request has expired", 3},
		{"data without ranges", standin.Fault{Do: standin.FaultIgnoreRange, Host: "cdn"}, xet.ErrUnavailable, "range", 3},
		{"data of the wrong length", standin.Fault{Do: standin.FaultLength, N: -5, Host: "cdn"}, xet.ErrUnavailable, "", 3},
		{"data that breaks off at once", standin.Fault{Do: standin.FaultCut, N: 1000, Host: "cdn"}, io.ErrUnexpectedEOF, "", 3},
		{"data that is nonsense", standin.Fault{Do: standin.FaultFlip, N: 0, Host: "cdn"}, xorb.ErrMalformed, "", 3},
		{"silence", standin.Fault{Do: standin.FaultStall, N: 10, Host: "cdn"}, xet.ErrUnavailable, "sent nothing", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, noise(500_000), chunk.Current, func(c *xet.Config) { c.StallTimeout = 200 * time.Millisecond })
			s := w.source(t)
			require.NoError(t, w.hub.Break(tt.fault))
			w.hub.ResetLog()
			_, err := fetch(t.Context(), s, w.entry, 0, w.entry.Blob.Size)
			require.ErrorIs(t, err, tt.want)
			require.ErrorContains(t, err, tt.said)
			require.ErrorContains(t, err, "127.0.0.1:", "whose fault it was")
			require.LessOrEqual(t, len(w.requests(tt.fault.Host)), tt.requests)
		})
	}
}

// After a cut only what is missing is fetched again.
func TestGoingOnAfterACut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(5_000_000), chunk.Current, nil)
	s := w.source(t)
	require.NoError(t, w.hub.Break(standin.Fault{Do: standin.FaultCut, N: 4_000_000, Host: "cdn", Times: 1}))
	w.hub.ResetLog()
	got, err := fetch(t.Context(), s, w.entry, 0, w.entry.Blob.Size)
	require.NoError(t, err)
	require.True(t, bytes.Equal(w.content, got))
	require.Less(t, w.hub.XorbBytes(), int64(5_000_000+3*xorb.MaxChunk))
}

// A long wait is not ours to make: the bridge is faster.
func TestRetryAfterIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(1000), chunk.Current, func(c *xet.Config) {
		c.Transport = changed{func(resp *http.Response) {
			if strings.Contains(resp.Request.URL.Path, "/reconstructions/") {
				resp.StatusCode = http.StatusTooManyRequests
				resp.Header.Set("Retry-After", "120")
			}
		}}
	})
	_, err := fetch(t.Context(), w.source(t), w.entry, 0, 10)
	said, ok := errors.AsType[*xet.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, 2*time.Minute, said.RetryAfter)
	require.Len(t, w.requests("cas"), 1)
}

// A token that the CAS voids is renewed once for all that need it.
func TestTokensAreRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(2_000_000), chunk.Current, nil)
	s := w.source(t)
	w.hub.ExpireXetTokens()
	w.hub.ResetLog()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = fetch(t.Context(), s, w.entry, int64(i)*250_000, 250_000) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	got := 0
	for _, r := range w.requests("hub") {
		require.Contains(t, r.Path, "/xet-read-token/")
		got++
	}
	require.GreaterOrEqual(t, got, 1)
	require.LessOrEqual(t, got, len(errs))
}

// A token, or the URLs that came by it, end in the middle of a file. A cut forces
// the question for new ones, and the file is read to its end all the same.
func TestWhatEndsInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]standin.Fault{
		"the token": {Do: standin.FaultRevoke, Host: "cas", Skip: 1, Times: 1},
		"the URL":   {Do: standin.FaultExpired, Host: "cdn", Skip: 1, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, noise(3_000_000), chunk.Current, nil)
			s := w.source(t)
			require.NoError(t, w.hub.Break(standin.Fault{Do: standin.FaultCut, N: 1_000_000, Host: "cdn", Times: 1}))
			require.NoError(t, w.hub.Break(fault))
			w.hub.ResetLog()
			got, err := fetch(t.Context(), s, w.entry, 0, w.entry.Blob.Size)
			require.NoError(t, err)
			require.True(t, bytes.Equal(w.content, got))
			refused := 0
			for _, r := range w.requests(fault.Host) {
				if r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden {
					refused++
				}
			}
			require.Equal(t, 1, refused)
			if fault.Do == standin.FaultRevoke {
				require.Len(t, w.requests("hub"), 1, "a new token")
			}
			require.Less(t, w.hub.XorbBytes(), int64(3_000_000+3*xorb.MaxChunk))
		})
	}
}

// Spans that follow one another each ask for themselves, and the token ends
// between two of them.
func TestTokensThatEndBetweenSpans(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(3_000_000), chunk.Current, nil)
	s := w.source(t)
	require.NoError(t, w.hub.Break(standin.Fault{Do: standin.FaultRevoke, Host: "cas", Skip: 3, Times: 1}))
	var got []byte
	for off := int64(0); off < 3_000_000; off += 500_000 {
		part, err := fetch(t.Context(), s, w.entry, off, 500_000)
		require.NoError(t, err)
		got = append(got, part...)
	}
	require.True(t, bytes.Equal(w.content, got))
}

// A token that will soon be over is not begun with.
func TestShortTokensAreNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(1000), chunk.Current, nil)
	w.hub.XetTokenLife = 59 * time.Second
	w.c = w.client(t, nil)
	s := w.source(t)
	before := len(w.requests("hub"))
	_, err := fetch(t.Context(), s, w.entry, 0, 10)
	require.NoError(t, err)
	require.Len(t, w.requests("hub"), before+1)
}

func TestOneTokenForManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(1000), chunk.Current, nil)
	require.NoError(t, w.hub.Break(standin.Fault{Do: standin.FaultSlow, N: 200, Path: "*xet-read-token*"}))
	w.hub.ResetLog()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { _, _ = w.c.Source(t.Context(), w.entry) })
	}
	wg.Wait()
	require.Len(t, w.requests("hub"), 1)
}

func TestNoSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(1000), chunk.Current, nil)
	plain := w.entry
	plain.Blob.Xet = ""
	_, err := w.c.Source(t.Context(), plain)
	require.ErrorIs(t, err, xet.ErrNoXet)
	require.NoError(t, w.hub.Break(standin.Fault{Do: standin.FaultStatus, N: 500, Path: "*xet-read-token*"}))
	_, err = w.client(t, nil).Source(t.Context(), w.entry)
	require.Error(t, err)
	_, err = xet.New(xet.Config{}).Source(t.Context(), w.entry)
	require.Error(t, err)
}

// The Hub's token stays at the Hub, the CAS's token at the CAS, and neither they
// nor signed URLs are in what people and logs read.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	var log ear
	w := newWorld(t, noise(300_000), chunk.Current, func(c *xet.Config) { c.Log = log.logger() })
	var access string
	c := xet.New(xet.Config{Log: log.logger(), RetryWait: time.Millisecond, Token: w.token, Transport: spy(func(r *http.Request) {
		isCAS := r.URL.Scheme+"://"+r.URL.Host == w.run.CASURL()
		require.Equal(t, isCAS, r.Header.Get("Authorization") != "", r.URL.Path)
		require.Empty(t, r.Header.Get("Cookie"))
		if isCAS {
			access = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		}
	})})
	s, err := c.Source(t.Context(), w.entry)
	require.NoError(t, err)
	_, err = fetch(t.Context(), s, w.entry, 0, w.entry.Blob.Size)
	require.NoError(t, err)
	require.NotEmpty(t, access)
	said := log.String()
	require.Contains(t, said, "/xorbs/default/")
	for _, f := range []string{standin.FaultExpired, standin.FaultRefuse, standin.FaultIgnoreRange, standin.FaultHTML} {
		w.hub.Heal()
		require.NoError(t, w.hub.Break(standin.Fault{Do: f, Host: "cdn"}))
		_, err := fetch(t.Context(), s, w.entry, 0, w.entry.Blob.Size)
		require.Error(t, err)
		said += log.String() + err.Error() + fmt.Sprintf("%#v", err)
	}
	for _, secret := range []string{access, "Signature", "X-Xet-Signed-Range"} {
		require.NotContains(t, said, secret)
	}
}

// spy looks at requests.
type spy func(*http.Request)

func (s spy) RoundTrip(r *http.Request) (*http.Response, error) {
	s(r)
	return http.DefaultTransport.RoundTrip(r)
}

// changed changes answers.
type changed struct{ change func(*http.Response) }

func (c changed) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		c.change(resp)
	}
	return resp, err
}

// What the Hub gave to one caller serves no other.
func TestTokensAreTheCallers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, noise(1000), chunk.Current, nil)
	w.hub.Private(w.entry.Repo)
	w.hub.Token("hf_reader", w.entry.Repo)
	reader := caller.With(t.Context(), "hf_reader")
	_, err := w.c.Source(reader, w.entry)
	require.NoError(t, err)
	for _, other := range []context.Context{t.Context(), caller.With(t.Context(), ""), caller.With(t.Context(), "hf_stranger")} {
		_, err = w.c.Source(other, w.entry)
		require.Error(t, err)
	}
	before := len(w.requests("hub"))
	_, err = w.c.Source(reader, w.entry)
	require.NoError(t, err)
	require.Len(t, w.requests("hub"), before, "the reader's is still there")
}
