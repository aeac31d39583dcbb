package cache

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
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

func TestReadOnlyDisk(t *testing.T) {
	dir := mount(t, "size=2m")
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	requireNotWritable(t, Config{Dir: filepath.Join(dir, "hub"), State: t.TempDir()})
	requireNotWritable(t, Config{Dir: dir, State: t.TempDir()})
	requireNotWritable(t, Config{Dir: t.TempDir(), State: filepath.Join(dir, "hffs")})
}

func requireNotWritable(t *testing.T, cfg Config) {
	t.Helper()
	_, err := Open(cfg)
	_, ok := errors.AsType[*NotWritableError](err)
	require.True(t, ok, "%v", err)
}

func TestForbiddenFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere; TestReadOnlyDisk covers the error")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o555))
	requireNotWritable(t, Config{Dir: dir, State: t.TempDir()})
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
