package xorb

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/iotest"

	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
)

// vectors were made by the reference implementation and by the encoder of the
// JavaScript client; see "about" in the file.
type vectors struct {
	Compression []struct {
		Name       string
		Len        int
		SHA256     string
		Split      string `json:"bg4_split_hex"`
		SplitHash  string `json:"bg4_split_chunk_hash"`
		Serialized []struct {
			Encoder string
			Scheme  int
			Base64  []byte
		}
	}
	Xorbs []struct {
		Name   string
		Chunks []struct {
			Len, Offset, Compressed, Scheme int
			Hash                            string
		}
		Hash        string `json:"xorb_hash"`
		FooterStart *int64 `json:"footer_start"`
		Base64      []byte
	}
	Malformed []struct {
		Name, Why string
		Base64    []byte
	}
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/xet/vectors.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &v))
	require.NotEmpty(t, v.Compression)
	require.NotEmpty(t, v.Xorbs)
	require.NotEmpty(t, v.Malformed)
	return v
}

func TestChunksOfBothEncoders(t *testing.T) {
	t.Parallel()
	for _, c := range load(t).Compression {
		for _, s := range c.Serialized {
			t.Run(c.Name+" by "+s.Encoder, func(t *testing.T) {
				r := NewReader(iotest.OneByteReader(bytes.NewReader(s.Base64)))
				got, err := r.Next()
				require.NoError(t, err)
				require.Len(t, got, c.Len)
				require.Equal(t, c.SHA256, sum(got))
				requireGrouping(t, got, c.Split, c.SplitHash)
				require.EqualValues(t, len(s.Base64), r.Offset())
				_, err = r.Next()
				require.ErrorIs(t, err, io.EOF)
			})
		}
	}
}

func requireGrouping(t *testing.T, data []byte, split, splitHash string) {
	t.Helper()
	grouped, back := make([]byte, len(data)), make([]byte, len(data))
	group(grouped, data)
	if split != "" {
		require.Equal(t, split, hex.EncodeToString(grouped))
	}
	if splitHash != "" {
		require.Equal(t, splitHash, chunk.NewHasher().Sum(grouped).String())
	}
	ungroup(back, grouped)
	require.True(t, bytes.Equal(data, back))
}

func TestWholeXorbs(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).Xorbs {
		t.Run(v.Name, func(t *testing.T) {
			r, skipping, hasher := NewReader(bytes.NewReader(v.Base64)), NewReader(bytes.NewReader(v.Base64)), chunk.NewHasher()
			var list []chunk.Chunk
			for _, c := range v.Chunks {
				require.EqualValues(t, c.Offset, r.Offset())
				got, err := r.Next()
				require.NoError(t, err)
				require.Equal(t, c.Hash, hasher.Sum(got).String())
				list = append(list, chunk.Chunk{Length: int64(len(got)), Hash: hasher.Sum(got)})
				n, err := skipping.Skip()
				require.NoError(t, err)
				require.Equal(t, c.Len, n)
				require.Equal(t, r.Offset(), skipping.Offset())
			}
			_, err := r.Next()
			require.ErrorIs(t, err, io.EOF, "the end, or the footer")
			_, err = skipping.Skip()
			require.ErrorIs(t, err, io.EOF)
			m, err := chunk.Content(list)
			require.NoError(t, err)
			require.Equal(t, v.Hash, m.XorbHash().String())
		})
	}
}

func TestMalformedIsRefused(t *testing.T) {
	t.Parallel()
	for _, m := range load(t).Malformed {
		t.Run(m.Name, func(t *testing.T) {
			got, err := NewReader(bytes.NewReader(m.Base64)).Next()
			require.Error(t, err, m.Why)
			require.True(t, errors.Is(err, ErrMalformed) || errors.Is(err, io.ErrUnexpectedEOF) || m.Name == "footer-as-chunk" && errors.Is(err, io.EOF), "%v", err)
			_ = got
		})
	}
}

// Frames of other writers: several blocks, linked ones, checksums, a content
// size.
func TestFramesOfTheLibrary(t *testing.T) {
	t.Parallel()
	data := text(MaxChunk)
	for name, options := range map[string][]lz4.Option{
		"small blocks":   {lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)},
		"checksums":      {lz4.BlockSizeOption(lz4.Block64Kb), lz4.BlockChecksumOption(true), lz4.ChecksumOption(true)},
		"a content size": {lz4.SizeOption(MaxChunk)},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := lz4.NewWriter(&b)
			require.NoError(t, w.Apply(options...))
			_, err := w.Write(data)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			got := make([]byte, MaxChunk)
			require.NoError(t, unpackFrame(got, b.Bytes()))
			require.True(t, bytes.Equal(data, got))
			require.ErrorIs(t, unpackFrame(got[1:], b.Bytes()), ErrMalformed)
			require.ErrorIs(t, unpackFrame(append(got, 0), b.Bytes()), ErrMalformed)
			require.ErrorIs(t, unpackFrame(got, append(b.Bytes(), 0)), ErrMalformed)
			require.ErrorIs(t, unpackFrame(got, b.Bytes()[:b.Len()-1]), ErrMalformed)
		})
	}
}

