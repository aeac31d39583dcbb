package xet_test

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/transfer/hub/standin"
	"hffs/transfer/xet"
)

// scattered is a blob that lies in one xorb, as that of who was first, and what
// became of it later: new bytes in so many places.
func scattered(size, changes int) (first, later []byte) {
	first = noise(size)
	step := size / (changes + 1)
	for i := range changes + 1 {
		later = append(later, first[i*step:(i+1)*step]...)
		later = append(later, noise(1000+i)...)
	}
	return first, append(later, first[(changes+1)*step:]...)
}

// newBackwards has the later blob here and wants the first one.
func newBackwards(t *testing.T, first, later []byte) (*shelf, xet.Job) {
	s := newShelf(t, chunk.Current, first, later, first)
	s.c = s.client(t, func(c *xet.Config) { c.LearnTimeout = time.Minute })
	s.hub.ResetLog()
	j := s.job()
	j.Known = j.Known[1:]
	return s, j
}

var oneByte = regexp.MustCompile(`^bytes=(\d+)-(\d+)$`)

func isQuestion(r *http.Request) bool {
	m := oneByte.FindStringSubmatch(r.Header.Get("Range"))
	return strings.Contains(r.URL.Path, "/reconstructions/") && m != nil && m[1] == m[2]
}

// Changes within one term: what lies between them is asked for, and not fetched.
func TestDeriveFindsWhatLiesBetween(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ size, changes int }{
		"the older revision":   {6_000_000, 2},
		"many changes":         {16_000_000, 10},
		"close to one another": {4_000_000, 20}, // runs too short to be worth it
		"a change at each end": {3_000_000, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, later := scattered(tt.size, tt.changes)
			if name == "a change at each end" {
				later = slices.Concat(noise(999), first[1000:len(first)-1000], noise(998))
			}
			s, j := newBackwards(t, first, later)
			if tt.changes == 20 {
				j.Most = int64(tt.size)
			}
			s.works(t, j)
			t.Logf("%d bytes from the CAS of %d, %d requests to it", s.hub.XorbBytes(), tt.size, len(s.requests("cas")))
			if tt.changes == 20 {
				require.Len(t, s.requests("cas"), 3, "two outlines and one recipe")
				return
			}
			require.Less(t, s.hub.XorbBytes(), int64(tt.changes+2)*2*chunk.MaxLen)
			require.LessOrEqual(t, len(s.requests("cas")), 2+64+tt.changes+2)
		})
	}
}

// Where too much would be new even with all places found nothing is asked.
func TestDeriveAsksNothingInVain(t *testing.T) {
	t.Parallel()
	first := noise(4_000_000)
	later := slices.Concat(noise(700_000), first[700_000:2_000_000], noise(700_001), first[2_700_000:3_500_000], noise(500_001))
	s, j := newBackwards(t, first, later)
	_, err := s.c.Derive(t.Context(), j)
	require.ErrorIs(t, err, xet.ErrNothingShared)
	require.Len(t, s.requests("cas"), 2)
	j.Most = 3_000_000
	s.works(t, j)
	require.Less(t, s.hub.XorbBytes(), int64(2_500_000))
}

// A CAS that does not tell where chunks lie costs bytes; one that lies about it
// makes no map.
func TestDeriveWithBadAnswersAboutPlaces(t *testing.T) {
	t.Parallel()
	first, later := scattered(6_000_000, 3)
	for name, answer := range map[string]struct {
		lie  func(t *testing.T, resp *http.Response)
		lost bool // or else no map comes of it
	}{
		"an error": {func(_ *testing.T, resp *http.Response) { resp.StatusCode = 500 }, true},
		"nonsense": {func(_ *testing.T, resp *http.Response) {
			resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader("<html>")), 6
		}, true},
		"another xorb": {func(t *testing.T, resp *http.Response) {
			rewrite(t, resp, func(r *recipe) {
				x := strings.Repeat("ef", 32)
				r.Terms[0].Hash, r.Xorbs = x, map[string]any{x: r.any()}
			})
		}, true},
		"another place": {func(t *testing.T, resp *http.Response) {
			rewrite(t, resp, func(r *recipe) { r.Skip /= 2 })
		}, false},
		"impossible places": {func(t *testing.T, resp *http.Response) {
			rewrite(t, resp, func(r *recipe) { r.Terms[0].Range = map[string]int{"start": 0, "end": 1}; r.Xorbs = wide(r.Xorbs) })
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, j := newBackwards(t, first, later)
			asked := make(chan struct{}, 1000)
			s.c = s.client(t, func(c *xet.Config) {
				c.Transport = changed{func(resp *http.Response) {
					if isQuestion(resp.Request) {
						asked <- struct{}{}
						answer.lie(t, resp)
					}
				}}
			})
			m, err := s.c.Derive(t.Context(), j)
			require.Error(t, err)
			require.Zero(t, m.Len())
			require.NotEmpty(t, asked)
			require.LessOrEqual(t, len(asked), 64)
			if j.Most = j.Entry.Blob.Size; answer.lost {
				clear(s.kept)
				s.works(t, j)
			}
		})
	}
}

// wide makes a xorb's data be that of its first chunk.
func wide(xorbs map[string]any) map[string]any {
	for _, x := range xorbs {
		for _, f := range x.([]any) {
			for _, r := range f.(map[string]any)["ranges"].([]any) {
				r.(map[string]any)["chunks"] = map[string]int{"start": 0, "end": 1}
			}
		}
	}
	return xorbs
}

