package chunk

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

// vectors are values made by the reference implementation; see "about" in the
// file. What concerns xorbs and compression is tested where xorbs are read.
type vectors struct {
	Gear struct {
		SHA256 string `json:"sha256_of_2048_little_endian_bytes"`
		Zero   []int  `json:"zero_top16_entries"`
		Rolled string `json:"gear_hash_of_bytes_0_to_63"`
	} `json:"gear_table"`
	Chunking []chunkingVector
	Strings  []struct {
		Bytes  string `json:"bytes_hex"`
		String string
	} `json:"hash_strings"`
	Hashes []struct {
		Gen    generator
		String string
		Bytes  string `json:"bytes_hex"`
	} `json:"chunk_hashes"`
	Node struct {
		Nodes []pair
		Text  string
		Hash  string
		Range string `json:"range_hash"`
	} `json:"node_hash"`
	Trees []struct {
		Nodes  []pair
		Xorb   string `json:"xorb_hash"`
		Salted []struct {
			Salt string
			File string `json:"file_hash"`
		}
	} `json:"merkle_reference"`
	Generated []struct {
		Seed  string
		Count int
		Force string
		Xorb  string `json:"xorb_hash"`
		File  string `json:"file_hash"`
	} `json:"merkle_generated"`
	Dedup []struct {
		Chunk string `json:"chunk_hash"`
		Key   string
		HMAC  string
	} `json:"dedup_hmac"`
}

type chunkingVector struct {
	Name    string
	Gen     generator
	Len     int
	SHA256  string
	Current list
	Legacy  json.RawMessage // a list, or "same"
	Reuse   *struct {
		Base   string
		Chunks int
		Bytes  int64
	} `json:"reuse_current"`
}

type list struct {
	Chunks []pair
	Xorb   string `json:"xorb_hash"`
	File   string `json:"file_hash"`
	Range  string `json:"range_hash"`
}

func (v chunkingVector) lists(t testing.TB) map[Rule]list {
	both := map[Rule]list{Current: v.Current, Legacy: v.Current}
	if string(v.Legacy) != `"same"` {
		var l list
		require.NoError(t, json.Unmarshal(v.Legacy, &l))
		both[Legacy] = l
	}
	return both
}

// pair is an entry in either order: [length, hash] or [hash, length].
type pair Chunk

func (p *pair) UnmarshalJSON(b []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	if raw[0][0] == '"' {
		raw[0], raw[1] = raw[1], raw[0]
	}
	var s string
	if err := json.Unmarshal(raw[1], &s); err != nil {
		return err
	}
	h, err := ParseHash(s)
	if err != nil {
		return err
	}
	p.Hash = h
	return json.Unmarshal(raw[0], &p.Length)
}

func chunksOf(pairs []pair) []Chunk {
	chunks := make([]Chunk, len(pairs))
	for i, p := range pairs {
		chunks[i] = Chunk(p)
	}
	return chunks
}

func load(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("../../testdata/xet/vectors.json")
	require.NoError(t, err)
	var v vectors
	require.NoError(t, json.Unmarshal(b, &v))
	return v
}

func root(chunks []Chunk) Hash {
	t := newTree()
	for _, c := range chunks {
		t.add(0, c)
	}
	return t.root()
}

func TestGearTable(t *testing.T) {
	t.Parallel()
	v := load(t).Gear
	var flat []byte
	var zero []int
	for i, g := range gear {
		flat = binary.LittleEndian.AppendUint64(flat, g)
		if g>>48 == 0 {
			zero = append(zero, i)
		}
	}
	sum := sha256.Sum256(flat)
	require.Equal(t, v.SHA256, hex.EncodeToString(sum[:]))
	require.Equal(t, v.Zero, zero)
	var h uint64
	for b := range byte(64) {
		h = roll(h, b)
	}
	require.Equal(t, v.Rolled, strconv.FormatUint(h, 16))
}

func TestChunkingVectors(t *testing.T) {
	t.Parallel()
	all := load(t).Chunking
	require.Len(t, all, 59)
	seen := map[string]map[Hash]bool{}
	for _, v := range all {
		data := v.Gen.bytes(t)
		sum := sha256.Sum256(data)
		require.Equal(t, v.SHA256, hex.EncodeToString(sum[:]), v.Name)
		for rule, want := range v.lists(t) {
			t.Run(v.Name+"/"+string(rule), func(t *testing.T) {
				maps, err := Scan(t.Context(), bytes.NewReader(data), int64(len(data)), ScanOptions{}, rule)
				require.NoError(t, err)
				checkList(t, want, maps[0], int64(len(data)))
			})
		}
		seen[v.Name] = hashesOf(v.Current)
		if v.Reuse != nil {
			n, size := shared(v.Current, seen[v.Reuse.Base])
			require.Equal(t, v.Reuse.Chunks, n, v.Name)
			require.Equal(t, v.Reuse.Bytes, size, v.Name)
		}
	}
}

