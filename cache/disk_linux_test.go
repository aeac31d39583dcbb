package cache

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// mount puts a small memory disk at a new folder, where this account may.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a disk of its own for this test: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func TestDiskFull(t *testing.T) {
	dir := mount(t, "size=2m")
	c := open(t, func(cfg *Config) { cfg.Dir = filepath.Join(dir, "hub") })
	content := bytesOf(1, 4<<20)
	_, err := c.Begin(t.Context(), lfs("big.bin", content))
	space, ok := errors.AsType[*SpaceError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, int64(4<<20), space.Need)
	require.Less(t, space.Free, int64(2<<20))
	require.NoDirExists(t, filepath.Join(c.Dir(), demo.Folder(), partsDir))

	fits := content[:1<<20]
	e := lfs("fits.bin", fits)
	p := begin(t, c, e)
	require.NoError(t, p.WriteChunk(0, part(p.Map(), fits, 0)))
	fillUp := filepath.Join(dir, "fill")
	_ = os.WriteFile(fillUp, make([]byte, 2<<20), 0o600) // takes all that is left
	err = p.WriteChunk(1, part(p.Map(), fits, 1))
	space, ok = errors.AsType[*SpaceError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, int64(len(fits)-chunk.FixedLen), space.Need)
	require.False(t, p.Have().Has(1))

	require.NoError(t, os.Remove(fillUp))
	fill(t, p, fits)
	_, err = p.Commit(t.Context())
	require.NoError(t, err)
}

// freeze has a disk be read only from now on, or no more.
func freeze(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""))
}

func requireNotWritable(t *testing.T, err error) {
	t.Helper()
	require.True(t, isLocked(err), "%v", err)
}

// TestReadOnlyCache: what others have put on a shelf is found, checked, listed and handed
// out; only what must be written there is refused.
func TestReadOnlyCache(t *testing.T) {
	disk := mount(t, "size=8m")
	in := func(cfg *Config) { cfg.Dir = filepath.Join(disk, "hub") }
	content, other, fresh := bytesOf(1, fiveChunks), bytesOf(2, 3000), bytesOf(3, 4000)
	e, theirs, lacking := lfs("model.bin", content), regular("a/config.json", other), lfs("new.bin", fresh)
	filled, err := Open(Config{Dir: filepath.Join(disk, "hub"), State: t.TempDir()})
	require.NoError(t, err)
	fetch(t, filled, e, content)
	foreign(t, filled, theirs, other)
	require.NoError(t, filled.SetRef(demo, "main", commitA))
	require.NoError(t, filled.Close())
	before := listing(t, disk)
	freeze(t, disk, syscall.MS_RDONLY)

	c := open(t, in)
	requireNotWritable(t, c.Writable())
	path, err := c.Find(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
	_, err = c.Begin(t.Context(), theirs)
	require.ErrorIs(t, err, ErrPresent, "a fetch looks here first, and hashes what it finds")
	run(t, c)
	waitFor(t, c, "all is shared", func() bool { return len(paths(c)) == 2 && len(c.Holdings().Refs) == 1 })
	held, err := c.Blob(theirs.Blob.ETag)
	require.NoError(t, err)
	require.NoError(t, held.Close())
	stored := Stored(c.Dir())
	require.Len(t, stored, 1)

	_, err = c.Begin(t.Context(), lacking)
	requireNotWritable(t, err)
	require.True(t, c.Lacks(lacking))
	require.False(t, c.Lacks(e))
	fork := e
	fork.Repo.ID = "me/fork"
	_, err = c.Find(t.Context(), fork)
	requireNotWritable(t, err)
	require.NoError(t, c.WriteTree(demo, commitA, []ref.Listed{{Path: e.Path, Blob: e.Blob}}), "nor is a help to others")
	require.NoError(t, c.SetRef(demo, "v1", commitA), "a name of a branch is not worth an error")
	_, err = c.Remove(t.Context(), Removal{Repo: demo})
	require.ErrorIs(t, err, syscall.EROFS)

	freeze(t, disk, 0)
	require.Equal(t, before, listing(t, disk))
	require.NoError(t, c.Writable(), "a mount may change")
	fetch(t, c, lacking, fresh)
	link, err := os.Readlink(c.snapshotAbs(lacking))
	require.NoError(t, err, "it was not taken for a disk without links")
	require.Contains(t, link, string(lacking.Blob.ETag))
}

func TestReadOnlyDisk(t *testing.T) {
	dir := mount(t, "size=2m")
	freeze(t, dir, syscall.MS_RDONLY)
	c := open(t, func(cfg *Config) { cfg.Dir = filepath.Join(dir, "hub") })
	requireNotWritable(t, c.Writable())
	e := lfs("model.bin", nil)
	_, err := c.Find(t.Context(), e)
	require.ErrorIs(t, err, ErrNotFound, "a cache that is not there holds nothing")
	_, err = c.Begin(t.Context(), e)
	requireNotWritable(t, err)
	_, err = Open(Config{Dir: t.TempDir(), State: filepath.Join(dir, "hffs")})
	requireNotWritable(t, err)
}

// TestStateMoves: where the folder beside the cache cannot be written, ours is the user's.
func TestStateMoves(t *testing.T) {
	shelf := mount(t, "size=2m")
	home := t.TempDir()
	locate := func(vars ...string) Place {
		env := map[string]string{"HOME": home, "HF_HOME": shelf}
		for i := 0; i < len(vars); i += 2 {
			env[vars[i]] = vars[i+1]
		}
		p, err := Locate(func(k string) string { return env[k] })
		require.NoError(t, err)
		return p
	}
	beside := filepath.Join(shelf, "hffs")
	require.Equal(t, beside, locate().State)
	freeze(t, shelf, syscall.MS_RDONLY)
	p := locate()
	require.True(t, p.Moved)
	require.Equal(t, filepath.Join(home, ".cache", "hffs"), filepath.Dir(p.State))
	require.NotEqual(t, p.State, locate("HF_HUB_CACHE", filepath.Join(shelf, "other")).State, "each cache has its own")
	require.Equal(t, filepath.Join(home, "x", "hffs"), filepath.Dir(locate("XDG_CACHE_HOME", filepath.Join(home, "x")).State))
	require.Equal(t, beside, locate("HFFS_HOME", beside).State, "what the user has chosen stays")
	require.False(t, locate("HFFS_HOME", beside).Moved)
	require.Equal(t, beside, locate("HOME", shelf).State, "nothing else can be written either")
}

func TestForbiddenFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere; TestReadOnlyDisk covers the error")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o555))
	c := open(t, func(cfg *Config) { cfg.Dir = dir })
	requireNotWritable(t, c.Writable())
}

