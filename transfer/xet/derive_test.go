package xet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub/standin"
	"hffs/transfer/xet"
)

// A shelf is a world whose repo has several files, and what is known of them.
type shelf struct {
	*world
	entries  []ref.Entry
	maps     []chunk.Map
	contents [][]byte

	mu   sync.Mutex
	kept map[int64][]byte // by Keep
}

func newShelf(t testing.TB, rule chunk.Rule, contents ...[]byte) *shelf {
	t.Helper()
	s := &shelf{world: &world{hub: standin.New()}, contents: contents, kept: map[int64][]byte{}}
	files := map[string]standin.Content{}
	for i, content := range contents {
		c, err := s.hub.OverXet(standin.Bytes(content), rule)
		require.NoError(t, err)
		files[fmt.Sprintf("%d.bin", i)] = c
		s.maps = append(s.maps, mapOf(t, rule, content))
	}
	s.hub.Add(tiny, "", files)
	s.start(t)
	for i := range contents {
		e, err := s.hubSide.Resolve(t.Context(), ref.File{Repo: tiny, Revision: "main", Path: fmt.Sprintf("%d.bin", i)})
		require.NoError(t, err)
		require.NoError(t, s.maps[i].Verify(e.Blob.Xet, e.Blob.Size))
		s.entries = append(s.entries, e)
	}
	s.c = s.client(t, nil)
	_, err := s.token(t.Context(), s.entries[0])
	require.NoError(t, err)
	return s
}

var scanned sync.Map // maps by rule and content: cutting is slow with the race detector

func mapOf(t testing.TB, rule chunk.Rule, content []byte) chunk.Map {
	t.Helper()
	key := fmt.Sprintf("%s %x", rule, sha256.Sum256(content))
	if m, ok := scanned.Load(key); ok {
		return m.(chunk.Map)
	}
	maps, err := chunk.Scan(t.Context(), bytes.NewReader(content), int64(len(content)), chunk.ScanOptions{}, rule)
	require.NoError(t, err)
	scanned.Store(key, maps[0])
	return maps[0]
}

// job is to work out the map of the last file from those before it.
func (s *shelf) job() xet.Job {
	last := len(s.entries) - 1
	j := xet.Job{Entry: s.entries[last], Keep: s.keep}
	for i := range last {
		j.Known = append(j.Known, xet.Known{Entry: s.entries[i], Map: s.maps[i]})
	}
	return j
}

func (s *shelf) keep(off int64, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[off] = bytes.Clone(data)
	return nil
}

func (s *shelf) keptBytes() (n int64) {
	for _, data := range s.kept {
		n += int64(len(data))
	}
	return n
}

// works is a derivation that gives the right map, and keeps what is right only.
func (s *shelf) works(t *testing.T, j xet.Job) {
	t.Helper()
	m, err := s.c.Derive(t.Context(), j)
	require.NoError(t, err)
	require.Equal(t, s.maps[len(s.maps)-1], m)
	for off, data := range s.kept {
		require.True(t, bytes.Equal(s.last()[off:off+int64(len(data))], data), "kept at %d", off)
	}
}

func (s *shelf) last() []byte { return s.contents[len(s.contents)-1] }

// bridge reads the last file's plain bytes, and counts.
func (s *shelf) bridge(crossed *int64) func(context.Context, int64, int64) (io.ReadCloser, error) {
	return func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		*crossed += n
		return io.NopCloser(bytes.NewReader(s.last()[off : off+n])), nil
	}
}

const oldSize = 4_000_000

// edited is old with new bytes in two places and at the end.
func edited(old []byte) []byte {
	return slices.Concat(old[:len(old)/3], noise(40_001), old[len(old)/3:len(old)/2], noise(30_003), old[len(old)/2:], noise(19_991))
}

func TestDeriveFromAnOlderRevision(t *testing.T) {
	t.Parallel()
	for _, rule := range []chunk.Rule{chunk.Current, chunk.Legacy} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			old := noise(oldSize)
			s := newShelf(t, rule, old, edited(old))
			s.hub.ResetLog()
			s.works(t, s.job())
			require.Greater(t, s.keptBytes(), int64(90_000))
			require.Less(t, s.keptBytes(), int64(oldSize/8))
			require.Less(t, s.hub.XorbBytes(), s.keptBytes()+64*int64(len(s.kept)), "what is kept is what was fetched")
		})
	}
}

