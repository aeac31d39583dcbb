package peer

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// paper is a feed whose news are known beforehand, one batch at a time.
type paper struct {
	batches [][]source.News
	stay    bool // no end, but silence
}

func (p *paper) News(ctx context.Context, pos int64) ([]source.News, int64, error) {
	if pos < int64(len(p.batches)) {
		return p.batches[pos], pos + 1, nil
	}
	if p.stay {
		<-ctx.Done()
		return nil, pos, ctx.Err()
	}
	return nil, pos, io.EOF
}

func (s *shelf) Feed(ref.ETag) (Feed, bool) { return s.feed, s.feed != nil }

func (s *shelf) Part(etag ref.ETag) (Part, error) {
	h, err := s.Held(etag)
	if s.err != nil && s.part > 0 {
		h, err = (&shelf{path: s.path, etag: s.etag}).Held(etag)
	}
	if err != nil {
		return nil, err
	}
	return inPart{h.(onShelf), s.part}, nil
}

// inPart has the first bytes of what is on the shelf.
type inPart struct {
	onShelf
	upTo int64
}

func (p inPart) Has(off, n int64) bool { return off+n <= p.upTo }

func (s *shelf) Met(_ ref.ETag, id, name string, door netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.met = append(s.met, id+" "+name+" "+door.String())
}

func sums(n int) (out []chunk.Hash) {
	for i := range n {
		out = append(out, chunk.Hash{byte(i), byte(i >> 8), 1})
	}
	return out
}

func TestNewsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	src, e, s := serve(t, []byte("x"), nil)
	e.Blob.Size = 3000 * chunk.FixedLen
	want := [][]source.News{
		{{Kind: source.NewsDraws, Len: 1}, {Kind: source.NewsClaim, Off: 1 << 20, Len: 1 << 20}},
		{{Kind: source.NewsHave, Off: 0, Len: 2 * chunk.FixedLen, By: "abc", Sums: sums(2)}, {Kind: source.NewsLost, Off: 5, Len: 7}},
		{{Kind: source.NewsRelease, Off: 1 << 20, Len: 1 << 20}},
		{{Kind: source.NewsWhole}},
	}
	s.feed = &paper{batches: want}
	var got, all []source.News
	require.NoError(t, src.Follow(t.Context(), e.Blob, func(n []source.News) { got = append(got, n...) }))
	for _, b := range want {
		all = append(all, b...)
	}
	require.Equal(t, all, got)
}

// TestManyHashesGoIntoManyFrames and are whole again at the other end.
func TestManyHashesGoIntoManyFrames(t *testing.T) {
	t.Parallel()
	src, e, s := serve(t, []byte("x"), nil)
	e.Blob.Size = 2500*chunk.FixedLen - 5
	s.feed = &paper{batches: [][]source.News{{{Kind: source.NewsHave, Len: e.Blob.Size, Sums: sums(2500)}, {Kind: source.NewsWhole}}}}
	var got []chunk.Hash
	end := int64(0)
	require.NoError(t, src.Follow(t.Context(), e.Blob, func(news []source.News) {
		for _, n := range news {
			if n.Kind == source.NewsWhole {
				require.Equal(t, e.Blob.Size, end)
				return
			}
			require.Equal(t, end, n.Off)
			end += n.Len
			got = append(got, n.Sums...)
		}
	}))
	require.Equal(t, sums(2500), got)
}

func TestFeedThatBreaksOffIsAnError(t *testing.T) {
	t.Parallel()
	src, e, s := serve(t, []byte("x"), nil)
	require.ErrorIs(t, src.Follow(t.Context(), e.Blob, nil), source.ErrGone, "it is not being fetched there")
	s.feed = &paper{}
	require.ErrorIs(t, src.Follow(t.Context(), e.Blob, nil), io.ErrUnexpectedEOF)
}

