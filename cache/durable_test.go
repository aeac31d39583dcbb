package cache

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

// reopen is another run on the same cache, in the given start of the machine.
func reopen(t *testing.T, c *Cache, boot string) *Cache {
	t.Helper()
	require.NoError(t, c.Close())
	again, err := Open(Config{Dir: c.Dir(), State: defaultState(c.Dir()), Boot: boot})
	require.NoError(t, err)
	return again
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
	require.False(t, recorded(c, small))
	_, err := c.Find(t.Context(), e)
	require.NoError(t, err, "it is not")
	c = reopen(t, c, "wednesday")
	require.True(t, recorded(c, e), "what was read after a start is on the disk")
	require.False(t, recorded(c, small))
	require.NoError(t, c.Close())
}

func TestRunWritesOutWhatWasNamed(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	c := open(t, inBoot("monday"))
	fetch(t, c, e, content)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	waitFor(t, c, "written out", func() bool { return len(c.volatileFiles()) == 0 })
	stop()
	require.NoError(t, <-ended)
	c = reopen(t, c, "tuesday")
	require.True(t, recorded(c, e))
	require.NoError(t, c.Close())
}

// TestTornFileIsRemoved has the power cut that kept a name and lost the bytes.
func TestTornFileIsRemoved(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, fiveChunks)
	torn, whole := lfs("torn.bin", content), lfs("whole.bin", content[1:])
	c := open(t, inBoot("monday"))
	path := fetch(t, c, torn, content)
	fetch(t, c, whole, content[1:])
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(make([]byte, 4096), 8192)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	c = reopen(t, c, "tuesday")
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	run(t, c)
	waitFor(t, c, "the whole one is known", func() bool { return len(paths(c)) == 1 && len(c.tornFiles()) == 0 })
	require.NoFileExists(t, path)
	_, err = c.Find(t.Context(), torn)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, path, fetch(t, c, torn, content))
}

// TestWrongFileOfOthersStays is the same with a file that somebody else put there since.
func TestWrongFileOfOthersStays(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	c := open(t, inBoot("monday"))
	fetch(t, c, e, content)
	rel := e.Repo.Folder() + "/" + blobPath(e.Blob.ETag)
	require.NoError(t, os.WriteFile(c.abs(rel)+".other", content[1:], 0o644))
	require.NoError(t, os.Rename(c.abs(rel)+".other", c.abs(rel)))

	c = reopen(t, c, "tuesday")
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.recover(t.Context()))
	require.FileExists(t, c.abs(rel))
	require.Empty(t, c.tornFiles())
}