// How much is fetched depends on how much the blob has, and on nothing else.
func TestDeriveHasNoBoundButItsShare(t *testing.T) {
	t.Parallel()
	a := noise(oldSize)
	s := newShelf(t, chunk.Current, a, slices.Concat(a, noise(350_000)))
	s.works(t, s.job())
	s = newShelf(t, chunk.Current, a, slices.Concat(a, noise(650_000)))
	_, err := s.c.Derive(t.Context(), s.job())
	require.ErrorIs(t, err, xet.ErrNothingShared)
	require.Empty(t, s.kept)
	require.Zero(t, s.hub.XorbBytes())
}

// Where nothing is new there is nothing to fetch, not even where the data cannot
// be had.
func TestDeriveWithNothingNew(t *testing.T) {
	t.Parallel()
	a, b := noise(2_000_000), noise(3_000_000)
	s := newShelf(t, chunk.Current, a, b, a)
	require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultStatus, N: 500, Host: "cdn"}))
	s.works(t, s.job())
	require.Empty(t, s.kept)
}

// What a blob repeats is fetched once, be nothing else known; and a run inside
// another one counts as a repetition, whichever comes first.
func TestDeriveFromRepetitions(t *testing.T) {
	t.Parallel()
	block := noise(1_000_000)
	for name, content := range map[string][]byte{
		"zeros":               make([]byte, 8<<20),
		"blocks":              bytes.Repeat(block, 12),
		"parts before wholes": append(bytes.Repeat(block[300_000:], 2), bytes.Repeat(block, 12)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, chunk.Current, content)
			s.hub.ResetLog()
			s.works(t, s.job())
			require.LessOrEqual(t, s.keptBytes(), int64(len(content)/8))
			require.LessOrEqual(t, s.hub.XorbBytes(), int64(len(content)/8))
			require.NotEmpty(t, s.kept)
		})
	}
	s := newShelf(t, chunk.Current, noise(2_000_000))
	s.hub.ResetLog()
	_, err := s.c.Derive(t.Context(), s.job())
	require.ErrorIs(t, err, xet.ErrNothingShared)
	require.Len(t, s.requests("cas"), 1)
}

// ahead is what an earlier run has fetched, of which it keeps every n-th chunk.
func (s *shelf) ahead(t *testing.T, n int) (all []xet.Piece) {
	t.Helper()
	_, err := s.c.Derive(t.Context(), s.job())
	require.NoError(t, err)
	hasher := chunk.NewHasher()
	for off, data := range s.kept {
		all = append(all, xet.Piece{Off: off, Chunk: chunk.Chunk{Length: int64(len(data)), Hash: hasher.Sum(data)}})
	}
	slices.SortFunc(all, func(a, b xet.Piece) int { return int(a.Off - b.Off) })
	some := all[:0]
	for i, p := range all {
		if i%n == n-1 {
			some = append(some, p)
		}
	}
	clear(s.kept)
	s.hub.ResetLog()
	return some
}

func TestDeriveGoesOnWhereItWasKilled(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	for _, n := range []int{1, 2, 3} {
		s := newShelf(t, chunk.Current, old, edited(old))
		j := s.job()
		j.Ahead = s.ahead(t, n)
		s.works(t, j)
		for _, p := range j.Ahead {
			require.NotContains(t, s.kept, p.Off)
		}
		if n == 1 {
			require.Zero(t, s.hub.XorbBytes())
		}
		require.LessOrEqual(t, s.hub.XorbBytes(), s.keptBytes()+64*int64(len(s.kept)), "no byte of what was there")
	}
}

// What is ahead may count for more than the share that may be fetched.
func TestDeriveCountsWhatIsMissing(t *testing.T) {
	t.Parallel()
	a := noise(3_000_000)
	s := newShelf(t, chunk.Current, a, slices.Concat(a, noise(900_000)))
	_, err := s.c.Derive(t.Context(), s.job())
	require.ErrorIs(t, err, xet.ErrNothingShared)
	j, m := s.job(), s.maps[1]
	for i := m.At(3_000_000) + 4; i < m.Len(); i++ {
		j.Ahead = append(j.Ahead, xet.Piece{Off: m.Offset(i), Chunk: m.Chunk(i)})
	}
	s.works(t, j)
	require.NotEmpty(t, s.kept)

	// Without it, since it was wrong, too much is missing again.
	j.Ahead[2].Hash[0] ^= 1
	s.hub.ResetLog()
	_, err = s.c.Derive(t.Context(), j)
	require.ErrorContains(t, err, "root")
	require.Less(t, s.hub.XorbBytes(), int64(5*chunk.MaxLen))
}

