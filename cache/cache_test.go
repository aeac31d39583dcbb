package cache

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

// TestLayout is the whole of what other tools see, byte for byte.
func TestLayout(t *testing.T) {
	t.Parallel()
	c := open(t)
	conf, deep, empty := []byte("{}\n"), []byte("weights"), []byte{}
	fetch(t, c, regular("config.json", conf), conf)
	fetch(t, c, lfs("a/b/model.bin", deep), deep)
	fetch(t, c, regular("empty", empty), empty)
	require.NoError(t, c.SetRef(demo, "main", commitA))
	require.NoError(t, c.SetRef(demo, "refs/pr/1", commitA))

	e, l, z := string(regular("", conf).Blob.ETag), string(lfs("", deep).Blob.ETag), string(regular("", empty).Blob.ETag)
	require.Equal(t, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", z, "git's id of the empty blob")
	snap := "models--org--demo/snapshots/" + string(commitA)
	want := []string{
		".locks/", ".locks/models--org--demo/",
		".locks/models--org--demo/" + e + ".lock = ",
		".locks/models--org--demo/" + l + ".lock = ",
		".locks/models--org--demo/" + z + ".lock = ",
		"models--org--demo/", "models--org--demo/blobs/",
		"models--org--demo/blobs/" + e + " = {}\n",
		"models--org--demo/blobs/" + l + " = weights",
		"models--org--demo/blobs/" + z + " = ",
		"models--org--demo/refs/", "models--org--demo/refs/main = " + string(commitA),
		"models--org--demo/refs/refs/", "models--org--demo/refs/refs/pr/",
		"models--org--demo/refs/refs/pr/1 = " + string(commitA),
		"models--org--demo/snapshots/", snap + "/", snap + "/a/", snap + "/a/b/",
		snap + "/a/b/model.bin -> ../../../../blobs/" + l,
		snap + "/config.json -> ../../blobs/" + e,
		snap + "/empty -> ../../blobs/" + z,
	}
	require.ElementsMatch(t, want, listing(t, c.Dir()))
	if runtime.GOOS != "windows" {
		requireModes(t, c.Dir())
	}
	requireScannable(t, c.Dir(), 3)
}

// requireModes wants what a plain open and mkdir would give under this umask.
func requireModes(t *testing.T, dir string) {
	t.Helper()
	plain := filepath.Join(t.TempDir(), "plain")
	f, err := os.OpenFile(plain, os.O_CREATE|os.O_WRONLY, 0o666)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	want, err := os.Stat(plain)
	require.NoError(t, err)
	blobs, err := filepath.Glob(filepath.Join(dir, "*", "blobs", "*"))
	require.NoError(t, err)
	require.Len(t, blobs, 3)
	for _, b := range blobs {
		got, err := os.Stat(b)
		require.NoError(t, err)
		require.Equal(t, want.Mode(), got.Mode(), b)
	}
	locks, err := filepath.Glob(filepath.Join(dir, ".locks", "*", "*"))
	require.NoError(t, err)
	for _, l := range locks {
		got, err := os.Stat(l)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o664), got.Mode(), l)
	}
}

// requireScannable asks huggingface_hub's own scanner, where there is one.
func requireScannable(t *testing.T, dir string, files int) {
	t.Helper()
	const script = `
import sys
from huggingface_hub import scan_cache_dir
info = scan_cache_dir(sys.argv[1])
for w in info.warnings: print("warning:", w)
print("files:", sum(len(r.files) for repo in info.repos for r in repo.revisions))
`
	python := os.Getenv("HFFS_TEST_PYTHON")
	if python == "" {
		python = "python3"
	}
	if exec.Command(python, "-c", "import huggingface_hub").Run() != nil {
		t.Log("huggingface_hub is not installed; its scanner was not asked")
		return
	}
	out, err := exec.Command(python, "-c", script, dir).CombinedOutput()
	require.NoError(t, err, string(out))
	require.NotContains(t, string(out), "warning:")
	require.Contains(t, string(out), "files: "+itoa(files))
}

