package cache

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shareBlob puts content where huggingface_hub puts what came by Xet, and links
// the repo's blob to it.
func shareBlob(t *testing.T, c *Cache, rel, target string, content []byte) {
	t.Helper()
	shared := filepath.Join(c.Dir(), "blobs", "4f", "4f"+strings.Repeat("7", 62))
	require.NoError(t, os.MkdirAll(filepath.Dir(shared), 0o755))
	require.NoError(t, os.WriteFile(shared, content, 0o444))
	if target == "" {
		target = "../../blobs/4f/" + filepath.Base(shared)
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(c.abs(rel)), 0o755))
	require.NoError(t, os.Symlink(target, c.abs(rel)))
}

func TestBlobsThatReposShareAreShared(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(21, 300_000)
	e := lfs("model.safetensors", content)
	blob := e.Repo.Folder() + "/" + blobPath(e.Blob.ETag)
	shareBlob(t, c, blob, "", content)
	link := c.abs(e.Repo.Folder() + "/" + snapshotPath(e.Commit, e.Path))
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
	require.NoError(t, os.Symlink(linkTarget(e.Path, e.Blob.ETag), link))
	run(t, c)
	waitFor(t, c, "the file", func() bool { return len(paths(c)) == 1 })

	held, err := c.Blob(e.Blob.ETag)
	require.NoError(t, err)
	require.EqualValues(t, len(content), held.Blob.Size)
	require.NoError(t, held.Close())
	path, err := c.Find(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, link, path)

	twin := e
	twin.Repo.ID = "org/fine-tune"
	path, err = c.Find(t.Context(), twin)
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
}

func TestLinksElsewhereAreNot(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{
		"out of the cache": "../../../secret",
		"another folder":   "../../blobs/5f/4f" + strings.Repeat("7", 62),
		"climbing":         "../../blobs/4f/../../../secret",
		"absolute":         "/etc/hostname",
		"another repo":     "../../models--a--b/blobs/" + strings.Repeat("7", 64),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			content := bytesOf(22, 1000)
			e := lfs("model.safetensors", content)
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(c.Dir()), "secret"), content, 0o644))
			shareBlob(t, c, e.Repo.Folder()+"/"+blobPath(e.Blob.ETag), target, content)
			_, err := c.Find(t.Context(), e)
			require.ErrorIs(t, err, ErrNotFound)
		})
	}
}
