package cache

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/index"
	"hffs/cache/ref"
)

// cutUp is what another reading of the content finds.
func cutUp(t *testing.T, content []byte) (current, legacy chunk.Map) {
	t.Helper()
	maps, err := chunk.Scan(t.Context(), bytes.NewReader(content), int64(len(content)), chunk.ScanOptions{}, chunk.Current, chunk.Legacy)
	require.NoError(t, err)
	return maps[0], maps[1]
}

func withXet(e ref.Entry, m chunk.Map) ref.Entry {
	e.Blob.Xet = ref.XetHash(m.FileHash().String())
	return e
}

// indexNow does what Run does when all is hashed.
func indexNow(t *testing.T, c *Cache) {
	t.Helper()
	c.scanAll(t.Context(), func(string) {})
	for j, ok := c.nextJob(); ok; j, ok = c.nextJob() {
		require.NoError(t, c.check(t.Context(), j.rel, j.etag, anySize))
	}
	todo, ok := c.toIndex()
	require.True(t, ok)
	c.indexSome(t.Context(), todo)
}

// requireReadable reads every chunk of a map by its hash.
func requireReadable(t *testing.T, c *Cache, m chunk.Map, content []byte) {
	t.Helper()
	var buf []byte
	for i := range m.Len() {
		data, err := c.ReadChunk(m.Hash(i), buf)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content[m.Offset(i):m.Offset(i+1)], data))
		buf = data
	}
}

const some = 2_500_000 // bytes

func TestRunLearnsWhatBlobsAreMadeOf(t *testing.T) {
	t.Parallel()
	c := open(t)
	ours, theirs := bytesOf(2, some), bytesOf(1, some)
	current, _ := cutUp(t, ours)
	other, legacy := cutUp(t, theirs)
	require.NotEqual(t, other.FileHash(), legacy.FileHash(), "the rules differ here")
	e := withXet(lfs("old.bin", theirs), legacy)
	require.NoError(t, c.Remember(e))
	foreign(t, c, e, theirs)
	run(t, c)
	fetch(t, c, withXet(lfs("new.bin", ours), current), ours)
	known := func() bool {
		_, err1 := c.ContentMap(withXet(lfs("", ours), current).Blob)
		_, err2 := c.ContentMap(e.Blob)
		return err1 == nil && err2 == nil
	}
	require.Eventually(t, known, 20*time.Second, 5*time.Millisecond)
	requireReadable(t, c, current, ours)
	requireReadable(t, c, legacy, theirs)
	require.NoError(t, os.RemoveAll(filepath.Join(c.Dir(), demo.Folder())))
	forgotten := func() bool {
		_, err := c.index.Map(e.Blob.ETag)
		return err != nil
	}
	require.Eventually(t, forgotten, 20*time.Second, 5*time.Millisecond)
}

func TestContentOutlastsARestart(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	cfg := Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "hffs")}
	c, err := Open(cfg)
	require.NoError(t, err)
	content := bytesOf(1, some)
	current, _ := cutUp(t, content)
	e := lfs("model.bin", content)
	fetch(t, c, e, content)
	fetch(t, c, regular("small.json", []byte("{}")), []byte("{}"))
	indexNow(t, c)
	require.NoError(t, c.Close())
	c, err = Open(cfg)
	require.NoError(t, err)
	defer c.Close()
	c.scanAll(t.Context(), func(string) {})
	todo, ok := c.toIndex()
	require.True(t, ok)
	require.Empty(t, todo, "nothing is read again, and nothing small at all")
	m, err := c.ContentMap(e.Blob)
	require.NoError(t, err)
	require.Equal(t, current, m)
	requireReadable(t, c, m, content)
}

func TestNoChunksOfWhatChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(blob string) error{
		"replaced": func(blob string) error {
			if err := os.WriteFile(blob+".new", bytesOf(9, some), 0o644); err != nil {
				return err
			}
			return os.Rename(blob+".new", blob)
		},
		"written into": func(blob string) error { return os.WriteFile(blob, bytesOf(9, some), 0o644) },
		"deleted":      os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			content := bytesOf(1, some)
			current, _ := cutUp(t, content)
			e := lfs("model.bin", content)
			blob := foreign(t, c, e, content)
			indexNow(t, c)
			requireReadable(t, c, current, content)
			require.NoError(t, change(blob))
			_, err := c.ReadChunk(current.Hash(3), nil)
			require.ErrorIs(t, err, ErrNotFound)
			require.Nil(t, c.Chunks([]chunk.Hash{current.Hash(3)})[0], "its record is dropped by now")
			c.scanAll(t.Context(), func(string) {})
			for j, ok := c.nextJob(); ok; j, ok = c.nextJob() {
				require.ErrorIs(t, c.check(t.Context(), j.rel, j.etag, anySize), ErrMismatch)
			}
			_, ok := c.toIndex()
			require.True(t, ok)
			_, err = c.ContentMap(e.Blob)
			require.ErrorIs(t, err, ErrNotFound)
		})
	}
}

// TestPlacesAreHints has the index say what is not so.
func TestPlacesAreHints(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, some)
	current, _ := cutUp(t, content)
	e := lfs("model.bin", content)
	fetch(t, c, e, content)
	var swapped []chunk.Chunk
	for i := range current.Len() {
		swapped = append(swapped, chunk.Chunk{Length: current.Length(i), Hash: current.Hash(current.Len() - 1 - i)})
	}
	wrong, err := chunk.Content(swapped)
	require.NoError(t, err)
	require.NoError(t, c.KeepMap(e.Blob, wrong))
	require.Len(t, c.Chunks([]chunk.Hash{current.Hash(0)})[0], 1)
	_, err = c.ReadChunk(current.Hash(0), nil)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, err, ErrMismatch)
	right := index.Place{ETag: e.Blob.ETag, Off: 0, Len: int(current.Length(0))}
	beyond := index.Place{ETag: e.Blob.ETag, Off: some, Len: 10}
	absurd := index.Place{ETag: e.Blob.ETag, Off: 0, Len: 1 << 30}
	data, err := c.ReadChunkAt(current.Hash(0), []index.Place{beyond, absurd, right}, nil)
	require.NoError(t, err)
	require.Equal(t, content[:current.Length(0)], data)
}

func TestLearn(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, some)
	_, legacy := cutUp(t, content)
	e := withXet(lfs("model.bin", content), legacy)
	require.ErrorIs(t, c.Learn(t.Context(), e.Blob), ErrNotFound)
	fetch(t, c, e, content)
	_, err := c.ContentMap(e.Blob)
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, c.Learn(t.Context(), e.Blob))
	m, err := c.ContentMap(e.Blob)
	require.NoError(t, err)
	require.NoError(t, m.Verify(e.Blob.Xet, e.Blob.Size))
	requireReadable(t, c, m, content)

	e.Blob.Xet = ref.XetHash(chunk.Hash{1}.String())
	require.NoError(t, c.Learn(t.Context(), e.Blob), "a hash of neither rule")
	_, err = c.ContentMap(e.Blob)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestKeepMap(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, some)
	current, _ := cutUp(t, content)
	e := withXet(lfs("model.bin", content), current)
	fetch(t, c, e, content)
	require.ErrorIs(t, c.KeepMap(ref.Blob{ETag: e.Blob.ETag, Size: some + 1}, current), ErrMismatch)
	require.NoError(t, c.KeepMap(e.Blob, current))
	c.scanAll(t.Context(), func(string) {})
	todo, _ := c.toIndex()
	require.Empty(t, todo)
	requireReadable(t, c, current, content)
	small := regular("small", []byte("x"))
	require.NoError(t, c.KeepMap(small.Blob, chunk.Map{}))
}