// Hearsay of an earlier run costs bytes, and not the map.
func TestDeriveIsNotMisledByWhatIsAhead(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	for name, spoil := range map[string]func([]xet.Piece) []xet.Piece{
		"a wrong hash": func(all []xet.Piece) []xet.Piece { all[1].Hash[0] ^= 1; return all },
		"cut too early": func(all []xet.Piece) []xet.Piece {
			all[0].Length -= 100
			return all[:1]
		},
		"begun too late":     func(all []xet.Piece) []xet.Piece { all[1].Off += 100; all[1].Length -= 100; return all },
		"two taken for one":  func(all []xet.Piece) []xet.Piece { all[0].Length += all[1].Length; return append(all[:1], all[2:]...) },
		"nothing":            func(all []xet.Piece) []xet.Piece { all[0].Length = 0; all[1].Length = -5; return all },
		"beyond its own run": func(all []xet.Piece) []xet.Piece { all[0].Length = 1 << 62; return all },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, chunk.Current, old, edited(old))
			j := s.job()
			j.Ahead = spoil(s.ahead(t, 1))
			s.works(t, j)
			require.NotEmpty(t, s.kept)
		})
	}
}

// The data of xorbs fails in any way, and the bridge brings what is new; which
// rule has cut it the root tells.
func TestDeriveOverTheBridge(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	for name, fault := range map[string]standin.Fault{
		"refused":            {Do: standin.FaultStatus, N: 403},
		"expired":            {Do: standin.FaultExpired},
		"failing":            {Do: standin.FaultStatus, N: 500},
		"gone":               {Do: standin.FaultStatus, N: 404},
		"cut at once":        {Do: standin.FaultCut, N: 10},
		"silent":             {Do: standin.FaultStall, N: 10},
		"nonsense":           {Do: standin.FaultFlip, N: 0},
		"of a wrong length":  {Do: standin.FaultLength, N: 9},
		"good for a request": {Do: standin.FaultStatus, N: 500, Skip: 1},
	} {
		for _, rule := range []chunk.Rule{chunk.Current, chunk.Legacy} {
			if rule == chunk.Legacy && fault.Do != standin.FaultStatus {
				continue // what comes over the bridge is the same
			}
			fault.Host = "cdn"
			t.Run(name+", "+string(rule), func(t *testing.T) {
				t.Parallel()
				s := newShelf(t, rule, old, slices.Concat(edited(old), old[:300_000], noise(29_999)))
				if fault.Do == standin.FaultStall {
					s.c = s.client(t, func(c *xet.Config) { c.StallTimeout = 300 * time.Millisecond })
				}
				require.NoError(t, s.hub.Break(fault))
				j := s.job()
				_, err := s.c.Derive(t.Context(), j)
				require.ErrorIs(t, err, xet.ErrUnavailable)
				clear(s.kept)
				var crossed int64
				j.Bridge = s.bridge(&crossed)
				s.works(t, j)
				require.Positive(t, crossed)
				require.LessOrEqual(t, crossed, s.keptBytes())
			})
		}
	}
}

// The bridge breaks off, too, and goes on from there; what an earlier run brought
// over it is right under the rule of today and of no use under the other.
func TestDeriveOverAShakyBridge(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	for _, rule := range []chunk.Rule{chunk.Current, chunk.Legacy} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, rule, old, edited(old))
			require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultStatus, N: 500, Host: "cdn"}))
			j := s.job()
			j.Bridge = func(_ context.Context, off, n int64) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(s.last()[off : off+min(n, chunk.MaxLen)])), nil
			}
			s.works(t, j)

			hasher := chunk.NewHasher()
			for off, data := range s.kept {
				j.Ahead = append(j.Ahead, xet.Piece{Off: off, Chunk: chunk.Chunk{Length: int64(len(data)), Hash: hasher.Sum(data)}})
			}
			slices.SortFunc(j.Ahead, func(a, b xet.Piece) int { return int(a.Off - b.Off) })
			for i := 0; i < len(j.Ahead); i++ {
				j.Ahead = slices.Delete(j.Ahead, i, i+1) // every other one
			}
			had := s.keptBytes()
			clear(s.kept)
			s.works(t, j)
			if rule == chunk.Current {
				require.Less(t, s.keptBytes(), had)
				require.NotContains(t, s.kept, j.Ahead[0].Off)
			}
		})
	}
}

