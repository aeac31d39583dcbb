package index

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

func TestKnowsWhatItWasTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := open(t, dir)
	const blobs = 25
	for i := range uint64(blobs) {
		require.NoError(t, x.Put(etagOf(i), made(t, i, 1+int(i)*13)))
	}
	all := func(x *Index) {
		for i := range uint64(blobs) {
			requireHeld(t, x, etagOf(i), made(t, i, 1+int(i)*13))
		}
		requireGone(t, x, etagOf(blobs), made(t, blobs, 50))
	}
	all(x)
	many := len(x.table.runs)
	require.Greater(t, many, 8)
	require.NoError(t, x.Tidy(t.Context()))
	require.Less(t, len(x.table.runs), many/2)
	all(x)
	require.NoError(t, x.Close())
	all(open(t, dir))
}

func TestMergesKeepRunsFew(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	for i := range uint64(120) {
		require.NoError(t, x.Put(etagOf(i), made(t, i, 100)))
		require.NoError(t, x.Tidy(t.Context()))
		require.LessOrEqual(t, len(x.table.runs), 10)
	}
	for i := range uint64(120) {
		requireHeld(t, x, etagOf(i), made(t, i, 100))
	}
}

func TestForgets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := open(t, dir)
	for i := range uint64(100) {
		require.NoError(t, x.Put(etagOf(i), made(t, i, 100)))
	}
	for i := range uint64(90) {
		x.Forget(etagOf(i))
		requireGone(t, x, etagOf(i), made(t, i, 100))
	}
	require.NoError(t, x.Tidy(t.Context()))
	var rows int64
	for _, r := range x.table.runs {
		rows += r.rows
	}
	require.LessOrEqual(t, rows, int64(20*100), "rows of what is gone")
	require.NoError(t, x.Close())
	x = open(t, dir)
	for i := range uint64(100) {
		if i < 90 {
			requireGone(t, x, etagOf(i), made(t, i, 100))
		} else {
			requireHeld(t, x, etagOf(i), made(t, i, 100))
		}
	}
	require.NoError(t, x.Put(etagOf(5), made(t, 5, 100)))
	requireHeld(t, x, etagOf(5), made(t, 5, 100))
}

// TestFileOfMapsShrinks puts the same blob again and again.
func TestFileOfMapsShrinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := openWith(t, Config{Dir: dir})
	require.NoError(t, x.Put(etagOf(1), made(t, 1, 1000)))
	for i := range uint64(40) {
		require.NoError(t, x.Put(etagOf(2), made(t, 10+i, 5000)))
	}
	require.NoError(t, x.Put(etagOf(3), made(t, 3, 1000)))
	require.Greater(t, len(read(t, dir, mapsName)), 7_000_000)
	require.NoError(t, x.Tidy(t.Context()))
	require.Less(t, len(read(t, dir, mapsName)), 300_000)
	check := func(x *Index) {
		requireHeld(t, x, etagOf(1), made(t, 1, 1000))
		requireHeld(t, x, etagOf(2), made(t, 10+39, 5000))
		requireHeld(t, x, etagOf(3), made(t, 3, 1000))
		require.Empty(t, x.Find(hashesOf(made(t, 10+38, 1)))[0])
	}
	check(x)
	require.NoError(t, x.Put(etagOf(4), made(t, 4, 10)))
	require.NoError(t, x.Close())
	x = open(t, dir)
	check(x)
	requireHeld(t, x, etagOf(4), made(t, 4, 10))
}

func TestAChunkInManyBlobs(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	m := made(t, 1, 1)
	for i := range uint64(10) {
		require.NoError(t, x.Put(etagOf(i), m))
	}
	require.Len(t, x.Find(hashesOf(m))[0], maxPlaces)
	for i := range uint64(9) {
		x.Forget(etagOf(i))
	}
	requireHeld(t, x, etagOf(9), m)
	x.Forget(etagOf(9))
	requireGone(t, x, etagOf(9), m)
}