// TestSharedAcrossDisks: a repo folder may be a link to another disk, where a
// second name of the same file is not to be had.
func TestSharedAcrossDisks(t *testing.T) {
	dir := mount(t, "size=8m")
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	fetch(t, c, e, content)
	fork := e
	fork.Repo.ID = "me/fork"
	require.NoError(t, os.Symlink(dir, filepath.Join(c.Dir(), fork.Repo.Folder())))
	path, err := c.Find(t.Context(), fork)
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
	held, err := c.Blob(e.Blob.ETag)
	require.NoError(t, err)
	require.NoError(t, held.Close())
}

// TestNoMoreFiles: a disk may have bytes left and no room for one more file.
func TestNoMoreFiles(t *testing.T) {
	dir := mount(t, "size=8m,nr_inodes=40")
	c := open(t, func(cfg *Config) { cfg.Dir = filepath.Join(dir, "hub") })
	for i := 0; ; i++ {
		require.Less(t, i, 40)
		if os.WriteFile(filepath.Join(dir, string(rune('A'+i))), nil, 0o600) != nil {
			break
		}
	}
	_, err := c.Begin(t.Context(), lfs("small.bin", bytesOf(1, 4000)))
	space, ok := errors.AsType[*SpaceError](err)
	require.True(t, ok, "%v", err)
	require.True(t, space.Limited())
	require.Equal(t, c.Dir(), space.Dir)
	require.False(t, space.State)
}

func TestStateDiskFull(t *testing.T) {
	dir := mount(t, "size=16k")
	_, err := Open(Config{Dir: t.TempDir(), State: dir})
	space, ok := errors.AsType[*SpaceError](err)
	require.True(t, ok, "%v", err)
	require.True(t, space.State)
	require.Equal(t, dir, space.Dir)
}
