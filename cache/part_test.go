package cache

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
)

// TestPartIsReadWhileItIsFetched by others, as far as it is there, and stays
// readable when the fetch has ended.
func TestPartIsReadWhileItIsFetched(t *testing.T) {
	t.Parallel()
	c := open(t)
	data := bytesOf(5, 3*chunk.FixedLen+100)
	e := lfs("model.bin", data)
	_, err := c.Part(e.Blob.ETag)
	require.ErrorIs(t, err, ErrNotFound)
	p, err := c.Begin(t.Context(), e)
	require.NoError(t, err)
	require.NoError(t, p.WriteChunk(1, data[chunk.FixedLen:2*chunk.FixedLen]))
	part, err := c.Part(e.Blob.ETag)
	require.NoError(t, err)
	defer part.Close()
	for _, r := range []struct {
		off, n int64
		has    bool
	}{
		{chunk.FixedLen, chunk.FixedLen, true},
		{chunk.FixedLen + 5, 10, true},
		{chunk.FixedLen - 1, 2, false},
		{chunk.FixedLen, chunk.FixedLen + 1, false},
		{0, 1, false}, {-1, 2, false}, {chunk.FixedLen, 0, false}, {3 * chunk.FixedLen, 101, false},
	} {
		require.Equal(t, r.has, part.Has(r.off, r.n), "%+v", r)
	}
	require.NotZero(t, p.Sum(1))
	require.Zero(t, p.Sum(0))
	require.NoError(t, p.Close())
	got := make([]byte, chunk.FixedLen)
	_, err = part.ReadAt(got, chunk.FixedLen)
	require.NoError(t, err)
	require.Equal(t, data[chunk.FixedLen:2*chunk.FixedLen], got)
	_, err = c.Part(e.Blob.ETag)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = part.Seek(0, io.SeekStart)
	require.NoError(t, err)
}