// Places are not waited for longer than for outlines.
func TestDeriveWithSilenceAboutPlaces(t *testing.T) {
	t.Parallel()
	first, later := scattered(6_000_000, 3)
	s, j := newBackwards(t, first, later)
	s.c = s.client(t, func(c *xet.Config) {
		c.LearnTimeout = 700 * time.Millisecond
		c.Transport = hushed{isQuestion}
	})
	j.Most = j.Entry.Blob.Size
	s.works(t, j)
	require.Greater(t, s.keptBytes(), int64(2_000_000), "all between counts as new")
}

// hushed does not begin to answer some requests.
type hushed struct{ some func(*http.Request) bool }

func (h hushed) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.some(r) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestDeriveFetchesNoMoreThanIsAllowed(t *testing.T) {
	t.Parallel()
	a := noise(3_000_000)
	s := newShelf(t, chunk.Current, a, slices.Concat(a, noise(900_000)))
	j := s.job()
	_, err := s.c.Derive(t.Context(), j)
	require.ErrorIs(t, err, xet.ErrNothingShared)
	j.Most = j.Entry.Blob.Size / 2
	s.works(t, j)
	j.Most = 800_000
	_, err = s.c.Derive(t.Context(), j)
	require.ErrorIs(t, err, xet.ErrNothingShared)
}

// A host that falls silent or breaks off each time, after a few chunks, is left
// for the bridge, for good.
func TestDeriveLeavesAHostThatFaltersForTheBridge(t *testing.T) {
	t.Parallel()
	a := noise(3_000_000)
	for _, do := range []string{standin.FaultStall, standin.FaultCut} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, chunk.Current, a, slices.Concat(noise(1_500_000), a, noise(1_500_001)))
			s.c = s.client(t, func(c *xet.Config) { c.StallTimeout = 500 * time.Millisecond })
			require.NoError(t, s.hub.Break(standin.Fault{Do: do, N: 300_000, Path: "*xorbs*"}))
			s.hub.ResetLog()
			j := s.job()
			var crossed int64
			j.Most, j.Bridge = j.Entry.Blob.Size, s.bridge(&crossed)
			s.works(t, j)
			require.Greater(t, crossed, int64(2_000_000))
			require.Less(t, crossed, s.keptBytes(), "what came first is of use")
			require.LessOrEqual(t, len(s.requests("cdn")), 2+2, "two that failed, and those under way")
		})
	}
	s := newShelf(t, chunk.Current, a, slices.Concat(a, noise(1_500_001)))
	require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultCut, N: 300_000, Path: "*xorbs*"}))
	j := s.job()
	j.Most = j.Entry.Blob.Size
	s.works(t, j) // bit by bit, since there is no other way
}

// Nor is a host waited for that does not begin to answer.
func TestDeriveLeavesAHostThatIsMuteForTheBridge(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	s := newShelf(t, chunk.Current, old, edited(old))
	var asked atomic.Int32
	s.c = s.client(t, func(c *xet.Config) {
		c.StallTimeout = 300 * time.Millisecond
		c.Transport = hushed{func(r *http.Request) bool {
			data := strings.Contains(r.URL.Path, "/xorbs/")
			if data {
				asked.Add(1)
			}
			return data
		}}
	})
	j := s.job()
	var crossed int64
	j.Bridge = s.bridge(&crossed)
	s.works(t, j)
	require.Equal(t, crossed, s.keptBytes())
	require.LessOrEqual(t, asked.Load(), int32(2+4), "two that failed, and those under way")
}

// A wrong byte among those that the CAS sent: the bridge has the right one.
func TestDeriveFetchesWrongBytesAgain(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	for _, rule := range []chunk.Rule{chunk.Current, chunk.Legacy} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, rule, old, edited(old))
			j := s.job()
			ahead := s.ahead(t, 3)
			require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultFlip, N: 5000, Host: "cdn"}))
			_, err := s.c.Derive(t.Context(), j)
			require.ErrorContains(t, err, "root")

			var crossed int64
			j.Bridge = s.bridge(&crossed)
			for _, j.Ahead = range [][]xet.Piece{nil, ahead} {
				clear(s.kept)
				crossed = 0
				m, err := s.c.Derive(t.Context(), j)
				require.NoError(t, err)
				require.Equal(t, s.maps[1], m)
				require.Positive(t, crossed)
				require.Less(t, crossed, int64(oldSize/8))
				if rule == chunk.Current {
					for off, data := range s.kept {
						require.True(t, bytes.Equal(s.last()[off:off+int64(len(data))], data), "the wrong byte is written over")
					}
				}
			}
		})
	}
}

// Outlines of large blobs come in pieces. They end where chunks do, and terms may
// go on behind it.
func TestDeriveFromOutlinesInPieces(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	for _, n := range []int64{1, 300_000, oldSize - 1, oldSize, oldSize + 50_000} {
		s := newShelf(t, chunk.Current, old, edited(old))
		s.c.SetPieceLen(n)
		s.hub.ResetLog()
		s.works(t, s.job())
		require.Less(t, s.keptBytes(), int64(oldSize/8))
		if n == 1 {
			require.Greater(t, len(s.requests("cas")), s.maps[0].Len()+s.maps[1].Len(), "each chunk is a piece")
		}
	}
	s := newShelf(t, chunk.Current, old, edited(old))
	s.c = s.client(t, func(c *xet.Config) {
		c.Transport = changed{func(resp *http.Response) {
			if r := resp.Request.Header.Get("Range"); strings.Contains(resp.Request.URL.Path, "/reconstructions/") && !strings.HasPrefix(r, "bytes=0-") {
				rewrite(t, resp, func(r *recipe) { r.Terms[0].Length++; r.Skip++ })
			}
		}}
	})
	s.c.SetPieceLen(300_000)
	_, err := s.c.Derive(t.Context(), s.job())
	require.ErrorContains(t, err, "a chunk begins elsewhere")
}
