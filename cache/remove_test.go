package cache

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// twoVersions is a cache with two commits of a repo that have one file in common.
func twoVersions(t *testing.T, change ...func(*Config)) (c *Cache, common, old ref.Entry) {
	t.Helper()
	c = open(t, change...)
	common, old = lfs("sub/common.bin", bytesOf(1, 5000)), lfs("model.bin", bytesOf(2, 7000))
	fetch(t, c, common, bytesOf(1, 5000))
	fetch(t, c, old, bytesOf(2, 7000))
	require.NoError(t, c.Remember(common))
	require.NoError(t, c.Remember(old))
	again := common
	again.Commit = commitB
	_, err := c.Find(t.Context(), again)
	require.NoError(t, err)
	require.NoError(t, c.Remember(again))
	require.NoError(t, c.SetRef(demo, "main", commitB))
	require.NoError(t, c.SetRef(demo, "feature/v1", commitA))
	for _, dir := range []string{noExistDir + "/" + string(commitA), treesDir} {
		require.NoError(t, os.MkdirAll(c.abs(demo.Folder()+"/"+dir), 0o755))
	}
	require.NoError(t, os.WriteFile(c.abs(demo.Folder()+"/"+noExistDir+"/"+string(commitA)+"/x.json"), nil, 0o644))
	require.NoError(t, os.WriteFile(c.abs(demo.Folder()+"/"+treesDir+"/"+string(commitA)+".json"), []byte("{}"), 0o644))
	return c, common, old
}

func remove(t *testing.T, c *Cache, r Removal) Removed {
	t.Helper()
	gone, err := c.Remove(t.Context(), r)
	require.NoError(t, err)
	requireSound(t, c.dir)
	return gone
}

// requireSound asks of a cache what scan_cache_dir asks: each repo has snapshots, each
// link leads somewhere, and each ref has a snapshot.
func requireSound(t *testing.T, dir string) {
	t.Helper()
	for _, folder := range (&Cache{dir: dir}).repoFolders() {
		require.DirExists(t, filepath.Join(dir, folder, snapshotsDir))
	}
	for _, s := range Stored(dir) {
		for _, r := range s.Revisions {
			for _, f := range r.Files {
				require.False(t, f.Missing, "%s of %s leads nowhere", f.Path, s.Repo)
			}
		}
		for name, commit := range (&Cache{dir: dir}).refFiles(s.Repo) {
			_, ok := s.At(string(commit))
			require.True(t, ok, "%s has no snapshot", name)
		}
	}
}

func TestRemoveKeepsABlobThatAnotherSnapshotHas(t *testing.T) {
	t.Parallel()
	c, common, _ := twoVersions(t)
	gone := remove(t, c, Removal{Repo: demo, Path: common.Path, Commits: []ref.Commit{commitA}})
	require.Equal(t, Removed{Files: []RemovedFile{{commitA, common.Path, 5000, true}}, Refs: nil}, gone)
	require.NoDirExists(t, c.abs(demo.Folder()+"/"+snapshotPath(commitA, "sub")), "an empty folder goes")
	require.Equal(t, []string{"org/demo@a/model.bin", "org/demo@b/sub/common.bin"}, paths(c))

	gone = remove(t, c, Removal{Repo: demo, Path: common.Path, Commits: []ref.Commit{commitB}})
	require.Equal(t, Removed{Files: []RemovedFile{{commitB, common.Path, 5000, false}}, Refs: []string{"main"}, Blobs: 1, Freed: 5000}, gone)
	require.Equal(t, []string{"org/demo@a/model.bin"}, paths(c))
	_, err := c.Blob(common.Blob.ETag)
	require.ErrorIs(t, err, ErrNotFound)
	require.NoFileExists(t, c.abs(refRel(demo, "main")))
	require.FileExists(t, c.abs(refRel(demo, "feature/v1")))
}

