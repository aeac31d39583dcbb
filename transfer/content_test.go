package transfer

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
	"hffs/transfer/source/sourcetest"
)

// mapper is a teller that also tells a content-defined map.
type mapper struct {
	*teller
	content chunk.Map
	err     error
}

func (m *mapper) ContentMap(context.Context, ref.Blob) (chunk.Map, error) { return m.content, m.err }

func contentMap(t *testing.T, data []byte) chunk.Map {
	t.Helper()
	maps, err := chunk.Scan(t.Context(), bytes.NewReader(data), int64(len(data)), chunk.ScanOptions{})
	require.NoError(t, err)
	return maps[0]
}

// xetWorld is a world whose file has a Xet hash.
func xetWorld(t *testing.T) *world {
	w := newWorld(t, big)
	w.entry.Blob.Xet = ref.XetHash(contentMap(t, w.content).FileHash().String())
	return w
}

// mapping adds a peer that sends content and tells m.
func (w *world) mapping(name string, content []byte, m chunk.Map) *mapper {
	p := &mapper{teller: &teller{name: name, kind: source.Peer, content: content}, content: m}
	w.peers = append(w.peers, p)
	return p
}

// swapped is data with two of its chunks in each other's place, as far as their
// lengths allow.
func swapped(m chunk.Map, data []byte) []byte {
	out := bytes.Clone(data)
	n := min(m.Length(3), m.Length(9))
	copy(out[m.Offset(3):], data[m.Offset(9):m.Offset(9)+n])
	copy(out[m.Offset(9):], data[m.Offset(3):m.Offset(3)+n])
	return out
}

func TestLiesUnderAProvenMap(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(w *world, m chunk.Map){
		"one bit in one chunk": func(w *world, m chunk.Map) { w.mapping("liar", flip(w.content, big/3), m) },
		"chunks swapped":       func(w *world, m chunk.Map) { w.mapping("liar", swapped(m, w.content), m) },
		"all noise":            func(w *world, m chunk.Map) { w.mapping("liar", sourcetest.Content(big), m) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := xetWorld(t)
			m := contentMap(t, w.content)
			if name == "all noise" {
				w.content[0] ^= 1 // noise is what content was made of
				w.entry.Blob = blobOf(t, w.content)
				m = contentMap(t, w.content)
			}
			lie(w, m)
			honest := w.mapping("honest", w.content, m)
			res := w.get()
			sent := honest.sent.Load() + w.peers[0].(*mapper).sent.Load()
			require.LessOrEqual(t, sent, int64(big+maxSpan), "at most one span for a lie")
			for _, n := range dropped(res) {
				require.Equal(t, "liar", n)
			}
		})
	}
}

// maxSpan is the longest span that is asked for at once.
const maxSpan = 16 << 20

func TestLiarIsNamedUnderAProvenMap(t *testing.T) {
	t.Parallel()
	w := xetWorld(t)
	wrong := bytes.Clone(w.content)
	for i := range wrong {
		wrong[i] ^= 0xaa
	}
	w.mapping("liar", wrong, contentMap(t, w.content))
	hub := w.theHub()
	res := w.get()
	require.Equal(t, []string{"liar"}, dropped(res))
	require.LessOrEqual(t, hub.sent.Load(), int64(big+errandsPerHub*chunk.FixedLen))
	_, told := w.failed.Load("liar")
	require.True(t, told)
}

// TestLiesAboutTheMap: what the Hub's hash does not prove is not used, and the
// download goes on.
func TestLiesAboutTheMap(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]func(content []byte) (chunk.Map, error){
		"that of another file": func([]byte) (chunk.Map, error) { return contentMap(t, sourcetest.Content(big+1)), nil },
		"none":                 func([]byte) (chunk.Map, error) { return chunk.Map{}, source.ErrGone },
		"fixed chunks":         func(content []byte) (chunk.Map, error) { return mapOf(content), nil },
		"an empty one":         func([]byte) (chunk.Map, error) { return chunk.Map{}, nil },
		"cut short":            func([]byte) (chunk.Map, error) { return chunk.Map{}, io.ErrUnexpectedEOF },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := xetWorld(t)
			m, err := told(w.content)
			w.mapping("liar", w.content, m).err = err
			w.theHub()
			w.get()
		})
	}
}

func TestPartFetchedBeforeIsKeptUnderANewMap(t *testing.T) {
	t.Parallel()
	w := xetWorld(t)
	p, err := w.cache.Begin(t.Context(), w.entry)
	require.NoError(t, err)
	for i := range 20 {
		m := p.Map()
		require.NoError(t, p.WriteChunk(i, w.content[m.Offset(i):m.Offset(i+1)]))
	}
	require.NoError(t, p.Close())
	peer := w.mapping("desk", w.content, contentMap(t, w.content))
	res := w.get()
	require.Equal(t, "resumed", res.Sources[0].Name)
	require.LessOrEqual(t, peer.sent.Load(), int64(big-20*chunk.FixedLen+2*chunk.MaxLen+errandsAlone*chunk.MaxLen))
}

// TestReuseOutlivesAKill: an earlier run knew how the file is cut, and was killed
// before it had copied anything of the revision that is here.
func TestReuseOutlivesAKill(t *testing.T) {
	t.Parallel()
	w := xetWorld(t)
	w.theHub()
	w.get()
	w.hub = nil
	w.content = append(bytes.Clone(w.content), "and some more"...)
	w.entry.Commit, w.entry.Blob = ref.Commit(strings.Repeat("d", 40)), blobOf(t, w.content)
	p, err := w.cache.Begin(t.Context(), w.entry)
	require.NoError(t, err)
	m := contentMap(t, w.content)
	require.NoError(t, p.Recut(m))
	require.NoError(t, p.WriteChunk(m.Len()-1, w.content[m.Offset(m.Len()-1):]))
	require.NoError(t, p.Close())
	require.NoError(t, w.cache.Close())

	w.open()
	hub := w.theHub()
	w.get()
	require.LessOrEqual(t, hub.sent.Load(), int64(2*chunk.MaxLen))
}

func blobOf(t *testing.T, content []byte) ref.Blob {
	t.Helper()
	return ref.Blob{
		ETag: ref.ETag(sha256Hex(content)), Size: int64(len(content)),
		Xet: ref.XetHash(contentMap(t, content).FileHash().String()),
	}
}
