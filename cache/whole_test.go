package cache

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

func TestKeepWhole(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){"links": func(*Config) {}, "no links": noLinks} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, change)
			long, empty := bytesOf(1, chunk.FixedLen+7), []byte{}
			right := []Whole{{lfs("a/long.bin", long), long}, {lfs("empty", empty), empty}, {lfs("ünï #%20 x", long[:5]), long[:5]}}
			wrong := Whole{lfs("wrong", long[:9]), long[1:10]}
			short := Whole{lfs("short", long[:9]), long[:8]}
			paths, errs := c.KeepWhole(t.Context(), demo, append(right[:3:3], wrong, short))
			for i, w := range right {
				require.NoError(t, errs[i])
				got, err := os.ReadFile(paths[i])
				require.NoError(t, err)
				require.Equal(t, w.Data, got)
				found, err := c.Find(t.Context(), w.Entry)
				require.NoError(t, err)
				require.Equal(t, paths[i], found)
			}
			require.ErrorIs(t, errs[3], ErrMismatch)
			require.ErrorIs(t, errs[4], ErrMismatch)
			_, err := c.Find(t.Context(), wrong.Entry)
			require.ErrorIs(t, err, ErrNotFound)

			held, err := c.Blob(right[0].Entry.Blob.ETag)
			require.NoError(t, err)
			defer held.Close()
			m, err := held.Map()
			require.NoError(t, err)
			require.Equal(t, 2, m.Len(), "peers can be told of its chunks")
			require.NoDirExists(t, filepath.Join(c.Dir(), demo.Folder(), partsDir))
			require.Len(t, c.Holdings().Snapshots[0].Files, 3)
		})
	}
}

func TestWriteTree(t *testing.T) {
	t.Parallel()
	c := open(t)
	big := lfs("dir/big <&>.bin", bytesOf(1, 100))
	big.Blob.Xet = ref.XetHash(ref.ETag(big.Blob.ETag))
	files := []ref.Listed{{Path: "config.json", Blob: ref.Blob{ETag: ref.ETag(commitA), Size: 3}}, {Path: big.Path, Blob: big.Blob}}
	require.NoError(t, c.WriteTree(demo, commitA, files))
	require.DirExists(t, filepath.Join(c.Dir(), demo.Folder(), snapshotsDir), "or scanners call the repo corrupt")
	text, err := os.ReadFile(filepath.Join(c.Dir(), demo.Folder(), "trees", string(commitA)+".json"))
	require.NoError(t, err)
	require.NotContains(t, string(text), "xet_hash")
	require.Contains(t, string(text), `"dir/big <&>.bin"`)
	var doc struct {
		Version int `json:"format_version"`
		Files   map[string]map[string]any
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	require.Equal(t, 1, doc.Version)
	require.Equal(t, map[string]any{"size": 3., "blob_id": string(commitA)}, doc.Files["config.json"])
	require.Equal(t, map[string]any{
		"size": 100., "blob_id": big.Blob.OID(), "lfs_sha256": string(big.Blob.ETag), "lfs_size": 100.,
	}, doc.Files[big.Path])

	read, ok := c.Tree(demo, commitA)
	require.True(t, ok)
	require.Len(t, read, 2)
	require.NoError(t, c.WriteTree(demo, commitA, files[:1]))
	again, err := os.ReadFile(filepath.Join(c.Dir(), demo.Folder(), "trees", string(commitA)+".json"))
	require.NoError(t, err)
	require.Equal(t, text, again, "one that is there is left alone")
	require.Error(t, c.WriteTree(demo, "main", files))
}

func TestExport(t *testing.T) {
	t.Parallel()
	c := open(t)
	small, large := bytesOf(1, 100), bytesOf(2, linkMin)
	all := []Whole{{lfs("small.bin", small), small}, {lfs("large.bin", large), large}}
	_, errs := c.KeepWhole(t.Context(), demo, all)
	require.Equal(t, []error{nil, nil}, errs)
	dir := t.TempDir()
	put := func(e ref.Entry, links bool) (Way, string) {
		dst := filepath.Join(dir, filepath.Base(e.Path))
		_ = os.Remove(dst) // it may be a link: writing into it would write into the cache
		require.NoError(t, os.WriteFile(dst, []byte("what was there"), 0o600))
		how, err := c.Export(t.Context(), e, dst, dst+".tmp", links)
		require.NoError(t, err)
		require.NoFileExists(t, dst+".tmp")
		return how, dst
	}
	how, path := put(all[0].Entry, true)
	require.NotEqual(t, ByHardLink, how, "a text that is edited must not change the cache's")
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, small, got)
	for _, links := range []bool{true, true, false} {
		how, path = put(all[1].Entry, links)
		require.True(t, how != ByHardLink || links)
		got, err = os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, large, got)
		held, err := c.Blob(all[1].Entry.Blob.ETag)
		require.NoError(t, err, "it still counts as checked")
		require.NoError(t, held.Close())
	}
	_, err = c.Export(t.Context(), lfs("none", []byte("x")), path, path+".tmp", true)
	require.ErrorIs(t, err, ErrNotFound)
	require.NoFileExists(t, path+".tmp")
}

func TestSeems(t *testing.T) {
	t.Parallel()
	c := open(t)
	data := bytesOf(1, 50)
	e, other := lfs("a", data), lfs("b", data[1:])
	require.False(t, c.Seems(e))
	_, errs := c.KeepWhole(t.Context(), demo, []Whole{{e, data}})
	require.NoError(t, errs[0])
	require.True(t, c.Seems(e))
	require.False(t, c.Seems(other))
	elsewhere := e
	elsewhere.Repo.ID, elsewhere.Path = "org/other", "c"
	require.True(t, c.Seems(elsewhere), "its bytes are here under another name")
	blob := filepath.Join(c.Dir(), demo.Folder(), blobsDir, string(other.Blob.ETag))
	require.NoError(t, os.WriteFile(blob, data[1:], 0o600))
	require.True(t, c.Seems(other), "unchecked, by its name and size")
}