func TestRemoveASnapshot(t *testing.T) {
	t.Parallel()
	c, common, old := twoVersions(t)
	gone := remove(t, c, Removal{Repo: demo, Commits: []ref.Commit{commitA}})
	require.Equal(t, []string{"feature/v1"}, gone.Refs)
	require.Equal(t, 1, gone.Blobs)
	require.EqualValues(t, 7000, gone.Freed)
	require.NoFileExists(t, c.abs(demo.Folder()+"/"+blobPath(old.Blob.ETag)))
	require.Equal(t, []string{
		"blobs/", blobPath(common.Blob.ETag) + " = " + string(bytesOf(1, 5000)),
		"refs/", "refs/main = " + string(commitB),
		"snapshots/", "snapshots/" + string(commitB) + "/", "snapshots/" + string(commitB) + "/sub/",
		snapshotPath(commitB, common.Path) + " -> ../../../blobs/" + string(common.Blob.ETag),
	}, listing(t, c.abs(demo.Folder())))
}

func TestRemoveARepo(t *testing.T) {
	t.Parallel()
	c, common, _ := twoVersions(t)
	fork := common
	fork.Repo.ID = "me/fork"
	_, err := c.Find(t.Context(), fork)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.abs(demo.Folder()+"/blobs/orphan"), make([]byte, 9000), 0o644))

	before := listing(t, c.dir)
	dry := remove(t, c, Removal{Repo: demo, DryRun: true})
	require.Equal(t, before, listing(t, c.dir))
	gone := remove(t, c, Removal{Repo: demo})
	require.Equal(t, dry, gone, "a dry run says what comes")
	require.True(t, gone.Whole)
	require.Len(t, gone.Files, 3)
	require.Equal(t, []string{"feature/v1", "main"}, gone.Refs)
	require.EqualValues(t, 7000+9000, gone.Freed, "what the fork has as well frees nothing")
	require.NoDirExists(t, c.abs(demo.Folder()))
	require.Equal(t, []string{"me/fork@a/sub/common.bin"}, paths(c))
	require.Empty(t, c.Holdings().Refs)
	for _, d := range readDir(c.abs(locksDir)) {
		require.NotContains(t, d.Name(), trashPrefix)
	}
	held, err := c.Blob(common.Blob.ETag)
	require.NoError(t, err, "the fork's is shared on")
	require.NoError(t, held.Close())

	_, err = c.Remove(t.Context(), Removal{Repo: demo})
	require.ErrorIs(t, err, ErrNotFound)
	_, err = c.Find(t.Context(), common)
	require.NoError(t, err)
	require.Len(t, paths(c), 2, "it can come again")
}

func TestRemoveTheLastFileOfARepo(t *testing.T) {
	t.Parallel()
	c := open(t)
	e := lfs("model.bin", bytesOf(2, 7000))
	fetch(t, c, e, bytesOf(2, 7000))
	require.NoError(t, c.SetRef(demo, "main", commitA))
	gone := remove(t, c, Removal{Repo: demo, Path: "model.bin"})
	require.True(t, gone.Whole)
	require.NoDirExists(t, c.abs(demo.Folder()))
}

func TestRemoveWhereLinksDoNotWork(t *testing.T) {
	t.Parallel()
	c, common, old := twoVersions(t, noLinks)
	gone := remove(t, c, Removal{Repo: demo, Path: common.Path, Commits: []ref.Commit{commitA}})
	require.Equal(t, 1, gone.Blobs)
	require.Equal(t, []string{"org/demo@a/model.bin", "org/demo@b/sub/common.bin"}, paths(c))
	_, err := c.Remove(t.Context(), Removal{Repo: demo, Path: old.Path, Reading: func(e ref.ETag) bool { return e == old.Blob.ETag }})
	require.ErrorAs(t, err, new(*BusyError))
	require.True(t, remove(t, c, Removal{Repo: demo}).Whole)
}