func checkList(t *testing.T, want list, m Map, size int64) {
	require.Equal(t, len(want.Chunks), m.Len())
	var raw []byte
	for i, c := range want.Chunks {
		require.Equal(t, Chunk(c), m.Chunk(i), "chunk %d", i)
		raw = append(raw, c.Hash[:]...)
	}
	require.Equal(t, want.Xorb, m.XorbHash().String())
	require.Equal(t, want.File, m.FileHash().String())
	require.NoError(t, m.Verify(ref.XetHash(want.File), size))
	if len(raw) > 0 {
		require.Equal(t, want.Range, keyed(rangeKey, raw).String())
	}
}

func hashesOf(l list) map[Hash]bool {
	all := map[Hash]bool{}
	for _, c := range l.Chunks {
		all[c.Hash] = true
	}
	return all
}

func shared(l list, base map[Hash]bool) (n int, size int64) {
	for _, c := range l.Chunks {
		if base[c.Hash] {
			n++
			size += c.Length
		}
	}
	return n, size
}

// rangeKey is used in uploads only.
var rangeKey = mustHex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")

func keyed(key, data []byte) Hash { return newHasher(key).Sum(data) }

func TestHashVectors(t *testing.T) {
	t.Parallel()
	v := load(t)
	for _, s := range v.Strings {
		raw, err := hex.DecodeString(s.Bytes)
		require.NoError(t, err)
		require.Equal(t, s.String, Hash(raw).String())
		h, err := ParseHash(s.String)
		require.NoError(t, err)
		require.Equal(t, Hash(raw), h)
	}
	hasher := NewHasher()
	for _, c := range v.Hashes {
		sum := hasher.Sum(c.Gen.bytes(t))
		require.Equal(t, c.String, sum.String())
		require.Equal(t, c.Bytes, hex.EncodeToString(sum[:]))
	}
	for _, d := range v.Dedup {
		key, err := ParseHash(d.Key)
		require.NoError(t, err)
		h, err := ParseHash(d.Chunk)
		require.NoError(t, err)
		require.Equal(t, d.HMAC, keyed(key[:], h[:]).String())
	}
}

func TestNodeVector(t *testing.T) {
	t.Parallel()
	v := load(t).Node
	var text, raw []byte
	for _, n := range chunksOf(v.Nodes) {
		text = n.appendNode(text)
		raw = append(raw, n.Hash[:]...)
	}
	require.Equal(t, v.Text, string(text))
	require.Equal(t, v.Hash, root(chunksOf(v.Nodes)).String())
	require.Equal(t, v.Range, keyed(rangeKey, raw).String())
}

func TestTreeVectors(t *testing.T) {
	t.Parallel()
	for i, v := range load(t).Trees {
		got := root(chunksOf(v.Nodes))
		require.Equal(t, v.Xorb, got.String(), "tree %d", i)
		for _, s := range v.Salted {
			salt, err := ParseHash(s.Salt)
			require.NoError(t, err)
			file := Hash{}
			if len(v.Nodes) > 0 {
				file = keyed(salt[:], got[:])
			}
			require.Equal(t, s.File, file.String(), "tree %d", i)
		}
	}
}

func TestGeneratedTreeVectors(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).Generated {
		chunks := generatedChunks(t, v.Seed, v.Count, v.Force)
		m, err := Content(chunks)
		require.NoError(t, err)
		require.Equal(t, v.Xorb, m.XorbHash().String(), "%d of seed %s", v.Count, v.Seed)
		require.Equal(t, v.File, m.FileHash().String(), "%d of seed %s", v.Count, v.Seed)
	}
}

func generatedChunks(t testing.TB, seed string, count int, force string) []Chunk {
	s, err := strconv.ParseUint(seed, 10, 64)
	require.NoError(t, err)
	next := splitmix(s)
	chunks := make([]Chunk, count)
	for i := range chunks {
		c := &chunks[i]
		for k := 0; k < 32; k += 8 {
			binary.LittleEndian.PutUint64(c.Hash[k:], next())
		}
		c.Length = int64(next()%MaxLen) + 1
		switch force {
		case "cut":
			c.Hash[24] &^= 3
		case "nocut":
			c.Hash[24] |= 1
		}
	}
	return chunks
}
