package cache

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/index"
	"hffs/cache/ref"
)

const kib64 = index.MinSize

func commitOf(n int) ref.Commit { return ref.Commit(fmt.Sprintf("%040x", n)) }

// shop puts files of other tools into a cache, each with content of its own.
type shop struct {
	*testing.T
	c    *Cache
	seed uint64
}

func (s *shop) put(repo ref.Repo, commit int, path string, size int) ref.Entry {
	s.Helper()
	s.seed++
	return s.putBytes(repo, commit, path, bytesOf(s.seed, size))
}

func (s *shop) putBytes(repo ref.Repo, commit int, path string, content []byte) ref.Entry {
	s.Helper()
	e := lfs(path, content)
	e.Repo, e.Commit = repo, commitOf(commit)
	foreign(s.T, s.c, e, content)
	return e
}

// aged has a snapshot's folder look as old as that.
func (s *shop) aged(repo ref.Repo, commit int, age time.Duration) {
	s.Helper()
	then := time.Now().Add(-age)
	require.NoError(s, os.Chtimes(filepath.Join(s.c.Dir(), repo.Folder(), snapshotsDir, string(commitOf(commit))), then, then))
}

// everyWay runs a test on a cache that nobody looked at, on one that was looked
// through, and on one that was hashed as well.
func everyWay(t *testing.T, stock func(s *shop), test func(t *testing.T, c *Cache)) {
	ways := map[string]func(*testing.T, *Cache){
		"not looked at":  func(*testing.T, *Cache) {},
		"looked through": func(t *testing.T, c *Cache) { c.scanAll(t.Context(), func(string) {}) },
		"hashed":         hashNow,
	}
	for name, prepare := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shop{T: t, c: open(t)}
			stock(s)
			prepare(t, s.c)
			test(t, s.c)
		})
	}
}

// hashNow checks all files, as Run does.
func hashNow(t *testing.T, c *Cache) {
	c.scanAll(t.Context(), func(string) {})
	for j, ok := c.nextJob(); ok; j, ok = c.nextJob() {
		_ = c.check(t.Context(), j.rel, j.etag, anySize) // some are wrong
	}
}

func names(all []ref.Entry) []string {
	got := []string{}
	for _, e := range all {
		got = append(got, strings.TrimLeft(string(e.Commit), "0")+" "+e.Repo.String()+" "+e.Path)
	}
	return got
}

// wanted is what is about to be fetched, in ref.Repo demo at commit 0xa0.
func wanted(path string, size int) ref.Entry {
	e := lfs(path, bytesOf(1000, size))
	e.Commit = commitOf(0xa0)
	return e
}

func model(id string) ref.Repo { return ref.Repo{Type: ref.Model, ID: id} }

func TestRelativesVersions(t *testing.T) {
	t.Parallel()
	e := wanted("sub/model.bin", 3*kib64)
	everyWay(t, func(s *shop) {
		for commit := 1; commit <= 5; commit++ {
			s.put(demo, commit, e.Path, commit*kib64)
			s.aged(demo, commit, time.Duration(commit*7%5+1)*time.Hour) // 3rd, 5th, 2nd, 4th, 1st
		}
		s.putBytes(demo, 6, e.Path, bytesOf(5, 5*kib64)) // what commit 5 has
		s.aged(demo, 6, 30*time.Minute)
		s.put(demo, 7, e.Path, kib64-1) // too small to be cut
		s.putBytes(demo, 8, e.Path, bytesOf(1000, 3*kib64))
		s.put(demo, 0xa0, e.Path, 3*kib64) // other bytes under the wanted name
	}, func(t *testing.T, c *Cache) {
		got := c.Relatives(t.Context(), e, 100, math.MaxInt64)
		require.Equal(t, []string{"6 org/demo sub/model.bin", "3 org/demo sub/model.bin", "1 org/demo sub/model.bin"}, names(got))
		for _, r := range got {
			require.NotEqual(t, e.Blob.ETag, r.Blob.ETag)
			held, err := c.Blob(r.Blob.ETag)
			require.NoError(t, err)
			require.Equal(t, r.Blob.Size, held.Blob.Size)
			require.NoError(t, held.Close())
		}
		require.Len(t, c.Relatives(t.Context(), e, 1, math.MaxInt64), 1)
		require.Empty(t, c.Relatives(t.Context(), e, 0, math.MaxInt64))
		ctx, stop := context.WithCancel(t.Context())
		stop()
		require.Empty(t, c.Relatives(ctx, e, 100, math.MaxInt64))
	})
}