func TestRemoveWhatIsNotHere(t *testing.T) {
	t.Parallel()
	c, _, _ := twoVersions(t)
	for name, r := range map[string]Removal{
		"repo":   {Repo: ref.Repo{Type: ref.Model, ID: "org/none"}},
		"type":   {Repo: ref.Repo{Type: ref.Dataset, ID: demo.ID}},
		"file":   {Repo: demo, Path: "none.bin"},
		"commit": {Repo: demo, Commits: []ref.Commit{ref.Commit(strings.Repeat("c", 40))}},
		"folder": {Repo: demo, Path: "sub"},
	} {
		_, err := c.Remove(t.Context(), r)
		require.ErrorIs(t, err, ErrNotFound, name)
	}
	_, err := c.Remove(t.Context(), Removal{Repo: ref.Repo{Type: ref.Model, ID: "../x"}})
	require.ErrorAs(t, err, new(*ref.Error))
	require.Len(t, paths(c), 3)
}

func TestWhatIsInUseStays(t *testing.T) {
	t.Parallel()
	c, _, old := twoVersions(t)
	file := Removal{Repo: demo, Path: old.Path}
	busy := func(r Removal) {
		t.Helper()
		before := listing(t, c.dir)
		_, err := c.Remove(t.Context(), r)
		require.ErrorAs(t, err, new(*BusyError))
		require.Equal(t, before, listing(t, c.dir))
	}
	reading := file
	reading.Reading = func(e ref.ETag) bool { return e == old.Blob.ETag }
	busy(reading)

	lock := tryLock(t, c.abs(locksDir+"/"+demo.Folder()+"/"+string(old.Blob.ETag)+".lock"))
	busy(file)
	busy(Removal{Repo: demo})
	require.NoError(t, lock.Release())

	coming := lfs("coming.bin", bytesOf(3, fiveChunks))
	p := begin(t, c, coming)
	require.NoError(t, p.WriteChunk(0, bytesOf(3, fiveChunks)[:chunk.FixedLen]))
	busy(Removal{Repo: demo})
	require.NoError(t, p.Close())

	foreign := c.abs(demo.Folder() + "/blobs/" + string(coming.Blob.ETag) + ".incomplete")
	require.NoError(t, os.WriteFile(foreign, []byte("x"), 0o644))
	_ = os.Remove(c.abs(locksDir + "/" + demo.Folder() + "/" + string(coming.Blob.ETag) + ".lock"))
	busy(Removal{Repo: demo})
	long := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(foreign, long, long))

	require.False(t, remove(t, c, file).Whole)
	require.True(t, remove(t, c, Removal{Repo: demo}).Whole, "what nobody goes on with goes too")
}

func TestAFetchOfAnotherProcessIsNotDisturbed(t *testing.T) {
	t.Parallel()
	c, _, _ := twoVersions(t)
	other, err := Open(Config{Dir: c.dir, State: filepath.Join(t.TempDir(), "state")})
	require.NoError(t, err)
	defer other.Close()
	p := begin(t, other, lfs("coming.bin", bytesOf(3, fiveChunks)))
	_, err = c.Remove(t.Context(), Removal{Repo: demo})
	require.ErrorAs(t, err, new(*BusyError))
	require.NoError(t, p.Discard())
	remove(t, c, Removal{Repo: demo})
}

func TestRemoveWaitsForReaders(t *testing.T) {
	t.Parallel()
	c, _, old := twoVersions(t)
	asked := 0
	remove(t, c, Removal{Repo: demo, Path: old.Path, Patience: time.Hour, Reading: func(ref.ETag) bool {
		asked++
		return asked < 4
	}})
	require.Equal(t, 4, asked)
	ctx, stop := context.WithCancel(t.Context())
	_, err := c.Remove(ctx, Removal{Repo: demo, Patience: time.Hour, Reading: func(ref.ETag) bool { stop(); return true }})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAnOpenBlobIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	c, _, old := twoVersions(t)
	held, err := c.Blob(old.Blob.ETag)
	require.NoError(t, err)
	defer held.Close()
	remove(t, c, Removal{Repo: demo})
	got := make([]byte, 7000)
	_, err = held.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, bytesOf(2, 7000), got)
}

