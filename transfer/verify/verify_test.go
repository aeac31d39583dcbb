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
	v := NewReader(bytes.NewReader(data), "desk", chunk.NewHasher())
	buf := make([]byte, chunk.FixedLen)
	for i := range m.Len() {
		got, sum, err := v.Next(m, i, buf)
		require.NoError(t, err)
		require.Equal(t, m.Hash(i), sum)
		require.True(t, bytes.Equal(data[m.Offset(i):m.Offset(i+1)], got))
	}
}

func TestEveryWrongByteIsFoundAndPinned(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	buf := make([]byte, chunk.FixedLen)
	for _, at := range []int64{0, 1, m.Length(0) - 1} {
		wrong := bytes.Clone(data)
		wrong[m.Offset(1)+at] ^= 1
		v := NewReader(bytes.NewReader(wrong), "desk", chunk.NewHasher())
		_, _, err := v.Next(m, 0, buf)
		require.NoError(t, err)
		got, _, err := v.Next(m, 1, buf)
		var pinned *Error
		require.ErrorAs(t, err, &pinned)
		require.Nil(t, got)
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
		_, _, err := NewReader(bytes.NewReader(data[:n]), "desk", chunk.NewHasher()).Next(m, 0, buf)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.ErrorContains(t, err, "desk")
	}
}

func TestWithoutHashesEverythingPasses(t *testing.T) {
	t.Parallel()
	data, m := blob(t)
	bare := chunk.Fixed(m.Size(), chunk.FixedLen, nil)
	data[7] ^= 1
	_, sum, err := NewReader(bytes.NewReader(data), "desk", chunk.NewHasher()).Next(bare, 0, make([]byte, chunk.FixedLen))
	require.NoError(t, err)
	require.NotEqual(t, m.Hash(0), sum)
}