// A block may refer to what the one before it gave.
func TestLinkedBlocks(t *testing.T) {
	t.Parallel()
	first := text(1000)
	// "the last 1000 bytes again" as a block of its own: a match of 996 bytes at
	// distance 1000, then four literals.
	link := []byte{0x0f, 0xe8, 0x03, 255, 255, 255, 996 - 19 - 3*255, 0x40}
	link = append(link, first[996:]...)
	frame := []byte{0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0xc0}
	frame = append(frame, 0xe8, 0x03, 0, 0x80) // 1000 bytes as they are
	frame = append(frame, first...)
	frame = append(frame, byte(len(link)), 0, 0, 0)
	frame = append(frame, link...)
	frame = append(frame, 0, 0, 0, 0)
	got := make([]byte, 2000)
	require.NoError(t, unpackFrame(got, frame))
	require.Equal(t, append(append([]byte{}, first...), first...), got)
}

// What we write is what we read, and what the library's own frame reader reads.
func TestAppend(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		data   []byte
		scheme byte
	}{
		"one byte": {[]byte{7}, schemeNone},
		"noise":    {noise(70_000), schemeNone},
		"text":     {text(70_001), schemeLZ4},
		"weights":  {weights(70_002), schemeGrouped},
		"zeros":    {make([]byte, MaxChunk), schemeLZ4},
	} {
		t.Run(name, func(t *testing.T) {
			b := Append(nil, tt.data)
			require.Equal(t, tt.scheme, b[4])
			got, err := NewReader(bytes.NewReader(b)).Next()
			require.NoError(t, err)
			require.True(t, bytes.Equal(tt.data, got))
			if tt.scheme != schemeNone {
				plain, err := io.ReadAll(lz4.NewReader(bytes.NewReader(b[HeaderLen:])))
				require.NoError(t, err)
				require.Len(t, plain, len(tt.data))
			}
		})
	}
}

func TestCutStreams(t *testing.T) {
	t.Parallel()
	b := Append(Append(nil, text(5000)), noise(3000))
	for n := range b {
		r := NewReader(bytes.NewReader(b[:n]))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if first := int64(len(Append(nil, text(5000)))); int64(n) == first || n == 0 {
			require.ErrorIs(t, err, io.EOF)
			continue
		}
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
	}
}

// Whatever comes, memory stays within the limits and there is an end.
func FuzzReader(f *testing.F) {
	v := load(f)
	for _, x := range v.Xorbs {
		f.Add(x.Base64)
	}
	for _, m := range v.Malformed {
		f.Add(m.Base64)
	}
	for _, c := range v.Compression {
		for _, s := range c.Serialized {
			f.Add(s.Base64)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		read, skip := NewReader(bytes.NewReader(b)), NewReader(bytes.NewReader(b))
		for {
			got, err := read.Next()
			if err != nil {
				break
			}
			require.LessOrEqual(t, len(got), MaxChunk)
			n, err := skip.Skip()
			require.NoError(t, err, "what can be unpacked can be skipped")
			require.Len(t, got, n)
			require.Equal(t, read.Offset(), skip.Offset())
		}
		require.LessOrEqual(t, cap(read.chunk)+cap(read.frame)+cap(read.packed), 2*MaxChunk+MaxPacked)
	})
}

func FuzzAppend(f *testing.F) {
	f.Add([]byte("x"))
	f.Add(text(3000))
	f.Add(weights(3001))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > MaxChunk {
			return
		}
		got, err := NewReader(bytes.NewReader(Append(nil, data))).Next()
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	})
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func text(n int) []byte {
	b := []byte(base64.StdEncoding.EncodeToString(noise(600)))
	return bytes.Repeat(b, n/len(b)+1)[:n]
}

// weights have noise in two of four bytes, as floats of a narrow range do.
func weights(n int) []byte {
	b := noise(n)
	for i := range b {
		if i%4 >= 2 {
			b[i] = 0x3c
		}
	}
	return b
}
