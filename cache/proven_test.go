package cache

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// mixedUp is an entry whose Xet hash is another blob's than its etag.
func mixedUp(t *testing.T) (content []byte, e ref.Entry, p func(c *Cache) *Partial) {
	t.Helper()
	content, e, m := xetFile(t, 77, some)
	e.Blob.ETag = lfs("", bytesOf(78, some)).Blob.ETag
	return content, e, func(c *Cache) *Partial {
		p := begin(t, c, e)
		require.NoError(t, p.Recut(m))
		fill(t, p, content)
		return p
	}
}

func TestAXetHashThatTheHubDidNotStateProvesNothing(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, e, fetched := mixedUp(t)
	p := fetched(c)
	_, err := p.Commit(t.Context())
	require.ErrorIs(t, err, ErrMismatch, "the bytes are not those of the etag")
	require.NoError(t, p.Discard())
	_, err = c.Find(t.Context(), e)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestAXetHashThatTheHubStatedSparesReadingItAllAgain(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, e, fetched := mixedUp(t)
	require.NoError(t, c.Remember(e))
	_, err := fetched(c).Commit(t.Context())
	require.NoError(t, err, "which of two things that the Hub states is meant is the Hub's business; only chunks are looked at")
}

func TestAWrongChunkIsNotWrittenUnderAMap(t *testing.T) {
	t.Parallel()
	c := open(t)
	content, e, m := xetFile(t, 79, some)
	p := begin(t, c, e)
	defer p.Discard()
	require.NoError(t, p.Recut(m))
	wrong := append([]byte{}, content[:m.Offset(1)]...)
	wrong[0] ^= 1
	require.ErrorIs(t, p.WriteChunk(0, wrong), ErrMismatch)
	require.False(t, p.Have().Has(0))
}

func TestARunSkipsWhatIsThere(t *testing.T) {
	t.Parallel()
	c := open(t)
	content, e, m := xetFile(t, 80, some)
	p := begin(t, c, e)
	require.NoError(t, p.Recut(m))
	require.NoError(t, p.WriteChunk(2, part(m, content, 2)))
	require.NoError(t, p.WriteRun(0, content, hashesOf(m)))
	require.True(t, p.Have().Full())
	require.Error(t, p.WriteRun(m.Len()-1, content, hashesOf(m)), "beyond the end")
	path, err := p.Commit(t.Context())
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
}

func hashesOf(m chunk.Map) (all []chunk.Hash) {
	for i := range m.Len() {
		all = append(all, m.Hash(i))
	}
	return all
}