func TestDeriveWithABridgeThatIsDown(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	s := newShelf(t, chunk.Current, old, edited(old))
	require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultStatus, N: 500, Host: "cdn"}))
	j, down, tries := s.job(), errors.New("the bridge is down"), 0
	j.Bridge = func(context.Context, int64, int64) (io.ReadCloser, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		tries++
		return nil, down
	}
	_, err := s.c.Derive(t.Context(), j)
	require.ErrorIs(t, err, down)
	require.LessOrEqual(t, tries, 3*4, "three for each that are at it at once")

	wrong := bytes.Clone(s.last())
	for i := range wrong {
		wrong[i] ^= byte(i)
	}
	j.Bridge = func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(wrong[off : off+n])), nil
	}
	_, err = s.c.Derive(t.Context(), j)
	require.Error(t, err, "the root refuses what it brought")
}

// A disk that is full is not the CAS's fault.
func TestDeriveEndsWhenNothingCanBeKept(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	s := newShelf(t, chunk.Current, old, edited(old))
	j, full := s.job(), errors.New("the disk is full")
	j.Keep = func(int64, []byte) error { return full }
	var crossed int64
	j.Bridge = s.bridge(&crossed)
	_, err := s.c.Derive(t.Context(), j)
	require.ErrorIs(t, err, full)
	require.Zero(t, crossed)
	require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultStatus, N: 500, Host: "cdn"}))
	_, err = s.c.Derive(t.Context(), j)
	require.ErrorIs(t, err, full)
}

func TestDeriveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	s := newShelf(t, chunk.Current, old, edited(old))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	j := s.job()
	j.Keep = func(int64, []byte) error { cancel(); return nil }
	var crossed int64
	j.Bridge = s.bridge(&crossed)
	_, err := s.c.Derive(ctx, j)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, crossed)
}

// Known blobs fail in any way; one that is good is enough, and none of the others
// is waited for without end.
func TestDeriveWithKnownBlobsThatFail(t *testing.T) {
	t.Parallel()
	old, other := noise(oldSize), noise(2_000_000)
	for name, spoil := range map[string]func(s *shelf, k *xet.Known) *standin.Fault{
		"not in the CAS": func(_ *shelf, k *xet.Known) *standin.Fault {
			k.Entry.Blob.Xet = ref.XetHash(strings.Repeat("ab", 32))
			return nil
		},
		"of no repo":  func(_ *shelf, k *xet.Known) *standin.Fault { k.Entry.Repo.ID = "acme/none"; return nil },
		"without Xet": func(_ *shelf, k *xet.Known) *standin.Fault { k.Entry.Blob.Xet = ""; return nil },
		"too large":   func(_ *shelf, k *xet.Known) *standin.Fault { k.Entry.Blob.Size = 65 << 30; return nil },
		"of another map": func(s *shelf, k *xet.Known) *standin.Fault {
			k.Map = s.maps[1]
			return nil
		},
		"without a map": func(_ *shelf, k *xet.Known) *standin.Fault { k.Map = chunk.Map{}; return nil },
		"silent": func(_ *shelf, k *xet.Known) *standin.Fault {
			return &standin.Fault{Do: standin.FaultStall, N: 50, Path: "*" + string(k.Entry.Blob.Xet)}
		},
		"cut short": func(_ *shelf, k *xet.Known) *standin.Fault {
			return &standin.Fault{Do: standin.FaultCut, N: 50, Path: "*" + string(k.Entry.Blob.Xet)}
		},
		"cut short for a while": func(_ *shelf, k *xet.Known) *standin.Fault {
			return &standin.Fault{Do: standin.FaultCut, N: 50, Path: "*" + string(k.Entry.Blob.Xet), Times: 2}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, chunk.Current, other, old, edited(old))
			s.c = s.client(t, func(c *xet.Config) {
				if c.LearnTimeout = time.Minute; name == "silent" {
					c.LearnTimeout = 3 * time.Second // the good one needs a moment, too
				}
			})
			j := s.job()
			if f := spoil(s, &j.Known[0]); f != nil {
				require.NoError(t, s.hub.Break(*f))
			}
			s.works(t, j)
		})
	}
}

// The blob's own outline has its tries as well, and no more.
func TestDeriveWithoutAnOutline(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	s := newShelf(t, chunk.Current, old, edited(old))
	path := "*" + string(s.entries[1].Blob.Xet)
	require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultCut, N: 50, Path: path, Times: 2}))
	s.works(t, s.job())
	require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultStatus, N: 500, Path: path}))
	s.hub.ResetLog()
	_, err := s.c.Derive(t.Context(), s.job())
	require.ErrorIs(t, err, xet.ErrUnavailable)
	asked := 0
	for _, r := range s.requests("cas") {
		if strings.HasSuffix(r.Path, string(s.entries[1].Blob.Xet)) {
			asked++
		}
	}
	require.Equal(t, 3, asked)

	// Where nothing else is known it is not waited for either.
	s.hub.Heal()
	require.NoError(t, s.hub.Break(standin.Fault{Do: standin.FaultStall, N: 50, Path: path}))
	s.c = s.client(t, func(c *xet.Config) { c.LearnTimeout = 100 * time.Millisecond })
	_, err = s.c.Derive(t.Context(), xet.Job{Entry: s.entries[1]})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestDeriveOfWhatHasNoOutline(t *testing.T) {
	t.Parallel()
	c := xet.New(xet.Config{})
	for _, b := range []ref.Blob{{Size: 5}, {Xet: "x"}, {Xet: "x", Size: 65 << 30}} {
		_, err := c.Derive(t.Context(), xet.Job{Entry: ref.Entry{Blob: b}})
		require.ErrorIs(t, err, xet.ErrNothingShared)
	}
}

