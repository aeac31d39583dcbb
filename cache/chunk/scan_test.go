package chunk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func checkScan(t *testing.T, data []byte, o ScanOptions) {
	rules := []Rule{Legacy, Current}
	maps, err := Scan(t.Context(), bytes.NewReader(data), int64(len(data)), o, rules...)
	require.NoError(t, err)
	require.Len(t, maps, 2)
	for i, rule := range rules {
		want, err := Content(naive(data, rule))
		require.NoError(t, err)
		require.Equal(t, want.Len(), maps[i].Len())
		require.True(t, want.Same(maps[i]))
		require.Equal(t, want.FileHash(), maps[i].FileHash())
	}
}

func TestScanInRegionsIsScanFromTheStart(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		data := mixed(seed, 1<<20+int(seed)*77_777)
		for _, region := range []int64{5000, 8192, 131_072, 200_001, 700_000} {
			checkScan(t, data, ScanOptions{Workers: 2 + int(seed%3), region: region})
		}
		checkScan(t, data[:3000], ScanOptions{region: 1})
	}
}

// Two cutters in a run of one byte never meet, and nothing is lost but time.
func TestScanWhereCuttersNeverMeet(t *testing.T) {
	t.Parallel()
	data := append(random(1, 1000), make([]byte, 3<<20)...)
	data = append(data, random(2, 1<<20)...)
	checkScan(t, data, ScanOptions{Workers: 3, region: 300_000})
}

func TestScanOfNothing(t *testing.T) {
	t.Parallel()
	maps, err := Scan(t.Context(), bytes.NewReader(nil), 0, ScanOptions{})
	require.NoError(t, err)
	require.Len(t, maps, 1)
	require.Zero(t, maps[0].Len())
	require.NoError(t, maps[0].Verify("0000000000000000000000000000000000000000000000000000000000000000", 0))
}

func TestScanSaysWhatGoesWrong(t *testing.T) {
	t.Parallel()
	data := random(1, 2<<20)
	_, err := Scan(t.Context(), bytes.NewReader(data), int64(len(data)+1), ScanOptions{region: 1 << 20})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the file is shorter than it was said to be")

	broken := errors.New("disk is broken")
	_, err = Scan(t.Context(), failing{bytes.NewReader(data), 1 << 20, broken}, int64(len(data)), ScanOptions{region: 300_000})
	require.ErrorIs(t, err, broken)

	ctx, cancel := context.WithCancel(t.Context())
	pace := func(ctx context.Context, n int) error { cancel(); return ctx.Err() }
	_, err = Scan(ctx, bytes.NewReader(data), int64(len(data)), ScanOptions{region: 300_000, Pace: pace})
	require.ErrorIs(t, err, context.Canceled)
}

// failing cannot be read behind an offset.
type failing struct {
	io.ReaderAt
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestScanPaysForEachByteItReads(t *testing.T) {
	t.Parallel()
	data := random(1, 3<<20)
	var paid atomic.Int64
	pace := func(_ context.Context, n int) error {
		if n > ScanPiece {
			return errors.New("more than a piece at once")
		}
		paid.Add(int64(n))
		return nil
	}
	_, err := Scan(t.Context(), bytes.NewReader(data), int64(len(data)), ScanOptions{Workers: 1, Pace: pace})
	require.NoError(t, err)
	require.EqualValues(t, len(data), paid.Load(), "one worker reads everything once")
}

func FuzzScan(f *testing.F) {
	f.Add(uint64(1), uint32(500_000), uint32(70_000), uint8(2))
	f.Add(uint64(132), uint32(1<<20), uint32(8192), uint8(1))
	f.Fuzz(func(t *testing.T, seed uint64, n, region uint32, workers uint8) {
		n %= 1 << 20
		region = region%(1<<20) + n/64 + 1
		checkScan(t, mixed(seed, int(n)), ScanOptions{Workers: int(workers % 5), region: int64(region)})
	})
}
