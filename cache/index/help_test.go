package index

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// open is an index in a folder, with runs so short that little makes many.
func open(t testing.TB, dir string) *Index {
	t.Helper()
	return openWith(t, Config{Dir: dir, flushRows: 100})
}

func openWith(t testing.TB, cfg Config) *Index {
	t.Helper()
	x, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

func source(seed uint64) *rand.ChaCha8 {
	var s [32]byte
	binary.LittleEndian.PutUint64(s[:], seed)
	return rand.NewChaCha8(s)
}

func bytesOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(source(seed), b)
	return b
}

// etagOf names a blob that there is no file of.
func etagOf(seed uint64) ref.ETag {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, seed))
	return ref.ETag(hex.EncodeToString(sum[:]))
}

// made is a map of n chunks of no content, the same for the same seed.
func made(t testing.TB, seed uint64, n int) chunk.Map {
	t.Helper()
	src := source(seed)
	chunks := make([]chunk.Chunk, n)
	for i := range chunks {
		chunks[i].Length = int64(chunk.MinLen + src.Uint64()%(chunk.MaxLen-chunk.MinLen))
		_, _ = src.Read(chunks[i].Hash[:])
	}
	m, err := chunk.Content(chunks)
	require.NoError(t, err)
	return m
}

func hashesOf(m chunk.Map) (hashes []chunk.Hash) {
	for i := range m.Len() {
		hashes = append(hashes, m.Hash(i))
	}
	return hashes
}

// requireHeld makes sure that each chunk is found where the map has it.
func requireHeld(t testing.TB, x *Index, etag ref.ETag, m chunk.Map) {
	t.Helper()
	found := x.Find(hashesOf(m))
	for i := range m.Len() {
		if at := (Place{etag, m.Offset(i), int(m.Length(i))}); !slices.Contains(found[i], at) {
			require.Contains(t, found[i], at, "chunk %d", i)
		}
	}
	got, err := x.Map(etag)
	require.NoError(t, err)
	require.True(t, same(m, got))
	got, err = x.MapOf(ref.XetHash(m.FileHash().String()))
	require.NoError(t, err)
	require.True(t, same(m, got))
}

// same spares large maps the reflection of require.Equal.
func same(a, b chunk.Map) bool {
	return a.Same(b) && slices.Equal(hashesOf(a), hashesOf(b))
}

func requireGone(t testing.TB, x *Index, etag ref.ETag, m chunk.Map) {
	t.Helper()
	for _, places := range x.Find(hashesOf(m)) {
		require.Empty(t, places)
	}
	_, err := x.Map(etag)
	require.ErrorIs(t, err, ErrUnknown)
	_, err = x.MapOf(ref.XetHash(m.FileHash().String()))
	require.ErrorIs(t, err, ErrUnknown)
}

// blobAt writes a file and says of it what the cache would.
func blobAt(t testing.TB, path string, content []byte) Blob {
	t.Helper()
	require.NoError(t, os.WriteFile(path, content, 0o644))
	f, stamp, err := disk.OpenFile(path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	sum := sha256.Sum256(content)
	return Blob{ETag: ref.ETag(hex.EncodeToString(sum[:])), Size: int64(len(content)), Path: path, Stamp: stamp}
}

// files are the files of an index, by what they are.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, d := range list {
		names = append(names, d.Name())
	}
	return names
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return b
}