func TestABlobOfOneChunkManyTimes(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	one := chunk.Chunk{Length: chunk.MaxLen, Hash: chunk.Hash{1, 2, 3}}
	chunks := make([]chunk.Chunk, 10_000)
	for i := range chunks {
		chunks[i] = one
	}
	m, err := chunk.Content(chunks)
	require.NoError(t, err)
	require.NoError(t, x.Put(etagOf(1), m))
	require.Equal(t, [][]Place{{{etagOf(1), 0, chunk.MaxLen}}, nil, {{etagOf(1), 0, chunk.MaxLen}}},
		x.Find([]chunk.Hash{one.Hash, {}, one.Hash}))
	require.Less(t, len(x.table.recent), 200)
}

func TestKeysOfManyRows(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	same := chunk.Hash{7, 7, 7, 7, 7, 7, 7, 7}
	for i := range uint64(3 * pageRows) { // more than a page of rows with one key
		m, err := chunk.Content([]chunk.Chunk{{Length: int64(1 + i), Hash: same}, made(t, i, 1).Chunk(0)})
		require.NoError(t, err)
		require.NoError(t, x.Put(etagOf(i), m))
	}
	require.NoError(t, x.Tidy(t.Context()))
	for i := range uint64(3*pageRows - 1) {
		x.Forget(etagOf(i))
	}
	last := uint64(3*pageRows - 1)
	require.Equal(t, [][]Place{{{etagOf(last), 0, int(1 + last)}}}, x.Find([]chunk.Hash{same}))
}

func TestRefusesWhatIsNoMap(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	good := made(t, 1, 3)
	for name, bad := range map[string][]chunk.Map{
		"no map":          {},
		"three maps":      {good, good, good},
		"fixed chunks":    {chunk.Fixed(1<<20, chunk.FixedLen, make([]chunk.Hash, 4))},
		"different sizes": {good, made(t, 1, 4)},
	} {
		require.Error(t, x.Put(etagOf(1), bad...), name)
	}
	require.Error(t, x.Put("../etc", good))
	_, err := x.MapOf("nonsense")
	require.Error(t, err)
	requireGone(t, x, etagOf(1), good)
}

func TestTheSameContentTwice(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	m := made(t, 1, 20)
	require.NoError(t, x.Put(etagOf(1), m))
	require.NoError(t, x.Put(etagOf(2), m))
	x.Forget(etagOf(1))
	requireHeld(t, x, etagOf(2), m)
}

func TestAfterClose(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	m := made(t, 1, 20)
	require.NoError(t, x.Put(etagOf(1), m))
	require.NoError(t, x.Close())
	require.NoError(t, x.Close())
	require.ErrorIs(t, x.Put(etagOf(2), m), os.ErrClosed)
	require.Nil(t, x.Find(hashesOf(m))[0])
	_, err := x.Map(etagOf(1))
	require.ErrorIs(t, err, ErrUnknown)
	x.Forget(etagOf(1))
	require.NoError(t, x.Tidy(t.Context()))
}

// TestAllAtOnce asks, puts, forgets and merges at the same time; what it is told
// of blobs that nobody forgets has to be right throughout.
func TestAllAtOnce(t *testing.T) {
	t.Parallel()
	x := open(t, t.TempDir())
	stays := made(t, 0, 300)
	require.NoError(t, x.Put(etagOf(0), stays))
	ended := make(chan error)
	work := map[string]func(i uint64) error{
		"put": func(i uint64) error { return x.Put(etagOf(i), made(t, i, 1+int(i*7%300))) },
		"forget": func(i uint64) error {
			x.Forget(etagOf(1 + rand.Uint64N(i+1)))
			return nil
		},
		"tidy": func(uint64) error { return x.Tidy(t.Context()) },
		"find": func(uint64) error {
			for i, places := range x.Find(hashesOf(stays)) {
				if len(places) != 1 || places[0].Off != stays.Offset(i) {
					return fmt.Errorf("chunk %d is at %v", i, places)
				}
			}
			return nil
		},
		"map": func(uint64) error {
			_, err := x.MapOf(ref.XetHash(stays.FileHash().String()))
			return err
		},
	}
	for name, do := range work {
		go func() {
			var err error
			for i := uint64(1); i < 200 && err == nil; i++ {
				if err = do(i); err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
			}
			ended <- err
		}()
	}
	for range work {
		require.NoError(t, <-ended)
	}
}
