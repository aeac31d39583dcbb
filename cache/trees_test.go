package cache

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

// someList is a list of n files of all kinds, sorted by path.
func someList(n int) []ref.Listed {
	var files []ref.Listed
	for i := range n {
		e := regular(fmt.Sprintf("folder %d/file %04d", i/10, i), bytesOf(uint64(i), i%50))
		if i%3 > 0 {
			e = lfs(e.Path, bytesOf(uint64(i), i%50))
		}
		if i%3 > 1 {
			e.Blob.Xet = ref.XetHash(fmt.Sprintf("%064x", i))
		}
		files = append(files, ref.Listed{Path: e.Path, Blob: e.Blob})
	}
	slices.SortFunc(files, byPath)
	return files
}

func TestKeptTree(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	cfg := Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "hffs")}
	c, err := Open(cfg)
	require.NoError(t, err)
	_, ok := c.Tree(demo, commitA)
	require.False(t, ok)

	files := someList(1000)
	mixed := slices.Clone(files)
	slices.Reverse(mixed)
	require.NoError(t, c.KeepTree(demo, commitA, mixed))
	require.Equal(t, "folder 99/file 0999", mixed[0].Path, "the caller's list stays as it is")
	require.NoError(t, c.KeepTree(demo, commitB, nil))
	require.NoError(t, c.Close())

	c, err = Open(cfg)
	require.NoError(t, err)
	got, ok := c.StatedTree(demo, commitA)
	require.True(t, ok)
	require.Equal(t, files, got)
	got, ok = c.Tree(demo, commitB)
	require.True(t, ok, "a commit without files has a list as well")
	require.Empty(t, got)
	e, ok := c.SureEntry(demo, commitA, files[500].Path)
	require.True(t, ok, "the list is the Hub's word")
	require.Equal(t, files[500].Blob, e.Blob)
	_, ok = c.SureEntry(demo, commitA, "folder 0")
	require.False(t, ok)
	_, ok = c.Tree(ref.Repo{Type: ref.Dataset, ID: demo.ID}, commitA)
	require.False(t, ok)
	require.NoError(t, c.Close())
}

func TestTreesThatAreNotKept(t *testing.T) {
	t.Parallel()
	c := open(t)
	good := ref.Blob{ETag: ref.ETag(strings.Repeat("a", 40)), Size: 1}
	for name, files := range map[string][]ref.Listed{
		"twice":    {{Path: "a", Blob: good}, {Path: "b", Blob: good}, {Path: "a", Blob: good}},
		"leads up": {{Path: "../a", Blob: good}},
		"no etag":  {{Path: "a", Blob: ref.Blob{ETag: "x"}}},
		"no size":  {{Path: "a", Blob: ref.Blob{ETag: good.ETag, Size: -1}}},
		"redacted": {{Path: "a", Blob: ref.Blob{ETag: good.ETag, Xet: ref.XetHash(strings.Repeat("*", 64))}}},
		"too many": make([]ref.Listed, MaxListed+1),
	} {
		require.Error(t, c.KeepTree(demo, commitA, files), name)
	}
	require.Error(t, c.KeepTree(demo, "main", []ref.Listed{{Path: "a", Blob: good}}))
	_, ok := c.Tree(demo, commitA)
	require.False(t, ok)
}

func TestAnotherToolsTree(t *testing.T) {
	t.Parallel()
	c := open(t)
	trees := filepath.Join(c.Dir(), demo.Folder(), "trees")
	require.NoError(t, os.MkdirAll(trees, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(trees, string(commitA)+".json"), []byte(sampleTree), 0o600))
	got, ok := c.Tree(demo, commitA)
	require.True(t, ok)
	require.Len(t, got, 2)
	require.Equal(t, "1_Pooling/config.json", got[0].Path)
	_, ok = c.StatedTree(demo, commitA)
	require.False(t, ok, "nobody knows whether the other tool was told all")
	_, ok = c.SureEntry(demo, commitA, "model.safetensors")
	require.False(t, ok)

	ours := someList(3)
	require.NoError(t, c.KeepTree(demo, commitA, ours))
	got, _ = c.Tree(demo, commitA)
	require.Equal(t, ours, got, "the Hub's word to us wins")
}

func TestPresent(t *testing.T) {
	t.Parallel()
	c := open(t)
	require.Empty(t, c.Present(demo, commitA))
	ours, theirs := lfs("ours", []byte("1")), lfs("folder/theirs", []byte("22"))
	fetch(t, c, ours, []byte("1"))
	foreign(t, c, theirs, []byte("22"))
	want := []ref.Listed{{Path: "folder/theirs", Blob: theirs.Blob}, {Path: "ours", Blob: ours.Blob}}
	require.Equal(t, want, c.Present(demo, commitA), "also where nobody has scanned the cache")
	require.Empty(t, c.Present(demo, commitB))
	require.Empty(t, c.Present(demo, "../"+commitA[3:]))
}

func TestInfo(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, ok := c.Info(demo, commitA)
	require.False(t, ok)
	require.NoError(t, c.KeepInfo(demo, commitA, json.RawMessage(`{"id":"a"}`)))
	long := json.RawMessage(`{"id":"` + strings.Repeat("a", MaxInfo/2) + `"}`)
	require.NoError(t, c.KeepInfo(demo, commitA, long))
	got, ok := c.Info(demo, commitA)
	require.True(t, ok)
	require.Equal(t, long, got)
	_, ok = c.Info(demo, commitB)
	require.False(t, ok)
	require.Error(t, c.KeepInfo(demo, commitB, append(long, long...)))
	require.ErrorIs(t, c.KeepInfo(demo, commitB, json.RawMessage(`<html>`)), errNotJSON)
	require.Error(t, c.KeepInfo(demo, "main", json.RawMessage(`{}`)))
}

func TestListsInMemoryAreBounded(t *testing.T) {
	t.Parallel()
	l := newListCache()
	half := make([]ref.Listed, maxListedAhead/2)
	l.put("a", half)
	l.put("b", half)
	l.put("b", half)
	_, ok := l.get("a")
	require.True(t, ok)
	l.put("c", half[:1])
	_, ok = l.get("b")
	require.False(t, ok, "the one not used for longest goes")
	require.Equal(t, maxListedAhead/2+1, l.files)
}

func FuzzDecodeList(f *testing.F) {
	f.Add(encodeList(someList(30)))
	f.Add(encodeList(nil))
	f.Add([]byte{255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := decodeList(data)
		if err != nil {
			return
		}
		require.NoError(t, checkList(demo, commitA, files))
		again, err := decodeList(encodeList(files))
		require.NoError(t, err)
		require.Equal(t, files, again)
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack([]byte("short")))
	f.Add(pack(bytesOf(1, 4*packMin)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if plain, err := unpack(data, 1<<16); err == nil {
			require.LessOrEqual(t, len(plain), 1<<16)
		}
	})
}