func TestRemoveIsNews(t *testing.T) {
	t.Parallel()
	c, _, _ := twoVersions(t)
	run(t, c)
	waitFor(t, c, "all is seen", func() bool { return len(paths(c)) == 3 })
	remove(t, c, Removal{Repo: demo})
	require.Empty(t, paths(c))
	select {
	case <-c.Changes():
	default:
		require.FailNow(t, "nobody is told")
	}
}

// storeBlob makes a shared blob as huggingface_hub does, with its links.
func storeBlob(t *testing.T, c *Cache, content []byte, links ...string) (store string) {
	t.Helper()
	for _, rel := range links {
		shareBlob(t, c, rel, "", nil)
		require.NoError(t, os.Chmod(c.content(rel), 0o644)) // it is written for each
	}
	store = c.content(links[0])
	require.NoError(t, os.WriteFile(store, content, 0o644))
	require.NoError(t, os.WriteFile(store+".refs", []byte(strings.Join(links, "\n")+"\n"), 0o644))
	require.NoError(t, os.WriteFile(c.abs(blobsDir+"/"+storeMark), []byte(storeVersion), 0o644))
	return store
}

func TestASharedBlobGoesWithItsLastLink(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(5, 9000)
	e := lfs("model.bin", content)
	fork := ref.Repo{Type: ref.Model, ID: "me/fork"}
	var links []string
	for _, repo := range []ref.Repo{demo, fork} {
		links = append(links, repo.Folder()+"/"+blobPath(e.Blob.ETag))
		link := c.abs(repo.Folder() + "/" + snapshotPath(commitA, e.Path))
		require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
		require.NoError(t, os.Symlink(linkTarget(e.Path, e.Blob.ETag), link))
	}
	store := storeBlob(t, c, content, links...)
	require.Zero(t, remove(t, c, Removal{Repo: demo}).Freed)
	require.FileExists(t, store)
	dry := remove(t, c, Removal{Repo: fork, Path: e.Path, DryRun: true})
	require.EqualValues(t, 9000, dry.Freed)
	require.EqualValues(t, 9000, remove(t, c, Removal{Repo: fork, Path: e.Path}).Freed)
	require.NoFileExists(t, store)
	require.NoFileExists(t, store+".refs")
}

func TestASharedBlobWithoutAManifestStays(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(5, 9000)
	e := lfs("model.bin", content)
	store := storeBlob(t, c, content, demo.Folder()+"/"+blobPath(e.Blob.ETag))
	link := c.abs(demo.Folder() + "/" + snapshotPath(commitA, e.Path))
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
	require.NoError(t, os.Symlink(linkTarget(e.Path, e.Blob.ETag), link))
	require.NoError(t, os.Remove(store+".refs"))
	require.Zero(t, remove(t, c, Removal{Repo: demo}).Freed)
	require.FileExists(t, store)
}

// remover makes and removes things until it is killed.
func remover(base string) error {
	c, err := Open(Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "child")})
	if err != nil {
		return err
	}
	t := &testing.T{}
	for i := 0; ; i++ {
		for k := range 12 {
			content := fmt.Appendf(nil, "content %d", k)
			e := lfs(fmt.Sprintf("dir%d/f%d", k%3, k), content)
			e.Commit = []ref.Commit{commitA, commitB}[k%2]
			foreign(t, c, e, content)
		}
		for name, commit := range map[string]ref.Commit{"main": commitA, "v1": commitB} {
			if err := c.SetRef(demo, name, commit); err != nil {
				return err
			}
		}
		fmt.Println("made", i)
		if i%2 == 0 {
			_, err = c.Remove(context.Background(), Removal{Repo: demo, Commits: []ref.Commit{commitA}})
		}
		if err == nil {
			_, err = c.Remove(context.Background(), Removal{Repo: demo})
		}
		if err != nil {
			return err
		}
	}
}

