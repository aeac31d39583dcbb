package node

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"hffs/cache"
)

// layOurs makes files below a folder, each with what hffs would have in it.
func layOurs(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		at := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.WriteFile(at, []byte(contents[path.Base(name)]), 0o600))
	}
}

// contents are of files that are not empty.
var contents = map[string]string{
	"node-id": "20f46911509c6d30\n", "access.json": `{"version": 1, "repos": {}, "grants": []}`,
	"control.json": `{"addr":"127.0.0.1:7768","key":"x","pid":7}`, "peers.json": `{"version":1,"swarms":{}}`,
	"added-peers.json": `{"version":1,"peers":["10.0.0.7:7766"]}`, "access.json.12.tmp": "{\n \"version\": 1,\n \"re",
	"daemon.log": "2026-11-22T13:02:10Z hffs: desk on 127.0.0.1:7766\n", "daemon.log.1": "panic: oh\n", "daemon-2.log": "",
	"maps": "HFFSMAP1abcdefgh", "table": `4dae4045 {"version":1,"maps":""}`, "hffs.toml": "port = 1\n",
}

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
	mine := strings.Fields("access.json cache-0123456789abcdef.lock cache.db control.json daemon-2.log daemon.log daemon.log.1 get-1/cache.db get-1/in-use.lock get-1/index/maps " +
		"hffs.toml in-use.lock index/maps index/run-12 index/table node-2/access.json.12.tmp node-2/node-id node-id peers.json start.lock")
	theirs := strings.Fields("cache.db.bak get-rich.txt index/notes node-2/photo.jpg node_modules/x notes.txt")
	layOurs(t, dir, mine...)
	lay(t, dir, theirs...)
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

// What other programs have under such names is theirs, where we have not been and
// where we have.
func TestNamesProveNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	theirs := strings.Fields("access.json added-peers.json.lock cache.db cache.db.damaged control.json daemon.log in-use.lock index/maps index/run-1 index/table node-2/node-id node-id peers.json")
	lay(t, dir, theirs...)
	ours, others, err := Belongings(dir)
	require.NoError(t, err)
	require.Empty(t, ours)
	require.Empty(t, others)

	layOurs(t, dir, "node-3/node-id", "start.lock")
	ours, others, err = Belongings(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"node-3/node-id", "start.lock"}, below(t, dir, ours))
	require.Equal(t, theirs, below(t, dir, others))
	require.NoError(t, Discard(dir, ours))
	for _, name := range theirs {
		require.FileExists(t, filepath.Join(dir, name))
	}
	require.NoDirExists(t, filepath.Join(dir, "node-3"))
}

// A file that only we write tells that we have been there, whatever it is; locks, which
// are empty, do not.
func TestOneFileTells(t *testing.T) {
	t.Parallel()
	for name := range contents {
		dir := t.TempDir()
		at := name
		if name == "maps" || name == "table" {
			at = "index/" + name
		}
		layOurs(t, dir, at, "start.lock")
		ours, _, err := Belongings(dir)
		require.NoError(t, err)
		switch {
		case strings.HasPrefix(name, "daemon"), strings.HasSuffix(name, ".tmp"):
			require.Empty(t, ours, name)
		default:
			require.Len(t, ours, 2, name)
		}
	}
	dir := t.TempDir()
	c, err := cache.Open(cache.Config{Dir: filepath.Join(dir, "hub"), State: filepath.Join(dir, "state")})
	require.NoError(t, err)
	require.NoError(t, c.Close())
	ours, others, err := Belongings(filepath.Join(dir, "state"))
	require.NoError(t, err)
	require.Equal(t, strings.Fields("state/cache.db state/index/maps state/index/table"), below(t, dir, ours))
	require.Empty(t, others)
}

// Another program may keep what it knows in a database of the same make.
func TestSomebodyElsesDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := bolt.Open(filepath.Join(dir, "cache.db"), 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("theirs"))
		return err
	}))
	require.NoError(t, db.Close())
	ours, _, err := Belongings(dir)
	require.NoError(t, err)
	require.Empty(t, ours)
}

func TestBelongingsOfNoFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, "file")
	for _, at := range []string{"none", "file", "file/below"} {
		ours, _, err := Belongings(filepath.Join(dir, at))
		require.NoError(t, err, at)
		require.Empty(t, ours, at)
	}
}

// A folder that was there before us stays, and so does a home, whatever it is called.
func TestFoldersThatStay(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"shared", "hffs", ".hffs"} {
		state := filepath.Join(dir, name)
		layOurs(t, state, "node-id", "get-1/node-id")
		require.NoError(t, Discard(state, []string{filepath.Join(state, "node-id"), filepath.Join(state, "get-1", "node-id")}))
		if name == "shared" {
			require.DirExists(t, state)
			require.NoDirExists(t, filepath.Join(state, "get-1"))
		} else {
			require.NoDirExists(t, state)
		}
	}
	home := filepath.Join(dir, "hffs")
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	require.NoError(t, os.Mkdir(home, 0o755))
	require.NoError(t, Discard(home, nil))
	require.DirExists(t, home)
}

// Links are removed, not followed.
func TestDiscardFollowsNoLinks(t *testing.T) {
	t.Parallel()
	elsewhere, dir := t.TempDir(), t.TempDir()
	lay(t, elsewhere, "maps")
	layOurs(t, dir, "node-id")
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