// A CAS that lies about how blobs are put together makes no map: the blob's hash
// refuses it.
func TestDeriveRefusesLies(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	last := func(r *recipe) *term { return &r.Terms[len(r.Terms)-1] }
	for name, lie := range map[string]func(own bool, r *recipe){
		"lengths": func(own bool, r *recipe) {
			if own {
				r.Terms[0].Length, last(r).Length = r.Terms[0].Length-100, last(r).Length+100
			}
		},
		"lengths of new runs": func(own bool, r *recipe) {
			if own {
				r.Terms[1].Length, last(r).Length = r.Terms[1].Length-100, last(r).Length+100
			}
		},
		"too much":   func(own bool, r *recipe) { last(r).Length += 100 },
		"too little": func(own bool, r *recipe) { last(r).Length -= 100 },
		"the order of new runs": func(own bool, r *recipe) {
			if own {
				r.Terms[1], *last(r) = *last(r), r.Terms[1]
			}
		},
		"the order of known runs": func(own bool, r *recipe) {
			if own {
				r.Terms[0], r.Terms[2] = r.Terms[2], r.Terms[0]
			}
		},
		"places in a known blob": func(own bool, r *recipe) {
			if !own {
				r.Terms[0].Hash = strings.Repeat("ef", 32)
				r.Xorbs = map[string]any{r.Terms[0].Hash: r.any()}
			}
		},
		"a skip": func(own bool, r *recipe) { r.Skip = 5 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, chunk.Current, old, edited(old))
			own := string(s.entries[1].Blob.Xet)
			s.c = s.client(t, func(c *xet.Config) {
				c.Transport = changed{func(resp *http.Response) {
					p := resp.Request.URL.Path
					if resp.StatusCode == 200 && strings.Contains(p, "/reconstructions/") && strings.HasPrefix(resp.Request.Header.Get("Range"), "bytes=0-") {
						rewrite(t, resp, func(r *recipe) { lie(strings.HasSuffix(p, own), r) })
					}
				}}
			})
			j := s.job()
			var crossed int64
			j.Bridge = s.bridge(&crossed)
			m, err := s.c.Derive(t.Context(), j)
			require.Error(t, err)
			require.Zero(t, m.Len())
		})
	}
}

// A known map that nobody has proven leads nowhere either, though all its lengths
// are right.
func TestDeriveRefusesWrongHashes(t *testing.T) {
	t.Parallel()
	old := noise(oldSize)
	s := newShelf(t, chunk.Current, old, edited(old))
	var chunks []chunk.Chunk
	for i := range s.maps[0].Len() {
		chunks = append(chunks, s.maps[0].Chunk(i))
	}
	chunks[5].Hash[0] ^= 1
	j := s.job()
	var err error
	j.Known[0].Map, err = chunk.Content(chunks)
	require.NoError(t, err)
	m, err := s.c.Derive(t.Context(), j)
	require.ErrorContains(t, err, "root")
	require.Zero(t, m.Len())
}

// recipe is as much of a recipe as lies are told about.
type (
	recipe struct {
		Skip  int64          `json:"offset_into_first_range"`
		Terms []term         `json:"terms"`
		Xorbs map[string]any `json:"xorbs"`
	}
	term struct {
		Hash   string         `json:"hash"`
		Length int64          `json:"unpacked_length"`
		Range  map[string]int `json:"range"`
	}
)

func (r *recipe) any() any {
	for _, x := range r.Xorbs {
		return x
	}
	return nil
}

func rewrite(t *testing.T, resp *http.Response, change func(*recipe)) {
	defer resp.Body.Close()
	var r recipe
	if json.NewDecoder(resp.Body).Decode(&r) != nil {
		t.Error("no recipe")
		return
	}
	change(&r)
	body, err := json.Marshal(r)
	if err != nil {
		t.Error(err)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}
