package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
	"hffs/transfer/source/sourcetest"
)

// shelf is a store with one blob; err makes it refuse, have tells of a fetch.
type shelf struct {
	path string
	etag ref.ETag
	err  error
	have int64
	part int64 // of it can be had while err is ErrGone
	feed Feed

	mu  sync.Mutex // guards met
	met []string
}

type onShelf struct {
	f    *os.File
	data []byte
}

func (h onShelf) File() *os.File          { return h.f }
func (h onShelf) Size() int64             { return int64(len(h.data)) }
func (h onShelf) Close() error            { return h.f.Close() }
func (h onShelf) Map() (chunk.Map, error) { return mapOf(h.data), nil }

func (s *shelf) Held(etag ref.ETag) (Held, error) {
	if s.err != nil {
		return nil, s.err
	}
	if etag != s.etag {
		return nil, source.ErrGone
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(s.path)
	return onShelf{f, data}, err
}

// pieces is what the shelf's content is made of.
func (s *shelf) pieces() (chunk.Map, []byte) {
	data, err := os.ReadFile(s.path)
	if err != nil {
		panic(err)
	}
	return contentMap(data), data
}

func contentMap(data []byte) chunk.Map {
	maps, err := chunk.Scan(context.Background(), bytes.NewReader(data), int64(len(data)), chunk.ScanOptions{})
	if err != nil {
		panic(err)
	}
	return maps[0]
}

func (s *shelf) ContentMap(_ context.Context, b ref.Blob) (chunk.Map, error) {
	m, _ := s.pieces()
	if b.ETag != s.etag || m.FileHash().String() != string(b.Xet) {
		return chunk.Map{}, source.ErrGone
	}
	return m, nil
}

func (s *shelf) HasChunks(hashes []chunk.Hash) []bool {
	out := make([]bool, len(hashes))
	m, _ := s.pieces()
	held := map[chunk.Hash]bool{}
	for i := range m.Len() {
		held[m.Hash(i)] = true
	}
	for i, h := range hashes {
		out[i] = held[h]
	}
	return out
}

func (s *shelf) ReadChunk(h chunk.Hash, _ []byte) ([]byte, error) {
	m, data := s.pieces()
	for i := range m.Len() {
		if m.Hash(i) == h {
			return data[m.Offset(i):m.Offset(i+1)], nil
		}
	}
	return nil, source.ErrGone
}

func (s *shelf) Have(ref.ETag) (int64, int64, bool) { return s.have, 1000, s.have > 0 }

func mapOf(data []byte) chunk.Map {
	m := chunk.Fixed(int64(len(data)), chunk.FixedLen, nil)
	h := chunk.NewHasher()
	hashes := make([]chunk.Hash, m.Len())
	for i := range hashes {
		hashes[i] = h.Sum(data[m.Offset(i):m.Offset(i+1)])
	}
	return chunk.Fixed(m.Size(), chunk.FixedLen, hashes)
}

// serve puts content behind a door and returns a source to it.
func serve(t *testing.T, content []byte, wrap func(http.Handler) http.Handler) (*Source, ref.Entry, *shelf) {
	t.Helper()
	sum := sha256.Sum256(content)
	s := &shelf{path: filepath.Join(t.TempDir(), "blob"), etag: ref.ETag(hex.EncodeToString(sum[:]))}
	require.NoError(t, os.WriteFile(s.path, content, 0o600))
	var h http.Handler = NewServer(s, slog.New(slog.DiscardHandler))
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	d := NewDialer()
	t.Cleanup(d.Close)
	e := ref.Entry{
		Repo: ref.Repo{Type: ref.Model, ID: "a/b"}, Commit: ref.Commit(strings.Repeat("1", 40)), Path: "f",
		Blob: ref.Blob{ETag: s.etag, Size: int64(len(content))},
	}
	return d.Source("", "desk-1", netip.MustParseAddrPort(strings.TrimPrefix(srv.URL, "http://"))), e, s
}

func TestSource(t *testing.T) {
	sourcetest.Run(t, sourcetest.World{
		Serve: func(t *testing.T, content []byte) (source.Source, ref.Entry) {
			src, e, _ := serve(t, content, nil)
			return src, e
		},
		Cut: func(t *testing.T, content []byte, after int64) (source.Source, ref.Entry) {
			src, e, _ := serve(t, content, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(&cutter{w, after}, r)
				})
			})
			return src, e
		},
		Missing: func(t *testing.T) (source.Source, ref.Entry) {
			src, e, s := serve(t, []byte("x"), nil)
			s.err = source.ErrGone
			return src, e
		},
	})
}

