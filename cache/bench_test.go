package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// BenchmarkFetch is a fetch whose bytes come from memory: what the disk and the
// two hashes cost.
func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{4 << 10, 256 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			content := bytesOf(1, size)
			e := lfs("model.bin", content)
			m := chunk.Fixed(int64(size), chunk.FixedLen, nil)
			c, err := Open(Config{Dir: b.TempDir() + "/hub"})
			require.NoError(b, err)
			defer c.Close()
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				e.Repo.ID = fmt.Sprintf("org/r%d", i)
				forgetAll(c)
				benchFetch(b, c, m, e, content)
			}
		})
	}
}

// forgetAll keeps the next repo from linking what is here already.
func forgetAll(c *Cache) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rel := range c.checked {
		c.dropRecordLocked(rel)
	}
}

func benchFetch(b *testing.B, c *Cache, m chunk.Map, e ref.Entry, content []byte) {
	p, err := c.Begin(b.Context(), e)
	require.NoError(b, err)
	hashed := make(chan error, 1)
	go func() { hashed <- p.HashAlong(b.Context()) }()
	for i := range m.Len() {
		require.NoError(b, p.WriteChunk(i, part(m, content, i)))
	}
	require.NoError(b, <-hashed)
	_, err = p.Commit(b.Context())
	require.NoError(b, err)
	b.StopTimer()
	require.NoError(b, os.RemoveAll(filepath.Join(c.Dir(), e.Repo.Folder())))
	b.StartTimer()
}
