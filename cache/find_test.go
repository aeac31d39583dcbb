package cache

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

func tryLock(t *testing.T, path string) *disk.Lock {
	t.Helper()
	l, err := disk.TryLock(path)
	require.NoError(t, err)
	require.NotNil(t, l)
	return l
}

func TestFindChecksWhatOthersPutThere(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("sub/model.bin", content)
	foreign(t, c, e, content)
	path, err := c.Find(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))

	bad := lfs("bad.bin", []byte("right"))
	foreign(t, c, bad, []byte("wrong"))
	_, err = c.Find(t.Context(), bad)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, "wrong", read(t, filepath.Join(c.Dir(), demo.Folder(), "snapshots", string(commitA), "bad.bin")), "and leaves it alone")

	ctx, stop := context.WithCancel(t.Context())
	stop()
	other := lfs("other.bin", content[1:])
	foreign(t, c, other, content[1:])
	_, err = c.Find(ctx, other)
	require.ErrorIs(t, err, context.Canceled)
}

func TestFindLinksKnownBytes(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	fetch(t, c, e, content)

	renamed := e
	renamed.Commit, renamed.Path = commitB, "a/b/renamed.bin"
	path, err := c.Find(t.Context(), renamed)
	require.NoError(t, err)
	target, err := os.Readlink(path)
	require.NoError(t, err)
	require.Equal(t, filepath.FromSlash("../../../../blobs/"+string(e.Blob.ETag)), target)

	fork := e
	fork.Repo = ref.Repo{Type: ref.Dataset, ID: "me/fork"}
	path, err = c.Find(t.Context(), fork)
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
	one, err := os.Stat(filepath.Join(c.Dir(), demo.Folder(), "blobs", string(e.Blob.ETag)))
	require.NoError(t, err)
	two, err := os.Stat(filepath.Join(c.Dir(), "datasets--me--fork", "blobs", string(e.Blob.ETag)))
	require.NoError(t, err)
	require.True(t, os.SameFile(one, two), "one copy on disk")
	require.NoDirExists(t, filepath.Join(c.Dir(), "datasets--me--fork", partsDir))

	held, err := c.Blob(e.Blob.ETag)
	require.NoError(t, err, "the second name does not make it look changed")
	require.NoError(t, held.Close())
	require.Equal(t, []string{"datasets/me/fork@a/model.bin", "org/demo@a/model.bin", "org/demo@b/a/b/renamed.bin"}, paths(c))
	require.Len(t, c.placesOf(e.Blob.ETag), 2)
}

func TestFindCopiesWhereHardLinksFail(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	fetch(t, c, e, content)
	root, err := c.openRepo(demo)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, c.copyFile(t.Context(), root, e.Blob, demo.Folder()+"/"+blobPath(e.Blob.ETag), "snapshots/copy"))
	require.Equal(t, string(content), read(t, filepath.Join(root.Name(), "snapshots", "copy")))
	wrong := e.Blob
	wrong.ETag = lfs("", nil).Blob.ETag
	require.ErrorIs(t, c.copyFile(t.Context(), root, wrong, demo.Folder()+"/"+blobPath(e.Blob.ETag), "snapshots/wrong"), ErrChanged)
}

func TestFindRefusesNonsense(t *testing.T) {
	t.Parallel()
	c := open(t)
	good := lfs("f", []byte("x"))
	for name, spoil := range map[string]func(*ref.Entry){
		"path out":     func(e *ref.Entry) { e.Path = "../../../x" },
		"absolute":     func(e *ref.Entry) { e.Path = "/etc/passwd" },
		"etag":         func(e *ref.Entry) { e.Blob.ETag = "../../x" },
		"commit":       func(e *ref.Entry) { e.Commit = "../x" },
		"repo":         func(e *ref.Entry) { e.Repo.ID = "../x" },
		"negative":     func(e *ref.Entry) { e.Blob.Size = -1 },
		"absurd size":  func(e *ref.Entry) { e.Blob.Size = 1 << 60 },
		"upper commit": func(e *ref.Entry) { e.Commit = "zz" },
	} {
		e := good
		spoil(&e)
		_, err := c.Find(t.Context(), e)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, ErrNotFound, name)
		_, err = c.Begin(t.Context(), e)
		require.Error(t, err, name)
	}
}

