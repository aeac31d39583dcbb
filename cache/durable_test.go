package cache

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

// reopen is another run on the same cache, in the given start of the machine.
func reopen(t *testing.T, c *Cache, boot string) *Cache {
	t.Helper()
	require.NoError(t, c.Close())
	again, err := Open(Config{Dir: c.Dir(), State: defaultState(c.Dir()), Boot: boot})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Close()) })
	return again
}

// fetchedOn is a file of a cache, which got there in the given start of the machine.
func fetchedOn(t *testing.T, boot string) (c *Cache, e ref.Entry, path string) {
	t.Helper()
	content := bytesOf(1, fiveChunks)
	c, e = open(t, inBoot(boot)), lfs("model.bin", content)
	return c, e, fetch(t, c, e, content)
}

func inBoot(name string) func(*Config) {
	return func(cfg *Config) { cfg.Boot, cfg.State = name, defaultState(cfg.Dir) }
}

// recorded tells whether a file counts as checked without being read.
func recorded(c *Cache, e ref.Entry) bool {
	rel := e.Repo.Folder() + "/" + c.contentPath(e)
	_, ok := c.recordOf(rel, c.stampOf(rel))
	return ok
}

func TestRecordHoldsForThisStartOnly(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, fiveChunks)
	e, small := lfs("model.bin", content), regular("config.json", []byte("{}"))
	c := open(t, inBoot("monday"))
	fetch(t, c, e, content)
	_, errs := c.KeepWhole(t.Context(), demo, []Whole{{small, []byte("{}")}})
	require.Equal(t, []error{nil}, errs)

	c = reopen(t, c, "monday")
	require.True(t, recorded(c, e), "the machine has not been down")
	require.True(t, recorded(c, small))
	c = reopen(t, c, "tuesday")
	require.False(t, recorded(c, e), "the file may be torn")
	require.True(t, recorded(c, small), "small files are waited for")
	_, err := c.Find(t.Context(), e)
	require.NoError(t, err, "it is not")
	require.True(t, recorded(c, e))
	c = reopen(t, c, "wednesday")
	require.False(t, recorded(c, e), "reading it has not put it on the disk")
}

func TestWithoutARunTheDiskIsWaitedFor(t *testing.T) {
	t.Parallel()
	c, e, _ := fetchedOn(t, "")
	c = reopen(t, c, "tuesday")
	require.True(t, recorded(c, e))
}

// TestNameMayOutliveItsRecord has the power cut right after a name was given: the disk has
// that, but neither the bytes nor the record.
func TestNameMayOutliveItsRecord(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	c := open(t, inBoot("monday"))
	p := begin(t, c, e)
	fill(t, p, content)
	_, err := p.file.WriteAt(make([]byte, 4096), 8192)
	require.NoError(t, err)
	blob := c.abs(p.rel())
	require.NoError(t, os.MkdirAll(filepath.Dir(blob), 0o755))
	require.NoError(t, os.Rename(partFile(c, e, partSuffix), blob))
	require.NoError(t, p.Close())

	c = reopen(t, c, "monday")
	require.False(t, recorded(c, e))
	require.Empty(t, c.tornFiles())
	c = reopen(t, c, "tuesday")
	require.NoError(t, c.recoverTorn(t.Context()))
	require.NoFileExists(t, blob)
	require.Empty(t, c.tornFiles())
}

func TestRunWritesOutWhatWasNamed(t *testing.T) {
	t.Parallel()
	c, e, _ := fetchedOn(t, "monday")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	require.Eventually(t, func() bool { return len(c.volatileFiles()) == 0 }, 20*time.Second, 10*time.Millisecond, "never written out")
	stop()
	require.NoError(t, <-ended)
	c = reopen(t, c, "tuesday")
	require.True(t, recorded(c, e))
}

// TestTornFileIsRemoved has the power cut that kept a name and lost the bytes.
func TestTornFileIsRemoved(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, fiveChunks)
	torn, whole := lfs("torn.bin", content), lfs("whole.bin", content[1:])
	c := open(t, inBoot("monday"))
	path := fetch(t, c, torn, content)
	fetch(t, c, whole, content[1:])
	fi, err := os.Stat(path)
	require.NoError(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(make([]byte, 4096), 8192)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, os.Chtimes(path, fi.ModTime(), fi.ModTime()))

	c = reopen(t, c, "tuesday")
	run(t, c)
	waitFor(t, c, "the whole one is known", func() bool { return len(paths(c)) == 1 && len(c.tornFiles()) == 0 })
	require.NoFileExists(t, path)
	_, err = c.Find(t.Context(), torn)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, path, fetch(t, c, torn, content))
}

// TestEditedFileStays is the same with a file that somebody has written to by its name.
func TestEditedFileStays(t *testing.T) {
	t.Parallel()
	c, _, path := fetchedOn(t, "monday")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o644))

	c = reopen(t, c, "tuesday")
	require.NoError(t, c.recoverTorn(t.Context()))
	require.Equal(t, "mine", read(t, path))
}

// TestWrongFileOfOthersStays is the same with a file that somebody else put there since.
func TestWrongFileOfOthersStays(t *testing.T) {
	t.Parallel()
	c, e, _ := fetchedOn(t, "monday")
	rel := e.Repo.Folder() + "/" + blobPath(e.Blob.ETag)
	require.NoError(t, os.WriteFile(c.abs(rel)+".other", bytesOf(1, fiveChunks)[1:], 0o644))
	require.NoError(t, os.Rename(c.abs(rel)+".other", c.abs(rel)))

	c = reopen(t, c, "tuesday")
	require.NoError(t, c.recoverTorn(t.Context()))
	require.FileExists(t, c.abs(rel))
	require.Empty(t, c.tornFiles())
}
