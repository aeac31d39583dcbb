package disk

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOpenFileTakesPlainFilesOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(plain, []byte("x"), 0o600))
	f, stamp, err := OpenFile(plain)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, int64(1), stamp.Size)

	_, _, err = OpenFile(dir)
	require.Error(t, err)
	_, _, err = OpenFile(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	if runtime.GOOS == "windows" {
		return
	}
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("plain", link))
	_, _, err = OpenFile(link)
	require.Error(t, err)
	_, _, err = OpenFile("/dev/null")
	require.Error(t, err)
}

func TestStampNoticesWritesAndReplacements(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	stamp := func() Stamp {
		fi, err := os.Lstat(path)
		require.NoError(t, err)
		return StampOf(fi)
	}
	first := stamp()
	require.Equal(t, first, stamp())
	time.Sleep(time.Until(first.Settles())) // the disk's clock has to move on
	require.NoError(t, os.WriteFile(path, []byte("y"), 0o600))
	second := stamp()
	require.NotEqual(t, first, second)
	require.NoError(t, os.WriteFile(path+".new", []byte("z"), 0o600))
	require.NoError(t, os.Chtimes(path+".new", time.Now(), time.Unix(0, second.ModNs)))
	require.NoError(t, os.Rename(path+".new", path))
	require.NotEqual(t, second, stamp())
}

func TestSettles(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 123)
	require.Equal(t, at.Add(fine), Stamp{ModNs: at.UnixNano()}.Settles())
	require.Equal(t, at.Add(fine), Stamp{ModNs: 5, ChangeNs: at.UnixNano()}.Settles())
	whole := time.Unix(1_700_000_000, 0)
	require.Equal(t, whole.Add(coarse), Stamp{ModNs: whole.UnixNano()}.Settles(), "a disk that counts seconds")
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, err := TryLock(path)
	require.NoError(t, err)
	require.NotNil(t, first)
	second, err := TryLock(path)
	require.NoError(t, err)
	require.Nil(t, second, "also within one process")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err = TakeLock(ctx, path)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, first.Release())
	second, err = TakeLock(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, second.Remove())
	require.NoFileExists(t, path)
	require.NoError(t, (*Lock)(nil).Release())
}

// TestLockOfARemovedFile: two may not both hold "the" lock when one of them
// holds a file that has lost its name.
func TestLockOfARemovedFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed here")
	}
	path := filepath.Join(t.TempDir(), "lock")
	first, err := TryLock(path)
	require.NoError(t, err)
	got := make(chan *Lock)
	go func() {
		l, err := TakeLock(context.Background(), path)
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	require.NoError(t, first.Remove())
	l := <-got
	require.FileExists(t, path)
	other, err := TryLock(path)
	require.NoError(t, err)
	require.Nil(t, other)
	require.NoError(t, l.Release())
}

func TestReplaceStaysInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	require.NoError(t, root.WriteFile("a", []byte("new"), 0o600))
	require.NoError(t, root.WriteFile("b", []byte("old"), 0o600))
	require.NoError(t, Replace(root, "a", "b"))
	got, err := root.ReadFile("b")
	require.NoError(t, err)
	require.Equal(t, "new", string(got))
	require.Error(t, Replace(root, "b", "../c"))
	require.ErrorIs(t, Replace(root, "none", "b"), os.ErrNotExist)
}

func TestTrials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, CanWrite(dir))
	require.Error(t, CanWrite(filepath.Join(dir, "none")))
	require.False(t, CanSymlink(filepath.Join(dir, "none")))
	if runtime.GOOS != "windows" {
		require.True(t, CanSymlink(dir))
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	free, err := Free(dir)
	require.NoError(t, err)
	require.Positive(t, free)
}
