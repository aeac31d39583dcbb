// Package sourcetest is what every source must be able to do: give exactly the
// bytes asked for, stop when it is told to, and never pass off a part as the
// whole. Each room that has a source runs it over its own.
package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/source"
)

// A World sets up whatever a source needs.
type World struct {
	// Serve returns a source that holds content, and the entry to ask it for.
	Serve func(t *testing.T, content []byte) (source.Source, ref.Entry)
	// Cut is like Serve, but every body ends after so many bytes, as when the
	// other side dies; nil where a source cannot be made to do that.
	Cut func(t *testing.T, content []byte, after int64) (source.Source, ref.Entry)
	// Missing returns a source and an entry that it does not hold; nil leaves
	// that test out.
	Missing func(t *testing.T) (source.Source, ref.Entry)
}

// Run tests the sources of a world.
func Run(t *testing.T, w World) {
	t.Run("has a name and a kind", func(t *testing.T) { testName(t, w) })
	t.Run("gives exact ranges", func(t *testing.T) { testRanges(t, w) })
	t.Run("serves several at once", func(t *testing.T) { testConcurrent(t, w) })
	t.Run("refuses what lies outside", func(t *testing.T) { testOutside(t, w) })
	t.Run("can be closed early", func(t *testing.T) { testCloseEarly(t, w) })
	t.Run("stops with its context", func(t *testing.T) { testContext(t, w) })
	t.Run("ends early only with an error", func(t *testing.T) { testCut(t, w) })
	t.Run("says when a blob is not there", func(t *testing.T) { testMissing(t, w) })
}

// Content is n bytes that repeat nowhere, so that a range taken from the wrong
// place shows.
func Content(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1: byte(n), 2: byte(n >> 8)}).Read(b)
	return b
}

func testName(t *testing.T, w World) {
	src, _ := w.Serve(t, Content(10))
	require.NotEmpty(t, src.Name())
	require.False(t, strings.ContainsAny(src.Name(), "?@ \n"), "a name holds no query, no user, no blank: %q", src.Name())
	require.Contains(t, []source.Kind{source.Peer, source.Hub, source.Local}, src.Kind())
}

func testRanges(t *testing.T, w World) {
	content := Content(300_001)
	src, e := w.Serve(t, content)
	size := int64(len(content))
	for _, r := range []struct {
		name   string
		off, n int64
	}{
		{"whole", 0, size},
		{"first byte", 0, 1},
		{"last byte", size - 1, 1},
		{"head", 0, 1000},
		{"tail", size - 1000, 1000},
		{"middle", 65_535, 131_073},
		{"all but the ends", 1, size - 2},
		{"nothing", 5, 0},
	} {
		t.Run(r.name, func(t *testing.T) {
			got, err := read(t.Context(), src, e, r.off, r.n)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content[r.off:r.off+r.n], got), "%d bytes, not the ones asked for", len(got))
		})
	}
}

func testConcurrent(t *testing.T, w World) {
	content := Content(400_000)
	src, e := w.Serve(t, content)
	const parts = 8
	n := int64(len(content) / parts)
	got, errs := make([][]byte, parts), make([]error, parts)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() { got[i], errs[i] = read(t.Context(), src, e, int64(i)*n, n) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.True(t, bytes.Equal(content, bytes.Join(got, nil)))
}

func testOutside(t *testing.T, w World) {
	content := Content(1000)
	src, e := w.Serve(t, content)
	for _, r := range [][2]int64{{1000, 1}, {990, 11}, {5000, 10}, {-1, 5}} {
		got, err := read(t.Context(), src, e, r[0], r[1])
		require.Error(t, err, "%v", r)
		require.LessOrEqual(t, int64(len(got)), r[1])
	}
}

func testCloseEarly(t *testing.T, w World) {
	content := Content(1 << 20)
	src, e := w.Serve(t, content)
	r, err := src.Open(t.Context(), e, 0, int64(len(content)))
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 100))
	require.NoError(t, err)
	_ = r.Close()
	_, err = io.ReadAll(r)
	require.Error(t, err, "a closed reader must not look like one at its end")

	got, err := read(t.Context(), src, e, 10, 20)
	require.NoError(t, err, "the source is still good")
	require.Equal(t, content[10:30], got)
}

func testContext(t *testing.T, w World) {
	content := Content(32 << 20) // more than the buffers on the way can hold
	src, e := w.Serve(t, content)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := read(ctx, src, e, 0, 10)
	require.ErrorIs(t, err, context.Canceled, "cancelled before")

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	r, err := src.Open(ctx, e, 0, int64(len(content)))
	require.NoError(t, err)
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 100))
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, context.Canceled, "cancelled while reading")
}

func testCut(t *testing.T, w World) {
	if w.Cut == nil {
		t.Skip("this source cannot be cut off")
	}
	content := Content(200_000)
	src, e := w.Cut(t, content, 50_000)
	got, err := read(t.Context(), src, e, 0, int64(len(content)))
	require.Error(t, err, "a part passed for the whole")
	require.True(t, bytes.HasPrefix(content, got), "what came before the break must still be right")
}

func testMissing(t *testing.T, w World) {
	if w.Missing == nil {
		t.Skip("not asked of this source")
	}
	src, e := w.Missing(t)
	_, err := read(t.Context(), src, e, 0, 1)
	require.ErrorIs(t, err, source.ErrGone)
}

// read takes a span whole; what came before an error is returned with it.
func read(ctx context.Context, src source.Source, e ref.Entry, off, n int64) ([]byte, error) {
	r, err := src.Open(ctx, e, off, n)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}
