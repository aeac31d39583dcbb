package verify

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
)

func blob(t *testing.T) ([]byte, chunk.Map) {
	t.Helper()
	data := bytes.Repeat([]byte("0123456789"), 60_000)
	m := chunk.Fixed(int64(len(data)), chunk.FixedLen, nil)
	hashes := make([]chunk.Hash, m.Len())
	for i := range hashes {
		hashes[i] = chunk.NewHasher().Sum(data[m.Offset(i):m.Offset(i+1)])
	}
	return data, chunk.Fixed(m.Size(), chunk.FixedLen, hashes)
}

func TestRightBytesPass(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	for _, room := range []int{chunk.FixedLen, chunk.FixedLen + 1, 2 * chunk.FixedLen, 5 * chunk.FixedLen} {
		v := NewReader(bytes.NewReader(data), "desk", chunk.NewHasher(), make([]byte, room))
		for i := 0; i < m.Len(); {
			got, sums, err := v.Next(m, i, m.Len())
			require.NoError(t, err)
			require.NotEmpty(t, sums)
			for k, sum := range sums {
				require.Equal(t, m.Hash(i+k), sum)
			}
			require.True(t, bytes.Equal(data[m.Offset(i):m.Offset(i+len(sums))], got))
			i += len(sums)
		}
	}
}

// trickle gives few bytes at a time.
type trickle struct {
	data []byte
	each int
	read int
}

func (r *trickle) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), r.each)], r.data[r.read:])
	r.read += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestASlowStreamIsNotHeldBack(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	r := &trickle{data: data, each: 1000}
	v := NewReader(r, "desk", chunk.NewHasher(), make([]byte, 4*chunk.FixedLen))
	for i := range m.Len() {
		_, sums, err := v.Next(m, i, m.Len())
		require.NoError(t, err)
		require.Len(t, sums, 1, "no more was there")
		require.Less(t, int64(r.read), m.Offset(i+1)+1000, "it waits for no byte behind the chunk")
	}
}

func TestNothingIsReadBeyondTheEnd(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	r := &trickle{data: data, each: len(data)}
	_, sums, err := NewReader(r, "desk", chunk.NewHasher(), make([]byte, 4*chunk.FixedLen)).Next(m, 0, 1)
	require.NoError(t, err)
	require.Len(t, sums, 1)
	require.EqualValues(t, m.Offset(1), r.read)
}

func TestWhatCameBeforeAWrongChunkIsGivenAway(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	data[m.Offset(2)] ^= 1
	v := NewReader(bytes.NewReader(data), "desk", chunk.NewHasher(), make([]byte, 4*chunk.FixedLen))
	got, sums, err := v.Next(m, 0, m.Len())
	require.ErrorContains(t, err, "desk sent wrong bytes")
	require.Len(t, sums, 2)
	require.True(t, bytes.Equal(data[:m.Offset(2)], got))
}

func TestEveryWrongByteIsFoundAndPinned(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	buf := make([]byte, chunk.FixedLen)
	for _, at := range []int64{0, 1, m.Length(0) - 1} {
		wrong := bytes.Clone(data)
		wrong[m.Offset(1)+at] ^= 1
		v := NewReader(bytes.NewReader(wrong), "desk", chunk.NewHasher(), buf)
		_, _, err := v.Next(m, 0, m.Len())
		require.NoError(t, err)
		got, _, err := v.Next(m, 1, m.Len())
		var pinned *Error
		require.ErrorAs(t, err, &pinned)
		require.Empty(t, got)
		require.Equal(t, "desk", pinned.From)
		require.Equal(t, 1, pinned.Chunk)
		require.Equal(t, m.Offset(1), pinned.Off)
		require.ErrorContains(t, err, "desk sent wrong bytes")
	}
}

func TestStreamThatEndsEarly(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	buf := make([]byte, chunk.FixedLen)
	for _, n := range []int64{0, 1, m.Length(0) - 1} {
		_, _, err := NewReader(bytes.NewReader(data[:n]), "desk", chunk.NewHasher(), buf).Next(m, 0, m.Len())
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.ErrorContains(t, err, "desk")
	}
}

func TestWithoutHashesEverythingPasses(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	bare := chunk.Fixed(m.Size(), chunk.FixedLen, nil)
	data[7] ^= 1
	_, sums, err := NewReader(bytes.NewReader(data), "desk", chunk.NewHasher(), make([]byte, chunk.FixedLen)).Next(bare, 0, 1)
	require.NoError(t, err)
	require.NotEqual(t, m.Hash(0), sums[0])
}
