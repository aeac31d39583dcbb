package xet

import (
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/transfer/xorb"
)

// A xorbful is the chunks of a xorb of which some are known.
type xorbful struct {
	chunks []chunk.Chunk
	ends   []int64
	shared map[place]chunk.Chunk
	wide   int // chunks on either side that the CAS tells of as well
}

// newXorbful has changes of a few chunks each, in so many places.
func newXorbful(r *rand.Rand, size int64, changes int) *xorbful {
	x := &xorbful{shared: map[place]chunk.Chunk{}}
	for at := int64(0); at < size; x.ends = append(x.ends, at) {
		ch := chunk.Chunk{Length: min(8<<10+int64(r.ExpFloat64()*(56<<10)), xorb.MaxChunk)}
		x.chunks = append(x.chunks, ch)
		at += ch.Length
	}
	for i, ch := range x.chunks {
		x.shared[place{"x", i}] = ch
	}
	for range changes {
		from := r.IntN(len(x.chunks))
		for i := range 1 + r.IntN(3) {
			delete(x.shared, place{"x", from + i})
		}
	}
	return x
}

func (x *xorbful) term() term {
	return term{xorb: "x", end: len(x.chunks), size: x.ends[len(x.ends)-1]}
}

// at is what the CAS says of the byte that is so far in the blob.
func (x *xorbful) at(off int64) []pin {
	i := sort.Search(len(x.ends), func(i int) bool { return off < x.ends[i] })
	from, to := max(i-x.wide, 0), min(i+1+x.wide, len(x.ends))
	return []pin{{from, x.ends[from] - x.chunks[from].Length}, {to, x.ends[to-1]}}
}

// settle asks until nothing is lost, and says how often.
func (x *xorbful) settle(l *layout) (rounds, asked int) {
	for ; rounds < maxRounds; rounds++ {
		list := questions([]*layout{l})
		if len(list) == 0 {
			break
		}
		asked += len(list)
		for _, q := range list {
			for _, p := range x.at(q.at) {
				l.pin(p)
			}
		}
		l.place()
	}
	return rounds, asked
}

// Wherever the changes are, every known run is found after few questions, and the
// runs are where they belong.
func TestKnownRunsAreFound(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	total, runs := 0, 0
	for i := range 200 {
		x := newXorbful(r, 1<<20+r.Int64N(60<<20), 1+i%30)
		x.wide = i % 5 / 4 * (1 + i%3) // now and then
		l := lay([]term{x.term()}, x.shared)[0]
		had := len(l.lost())
		runs += had
		rounds, asked := x.settle(l)
		total += asked
		if x.wide == 0 {
			require.Less(t, rounds, maxRounds)
			require.Empty(t, l.lost())
		}
		require.LessOrEqual(t, len(l.lost()), had/4, "of %d", had)
		all, err := l.split()
		require.NoError(t, err)
		at := int64(0)
		for _, r := range all {
			require.Equal(t, at, r.off)
			at += r.length
			require.Equal(t, x.ends[r.last-1], at)
			require.Equal(t, r.known, len(r.chunks) > 0)
		}
		require.Equal(t, x.ends[len(x.ends)-1], at)
	}
	require.Less(t, total, 2*runs, "questions for %d runs", runs)
	t.Logf("%d questions for %d runs", total, runs)
}

// Whatever a CAS says of terms and single bytes, what is made of it is either
// refused or whole.
func FuzzLayout(f *testing.F) {
	f.Add(uint64(1), int64(5<<20), []byte{1, 2, 3})
	f.Add(uint64(2), int64(1), []byte{})
	f.Add(uint64(3), int64(1<<40), []byte{255, 0, 128, 7})
	f.Fuzz(func(t *testing.T, seed uint64, size int64, said []byte) {
		r := rand.New(rand.NewPCG(seed, 0))
		x := newXorbful(r, 2<<20, 1+len(said)%7)
		told := x.term()
		told.size = min(max(size, 1), 1<<40)
		l := lay([]term{told}, x.shared)[0]
		leastNew([]*layout{l})
		for _, b := range said {
			for _, q := range questions([]*layout{l}) {
				require.True(t, 0 <= q.at && q.at < told.size)
				l.pin(pin{int(b) - 5, q.at + int64(int8(b))*997})
			}
			l.place()
		}
		all, err := l.split()
		if err != nil {
			return
		}
		at := int64(0)
		for _, r := range all {
			require.Equal(t, at, r.off)
			require.Positive(t, r.length)
			at += r.length
		}
		require.Equal(t, told.size, at)
	})
}