// TestKilledRemover kills a process that removes, and looks whether other tools would
// take what it leaves for sound.
func TestKilledRemover(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for range 40 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "HFFS_TEST_REMOVER="+base)
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		said := bufio.NewScanner(out)
		for range 1 + rand.IntN(3) {
			require.True(t, said.Scan())
			require.Contains(t, said.Text(), "made")
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // into the middle of it
		require.NoError(t, child.Process.Kill())
		_ = child.Wait()
		requireSound(t, filepath.Join(base, "hub"))
		require.NoError(t, os.RemoveAll(filepath.Join(base, "hub", demo.Folder())))
	}
	c := open(t, func(cfg *Config) { cfg.Dir = filepath.Join(base, "hub") })
	c.emptyTrash()
	for _, d := range readDir(c.abs(locksDir)) {
		require.NotContains(t, d.Name(), trashPrefix)
	}
}

func TestStored(t *testing.T) {
	t.Parallel()
	c, common, old := twoVersions(t)
	s, ok := StoredOf(c.dir, demo)
	require.True(t, ok)
	require.EqualValues(t, 12000, s.Bytes)
	require.False(t, s.Changed.IsZero())
	for _, revision := range []string{"feature/v1", string(commitA), string(commitA)[:7]} {
		r, ok := s.At(revision)
		require.True(t, ok, revision)
		require.Equal(t, commitA, r.Commit)
		f, ok := r.File(old.Path)
		require.True(t, ok)
		require.Equal(t, string(old.Blob.ETag), f.Blob)
		require.EqualValues(t, 7000, f.Size)
		require.FileExists(t, s.PathIn(c.dir, r, f))
	}
	_, ok = s.At("aaaaaa")
	require.False(t, ok, "too short to be a commit")
	require.NoError(t, os.Remove(c.abs(demo.Folder()+"/"+blobPath(common.Blob.ETag))))
	s, _ = StoredOf(c.dir, demo)
	r, _ := s.At("main")
	require.True(t, r.Files[0].Missing)
	_, ok = StoredOf(c.dir, ref.Repo{Type: ref.Space, ID: "no/such"})
	require.False(t, ok)
	require.Len(t, Stored(c.dir), 1)
}

// TestRemoveMindsOddSnapshots: a tool that names a snapshot by a branch has its links
// respected all the same.
func TestRemoveMindsOddSnapshots(t *testing.T) {
	t.Parallel()
	c, _, old := twoVersions(t)
	odd := c.abs(demo.Folder() + "/" + snapshotsDir + "/main")
	require.NoError(t, os.MkdirAll(odd, 0o755))
	require.NoError(t, os.Symlink("../../blobs/"+string(old.Blob.ETag), filepath.Join(odd, "x.bin")))
	gone := remove(t, c, Removal{Repo: demo, Commits: []ref.Commit{commitA}})
	require.Zero(t, gone.Freed)
	require.FileExists(t, filepath.Join(odd, "x.bin"))
}

func TestRemoveARepoOnAnotherDisk(t *testing.T) {
	t.Parallel()
	c, _, _ := twoVersions(t)
	elsewhere := filepath.Join(t.TempDir(), "big")
	require.NoError(t, os.Rename(c.abs(demo.Folder()), elsewhere))
	require.NoError(t, os.Symlink(elsewhere, c.abs(demo.Folder())))
	gone := remove(t, c, Removal{Repo: demo})
	require.EqualValues(t, 12000, gone.Freed)
	require.NoDirExists(t, elsewhere)
	_, err := os.Lstat(c.abs(demo.Folder()))
	require.ErrorIs(t, err, os.ErrNotExist)
}
