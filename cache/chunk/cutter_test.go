package chunk

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// naive cuts as the rules are written, byte by byte, with nothing skipped for
// speed but what the legacy rule itself skips.
func naive(data []byte, r Rule) []Chunk {
	var chunks []Chunk
	h := NewHasher()
	begin, state := 0, uint64(0)
	for i, b := range data {
		n := i - begin + 1 // the chunk's length with this byte
		var cut bool
		switch r {
		case Current:
			state = state<<1 + gear[b]
			cut = n >= 8192 && state>>48 == 0
		case Legacy:
			if n > 8127 {
				state = state<<1 + gear[b]
				cut = state>>48 == 0
			}
		}
		if cut || n == 131072 || i == len(data)-1 {
			chunks = append(chunks, Chunk{int64(n), h.Sum(data[begin : i+1])})
			begin, state = i+1, 0
		}
	}
	return chunks
}

// mixed is data in which all sorts of cuts happen: random bytes, runs of one
// byte, bytes that the legacy rule stumbles over.
func mixed(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	data := random(seed, n)
	for range r.IntN(6) {
		at := r.IntN(n + 1)
		run := data[at:min(n, at+r.IntN(300_000))]
		switch r.IntN(3) {
		case 0:
			copy(run, bytes.Repeat([]byte{byte(r.IntN(256))}, len(run)))
		case 1:
			for i := range run {
				run[i] = [...]byte{0x11, 0x17, 0x2a, 0x30}[run[i]%4]
			}
		case 2:
			for i := range run {
				run[i] &= 0x0f
			}
		}
	}
	return data
}

// pieces cuts data into random pieces, some of them tiny, some empty.
func randomPieces(r *rand.Rand, data []byte, give func([]byte)) {
	for len(data) > 0 {
		most := []int{1, 100, 9000, 300_000}[r.IntN(4)]
		n := min(r.IntN(most+1), len(data))
		give(data[:n])
		data = data[n:]
	}
}

func cutInPieces(r *rand.Rand, data []byte, rules ...Rule) map[Rule][]Chunk {
	got := map[Rule][]Chunk{}
	c := NewCutter(func(rule Rule, ch Chunk) { got[rule] = append(got[rule], ch) }, rules...)
	randomPieces(r, data, func(p []byte) { _, _ = c.Write(p) })
	_ = c.Close()
	return got
}

func checkCutter(t *testing.T, seed uint64, data []byte) {
	r := rand.New(rand.NewPCG(seed, 1))
	both := cutInPieces(r, data, Current, Legacy)
	for _, rule := range []Rule{Current, Legacy} {
		want := naive(data, rule)
		require.Equal(t, want, cutInPieces(r, data, rule)[rule], "%s alone, seed %d", rule, seed)
		require.Equal(t, want, both[rule], "%s beside the other, seed %d", rule, seed)
	}
}

func TestCutterAgainstNaive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		checkCutter(t, seed, mixed(seed, int(seed*seed*2500)))
	}
}

func TestCutterCanBeUsedAgain(t *testing.T) {
	t.Parallel()
	var got []Chunk
	c := NewCutter(func(_ Rule, ch Chunk) { got = append(got, ch) })
	for _, n := range []int{0, 1, MinLen, 300_000} {
		data := random(uint64(n), n)
		got = nil
		_, _ = c.Write(data)
		require.NoError(t, c.Close())
		require.Equal(t, naive(data, Current), got)
	}
}

func TestCutterDoesNotAllocatePerChunk(t *testing.T) {
	data := random(3, 4<<20)
	n := 0
	c := NewCutter(func(Rule, Chunk) { n++ }, Current, Legacy)
	allocs := testing.AllocsPerRun(3, func() {
		_, _ = c.Write(data)
		_ = c.Close()
	})
	require.Greater(t, n, 100)
	require.Less(t, allocs, 1.0)
}

func TestScanIsRolling(t *testing.T) {
	t.Parallel()
	data := random(9, 3<<20)
	for len(data) > 0 {
		n, state, found := scan(5, data)
		h, k := uint64(5), 0
		for k < len(data) {
			h = roll(h, data[k])
			k++
			if h < match {
				break
			}
		}
		require.Equal(t, k, n)
		require.Equal(t, h, state)
		require.Equal(t, h < match, found)
		data = data[n:]
	}
}

func FuzzCutter(f *testing.F) {
	f.Add(uint64(1), []byte{}, uint32(0))
	f.Add(uint64(132), []byte{0x11}, uint32(1<<20))
	f.Add(uint64(2), []byte{0x11, 0, 0, 0x17}, uint32(500_000))
	f.Fuzz(func(t *testing.T, seed uint64, pattern []byte, n uint32) {
		n %= 1 << 20
		data := mixed(seed, int(n))
		if len(pattern) > 0 {
			at := int(seed % uint64(n+1))
			for i := range data[at:] {
				data[at+i] ^= pattern[i%len(pattern)]
			}
		}
		checkCutter(t, seed, data)
	})
}