func TestScannersDoNotMindAFetchUnderWay(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, 600<<10)
	p := begin(t, c, lfs("model.bin", content))
	require.NoError(t, p.WriteChunk(1, part(p.Map(), content, 1)))
	requireScannable(t, c.Dir(), 0)
	names, err := filepath.Glob(filepath.Join(c.Dir(), "*", "blobs", "*"))
	require.NoError(t, err)
	require.Empty(t, names, "nothing another tool could take for its own")
	require.NoDirExists(t, filepath.Join(c.Dir(), demo.Folder(), "snapshots", string(commitA)))
	require.NoError(t, p.Discard())
	require.NoDirExists(t, filepath.Join(c.Dir(), demo.Folder(), partsDir))
}

func TestLayoutWithoutLinks(t *testing.T) {
	t.Parallel()
	c := open(t, noLinks)
	content := bytesOf(2, 300<<10)
	e := lfs("sub/model.bin", content)
	path := fetch(t, c, e, content)
	require.Equal(t, filepath.Join(c.Dir(), demo.Folder(), "snapshots", string(commitA), "sub", "model.bin"), path)
	fi, err := os.Lstat(path)
	require.NoError(t, err)
	require.True(t, fi.Mode().IsRegular())
	require.NoDirExists(t, filepath.Join(c.Dir(), demo.Folder(), "blobs"))
	require.Equal(t, []string{"org/demo@a/sub/model.bin"}, paths(c))

	other := e
	other.Commit, other.Path = commitB, "renamed.bin"
	again, err := c.Find(t.Context(), other)
	require.NoError(t, err, "known by its content in another commit")
	require.Equal(t, string(content), read(t, again))
	held, err := c.Blob(e.Blob.ETag)
	require.NoError(t, err)
	require.NoError(t, held.Close())
}

func TestStateBelongsToOne(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, err := Open(Config{Dir: c.Dir(), State: filepath.Join(filepath.Dir(c.Dir()), "hffs")})
	require.ErrorIs(t, err, ErrInUse)
}

func TestDamagedStateStartsAnew(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	cfg := Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "hffs")}
	require.NoError(t, os.MkdirAll(cfg.State, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(cfg.State, "cache.db"), bytesOf(1, 64<<10), 0o600))
	c, err := Open(cfg)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestRefs(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, err := c.Ref(demo, "main")
	require.ErrorIs(t, err, ErrNotFound)

	require.NoError(t, c.SetRef(demo, "main", commitA))
	file := filepath.Join(c.Dir(), demo.Folder(), "refs", "main")
	require.NoFileExists(t, file, "scanners mind a ref without a snapshot")
	k, err := c.Ref(demo, "main")
	require.NoError(t, err, "but we remember")
	require.Equal(t, commitA, k.Commit)

	fetch(t, c, regular("f", []byte("x")), []byte("x"))
	require.NoError(t, c.SetRef(demo, "main", commitA))
	require.Equal(t, string(commitA), read(t, file))
	before, err := os.Stat(file)
	require.NoError(t, err)
	require.NoError(t, c.SetRef(demo, "main", commitA))
	after, err := os.Stat(file)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "an unchanged ref is not written again")

	require.NoError(t, os.WriteFile(file, []byte(commitA[:7]), 0o644))
	k, err = c.Ref(demo, "main")
	require.NoError(t, err, "another tool is just writing it")
	require.Equal(t, commitA, k.Commit)

	require.NoError(t, c.SetRef(demo, string(commitB), commitB), "a commit needs no ref")
	require.NoFileExists(t, filepath.Join(filepath.Dir(file), string(commitB)))
	for _, bad := range []string{"../x", "", "a//b", "/etc/passwd", "a.lock"} {
		require.Error(t, c.SetRef(demo, bad, commitA), bad)
	}
	require.Error(t, c.SetRef(demo, "main", "short"))
	require.Len(t, c.Holdings().Refs, 1)
	require.Equal(t, "main", c.Holdings().Refs[0].Name)
}