func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	src, e, s := serve(t, []byte("x"), nil)
	s.feed = &paper{stay: true}
	ctx, cancel := context.WithTimeout(t.Context(), feedDead+2*alive)
	defer cancel()
	err := src.Follow(ctx, e.Blob, func([]source.News) {})
	require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded, "silent, but not taken for dead: %v", err)
}

func TestWhoFollowsIsMet(t *testing.T) {
	t.Parallel()
	src, e, s := serve(t, []byte("x"), nil)
	s.feed = &paper{batches: [][]source.News{{{Kind: source.NewsWhole}}}}
	for _, c := range []struct {
		who Introduction
		met bool
	}{
		{Introduction{ID: "0123456789abcdef", Name: "desk-2", Port: 7767}, true},
		{Introduction{ID: "0123456789abcdef", Name: "desk-2"}, false},
		{Introduction{ID: strings.Repeat("x", 65), Name: "desk-2", Port: 1}, false},
		{Introduction{ID: "a", Name: "two words", Port: 1}, false},
	} {
		s.met = nil
		src.self = func() Introduction { return c.who }
		require.NoError(t, src.Follow(t.Context(), e.Blob, func([]source.News) {}))
		if !c.met {
			require.Empty(t, s.met, "%+v", c.who)
			continue
		}
		require.Equal(t, []string{"0123456789abcdef desk-2 127.0.0.1:7767"}, s.met)
	}
}

// TestWhoGreetsIsMet: it is told how much is here, and the others are told of it; who
// only asks is not.
func TestWhoGreetsIsMet(t *testing.T) {
	t.Parallel()
	src, e, s := serve(t, []byte("0123456789"), nil)
	src.self = func() Introduction { return Introduction{ID: "0123456789abcdef", Name: "desk-2", Port: 7767} }
	has, err := src.Greet(t.Context(), e.Blob)
	require.NoError(t, err)
	require.Equal(t, Having{Bytes: 10, Whole: true}, has)
	require.Empty(t, s.met, "there is nothing to follow anybody for")

	s.err, s.have = source.ErrGone, 5
	has, err = src.Have(t.Context(), e.Blob)
	require.NoError(t, err)
	require.Equal(t, Having{Bytes: 5, Fetching: true}, has)
	require.Empty(t, s.met)
	has, err = src.Greet(t.Context(), e.Blob)
	require.NoError(t, err)
	require.Equal(t, Having{Bytes: 5, Fetching: true}, has)
	require.Equal(t, []string{"0123456789abcdef desk-2 127.0.0.1:7767"}, s.met)
}

// TestPartIsServedAsFarAsItIsThere while a blob is being fetched.
func TestPartIsServedAsFarAsItIsThere(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789"), 100)
	src, e, s := serve(t, content, nil)
	s.err, s.part, s.have = source.ErrGone, 500, 500
	r, err := src.Open(t.Context(), e, 100, 400)
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, content[100:500], got)
	_, err = src.Open(t.Context(), e, 400, 101)
	require.ErrorIs(t, err, source.ErrGone)
	have, err := src.Have(t.Context(), e.Blob)
	require.NoError(t, err)
	require.Equal(t, Having{Bytes: 500, Fetching: true}, have)
}

func FuzzNews(f *testing.F) {
	seed := appendNews(nil, source.News{Kind: source.NewsHave, Len: 2 * chunk.FixedLen, By: "abc", Sums: sums(2)})
	f.Add(append(seed, 0, 0, byte(source.NewsWhole), 3, 0, 0, 0))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		const size = 3*chunk.FixedLen + 11
		_ = readNews(bufio.NewReader(bytes.NewReader(b)), size, func(news []source.News) {
			for _, n := range news {
				if n.Off < 0 || n.Len < 0 || n.Kind != source.NewsDraws && n.Off+n.Len > size || len(n.By) > maxBy {
					t.Fatalf("%+v", n)
				}
			}
		}, func() {})
	})
}
