package index

import (
	"crypto/sha256"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
)

var terabytes = flag.Float64("terabytes", 1, "size of the cache that BenchmarkTerabyte stands for")

// blobChunks is how many chunks a blob of the synthetic index has: those of 4 GiB.
const blobChunks = 64 << 10

// BenchmarkTerabyte asks an index of 16 million chunks, and prints what such an
// index costs. To make it takes a quarter of a minute.
func BenchmarkTerabyte(b *testing.B) {
	dir := b.TempDir()
	blobs := int(*terabytes * (1 << 40) / (chunk.TargetLen * blobChunks))
	filled := timed(func() { synthesize(b, dir, blobs) })
	require.NoError(b, os.Remove(filepath.Join(dir, tableName)))
	rebuilt := timed(func() { reopen(b, dir).Close() })
	before := heapBytes()
	var x *Index
	opened := timed(func() { x = reopen(b, dir) })
	defer x.Close()
	rows, maps := sizes(b, dir)
	chunks := float64(blobs * blobChunks)
	b.Logf("%.0f chunks in %d blobs: made in %v, table made anew in %v, opened in %v", chunks, blobs, filled, rebuilt, opened)
	b.Logf("%.1f bytes of maps and %.1f of rows a chunk, %d runs", float64(maps)/chunks, float64(rows)/chunks, len(x.table.runs))
	b.Logf("%.1f MiB of heap (process %s)", float64(heapBytes()-before)/(1<<20), resident())
	known := sampleOf(b, blobs)
	unknown := make([]chunk.Hash, len(known))
	for i := range unknown {
		unknown[i] = sha256.Sum256(known[i][:])
	}
	b.Run("one/known", func(b *testing.B) { benchOne(b, x, known, 1) })
	b.Run("one/unknown", func(b *testing.B) { benchOne(b, x, unknown, 0) })
	b.Run("many/known", func(b *testing.B) { benchMany(b, x, known, 1) })
	b.Run("many/unknown", func(b *testing.B) { benchMany(b, x, unknown, 0) })
}

func timed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start).Round(time.Millisecond)
}

func synthesize(b *testing.B, dir string, blobs int) {
	x, err := Open(Config{Dir: dir})
	require.NoError(b, err)
	for i := range blobs {
		require.NoError(b, x.Put(etagOf(uint64(i)), made(b, uint64(i), blobChunks)))
		if i%16 == 15 {
			require.NoError(b, x.Tidy(b.Context()))
		}
	}
	require.NoError(b, x.Tidy(b.Context()))
	require.NoError(b, x.Close())
}

func reopen(b *testing.B, dir string) *Index {
	x, err := Open(Config{Dir: dir})
	require.NoError(b, err)
	require.NoError(b, x.Tidy(b.Context()))
	return x
}

// sampleOf is chunks of some of the blobs, in no order.
func sampleOf(b *testing.B, blobs int) (hashes []chunk.Hash) {
	for range 16 {
		hashes = append(hashes, hashesOf(made(b, uint64(rand.IntN(blobs)), blobChunks))...)
	}
	rand.Shuffle(len(hashes), func(i, k int) { hashes[i], hashes[k] = hashes[k], hashes[i] })
	return hashes
}

// benchOne asks for one chunk at a time.
func benchOne(b *testing.B, x *Index, hashes []chunk.Hash, places int) {
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		at := i % len(hashes)
		start := time.Now()
		found := x.Find(hashes[at : at+1])
		took = append(took, time.Since(start))
		require.Len(b, found[0], places)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "µs/median")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "µs/p99")
}

// benchMany asks for all chunks of a blob of 4 GiB.
func benchMany(b *testing.B, x *Index, hashes []chunk.Hash, places int) {
	for b.Loop() {
		found := x.Find(hashes[:blobChunks])
		require.Len(b, found[0], places)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/blobChunks, "ns/chunk")
}

// BenchmarkSmallBlobs puts blobs of three chunks.
func BenchmarkSmallBlobs(b *testing.B) {
	x, err := Open(Config{Dir: b.TempDir()})
	require.NoError(b, err)
	defer x.Close()
	before := heapBytes()
	for i := uint64(0); b.Loop(); i++ {
		require.NoError(b, x.Put(etagOf(i), made(b, i, 3)))
	}
	b.ReportMetric(float64(heapBytes()-before)/float64(b.N), "heap-B/blob")
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// resident is what the system counts for this process, where it says so: now, and
// at the most since it began.
func resident() string {
	status, _ := os.ReadFile("/proc/self/status")
	var now, most string
	for line := range strings.Lines(string(status)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "RssAnon":
			now = strings.TrimSpace(value)
		case "VmHWM":
			most = strings.TrimSpace(value)
		}
	}
	return now + " now, " + most + " at most"
}

func sizes(b *testing.B, dir string) (rows, maps int64) {
	for _, name := range files(b, dir) {
		fi, err := os.Stat(filepath.Join(dir, name))
		require.NoError(b, err)
		if name == mapsName {
			maps += fi.Size()
		} else {
			rows += fi.Size()
		}
	}
	return rows, maps
}

// BenchmarkBuild is what indexing costs, unthrottled; the file is in memory.
func BenchmarkBuild(b *testing.B) {
	const size = 256 << 20
	x, err := Open(Config{Dir: b.TempDir(), Rate: 1 << 40})
	require.NoError(b, err)
	defer x.Close()
	blob := blobAt(b, filepath.Join(b.TempDir(), "blob"), bytesOf(1, size))
	for name, build := range map[string]func() error{
		"background": func() error { return x.Build(b.Context(), blob) },
		"now":        func() error { return x.BuildNow(b.Context(), blob) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				require.NoError(b, build())
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*(1<<30)/size, "s/GiB")
		})
	}
}
