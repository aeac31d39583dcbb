package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

const fiveChunks = 4*chunk.FixedLen + 1000

func partFile(c *Cache, e ref.Entry, suffix string) string {
	return filepath.Join(c.Dir(), e.Repo.Folder(), partsDir, string(e.Blob.ETag)+suffix)
}

func TestChunksInAnyOrder(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	p := begin(t, c, e)
	require.Equal(t, []ref.Entry{e}, c.Holdings().Partials)
	require.Equal(t, 5, p.Map().Len())

	hashed := make(chan error, 1)
	go func() { hashed <- p.HashAlong(t.Context()) }()
	_, err := p.Commit(t.Context())
	require.ErrorIs(t, err, ErrIncomplete)
	var writers sync.WaitGroup
	for _, i := range []int{4, 2, 0, 2, 3, 1, 1, 0} {
		writers.Go(func() {
			if err := p.WriteChunk(i, part(p.Map(), content, i)); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	require.NoError(t, <-hashed)
	have, size, ok := c.PartialHave(e.Blob.ETag)
	require.True(t, ok)
	require.Equal(t, size, have)

	path, err := p.Commit(t.Context())
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
	require.NoDirExists(t, filepath.Dir(partFile(c, e, "")))
	require.Empty(t, c.Holdings().Partials)
	require.Equal(t, []string{"org/demo@a/model.bin"}, paths(c))
	_, _, ok = c.PartialHave(e.Blob.ETag)
	require.False(t, ok)
	_, err = c.Begin(t.Context(), e)
	require.ErrorIs(t, err, ErrPresent)
	require.NoDirExists(t, filepath.Dir(partFile(c, e, "")))

	require.NoError(t, p.Close(), "closing after the end is no harm")
	require.ErrorIs(t, p.WriteChunk(0, part(p.Map(), content, 0)), os.ErrClosed)
	require.ErrorIs(t, p.Drop([]int{0}), os.ErrClosed)
}

func TestSizes(t *testing.T) {
	t.Parallel()
	c := open(t)
	for i, size := range []int{0, 1, chunk.FixedLen - 1, chunk.FixedLen, chunk.FixedLen + 1} {
		content := bytesOf(uint64(size), size)
		for _, e := range []ref.Entry{lfs(fmt.Sprint("lfs", i), content), regular(fmt.Sprint("git", i), content)} {
			require.Equal(t, string(content), read(t, fetch(t, c, e, content)))
			held, err := c.Blob(e.Blob.ETag)
			require.NoError(t, err)
			m, err := held.Map()
			require.NoError(t, err)
			require.Equal(t, int64(size), m.Size())
			for j := range m.Len() {
				require.Equal(t, chunk.NewHasher().Sum(part(m, content, j)), m.Hash(j))
			}
			require.NoError(t, held.Close())
		}
	}
}

func TestWrongChunksAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	p := begin(t, c, lfs("model.bin", content))
	defer p.Close()
	require.Error(t, p.WriteChunk(0, content[:10]))
	require.Error(t, p.WriteChunk(5, nil))
	require.Error(t, p.WriteChunk(-1, nil))
	require.Error(t, p.WriteChunk(4, content[:chunk.FixedLen]))
	require.Zero(t, p.Have().Count())
}

func TestMismatchIsNeverNamed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){"links": func(*Config) {}, "no links": noLinks} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t, change)
			content := bytesOf(1, fiveChunks)
			e := lfs("model.bin", content)
			p := begin(t, c, e)
			wrong := append([]byte{}, content...)
			wrong[3*chunk.FixedLen] ^= 1
			fill(t, p, wrong)
			_, err := p.Commit(t.Context())
			require.ErrorIs(t, err, ErrMismatch)
			for _, l := range listing(t, filepath.Join(c.Dir(), e.Repo.Folder())) {
				require.True(t, strings.HasPrefix(l, partsDir) || strings.HasPrefix(l, "snapshots/"), l)
			}
			_, err = c.Find(t.Context(), e)
			require.ErrorIs(t, err, ErrNotFound)

			require.NoError(t, p.Drop([]int{3}))
			require.NoError(t, p.WriteChunk(3, part(p.Map(), content, 3)))
			path, err := p.Commit(t.Context())
			require.NoError(t, err, "mended")
			require.Equal(t, string(content), read(t, path))
		})
	}
}