func TestRelativesSiblings(t *testing.T) {
	t.Parallel()
	e := wanted("model-00003-of-00005.bin", 4*kib64)
	everyWay(t, func(s *shop) {
		s.put(demo, 1, "model-00001-of-00004.bin", 4*kib64)
		s.put(demo, 1, "model-00002-of-00004.bin", 4*kib64)
		s.put(demo, 1, "model-00003-of-00004.bin", 2*kib64)
		s.put(demo, 1, "model-00004-of-00004.bin", 2*kib64-1) // too small
		s.put(demo, 1, "model-00007-of-00008.bin", 8*kib64)
		s.put(demo, 1, "model-00006-of-00008.bin", 8*kib64+1) // too large
		s.put(demo, 1, "model-00003-of-00004.txt", 4*kib64)
		s.put(demo, 2, "other/"+e.Path, 3*kib64)
		s.put(demo, 2, "model.bin", 4*kib64)
		s.put(demo, 2, "zebra.bin", 4*kib64)
		s.put(demo, 0xa0, "same-commit.bin", 4*kib64)
		s.putBytes(demo, 2, "again.bin", bytesOf(1, 4*kib64)) // the first shard's
		s.putBytes(demo, 2, "own.bin", bytesOf(1000, 4*kib64))
	}, func(t *testing.T, c *Cache) {
		require.Equal(t, []string{
			"2 org/demo other/model-00003-of-00005.bin",
			"1 org/demo model-00003-of-00004.bin",
			"1 org/demo model-00002-of-00004.bin",
			"1 org/demo model-00001-of-00004.bin",
			"1 org/demo model-00007-of-00008.bin",
			"2 org/demo model.bin",
			"a0 org/demo same-commit.bin",
			"2 org/demo zebra.bin",
		}, names(c.Relatives(t.Context(), e, 100, math.MaxInt64)))
	})
}

func TestRelativesStrangers(t *testing.T) {
	t.Parallel()
	const size = 2000 * 128
	e := wanted("sub/model.bin", size)
	data := ref.Repo{Type: ref.Dataset, ID: "org/demo"}
	everyWay(t, func(s *shop) {
		s.put(model("a/most"), 1, "model.bin", size*5/4)
		s.put(model("a/least"), 1, "x/model.bin", size*4/5)
		s.put(model("a/more"), 1, "model.bin", size*5/4+1)
		s.put(model("a/less"), 1, "model.bin", size*4/5-1)
		s.put(model("b/alike"), 1, "other.bin", size+size/100)
		s.put(model("b/unlike"), 1, "other.bin", size+size/100+1)
		s.put(model("b/text"), 1, "other.txt", size)
		s.put(data, 1, "other.bin", size) // the same size under another name,
		s.put(data, 2, "model.bin", size+1)
		s.put(model("c/tuned"), 1, "model.bin", size) // and the same name in another place
		s.put(demo, 1, "sub/model.bin", kib64)
		s.put(demo, 1, "sibling.bin", size)
	}, func(t *testing.T, c *Cache) {
		require.Equal(t, []string{
			"1 org/demo sub/model.bin",
			"1 org/demo sibling.bin",
			"1 c/tuned model.bin",
			"2 datasets/org/demo model.bin",
			"1 datasets/org/demo other.bin",
			"1 b/alike other.bin",
			"1 a/least x/model.bin",
			"1 a/most model.bin",
		}, names(c.Relatives(t.Context(), e, 100, math.MaxInt64)))
	})
}

