package cas

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/transfer/xorb"
)

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func TestMakeAndReadBack(t *testing.T) {
	t.Parallel()
	s := New()
	first := noise(1, 1_000_000)
	second := append(append(append([]byte("in front "), first...), make([]byte, 700_000)...), first[:300_000]...)
	for _, data := range [][]byte{first, second, {}, {7}} {
		hash, err := s.Make(bytes.NewReader(data), chunk.Current)
		require.NoError(t, err)
		r, err := s.Open(hash)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
		if len(data) < 1000 {
			continue
		}
		for _, at := range []int64{0, 1, 500_000, int64(len(data)) - 1} {
			_, err := r.Seek(at, io.SeekStart)
			require.NoError(t, err)
			one := make([]byte, 1)
			_, err = io.ReadFull(r, one)
			require.NoError(t, err)
			require.Equal(t, data[at], one[0])
		}
	}
	var bytes int
	for _, x := range s.xorbs {
		bytes += len(x.data)
	}
	require.Less(t, bytes, 1_300_000, "what is there already is not packed again")
}

// Reconstruction gives the chunks that hold the range and no others.
func TestReconstruct(t *testing.T) {
	t.Parallel()
	s := New()
	data := append(append(noise(1, 1_000_000), make([]byte, 500_000)...), noise(2, 800_000)...)
	hash, err := s.Make(bytes.NewReader(data), chunk.Current)
	require.NoError(t, err)
	for _, r := range [][2]int64{{0, 2_300_000}, {0, 1}, {2_299_999, 1}, {999_000, 502_000}, {1_200_000, 10}, {2_000_000, 1 << 40}} {
		off, n := r[0], min(r[1], int64(len(data))-r[0])
		got, err := s.Reconstruct(hash, off, r[1])
		require.NoError(t, err)
		plain := replay(t, s, got)
		require.GreaterOrEqual(t, int64(len(plain)), got.Skip+n)
		require.True(t, bytes.Equal(data[off:off+n], plain[got.Skip:got.Skip+n]))
		require.Less(t, got.Skip, int64(xorb.MaxChunk), "chunks in front of the range are left out")
		require.Less(t, int64(len(plain))-got.Skip-n, int64(xorb.MaxChunk))
	}
	for _, r := range [][2]int64{{2_300_000, 1}, {-1, 5}, {0, 0}} {
		_, err = s.Reconstruct(hash, r[0], r[1])
		require.ErrorIs(t, err, ErrRange)
	}
	_, err = s.Reconstruct(chunk.Hash{1}, 0, 1)
	require.ErrorIs(t, err, ErrUnknown)
}

// replay puts a reconstruction together as a client does, from its runs alone.
func replay(t *testing.T, s *Store, r Reconstruction) (plain []byte) {
	t.Helper()
	for _, term := range r.Terms {
		x, err := s.Xorb(term.Xorb)
		require.NoError(t, err)
		before := len(plain)
		for _, run := range r.Runs[term.Xorb] {
			from := xorb.NewReader(bytes.NewReader(x.data[run.First : run.Last+1]))
			for i := run.Start; i < run.End; i++ {
				c, err := from.Next()
				require.NoError(t, err)
				if term.Start <= i && i < term.End {
					plain = append(plain, c...)
				}
			}
			_, err := from.Next()
			require.ErrorIs(t, err, io.EOF, "the run's bytes are its chunks")
		}
		require.EqualValues(t, term.Size, len(plain)-before)
	}
	return plain
}

// What a sender claims is computed, not believed.
func TestUploadsAreChecked(t *testing.T) {
	t.Parallel()
	s := New()
	data := xorb.Append(xorb.Append(nil, noise(1, 10_000)), noise(2, 20_000))
	x, err := parseXorb(data)
	require.NoError(t, err)
	m, err := chunk.Content(x.chunks)
	require.NoError(t, err)

	_, err = s.PutXorb(chunk.Hash{1}, bytes.NewReader(data))
	require.ErrorIs(t, err, ErrBad)
	_, err = s.PutXorb(x.hash, bytes.NewReader(data[:len(data)-1]))
	require.ErrorIs(t, err, ErrBad)
	_, err = s.PutXorb(x.hash, bytes.NewReader(nil))
	require.ErrorIs(t, err, ErrBad)
	shard := shardOf(m.FileHash(), Term{x.hash, 0, 2, 30_000})
	_, err = s.PutShard(bytes.NewReader(shard))
	require.ErrorIs(t, err, ErrBad, "its xorb is not here")

	for _, fresh := range []bool{true, false} {
		inserted, err := s.PutXorb(x.hash, bytes.NewReader(data))
		require.NoError(t, err)
		require.Equal(t, fresh, inserted)
	}
	for name, bad := range map[string][]byte{
		"another hash":    shardOf(chunk.Hash{1}, Term{x.hash, 0, 2, 30_000}),
		"another length":  shardOf(m.FileHash(), Term{x.hash, 0, 2, 30_001}),
		"too many chunks": shardOf(m.FileHash(), Term{x.hash, 0, 3, 30_000}),
		"no chunks":       shardOf(m.FileHash(), Term{x.hash, 1, 1, 0}),
		"no end":          shard[:len(shard)-1],
		"no shard":        []byte("shard"),
	} {
		_, err := s.PutShard(bytes.NewReader(bad))
		require.ErrorIs(t, err, ErrBad, name)
	}
	for _, fresh := range []bool{true, false} {
		inserted, err := s.PutShard(bytes.NewReader(shard))
		require.NoError(t, err)
		require.Equal(t, fresh, inserted)
	}
	hash, size, ok := s.BySHA256(chunk.Hash{9}.String())
	require.True(t, ok)
	require.Equal(t, m.FileHash(), hash)
	require.EqualValues(t, 30_000, size)
}

// shardOf describes one file, with verification and a sha256.
func shardOf(file chunk.Hash, t Term) []byte {
	b := append(bytes.Clone(shardTag), make([]byte, 16)...)
	b[32] = 2
	record := func(hash chunk.Hash, numbers ...uint32) {
		b = append(b, hash[:]...)
		for _, n := range append(numbers, 0, 0, 0, 0)[:4] {
			b = binary.LittleEndian.AppendUint32(b, n)
		}
	}
	record(file, flagVerification|flagSHA256, 1)
	record(t.Xorb, 0, uint32(t.Size), uint32(t.Start), uint32(t.End))
	record(chunk.Hash{})
	record(chunk.Hash{9})
	return append(b, append(bytes.Clone(bookend), make([]byte, 16)...)...)
}

func FuzzShard(f *testing.F) {
	f.Add(shardOf(chunk.Hash{1}, Term{chunk.Hash{2}, 0, 2, 30_000}))
	f.Add(append(bytes.Clone(shardTag), make([]byte, 64)...))
	huge := shardOf(chunk.Hash{1}, Term{})
	binary.LittleEndian.PutUint32(huge[recordLen+36:], 1<<31)
	f.Add(huge)
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := parseShard(bytes.NewReader(b))
		terms := 0
		for _, sf := range files {
			terms += len(sf.terms)
		}
		if err == nil {
			require.LessOrEqual(t, terms*recordLen, len(b))
		}
	})
}