func TestEntry(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, err := c.Entry(demo, commitA, "f")
	require.ErrorIs(t, err, ErrNotFound)

	stated := lfs("f", []byte("stated"))
	stated.Blob.Xet = ref.XetHash(strings.Repeat("1", 64))
	require.NoError(t, c.Remember(stated))
	got, err := c.Entry(demo, commitA, "f")
	require.NoError(t, err)
	require.Equal(t, stated, got)

	have := lfs("g", []byte("content"))
	foreign(t, c, have, []byte("content"))
	got, err = c.Entry(demo, commitA, "g")
	require.NoError(t, err)
	require.Equal(t, have, got)

	bad := lfs("bad", []byte("right content"))
	foreign(t, c, bad, []byte("wrong"))
	_, err = c.Find(t.Context(), bad)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, c.check(t.Context(), demo.Folder()+"/"+blobPath(bad.Blob.ETag), bad.Blob.ETag, anySize), ErrMismatch)
	_, err = c.Entry(demo, commitA, "bad")
	require.ErrorIs(t, err, ErrNotFound, "its size would mislead")

	trees := filepath.Join(c.Dir(), demo.Folder(), "trees")
	require.NoError(t, os.MkdirAll(trees, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(trees, string(commitA)+".json"), []byte(sampleTree), 0o600))
	got, err = c.Entry(demo, commitA, "model.safetensors")
	require.NoError(t, err)
	require.Equal(t, ref.Blob{ETag: ref.ETag(strings.Repeat("5", 64)), Size: 90868376, Xet: ref.XetHash(strings.Repeat("7", 64))}, got.Blob)
	got, err = c.Entry(demo, commitA, "1_Pooling/config.json")
	require.NoError(t, err)
	require.Equal(t, ref.Blob{ETag: ref.ETag(strings.Repeat("d", 40)), Size: 190}, got.Blob)

	require.Error(t, c.Remember(ref.Entry{Repo: demo, Commit: commitA, Path: "../x", Blob: stated.Blob}))
	require.Error(t, c.Remember(ref.Entry{Repo: demo, Commit: commitA, Path: "x", Blob: ref.Blob{ETag: stated.Blob.ETag, Size: -1}}))
}

func TestRememberedOutlastsARestart(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	cfg := Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "hffs")}
	c, err := Open(cfg)
	require.NoError(t, err)
	e := lfs("f", []byte("x"))
	require.NoError(t, c.Remember(e))
	fetch(t, c, e, []byte("x"))
	require.NoError(t, c.Close())

	c, err = Open(cfg)
	require.NoError(t, err)
	got, err := c.Entry(demo, commitA, "f")
	require.NoError(t, err)
	require.Equal(t, e, got)
	held, err := c.Blob(e.Blob.ETag)
	require.NoError(t, err, "no need to hash it again")
	require.NoError(t, held.Close())
	require.NoError(t, c.Close())
}

func TestOldestEntriesGo(t *testing.T) {
	t.Parallel()
	c := open(t)
	q := &fifo{values: bucketEntries, order: bucketOrder, max: 20}
	for i := range 23 {
		q.put(c.book, itoa(i), []byte("x"))
	}
	q.put(c.book, "4", []byte("another x"))
	require.Nil(t, c.book.get(bucketEntries, "2"))
	require.NotNil(t, c.book.get(bucketEntries, "3"))
	require.NoError(t, c.book.flush())
	next := &fifo{values: bucketEntries, order: bucketOrder, max: 20}
	next.put(c.book, "another", []byte("x"))
	require.Nil(t, c.book.get(bucketEntries, "3"), "the order outlasts a restart")
	require.Equal(t, "another x", string(c.book.get(bucketEntries, "4")), "what is put again keeps its place")
}

func TestOldestGoWhenTheyTakeTooMuch(t *testing.T) {
	t.Parallel()
	c := open(t)
	q := &fifo{values: bucketInfos, order: orderOf(bucketInfos), max: 20, maxBytes: 10}
	q.put(c.book, "a", []byte("1234"))
	q.put(c.book, "b", []byte("1234"))
	q.put(c.book, "b", []byte("123456"))
	require.NotNil(t, c.book.get(bucketInfos, "a"), "ten bytes are not too many")
	require.NoError(t, c.book.flush())
	next := &fifo{values: bucketInfos, order: orderOf(bucketInfos), max: 20, maxBytes: 10}
	next.put(c.book, "c", []byte("1"))
	require.Nil(t, c.book.get(bucketInfos, "a"), "what is on disk counts after a restart")
	require.NotNil(t, c.book.get(bucketInfos, "b"))
	require.NotNil(t, c.book.get(bucketInfos, "c"))
}
