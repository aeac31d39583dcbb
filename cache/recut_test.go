package cache

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// contentMap is what Xet makes of data.
func contentMap(t *testing.T, data []byte) chunk.Map {
	t.Helper()
	maps, err := chunk.Scan(t.Context(), bytes.NewReader(data), int64(len(data)), chunk.ScanOptions{})
	require.NoError(t, err)
	return maps[0]
}

func TestRecutKeepsWhatIsRight(t *testing.T) {
	t.Parallel()
	c := open(t)
	data := bytesOf(11, 20*chunk.FixedLen+77)
	e := lfs("weights.bin", data)
	m := contentMap(t, data)
	e.Blob.Xet = ref.XetHash(m.FileHash().String())

	p, err := c.Begin(t.Context(), e)
	require.NoError(t, err)
	old := p.Map()
	for _, i := range []int{0, 1, 2, 9} {
		require.NoError(t, p.WriteChunk(i, data[old.Offset(i):old.Offset(i+1)]))
	}
	wrong := bytes.Clone(data[old.Offset(12):old.Offset(13)])
	wrong[1000] ^= 1
	require.NoError(t, p.WriteChunk(12, wrong))

	require.NoError(t, p.Recut(m))
	require.Zero(t, p.Map().Step())
	have := p.Have()
	require.Positive(t, have.Count())
	for i := range m.Len() {
		off, end := m.Offset(i), m.Offset(i+1)
		inside := end <= old.Offset(3) || off >= old.Offset(9) && end <= old.Offset(10)
		if inside {
			require.True(t, have.Has(i), "chunk %d was there", i)
		}
		if off <= old.Offset(12)+1000 && old.Offset(12)+1000 < end {
			require.False(t, have.Has(i), "the wrong byte is found")
		}
	}

	// It goes on after a kill, with the cut that it had.
	kept := have.Count()
	require.NoError(t, p.Close())
	p, err = c.Begin(t.Context(), e)
	require.NoError(t, err)
	require.Zero(t, p.Map().Step())
	require.True(t, p.Map().Hashed())
	require.Equal(t, kept, p.Have().Count())
	for i := range m.Len() {
		require.NoError(t, p.WriteChunk(i, data[m.Offset(i):m.Offset(i+1)]))
	}
	path, err := p.Commit(t.Context())
	require.NoError(t, err)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	require.NoFileExists(t, partFile(c, e, mapSuffix))
}

func TestRecutRefusesWhatTheHubDidNotSay(t *testing.T) {
	t.Parallel()
	c := open(t)
	data := bytesOf(12, 3*chunk.FixedLen)
	e := lfs("weights.bin", data)
	e.Blob.Xet = ref.XetHash(contentMap(t, bytesOf(13, 3*chunk.FixedLen)).FileHash().String())
	p, err := c.Begin(t.Context(), e)
	require.NoError(t, err)
	require.Error(t, p.Recut(contentMap(t, data)))
	require.NotZero(t, p.Map().Step(), "it is cut as before")
	require.NoError(t, p.Close())
}

func TestDamagedMapMeansTheOldCut(t *testing.T) {
	t.Parallel()
	c := open(t)
	data := bytesOf(14, 8*chunk.FixedLen)
	e := lfs("weights.bin", data)
	m := contentMap(t, data)
	e.Blob.Xet = ref.XetHash(m.FileHash().String())
	p, err := c.Begin(t.Context(), e)
	require.NoError(t, err)
	require.NoError(t, p.Recut(m))
	require.NoError(t, p.WriteChunk(0, data[:m.Offset(1)]))
	require.NoError(t, p.Close())
	require.NoError(t, os.Truncate(partFile(c, e, mapSuffix), 30))
	p, err = c.Begin(t.Context(), e)
	require.NoError(t, err)
	require.NotZero(t, p.Map().Step())
	require.Zero(t, p.Have().Count())
	require.NoError(t, p.Discard())
}
