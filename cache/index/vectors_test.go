package index

import (
	"encoding/binary"
	"encoding/json"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

// vector is a file as the reference implementation cut it.
type vector struct {
	Name string
	Gen  struct {
		Kind, Seed string
		Byte       byte
		Len        int
	}
	Current fileHash
	Legacy  json.RawMessage // a fileHash, or "same"
}

type fileHash struct {
	File string `json:"file_hash"`
}

func (v vector) bytes() []byte {
	b := make([]byte, 0, v.Gen.Len+8)
	state, _ := strconv.ParseUint(v.Gen.Seed, 10, 64)
	for len(b) < v.Gen.Len {
		if v.Gen.Kind == "const" {
			b = append(b, v.Gen.Byte)
			continue
		}
		state += 0x9E3779B97F4A7C15
		z := (state ^ state>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		b = binary.LittleEndian.AppendUint64(b, z^z>>31)
	}
	return b[:v.Gen.Len]
}

// TestProvesFilesOfTheReference is what the Hub announces of files, under both
// rules; how they are cut in detail is for package chunk to prove.
func TestProvesFilesOfTheReference(t *testing.T) {
	t.Parallel()
	var vectors struct{ Chunking []vector }
	require.NoError(t, json.Unmarshal(read(t, "../../testdata/xet/vectors.json"), &vectors))
	x := open(t, t.TempDir())
	dir := t.TempDir()
	proven := map[string]int{}
	for _, v := range vectors.Chunking {
		if v.Gen.Len < MinSize || v.Gen.Kind != "splitmix64" && v.Gen.Kind != "const" {
			continue
		}
		hashes := map[string]string{"current": v.Current.File}
		if legacy := (fileHash{}); json.Unmarshal(v.Legacy, &legacy) == nil {
			hashes["legacy"] = legacy.File
		}
		b := blobAt(t, filepath.Join(dir, v.Name), v.bytes())
		for rule, hash := range hashes {
			b.Xet = ref.XetHash(hash)
			require.NoError(t, x.Build(t.Context(), b))
			m, err := x.MapOf(b.Xet)
			require.NoError(t, err, "%s, %s", v.Name, rule)
			require.NoError(t, m.Verify(b.Xet, b.Size))
			require.Len(t, x.byETag[b.ETag].maps, 1)
			proven[rule]++
		}
	}
	require.Greater(t, proven["current"], 10)
	require.Greater(t, proven["legacy"], 2)
}
