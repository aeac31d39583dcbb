package chunk

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func contentMap(t testing.TB, chunks []Chunk) Map {
	t.Helper()
	m, err := Content(chunks)
	require.NoError(t, err)
	return m
}

func TestContentRefusesWhatNoCutterMakes(t *testing.T) {
	t.Parallel()
	for name, lengths := range map[string][]int64{
		"empty chunk":     {100, 0, 100},
		"negative length": {100, -1},
		"over-long chunk": {MaxLen, MaxLen + 1},
		"only over-long":  {1 << 40},
	} {
		t.Run(name, func(t *testing.T) {
			var chunks []Chunk
			for _, n := range lengths {
				chunks = append(chunks, Chunk{Length: n})
			}
			_, err := Content(chunks)
			require.Error(t, err)
		})
	}
}

func TestContentMapKnowsItsPlaces(t *testing.T) {
	t.Parallel()
	m := contentMap(t, []Chunk{{10, Hash{1}}, {1, Hash{2}}, {MaxLen, Hash{3}}})
	require.Equal(t, 3, m.Len())
	require.EqualValues(t, 11+MaxLen, m.Size())
	require.Zero(t, m.Step())
	require.True(t, m.Hashed())
	for off, want := range map[int64]int{0: 0, 9: 0, 10: 1, 11: 2, 10 + MaxLen: 2} {
		require.Equal(t, want, m.At(off), "offset %d", off)
	}
	require.Equal(t, Chunk{MaxLen, Hash{3}}, m.Chunk(2))
	off, n := m.Bytes(Span{1, 3})
	require.EqualValues(t, 10, off)
	require.EqualValues(t, 1+MaxLen, n)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	data := random(7, 3<<20)
	good := naive(data, Current)
	size, m := int64(len(data)), contentMap(t, good)
	root := ref.XetHash(m.FileHash().String())
	require.NoError(t, m.Verify(root, size))

	swapped := slices.Clone(good)
	swapped[3], swapped[4] = swapped[4], swapped[3]
	moved := slices.Clone(good) // one byte handed from one chunk to the next
	moved[3].Length--
	moved[4].Length++
	flipped := slices.Clone(good)
	flipped[5].Hash[31] ^= 1
	for name, c := range map[string]struct {
		chunks []Chunk
		size   int64
	}{
		"wrong order":       {swapped, size},
		"wrong lengths":     {moved, size},
		"one bit":           {flipped, size},
		"one missing":       {good[1:], size - good[0].Length},
		"another size":      {good, size + 1},
		"twice":             {append(slices.Clone(good), good...), 2 * size},
		"nothing":           {nil, size},
		"map of the legacy": {naive(random(132, 1<<20), Legacy), 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			require.Error(t, contentMap(t, c.chunks).Verify(root, c.size))
		})
	}
	hashes := make([]Hash, len(good))
	require.Error(t, Fixed(size, 64<<10, hashes[:size/(64<<10)]).Verify(root, size), "a fixed map proves nothing")
}

// above is the list of the nodes one level up, which has the same root.
func above(chunks []Chunk) (nodes []Chunk) {
	for len(chunks) > 0 {
		t, n := newTree(), 0
		for len(t.levels) < 2 && n < len(chunks) {
			t.add(0, chunks[n])
			n++
		}
		if len(t.levels) < 2 {
			t.close(0)
		}
		nodes = append(nodes, t.levels[1].open[0])
		chunks = chunks[n:]
	}
	return nodes
}

func TestInnerNodesAreNoChunks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		leaves := naive(random(seed, 1<<20), Current)
		nodes := above(leaves)
		require.Equal(t, root(leaves), root(nodes), "the trap: both lists have the same root")
		_, err := Content(nodes)
		require.Error(t, err)
	}
}

// What Verify says it cannot see: the nodes of few and short chunks.
func TestInnerNodesOfATinyFilePass(t *testing.T) {
	t.Parallel()
	leaves := contentMap(t, []Chunk{{9000, Hash{1}}, {9000, Hash{2}}, {9000, Hash{3}}})
	short := contentMap(t, []Chunk{{27_000, leaves.XorbHash()}})
	require.NoError(t, short.Verify(ref.XetHash(leaves.FileHash().String()), 27_000))
}

func TestFixedMapHasNoRoot(t *testing.T) {
	t.Parallel()
	m := Fixed(100, FixedLen, []Hash{{1}})
	require.Error(t, m.Verify(ref.XetHash(m.FileHash().String()), 100))
}

func TestParseHash(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("0123456789abcdef", 4)
	h, err := ParseHash(strings.ToUpper(good))
	require.NoError(t, err)
	require.Equal(t, good, h.String(), "printed in lower case")
	for _, bad := range []string{"", good[1:], good + "0", good[:63] + "g", strings.Repeat("*", 64), " " + good[:63], strings.Repeat("é", 32)} {
		_, err := ParseHash(bad)
		var refused *ref.Error
		require.ErrorAs(t, err, &refused, "%q", bad)
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(strings.Repeat("0123456789abcdef", 4))
	f.Add(strings.Repeat("F", 64))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHash(s)
		_, refErr := ref.ParseXetHash(s)
		require.Equal(t, refErr == nil, err == nil, "both refuse the same")
		if err == nil {
			require.Equal(t, strings.ToLower(s), h.String())
		}
	})
}

func TestParseRule(t *testing.T) {
	t.Parallel()
	for _, r := range []Rule{Current, Legacy} {
		got, err := ParseRule(string(r))
		require.NoError(t, err)
		require.Equal(t, r, got)
	}
	for _, bad := range []string{"", "Current", "newest"} {
		_, err := ParseRule(bad)
		var refused *ref.Error
		require.ErrorAs(t, err, &refused)
	}
}