// TestFoldersBehindLinks: whatever lies in a snapshot, no name leads out of it.
func TestFoldersBehindLinksAreNotEntered(t *testing.T) {
	t.Parallel()
	c := open(t)
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	fetch(t, c, lfs("f", []byte("x")), []byte("x"))
	snap := filepath.Join(c.Dir(), demo.Folder(), "snapshots", string(commitA))
	require.NoError(t, os.Symlink(outside, filepath.Join(snap, "dir")))

	e := lfs("dir/planted", []byte("planted"))
	p := begin(t, c, e)
	fill(t, p, []byte("planted"))
	_, err := p.Commit(t.Context())
	require.Error(t, err)
	require.NoFileExists(t, filepath.Join(outside, "planted"))

	secret := lfs("secret", []byte("secret"))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(snap, "secret")))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(c.Dir(), demo.Folder(), "blobs", string(secret.Blob.ETag))))
	_, err = c.Find(t.Context(), secret)
	require.ErrorIs(t, err, ErrNotFound)
	c.scanAll(t.Context(), func(string) {})
	require.Equal(t, []string{"org/demo@a/f"}, paths(c))
}

func TestChangedOnDiskIsNotServed(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T, path string){
		"rewritten in place": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("!"), 10)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		},
		"rewritten with the old time set back": func(t *testing.T, path string) {
			fi, err := os.Stat(path)
			require.NoError(t, err)
			b := []byte(read(t, path))
			b[10] ^= 1
			require.NoError(t, os.WriteFile(path, b, 0o644))
			require.NoError(t, os.Chtimes(path, fi.ModTime(), fi.ModTime()))
		},
		"replaced": func(t *testing.T, path string) {
			fi, err := os.Stat(path)
			require.NoError(t, err)
			b := []byte(read(t, path))
			b[10] ^= 1
			require.NoError(t, os.WriteFile(path+".new", b, 0o644))
			require.NoError(t, os.Chtimes(path+".new", fi.ModTime(), fi.ModTime()))
			require.NoError(t, os.Rename(path+".new", path))
		},
		"cut short": func(t *testing.T, path string) { cut(t, path, 1) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			content := bytesOf(1, fiveChunks)
			e := lfs("model.bin", content)
			path, err := filepath.EvalSymlinks(fetch(t, c, e, content))
			require.NoError(t, err)
			time.Sleep(time.Until(c.checked[demo.Folder()+"/"+blobPath(e.Blob.ETag)].stamp.Settles())) // a change in the same tick of the disk's clock cannot be told
			change(t, path)
			_, err = c.Blob(e.Blob.ETag)
			require.ErrorIs(t, err, ErrChanged)
			require.Empty(t, paths(c))
			_, err = c.Blob(e.Blob.ETag)
			require.ErrorIs(t, err, ErrNotFound)
			_, err = c.Find(t.Context(), e)
			require.ErrorIs(t, err, ErrNotFound)
		})
	}
}

func TestTouchedIsCheckedAgain(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	path := fetch(t, c, e, content)
	require.NoError(t, os.Chtimes(path, time.Now(), time.Now().Add(-time.Hour)))
	_, err := c.Blob(e.Blob.ETag)
	require.ErrorIs(t, err, ErrChanged)
	run(t, c)
	waitFor(t, c, "shared again", func() bool { return len(paths(c)) == 1 })
	held, err := c.Blob(e.Blob.ETag)
	require.NoError(t, err)
	require.NoError(t, held.Close())
}

func TestOpenBlobOutlivesItsDeletion(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	fetch(t, c, e, content)
	held, err := c.Blob(e.Blob.ETag)
	require.NoError(t, err)
	defer held.Close()
	require.NoError(t, os.RemoveAll(filepath.Join(c.Dir(), demo.Folder())))
	got := make([]byte, len(content))
	_, err = held.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, content, got)
	_, err = c.Blob(e.Blob.ETag)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = c.Find(t.Context(), e)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestPlainFileInASnapshot(t *testing.T) {
	t.Parallel()
	c := open(t, noLinks)
	dir := filepath.Join(c.Dir(), demo.Folder(), "snapshots", string(commitA))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	e := regular("config.json", []byte("{}"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o644))
	path, err := c.Find(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "config.json"), path)
	held, err := c.Blob(e.Blob.ETag)
	require.NoError(t, err)
	require.NoError(t, held.Close())

	edited := regular("edited.json", []byte("original"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "edited.json"), []byte("by hand!"), 0o644))
	_, err = c.Find(t.Context(), edited)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, "by hand!", read(t, filepath.Join(dir, "edited.json")))
	require.Equal(t, "original", read(t, fetch(t, c, edited, []byte("original"))))
}
