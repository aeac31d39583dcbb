package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lay makes files below a folder, each with its own name in it.
func lay(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		at := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.WriteFile(at, []byte(name), 0o600))
	}
}

// below are the paths of a list below a folder, with slashes.
func below(t *testing.T, dir string, paths []string) (all []string) {
	t.Helper()
	for _, p := range paths {
		rel, err := filepath.Rel(dir, p)
		require.NoError(t, err)
		all = append(all, filepath.ToSlash(rel))
	}
	slices.Sort(all)
	return all
}

func TestBelongings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine := strings.Fields("access.json cache.db control.json daemon-2.log daemon.log daemon.log.1 get-1/cache.db get-1/in-use.lock get-1/index/maps " +
		"hffs.toml in-use.lock index/maps index/run-12 index/table node-2/access.json.12.tmp node-2/node-id node-id peers.json start.lock")
	theirs := strings.Fields("cache.db.bak get-rich.txt index/notes node-2/photo.jpg node_modules/x notes.txt")
	lay(t, dir, append(mine, theirs...)...)
	ours, others, err := Belongings(dir)
	require.NoError(t, err)
	require.Equal(t, mine, below(t, dir, ours))
	require.Equal(t, strings.Fields("cache.db.bak get-rich.txt index/notes node-2/photo.jpg node_modules notes.txt"), below(t, dir, others))

	require.NoError(t, Discard(dir, ours))
	for _, name := range theirs {
		require.FileExists(t, filepath.Join(dir, name))
	}
	require.NoDirExists(t, filepath.Join(dir, "get-1"))
	ours, _, err = Belongings(dir)
	require.NoError(t, err)
	require.Empty(t, ours)
}

// A folder where no node has been has nothing of ours, whatever the names in it.
func TestNothingBelongsToUsWhereWeHaveNotBeen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, "index/table", "peers.json", "daemon.log")
	ours, others, err := Belongings(dir)
	require.NoError(t, err)
	require.Empty(t, ours)
	require.Empty(t, others)
	_, _, err = Belongings(filepath.Join(dir, "none"))
	require.NoError(t, err)
}

// Links are removed, not followed.
func TestDiscardFollowsNoLinks(t *testing.T) {
	t.Parallel()
	elsewhere, dir := t.TempDir(), t.TempDir()
	lay(t, elsewhere, "maps")
	lay(t, dir, "node-id")
	if err := os.Symlink(elsewhere, filepath.Join(dir, "index")); err != nil {
		t.Skip("no links here: ", err)
	}
	ours, others, err := Belongings(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"node-id"}, below(t, dir, ours))
	require.Equal(t, []string{"index"}, below(t, dir, others))
	require.NoError(t, Discard(dir, ours))
	require.FileExists(t, filepath.Join(elsewhere, "maps"))
}

func TestModels(t *testing.T) {
	t.Parallel()
	hub := t.TempDir()
	lay(t, hub, "models--a--b/refs/main", "models--a--b/.hffs/x.part", "datasets--c/refs/main", ".locks/models--a--b/x.lock", ".locks/other/x",
		"blobs/0f/x", "blobs/xy/x", "version.txt", "models--file", "tmp/models--a--b")
	require.Equal(t, []string{".locks/models--a--b", "blobs/0f", "datasets--c", "models--a--b"}, below(t, hub, Models(hub)))
	require.Equal(t, []string{"models--a--b/.hffs"}, below(t, hub, Unfinished(hub)))
	require.Empty(t, Models(filepath.Join(hub, "none")))
}
