package chunk

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"
)

// TestWideIsTheSameHash holds the two libraries against each other at every number of
// whole and half leaves and groups, with and without room behind the data.
func TestWideIsTheSameHash(t *testing.T) {
	data := make([]byte, MaxLen+group)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	w := newWide(dataKey)
	h, err := blake3.NewKeyed(dataKey)
	require.NoError(t, err)
	for size := 1; size <= MaxLen; size += 509 {
		for _, n := range []int{size, size / 1024 * 1024, size/1024*1024 + 1, size / group * group, size/group*group + 1} {
			var want Hash
			h.Reset()
			_, _ = h.Write(data[:n])
			h.Sum(want[:0])
			require.Equal(t, want, w.sum(data[:n]), "%d bytes, more behind", n)
			require.Equal(t, want, w.sum(data[:n:n]), "%d bytes, no room behind", n)
		}
	}
}

// BenchmarkSum says from which length on the wide way is the faster one.
func BenchmarkSum(b *testing.B) {
	data := make([]byte, MaxLen)
	for _, n := range []int{1 << 10, 2 << 10, 3 << 10, 4 << 10, 6 << 10, 8 << 10, 12 << 10, 16 << 10, 24 << 10, 40_000, 64 << 10, 100_000, MaxLen} {
		w, h := newWide(dataKey), newHasher(dataKey)
		for name, sum := range map[string]func([]byte) Hash{"wide": w.sum, "zeebo": h.Sum} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					sum(data[:n])
				}
			})
		}
	}
}
