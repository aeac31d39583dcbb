package chunk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func encode(t testing.TB, m Map) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, EncodeMap(&b, m))
	require.EqualValues(t, m.EncodedLen(), b.Len())
	return b.Bytes()
}

func fixedMap(size int64) Map {
	hashes := make([]Hash, Fixed(size, FixedLen, nil).Len())
	for i := range hashes {
		hashes[i] = Hash{byte(i), 1}
	}
	return Fixed(size, FixedLen, hashes)
}

func TestMapCodec(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]Map{
		"empty content": {},
		"one byte":      contentMap(t, []Chunk{{1, Hash{9}}}),
		"content":       contentMap(t, generatedChunks(t, "5", 3000, "")),
		"empty fixed":   fixedMap(0),
		"fixed":         fixedMap(5000*FixedLen + 7),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeMap(bytes.NewReader(encode(t, m)), m.Size())
			require.NoError(t, err)
			require.True(t, m.Same(got))
			require.Equal(t, m.Step(), got.Step())
			for i := range m.Len() {
				require.Equal(t, m.Chunk(i), got.Chunk(i))
			}
		})
	}
	require.Error(t, EncodeMap(io.Discard, Fixed(1, FixedLen, nil)), "there are no hashes to encode")
}

func TestDecodeMapRefuses(t *testing.T) {
	t.Parallel()
	m := contentMap(t, []Chunk{{10_000, Hash{1}}, {20_000, Hash{2}}, {5, Hash{3}}})
	good := encode(t, m)
	with := func(change func(b []byte)) []byte {
		b := bytes.Clone(good)
		change(b)
		return b
	}
	count := func(b []byte, n uint32) { binary.LittleEndian.PutUint32(b[16:], n) }
	long := make([]byte, 3)
	long[0], long[2] = 1, 2 // 131073
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"cut in the header":  good[:mapHeader-1],
		"cut in an entry":    good[:len(good)-1],
		"cut at an entry":    good[:len(good)-35],
		"junk behind":        append(bytes.Clone(good), 0),
		"another magic":      with(func(b []byte) { b[3]++ }),
		"another size":       with(func(b []byte) { b[4]++ }),
		"more than is there": with(func(b []byte) { count(b, 4) }),
		"absurdly many":      with(func(b []byte) { count(b, 1<<31) }),
		"fewer than is there": with(func(b []byte) {
			count(b, 2)
		}),
		"none":            with(func(b []byte) { count(b, 0) })[:mapHeader],
		"over-long chunk": with(func(b []byte) { copy(b[mapHeader:], long) }),
		"empty chunk":     with(func(b []byte) { copy(b[mapHeader:], "\x00\x00\x00") }),
		"wrong sum":       with(func(b []byte) { b[mapHeader]++ }),
		"small steps":     with(func(b []byte) { b[12] = 1 }),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeMap(bytes.NewReader(b), m.Size())
			require.Error(t, err)
		})
	}
}

func TestDecodeMapWantsEachHashOfAFixedMap(t *testing.T) {
	t.Parallel()
	m := fixedMap(3*FixedLen + 1)
	for n := range uint32(7) {
		b := encode(t, m)[:mapHeader]
		binary.LittleEndian.PutUint32(b[16:], n)
		_, err := DecodeMap(bytes.NewReader(append(b, make([]byte, 32*n)...)), m.Size())
		require.Equal(t, n == 4, err == nil, "%d hashes", n)
	}
}

func TestDecodeMapTakesNoMoreThanItIsSent(t *testing.T) {
	head := make([]byte, mapHeader)
	copy(head, mapMagic)
	const size = ref.MaxBlobSize
	binary.LittleEndian.PutUint64(head[4:], size)
	binary.LittleEndian.PutUint32(head[16:], size/TargetLen) // nine gigabytes of entries
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := DecodeMap(bytes.NewReader(head), size)
			require.ErrorIs(b, err, io.EOF)
		}
	})
	require.Less(t, result.AllocedBytesPerOp(), int64(1<<20))
}

func TestDecodeMapTellsABrokenStreamFromAnEnd(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection lost")
	good := encode(t, fixedMap(10))
	_, err := DecodeMap(io.MultiReader(bytes.NewReader(good), failingReader{broken}), 10)
	require.ErrorIs(t, err, broken)
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

func FuzzDecodeMap(f *testing.F) {
	for _, m := range []Map{fixedMap(3*FixedLen + 5), contentMap(f, generatedChunks(f, "6", 20, "")), {}} {
		good := encode(f, m)
		f.Add(good, m.Size())
		f.Add(good[:len(good)-1], m.Size())
		f.Add(append(bytes.Clone(good), 0), m.Size())
	}
	f.Fuzz(func(t *testing.T, wire []byte, size int64) {
		if ref.CheckSize(size) != nil {
			return
		}
		m, err := DecodeMap(bytes.NewReader(wire), size)
		if err != nil {
			return
		}
		require.Equal(t, size, m.Size())
		for i := range m.Len() {
			require.Positive(t, m.Length(i))
			require.LessOrEqual(t, m.Length(i), int64(maxFixedLen))
		}
		require.Equal(t, wire, encode(t, m), "a map has one form only")
	})
}