func TestAdoptDropsWhatDoesNotMatch(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	hashes := make([]chunk.Hash, 5)
	for i := range hashes {
		hashes[i] = chunk.NewHasher().Sum(part(chunk.Fixed(fiveChunks, chunk.FixedLen, nil), content, i))
	}
	p := begin(t, c, e)
	require.False(t, p.Map().Hashed())
	wrong := bytesOf(9, fiveChunks)
	require.NoError(t, p.WriteChunk(0, part(p.Map(), content, 0)))
	require.NoError(t, p.WriteChunk(1, part(p.Map(), wrong, 1)))
	require.NoError(t, p.WriteChunk(4, part(p.Map(), wrong, 4)))
	dropped, err := p.Adopt(chunk.Fixed(fiveChunks, chunk.FixedLen, hashes))
	require.NoError(t, err)
	require.Equal(t, 2, dropped)
	require.Equal(t, hashes[2], p.Map().Hash(2))
	require.True(t, p.Have().Has(0))
	require.Equal(t, 1, p.Have().Count())
	sum, err := p.ChunkHash(0)
	require.NoError(t, err)
	require.Equal(t, hashes[0], sum)

	_, err = p.Adopt(chunk.Fixed(fiveChunks-1, chunk.FixedLen, hashes))
	require.Error(t, err)
	_, err = p.Adopt(chunk.Fixed(fiveChunks, chunk.FixedLen, nil))
	require.NoError(t, err)
	require.False(t, p.Map().Hashed())

	require.NoError(t, p.Close())
	p = begin(t, c, e)
	require.Equal(t, 1, p.Have().Count(), "dropped chunks stay dropped")
	fill(t, p, content)
	_, err = p.Commit(t.Context())
	require.NoError(t, err)
}

func TestDropBeforeThePrefixHashesAnew(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	p := begin(t, c, lfs("model.bin", content))
	require.NoError(t, p.WriteChunk(0, part(p.Map(), bytesOf(9, fiveChunks), 0)))
	require.NoError(t, p.WriteChunk(1, part(p.Map(), content, 1)))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.HashAlong(ctx) }()
	for {
		p.mu.Lock()
		hashed, moved := p.hashed, p.movedLocked()
		p.mu.Unlock()
		if hashed == 2 {
			break
		}
		select {
		case <-moved:
		case <-time.After(time.Millisecond): // hashing itself wakes nobody
		}
	}
	require.NoError(t, p.Drop([]int{0}))
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
	fill(t, p, content)
	_, err := p.Commit(t.Context())
	require.NoError(t, err)
}

func TestResume(t *testing.T) {
	t.Parallel()
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	cases := map[string]struct {
		harm func(t *testing.T, c *Cache)
		want int // chunks believed to be there
	}{
		"untouched":     {func(*testing.T, *Cache) {}, 3},
		"torn journal":  {func(t *testing.T, c *Cache) { cut(t, partFile(c, e, journalSuffix), 5) }, 2},
		"no journal":    {func(t *testing.T, c *Cache) { require.NoError(t, os.Remove(partFile(c, e, journalSuffix))) }, 0},
		"empty journal": {func(t *testing.T, c *Cache) { require.NoError(t, os.Truncate(partFile(c, e, journalSuffix), 0)) }, 0},
		"no part":       {func(t *testing.T, c *Cache) { require.NoError(t, os.Remove(partFile(c, e, partSuffix))) }, 0},
		"short part":    {func(t *testing.T, c *Cache) { cut(t, partFile(c, e, partSuffix), 1) }, 0},
		"other size": {func(t *testing.T, c *Cache) {
			require.NoError(t, os.WriteFile(partFile(c, e, journalSuffix), journalHeader(chunk.Fixed(7, chunk.FixedLen, nil)), 0o644))
		}, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t)
			p := begin(t, c, e)
			for _, i := range []int{0, 4, 1} {
				require.NoError(t, p.WriteChunk(i, part(p.Map(), content, i)))
			}
			require.NoError(t, p.Close())
			tc.harm(t, c)
			p = begin(t, c, e)
			require.Equal(t, tc.want, p.Have().Count())
			fill(t, p, content)
			path, err := p.Commit(t.Context())
			require.NoError(t, err)
			require.Equal(t, string(content), read(t, path))
		})
	}
}

func cut(t *testing.T, path string, n int64) {
	t.Helper()
	fi, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, fi.Size()-n))
}

