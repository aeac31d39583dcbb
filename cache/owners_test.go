package cache

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func TestOwnersAreAllReposWithTheBlob(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(5, 3000)
	e := lfs("a.bin", content)
	require.Empty(t, c.Owners(e.Blob.ETag))
	p := begin(t, c, e)
	require.Equal(t, []ref.Repo{e.Repo}, c.Owners(e.Blob.ETag), "while it is fetched")
	fill(t, p, content)
	_, err := p.Commit(t.Context())
	require.NoError(t, err)
	other := e
	other.Repo, _ = ref.ParseRepo(e.Repo.Type, "acme/copy")
	_, err = c.Find(t.Context(), other)
	require.NoError(t, err)
	require.ElementsMatch(t, []ref.Repo{e.Repo, other.Repo}, c.Owners(e.Blob.ETag))
}