// cutter dies in the middle of a body.
type cutter struct {
	http.ResponseWriter
	left int64
}

func (c *cutter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= int64(len(p))
	return c.ResponseWriter.Write(p)
}

func TestMapArrivesAsItIs(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, chunk.FixedLen, chunk.FixedLen + 1, 5*chunk.FixedLen - 7} {
		content := sourcetest.Content(n)
		src, e, _ := serve(t, content, nil)
		m, err := src.Map(t.Context(), e.Blob)
		require.NoError(t, err)
		require.Equal(t, mapOf(content), m)
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"gone", source.ErrGone, source.ErrGone},
		{"changed on disk", fmt.Errorf("x: %w", source.ErrChanged), source.ErrChanged},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, e, s := serve(t, []byte("hello"), nil)
			s.err = c.err
			_, err := src.Open(t.Context(), e, 0, 5)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, "desk-1")
			_, err = src.Map(t.Context(), e.Blob)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestHaveTellsOfAFetch(t *testing.T) {
	t.Parallel()
	src, e, s := serve(t, make([]byte, 1000), nil)
	have, err := src.Have(t.Context(), e.Blob)
	require.NoError(t, err)
	require.Equal(t, Having{Bytes: 1000, Whole: true}, have)
	s.err, s.have = source.ErrGone, 300
	have, err = src.Have(t.Context(), e.Blob)
	require.NoError(t, err)
	require.Equal(t, Having{Bytes: 300, Fetching: true}, have)
	s.have = 5000 // more than there is
	have, err = src.Have(t.Context(), e.Blob)
	require.NoError(t, err)
	require.Zero(t, have)
	e.Blob.Size, s.have = 0, 0
	have, err = src.Have(t.Context(), e.Blob)
	require.NoError(t, err)
	require.False(t, have.Whole, "nothing is not all of an empty file")
}

func TestDoorOnlyReads(t *testing.T) {
	t.Parallel()
	_, e, s := serve(t, []byte("hello"), nil)
	door := NewServer(s, slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		method, path, ranges string
		want                 int
	}{
		{"GET", PathBlobs + string(e.Blob.ETag), "", 200},
		{"GET", PathBlobs + string(e.Blob.ETag), "bytes=1-2", 206},
		{"GET", PathBlobs + string(e.Blob.ETag), "bytes=9-", 416},
		{"GET", PathBlobs + string(e.Blob.ETag), "bytes=0-0,2-3", 416},
		{"PUT", PathBlobs + string(e.Blob.ETag), "", 405},
		{"DELETE", PathBlobs + string(e.Blob.ETag), "", 405},
		{"GET", PathBlobs + strings.Repeat("0", 64), "", 404},
		{"GET", PathBlobs + "..%2f..%2fetc%2fpasswd", "", 400},
		{"GET", PathBlobs + strings.ToUpper(string(e.Blob.ETag)), "", 400},
		{"GET", PathBlobs + `"` + string(e.Blob.ETag) + `"`, "", 400},
		{"GET", PathBlobs, "", 400},
	} {
		r := httptest.NewRequest(c.method, "http://x"+c.path, nil)
		if c.ranges != "" {
			r.Header.Set("Range", c.ranges)
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		require.Equal(t, c.want, w.Code, "%s %s %s", c.method, c.path, c.ranges)
	}
}

func TestContentMapIsProven(t *testing.T) {
	t.Parallel()
	content := sourcetest.Content(1 << 20)
	src, e, _ := serve(t, content, nil)
	e.Blob.Xet = ref.XetHash(contentMap(content).FileHash().String())
	m, err := src.ContentMap(t.Context(), e.Blob)
	require.NoError(t, err)
	require.Equal(t, contentMap(content), m)

	other := contentMap(sourcetest.Content(1<<20 - 1))
	e.Blob.Xet = ref.XetHash(other.FileHash().String())
	_, err = src.ContentMap(t.Context(), e.Blob)
	require.ErrorIs(t, err, source.ErrGone)
	liar, le, _ := serve(t, content, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = chunk.EncodeMap(w, contentMap(content)) })
	})
	le.Blob.Xet = e.Blob.Xet
	_, err = liar.ContentMap(t.Context(), le.Blob)
	require.ErrorIs(t, err, source.ErrRefused)
}