func TestRelativesHashWithinABudget(t *testing.T) {
	t.Parallel()
	e := wanted("model.bin", 4*kib64)
	all := []string{"1 org/demo model.bin", "2 org/demo model.bin", "3 org/demo model.bin"}
	everyWay(t, func(s *shop) {
		s.put(demo, 1, e.Path, 4*kib64)
		s.put(demo, 2, e.Path, 3*kib64)
		s.put(demo, 3, e.Path, 2*kib64)
		for commit := 1; commit <= 3; commit++ {
			s.aged(demo, commit, time.Duration(commit)*time.Hour)
		}
	}, func(t *testing.T, c *Cache) {
		relatives := func(most int64) []string { return names(c.Relatives(t.Context(), e, 3, most)) }
		if strings.HasSuffix(t.Name(), "/hashed") {
			require.Equal(t, all, relatives(0), "nothing is left to hash")
			return
		}
		require.Empty(t, relatives(2*kib64-1))
		require.Equal(t, []string{all[0], all[2]}, relatives(6*kib64), "one is too large for what is left")
		require.Equal(t, []string{all[0], all[2]}, relatives(3*kib64-1))
		require.Equal(t, all, relatives(3*kib64), "what was checked is free")
	})
}

func TestRelativesAreRight(t *testing.T) {
	t.Parallel()
	e := wanted("model.bin", 2*kib64)
	everyWay(t, func(s *shop) {
		s.put(demo, 1, e.Path, 2*kib64)
		wrong := lfs(e.Path, bytesOf(50, 2*kib64))
		wrong.Commit = commitOf(2)
		foreign(s.T, s.c, wrong, bytesOf(51, 2*kib64))
		dangling := filepath.Join(s.c.Dir(), demo.Folder(), snapshotsDir, string(commitOf(3)))
		require.NoError(s, os.MkdirAll(dangling, 0o755))
		require.NoError(s, os.Symlink("../../blobs/"+strings.Repeat("1", 64), filepath.Join(dangling, e.Path)))
	}, func(t *testing.T, c *Cache) {
		got := c.Relatives(t.Context(), e, 3, math.MaxInt64)
		require.Equal(t, []string{"1 org/demo model.bin"}, names(got))
		blob := filepath.Join(c.Dir(), demo.Folder(), blobsDir, string(got[0].Blob.ETag))
		require.NoError(t, os.WriteFile(blob, bytesOf(52, 2*kib64), 0o644))
		require.Empty(t, c.Relatives(t.Context(), e, 3, math.MaxInt64), "it was changed since")
	})
}

func TestRelativesTellTheXetHash(t *testing.T) {
	t.Parallel()
	e := wanted("model.bin", 2*kib64)
	xet := ref.XetHash(strings.Repeat("e", 64))
	everyWay(t, func(s *shop) {
		stated := s.put(demo, 1, e.Path, 2*kib64)
		stated.Blob.Xet = xet
		require.NoError(s, s.c.Remember(stated))
		s.aged(demo, 1, time.Hour)
		listed := s.put(demo, 2, e.Path, 2*kib64)
		trees := filepath.Join(s.c.Dir(), demo.Folder(), treesDir)
		require.NoError(s, os.MkdirAll(trees, 0o755))
		require.NoError(s, os.WriteFile(filepath.Join(trees, string(listed.Commit)+".json"), fmt.Appendf(nil,
			`{"format_version":1,"files":{"model.bin":{"blob_id":"%040d","lfs_sha256":"%s","size":%d,"xet_hash":"%s"}}}`,
			0, listed.Blob.ETag, listed.Blob.Size, xet), 0o644))
		s.aged(demo, 2, 2*time.Hour)
		s.put(demo, 3, e.Path, 2*kib64)
		s.aged(demo, 3, 3*time.Hour)
	}, func(t *testing.T, c *Cache) {
		got := c.Relatives(t.Context(), e, 3, math.MaxInt64)
		require.Len(t, got, 3)
		require.Equal(t, []ref.XetHash{xet, xet, ""}, []ref.XetHash{got[0].Blob.Xet, got[1].Blob.Xet, got[2].Blob.Xet})
	})
}