// TestDamageIsFoundOnResume is the power cut that kept the journal and lost data.
func TestDamageIsFoundOnResume(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	p := begin(t, c, e)
	fill(t, p, content)
	require.NoError(t, p.Close())
	f, err := os.OpenFile(partFile(c, e, partSuffix), os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(make([]byte, 2*chunk.FixedLen), chunk.FixedLen)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	p = begin(t, c, e)
	require.True(t, p.Have().Full())
	_, err = p.Commit(t.Context())
	require.ErrorIs(t, err, ErrIncomplete)
	dropped, ok := errors.AsType[*DroppedError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, []int{1, 2}, dropped.Chunks)
	require.Equal(t, 3, p.Have().Count())
	fill(t, p, content)
	_, err = p.Commit(t.Context())
	require.NoError(t, err)
}

func TestEmptyFetchLeavesNothing(t *testing.T) {
	t.Parallel()
	c := open(t)
	p := begin(t, c, lfs("model.bin", bytesOf(1, fiveChunks)))
	require.NoError(t, p.Close())
	require.Equal(t, []string{"snapshots/"}, listing(t, filepath.Join(c.Dir(), demo.Folder())))
}

func TestSecondFetchWaits(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	p := begin(t, c, e)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := c.Begin(ctx, e)
	require.ErrorIs(t, err, context.Canceled)

	second := make(chan error, 1)
	other := e
	other.Path, other.Commit = "same.bin", commitB
	go func() {
		_, err := c.Begin(t.Context(), other)
		second <- err
	}()
	fill(t, p, content)
	_, err = p.Commit(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, <-second, ErrPresent)
	path, err := c.Find(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
}

// TestMain lets the test binary be the second process.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HFFS_TEST_FETCHER"); dir != "" {
		fmt.Println(fetcher(dir))
		os.Exit(1)
	}
	if dir := os.Getenv("HFFS_TEST_REMOVER"); dir != "" {
		fmt.Println(remover(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fetcher writes chunks and says so until it is killed.
func fetcher(base string) error {
	c, err := Open(Config{Dir: filepath.Join(base, "hub"), State: filepath.Join(base, "child")})
	if err != nil {
		return err
	}
	content := bytesOf(1, killedSize)
	p, err := c.Begin(context.Background(), lfs("model.bin", content))
	if err != nil {
		return err
	}
	for i := range p.Map().Len() {
		i = i * 7 % p.Map().Len()
		if err := p.WriteChunk(i, part(p.Map(), content, i)); err != nil {
			return err
		}
		fmt.Println(i)
	}
	select {} // waits for its end with the lock held
}

const killedSize = 40*chunk.FixedLen + 5

func TestKilledFetcher(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{1, 3, 20, 41} {
		t.Run(fmt.Sprint(lines), func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), "HFFS_TEST_FETCHER="+base)
			out, err := child.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, child.Start())
			said := bufio.NewScanner(out)
			for range lines {
				require.True(t, said.Scan())
			}

			c := open(t, func(cfg *Config) { cfg.Dir = filepath.Join(base, "hub") })
			content := bytesOf(1, killedSize)
			e := lfs("model.bin", content)
			ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer stop()
			_, err = c.Begin(ctx, e)
			require.ErrorIs(t, err, context.DeadlineExceeded, "another process has it")
			require.NoError(t, child.Process.Kill())
			for said.Scan() {
				lines++
			}
			require.Error(t, child.Wait())

			p := begin(t, c, e)
			require.GreaterOrEqual(t, p.Have().Count(), lines-1)
			require.NotZero(t, p.Have().Count())
			fill(t, p, content)
			path, err := p.Commit(t.Context())
			require.NoError(t, err)
			require.Equal(t, string(content), read(t, path))
		})
	}
}

func TestCommitOverACorruptBlob(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	e := lfs("model.bin", content)
	foreign(t, c, e, bytesOf(2, fiveChunks))
	_, err := c.Find(t.Context(), e)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, string(content), read(t, fetch(t, c, e, content)))
	require.Equal(t, []string{"org/demo@a/model.bin"}, paths(c))
}

// TestForeignLock: huggingface_hub may hold its lock while it waits for us.
func TestForeignLockDoesNotStopUs(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := []byte("x")
	e := lfs("model.bin", content)
	p := begin(t, c, e)
	fill(t, p, content)
	dir := filepath.Join(c.Dir(), locksDir, demo.Folder())
	require.NoError(t, os.MkdirAll(dir, 0o755))
	lock := tryLock(t, filepath.Join(dir, string(e.Blob.ETag)+lockSuffix))
	_, err := p.Commit(t.Context())
	require.NoError(t, err)
	require.NoError(t, lock.Release())
}

func TestOldLeftoversGo(t *testing.T) {
	t.Parallel()
	c := open(t)
	content := bytesOf(1, fiveChunks)
	old, young, busy := lfs("old", content), lfs("young", content[1:]), lfs("busy", content[2:])
	for _, e := range []ref.Entry{old, young, busy} {
		p := begin(t, c, e)
		require.NoError(t, p.WriteChunk(0, content[:chunk.FixedLen]))
		require.NoError(t, p.Close())
	}
	p := begin(t, c, busy)
	long := time.Now().Add(-10 * keepLeftovers)
	for _, e := range []ref.Entry{old, busy} {
		for _, s := range []string{partSuffix, journalSuffix, lockSuffix} {
			require.NoError(t, os.Chtimes(partFile(c, e, s), long, long))
		}
	}
	c.removeLeftovers(time.Now().Add(-keepLeftovers))
	require.NoFileExists(t, partFile(c, old, partSuffix))
	require.NoFileExists(t, partFile(c, old, lockSuffix))
	require.FileExists(t, partFile(c, young, partSuffix))
	require.FileExists(t, partFile(c, busy, partSuffix))
	require.NoError(t, p.Discard())
}