func TestChunksOfAnOlderRevision(t *testing.T) {
	t.Parallel()
	old := sourcetest.Content(2 << 20)
	src, e, _ := serve(t, old, nil)
	fresh := append(append(bytes.Clone(old[:1<<20]), sourcetest.Content(300_000)...), old[1<<20:]...)
	m := contentMap(fresh)
	has, err := src.HasChunks(t.Context(), m)
	require.NoError(t, err)
	require.Greater(t, has.Bytes(m), int64(len(old))*9/10)
	require.False(t, has.Full())

	first := 0
	for !has.Has(first) || !has.Has(first+1) || !has.Has(first+2) {
		first++
	}
	off, n := m.Bytes(chunk.Span{First: first, End: first + 3})
	e.Blob.Size = int64(len(fresh))
	body, err := src.OfChunks(m).Open(t.Context(), e, off, n)
	require.NoError(t, err)
	got, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	require.True(t, bytes.Equal(fresh[off:off+n], got))

	lacking := has.NextMissing(0)
	off, n = m.Bytes(chunk.Span{First: lacking, End: lacking + 1})
	body, err = src.OfChunks(m).Open(t.Context(), e, off, n)
	require.NoError(t, err)
	_, err = io.ReadAll(body)
	require.ErrorIs(t, err, source.ErrGone)
	_, err = src.OfChunks(m).Open(t.Context(), e, off+1, n)
	require.Error(t, err, "not where a chunk begins")
}

func TestChunkRequestsAreBounded(t *testing.T) {
	t.Parallel()
	_, _, s := serve(t, []byte("hello"), nil)
	door := NewServer(s, slog.New(slog.DiscardHandler))
	for path, most := range map[string]int{PathChunks: MaxChunks, pathHave: MaxHave} {
		for n, want := range map[int]int{0: 400, 31: 400, 32: 200, most * 32: 200, most*32 + 32: 400} {
			w := httptest.NewRecorder()
			door.ServeHTTP(w, httptest.NewRequest("POST", "http://x"+path, bytes.NewReader(make([]byte, n))))
			require.Equal(t, want, w.Code, "%s with %d bytes", path, n)
		}
	}
}

func TestDoorIsFull(t *testing.T) {
	t.Parallel()
	_, e, s := serve(t, []byte("hello"), nil)
	door := NewServer(s, slog.New(slog.DiscardHandler))
	for range maxRequests {
		door.places <- struct{}{}
	}
	w := httptest.NewRecorder()
	door.ServeHTTP(w, httptest.NewRequest("GET", "http://x"+PathBlobs+string(e.Blob.ETag), nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
}

func TestPeerThatAnswersStrangely(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"whole instead of a range": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "0123456789") },
		"another range": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-6/10")
			w.WriteHeader(206)
			fmt.Fprint(w, "56")
		},
		"another size": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-1/99")
			w.WriteHeader(206)
			fmt.Fprint(w, "01")
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://127.0.0.1:1/", 302) },
	} {
		t.Run(name, func(t *testing.T) {
			src, e, _ := serve(t, []byte("0123456789"), func(http.Handler) http.Handler { return answer })
			_, err := src.Open(t.Context(), e, 0, 2)
			require.Error(t, err)
			require.ErrorIs(t, err, source.ErrRefused)
		})
	}
}

func TestMoreThanAskedIsCutOff(t *testing.T) {
	t.Parallel()
	src, e, _ := serve(t, []byte("0123456789"), func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-1/10")
			w.WriteHeader(206)
			fmt.Fprint(w, "0123456789")
		})
	})
	body, err := src.Open(context.Background(), e, 0, 2)
	require.NoError(t, err)
	defer body.Close()
	got, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, "01", string(got))
}
