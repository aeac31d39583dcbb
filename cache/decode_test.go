package cache

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

func itoa(n int) string { return strconv.Itoa(n) }

var sampleTree = `{
 "files": {
  "1_Pooling/config.json": {
   "blob_id": "` + strings.Repeat("d", 40) + `",
   "size": 190
  },
  "../escape": {
   "blob_id": "` + strings.Repeat("d", 40) + `",
   "size": 190
  },
  "model.safetensors": {
   "blob_id": "` + strings.Repeat("3", 40) + `",
   "lfs_sha256": "` + strings.Repeat("5", 64) + `",
   "lfs_size": 90868376,
   "size": 90868376,
   "xet_hash": "` + strings.Repeat("7", 64) + `"
  }
 },
 "format_version": 1
}`

func TestDecodeTree(t *testing.T) {
	t.Parallel()
	got, err := decodeTree(strings.NewReader(sampleTree))
	require.NoError(t, err)
	require.Len(t, got, 2, "a path that leads out is left out")
	_, err = decodeTree(strings.NewReader(`{"format_version":2,"files":{}}`))
	require.ErrorIs(t, err, errBadTree)
	_, err = decodeTree(strings.NewReader(`{"format_version":1,`))
	require.Error(t, err)
}

func FuzzDecodeTree(f *testing.F) {
	f.Add([]byte(sampleTree))
	f.Add([]byte(`{"format_version":1,"files":{"a":{"size":-1,"blob_id":"x"}}}`))
	f.Add([]byte(`{"format_version":1,"files":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeTree(bytes.NewReader(data))
		if err != nil {
			return
		}
		for path, b := range got {
			require.NoError(t, ref.CheckPath(path))
			require.NoError(t, ref.CheckSize(b.Size))
			_, err := ref.ParseETag(string(b.ETag))
			require.NoError(t, err)
		}
	})
}

// sampleAhead is as far out and as long as can be in a blob of three chunks.
var sampleAhead = []Ahead{
	{3*chunk.FixedLen - chunk.MaxLen, chunk.Chunk{Length: chunk.MaxLen, Hash: chunk.Hash{0: 5, 27: 6}}},
	{0, chunk.Chunk{Length: 1, Hash: chunk.Hash{7}}},
}

func sampleJournal(m chunk.Map) []byte {
	b := journalHeader(m)
	b = append(b, appendRecord(nil, kindWritten, 2, chunk.Hash{2})...)
	b = append(b, aheadRecord(sampleAhead[0])...)
	b = append(b, appendRecord(nil, kindWritten, 0, chunk.Hash{1})...)
	b = append(b, appendRecord(nil, kindDropped, 2, chunk.Hash{})...)
	b = append(b, aheadRecord(sampleAhead[1])...)
	return append(b, appendRecord(nil, kindWritten, 1, chunk.Hash{3})...)
}

func TestJournalTail(t *testing.T) {
	t.Parallel()
	m := chunk.Fixed(3*chunk.FixedLen, chunk.FixedLen, nil)
	whole := sampleJournal(m)
	got, err := readJournal(bytes.NewReader(whole), m)
	require.NoError(t, err)
	require.Equal(t, int64(len(whole)), got.good)
	require.True(t, got.have.Has(0) && got.have.Has(1) && !got.have.Has(2))
	require.Equal(t, chunk.Hash{1}, got.sums[0])
	require.Equal(t, sampleAhead, got.ahead)

	for cut := headerLen; cut < len(whole); cut++ {
		got, err := readJournal(bytes.NewReader(whole[:cut]), m)
		require.NoError(t, err)
		records := (cut - headerLen) / recordLen
		require.Equal(t, int64(headerLen+records*recordLen), got.good, "cut at %d", cut)
		require.Equal(t, []int{0, 1, 1, 2, 1, 1, 2}[records], got.have.Count())
		require.Len(t, got.ahead, []int{0, 0, 1, 1, 1, 2, 2}[records])
	}
	for cut := range headerLen {
		_, err := readJournal(bytes.NewReader(whole[:cut]), m)
		require.ErrorIs(t, err, errOtherJournal)
	}
	flipped := bytes.Clone(whole)
	flipped[headerLen+recordLen+10] ^= 1
	got, err = readJournal(bytes.NewReader(flipped), m)
	require.NoError(t, err)
	require.Equal(t, int64(headerLen+recordLen), got.good)
	_, err = readJournal(bytes.NewReader(whole), chunk.Fixed(3*chunk.FixedLen-1, chunk.FixedLen, nil))
	require.ErrorIs(t, err, errOtherJournal)
}

func FuzzReadJournal(f *testing.F) {
	m := chunk.Fixed(3*chunk.FixedLen, chunk.FixedLen, nil)
	whole := sampleJournal(m)
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add(append(bytes.Clone(whole), aheadRecord(Ahead{3*chunk.FixedLen - 1, chunk.Chunk{Length: 2}})...))
	f.Add(append(bytes.Clone(whole), appendRecord(nil, 'x', 1, chunk.Hash{})...))
	f.Add(append(bytes.Clone(whole), appendRecord(nil, kindWritten, 99, chunk.Hash{})...))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readJournal(bytes.NewReader(data), m)
		if err != nil {
			return
		}
		require.Equal(t, m.Len(), got.have.Len())
		require.Len(t, got.sums, m.Len())
		require.LessOrEqual(t, got.good, int64(len(data)))
		for _, a := range got.ahead {
			require.True(t, a.Off >= 0 && a.Length >= 1 && a.Length <= chunk.MaxLen && a.end() <= m.Size())
		}
		again, err := readJournal(bytes.NewReader(data[:got.good]), m)
		require.NoError(t, err)
		require.Equal(t, got, again, "what lies behind the good part does not matter")
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(record{disk.Stamp{Size: 1, ModNs: 2, ChangeNs: 3, Inode: 4}, lfs("", nil).Blob.ETag, true, ""}.encode())
	f.Add(record{disk.Stamp{Size: 1}, lfs("", nil).Blob.ETag, false, "this start"}.encode())
	f.Add(record{disk.Stamp{}, regular("", nil).Blob.ETag, false, ""}.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := decodeRecord(data); err == nil {
			again, err := decodeRecord(r.encode())
			require.NoError(t, err)
			require.Equal(t, r, again)
		}
	})
}

func TestChunkHashesFitTheirBlob(t *testing.T) {
	t.Parallel()
	hashes := []chunk.Hash{{1}, {2}}
	m, ok := decodeHashes(encodeHashes(hashes), chunk.FixedLen+1)
	require.True(t, ok)
	require.Equal(t, hashes[1], m.Hash(1))
	_, ok = decodeHashes(encodeHashes(hashes), chunk.FixedLen)
	require.False(t, ok)
	_, ok = decodeHashes(nil, 0)
	require.False(t, ok)
}

func TestLinkedBlob(t *testing.T) {
	t.Parallel()
	const at = "snapshots/c/a/b"
	cases := map[string]string{
		"../../../blobs/x":                       "x",
		"../../../blobs/./x":                     "x",
		"/cache/models--org--demo/blobs/x":       "x",
		"/cache/models--org--other/blobs/x":      "",
		"../../../../models--org--other/blobs/x": "",
		"../../../blobs/../../../../etc/passwd":  "",
		"/etc/passwd":                            "",
		"../../../blobs/sub/x":                   "",
		"x":                                      "",
		"../../../blobs":                         "",
		"../../../blobs/":                        "",
	}
	for target, want := range cases {
		require.Equal(t, want, linkedBlob("/cache/models--org--demo", at, target), target)
	}
}
