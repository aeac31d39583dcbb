package chunk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The whole is held against its parts in one run, round by round, since
// machines are noisy: BenchmarkParts prints medians and the ratio of cutting and
// hashing together to the sum of both alone.

const benchLen = 64 << 20

func BenchmarkParts(b *testing.B) {
	data := random(1, benchLen)
	cuts := naiveCuts(data)
	works := []struct {
		name string
		do   func()
	}{
		{"gear", func() { scanOnly(data) }},
		{"blake3", func() { hashOnly(data, cuts) }},
		{"both", func() { cutInReads(data, Current) }},
		{"2rules", func() { cutInReads(data, Current, Legacy) }},
		{"legacy", func() { cutInReads(data, Legacy) }},
		{"sha256", func() { sha256.Sum256(data) }},
	}
	times := map[string][]float64{}
	for b.Loop() {
		for _, w := range works {
			began := time.Now()
			w.do()
			times[w.name] = append(times[w.name], time.Since(began).Seconds())
		}
	}
	t := map[string]float64{}
	for _, w := range works {
		sort.Float64s(times[w.name])
		t[w.name] = times[w.name][len(times[w.name])/2]
		b.ReportMetric(benchLen/1e6/t[w.name], w.name+"-MB/s")
	}
	b.ReportMetric(t["both"]/(t["gear"]+t["blake3"]), "whole/parts")
	b.ReportMetric(t["sha256"]/t["both"], "x-sha256")
	b.ReportMetric(t["2rules"]/t["both"], "2rules/1")
	b.ReportMetric(0, "ns/op")
}

// scanOnly finds the ends and does nothing else.
func scanOnly(data []byte) (n int) {
	for begin := 0; begin < len(data); n++ {
		end := min(begin+MaxLen, len(data))
		from := min(begin+skipped, end)
		state := uint64(0)
		for ; from < end && from < begin+Current.silent(); from++ {
			state = roll(state, data[from])
		}
		k, _, _ := scan(state, data[from:end])
		begin = from + k
	}
	return n
}

func naiveCuts(data []byte) (ends []int) {
	at := 0
	c := NewCutter(func(_ Rule, ch Chunk) { at += int(ch.Length); ends = append(ends, at) })
	_, _ = c.Write(data)
	_ = c.Close()
	return ends
}

func hashOnly(data []byte, ends []int) {
	h, begin := NewHasher(), 0
	for _, end := range ends {
		h.Sum(data[begin:end])
		begin = end
	}
}

// cutInReads feeds the cutter as a file is read.
func cutInReads(data []byte, rules ...Rule) {
	c := NewCutter(func(Rule, Chunk) {}, rules...)
	for len(data) > 0 {
		n := min(ScanPiece, len(data))
		_, _ = c.Write(data[:n])
		data = data[n:]
	}
	_ = c.Close()
}

func BenchmarkScan(b *testing.B) {
	data := random(1, 4*benchLen)
	for _, workers := range []int{1, 2} {
		for _, rules := range [][]Rule{{Current}, {Current, Legacy}} {
			b.Run(fmt.Sprintf("workers=%d/rules=%d", workers, len(rules)), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					_, err := Scan(context.Background(), bytes.NewReader(data), int64(len(data)), ScanOptions{Workers: workers}, rules...)
					require.NoError(b, err)
				}
			})
		}
	}
}

// BenchmarkRoot is the list of a file of 10 GB.
func BenchmarkRoot(b *testing.B) {
	m, err := Content(generatedChunks(b, "1", 150_000, ""))
	require.NoError(b, err)
	b.Run("file hash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.FileHash()
		}
	})
	wire := encode(b, m)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := DecodeMap(bytes.NewReader(wire), m.Size())
			require.NoError(b, err)
		}
	})
}