func TestRelativesWithoutLinks(t *testing.T) {
	t.Parallel()
	c := open(t, noLinks)
	content := bytesOf(60, 2*kib64)
	old := lfs("model.bin", content)
	old.Commit = commitOf(1)
	require.NoError(t, c.Remember(old))
	fetch(t, c, old, content)
	e := wanted("model.bin", 2*kib64)
	require.Equal(t, []ref.Entry{old}, c.Relatives(t.Context(), e, 3, 0))
	c.scanAll(t.Context(), func(string) {})
	require.Equal(t, []ref.Entry{old}, c.Relatives(t.Context(), e, 3, 0))
}

// TestGlanceIsBounded has far more names than a hasty look may read.
func TestGlanceIsBounded(t *testing.T) {
	t.Parallel()
	s := &shop{T: t, c: open(t)}
	e := wanted("deep/model.bin", 2*kib64)
	s.put(demo, 1, e.Path, 2*kib64)
	s.put(model("zz/last"), 1, e.Path, 2*kib64)
	for _, repo := range []ref.Repo{demo, model("org/demo2")} {
		for i := range maxLooks {
			dir := filepath.Join(s.c.Dir(), repo.Folder(), snapshotsDir, string(commitOf(1)))
			require.NoError(t, os.MkdirAll(dir, 0o755))
			require.NoError(t, os.Symlink("../../blobs/"+fmt.Sprintf("%064d", i), filepath.Join(dir, fmt.Sprint(i, ".bin"))))
		}
	}
	n := 0
	for _, shelf := range s.c.glance(t.Context(), e) {
		for _, spots := range shelf.snapshots {
			n += len(spots)
		}
	}
	require.Less(t, n, maxLooks)
	require.Greater(t, n, glanceRepo/2)
	require.Equal(t, []string{"1 org/demo deep/model.bin", "1 zz/last deep/model.bin"}, names(s.c.Relatives(t.Context(), e, 3, math.MaxInt64)))
}

// BenchmarkRelatives looks for them among 20,000 files of one size and extension.
func BenchmarkRelatives(b *testing.B) {
	for _, bc := range []struct {
		name   string
		looked bool
		repos  int
	}{{"looked through, 1000 repos", true, 1000}, {"not looked at, 1000 repos", false, 1000}, {"not looked at, 10 repos", false, 10}} {
		b.Run(bc.name, func(b *testing.B) {
			c, err := Open(Config{Dir: b.TempDir() + "/hub"})
			require.NoError(b, err)
			defer c.Close()
			stock(b, c, bc.repos, 20_000/bc.repos)
			if bc.looked {
				c.scanAll(b.Context(), func(string) {})
			}
			e := lfs("model-00003-of-00007.bin", nil)
			e.Repo, e.Blob.Size = model("org/r5"), kib64
			for b.Loop() {
				require.Len(b, c.Relatives(b.Context(), e, 5, 0), 5)
			}
		})
	}
}

// stock makes sparse files that count as checked.
func stock(b *testing.B, c *Cache, repos, each int) {
	for r := range repos {
		repo := model(fmt.Sprint("org/r", r))
		base := filepath.Join(c.Dir(), repo.Folder())
		snapshot := filepath.Join(base, snapshotsDir, string(commitA))
		require.NoError(b, os.MkdirAll(snapshot, 0o755))
		require.NoError(b, os.MkdirAll(filepath.Join(base, blobsDir), 0o755))
		for f := range each {
			etag := ref.ETag(fmt.Sprintf("%064x", r*each+f))
			rel := repo.Folder() + "/" + blobPath(etag)
			require.NoError(b, os.WriteFile(c.abs(rel), nil, 0o644))
			require.NoError(b, os.Truncate(c.abs(rel), int64(kib64+f)))
			require.NoError(b, os.Symlink("../../blobs/"+string(etag), filepath.Join(snapshot, fmt.Sprintf("model-%05d-of-%05d.bin", f, each))))
			fi, err := os.Lstat(c.abs(rel))
			require.NoError(b, err)
			c.keep(rel, record{stamp: disk.StampOf(fi), etag: etag}, make([]chunk.Hash, 1))
		}
	}
}
