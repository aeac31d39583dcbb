package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func TestFindsWhatIsThereAtTheStart(t *testing.T) {
	t.Parallel()
	c := open(t)
	big, small := bytesOf(1, fiveChunks), []byte("{}")
	foreign(t, c, lfs("model.bin", big), big)
	foreign(t, c, regular("sub/config.json", small), small)
	foreign(t, c, lfs("corrupt.bin", []byte("right")), []byte("wrong"))
	xet := lfs("named by another hash", small)
	xet.Blob.ETag = ref.ETag(strings.Repeat("7", 64))
	foreign(t, c, xet, small)
	refs := filepath.Join(c.Dir(), demo.Folder(), "refs")
	require.NoError(t, os.MkdirAll(filepath.Join(refs, "refs", "pr"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(refs, "main"), []byte(commitA), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(refs, "refs", "pr", "1"), []byte(commitB), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(refs, "half"), []byte(commitB[:9]), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(refs, "main.0badcafe.tmp"), []byte(commitB), 0o644))
	require.Empty(t, paths(c), "nothing before it was checked")
	run(t, c)
	waitFor(t, c, "both good files", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.checked) == 4
	})
	require.Equal(t, []string{"org/demo@a/model.bin", "org/demo@a/sub/config.json"}, paths(c))
	h := c.Holdings()
	require.Equal(t, lfs("model.bin", big).Blob, h.Snapshots[0].Files[0].Blob)
	require.Len(t, h.Refs, 2)
	require.Equal(t, commitA, h.Refs[0].Commit)
	require.Equal(t, "refs/pr/1", h.Refs[1].Name)
	require.WithinDuration(t, time.Now(), h.Refs[0].Learnt, time.Minute)
}

func TestFindsWhatComesLater(t *testing.T) {
	t.Parallel()
	c := open(t)
	run(t, c)
	content := bytesOf(1, fiveChunks)
	blob := foreign(t, c, lfs("model.bin", content), content)
	waitFor(t, c, "a new repo", func() bool { return len(paths(c)) == 1 })
	foreign(t, c, regular("a/b/c.json", []byte("{}")), []byte("{}"))
	waitFor(t, c, "a file in a new folder", func() bool { return len(paths(c)) == 2 })
	require.NoError(t, os.WriteFile(blob, bytesOf(2, fiveChunks), 0o644))
	waitFor(t, c, "a change in place", func() bool { return len(paths(c)) == 1 })
	require.NoError(t, os.Remove(filepath.Join(c.Dir(), demo.Folder(), "snapshots", string(commitA), "a", "b", "c.json")))
	waitFor(t, c, "a deletion", func() bool { return len(paths(c)) == 0 })
	require.NoError(t, os.RemoveAll(filepath.Join(c.Dir(), demo.Folder())))
	waitFor(t, c, "the repo is gone", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.checked) == 0
	})
}

// TestWithoutWatching relies on the periodic look alone.
func TestWithoutWatching(t *testing.T) {
	t.Parallel()
	c := open(t, func(cfg *Config) { cfg.Rescan = 20 * time.Millisecond })
	w := &watcher{c: c}
	require.Nil(t, w.events())
	w.add(c.Dir())
	foreign(t, c, regular("f", []byte("x")), []byte("x"))
	run(t, c)
	waitFor(t, c, "found", func() bool { return len(paths(c)) == 1 })
}

func TestPlainFilesNeedToBeNamed(t *testing.T) {
	t.Parallel()
	c := open(t, noLinks)
	repo := filepath.Join(c.Dir(), demo.Folder())
	snap := filepath.Join(repo, "snapshots", string(commitA))
	require.NoError(t, os.MkdirAll(snap, 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(repo, "trees"), 0o755))
	listed, stated, big := []byte("listed"), []byte("stated"), bytesOf(3, biggestRegular+1)
	tree := fmt.Sprintf(`{"format_version":1,"files":{"listed":{"size":6,"blob_id":"%s"}}}`, regular("", listed).Blob.ETag)
	require.NoError(t, os.WriteFile(filepath.Join(repo, "trees", string(commitA)+".json"), []byte(tree), 0o600))
	for name, content := range map[string][]byte{"listed": listed, "stated": stated, "big": big, "nobody knows": []byte("?")} {
		require.NoError(t, os.WriteFile(filepath.Join(snap, name), content, 0o644))
	}
	require.NoError(t, c.Remember(lfs("stated", stated)))
	run(t, c)
	waitFor(t, c, "three files", func() bool { return len(paths(c)) == 3 })
	files := c.Holdings().Snapshots[0].Files
	require.Equal(t, File{"big", lfs("", big).Blob}, files[0], "too big for anything but its sha256")
	require.Equal(t, File{"listed", regular("", listed).Blob}, files[1])
	require.Equal(t, File{"stated", lfs("", stated).Blob}, files[2])
}

// TestManyFiles is a cache of some size: checked once, then only looked at.
func TestManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	const repos, each = 5, 800
	base := t.TempDir()
	cfg := Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "hffs")}
	c, err := Open(cfg)
	require.NoError(t, err)
	for r := range repos {
		repo := ref.Repo{Type: ref.Dataset, ID: fmt.Sprintf("org/r%d", r)}
		for i := range each {
			content := fmt.Appendf(nil, "%d/%d", r, i)
			e := regular(fmt.Sprintf("d%d/f%d", i%10, i), content)
			e.Repo = repo
			foreign(t, c, e, content)
		}
	}
	start := time.Now()
	c.scanAll(t.Context(), func(string) {})
	for j, ok := c.nextJob(); ok; j, ok = c.nextJob() {
		require.NoError(t, c.check(t.Context(), j.rel, j.etag, anySize))
	}
	require.Len(t, paths(c), repos*each)
	require.NoError(t, c.Close())
	t.Logf("checked %d files in %v", repos*each, time.Since(start))

	c, err = Open(cfg)
	require.NoError(t, err)
	defer c.Close()
	start = time.Now()
	c.scanAll(t.Context(), func(string) {})
	t.Logf("looked through %d files in %v", repos*each, time.Since(start))
	_, work := c.nextJob()
	require.False(t, work, "nothing is hashed twice")
	require.Len(t, paths(c), repos*each)
}
