package cache

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// aheadOf is what is told of chunks first up to, but not, end.
func aheadOf(m chunk.Map, first, end int) []Ahead {
	all := []Ahead{}
	for i := first; i < end; i++ {
		all = append(all, Ahead{m.Offset(i), m.Chunk(i)})
	}
	return all
}

func putAll(t *testing.T, p *Partial, content []byte, all []Ahead) {
	t.Helper()
	for _, a := range all {
		require.NoError(t, p.Put(a.Off, content[a.Off:a.end()]))
	}
}

// xetFile is content with the map that its entry's Xet hash proves.
func xetFile(t *testing.T, seed uint64, n int) ([]byte, ref.Entry, chunk.Map) {
	t.Helper()
	content := bytesOf(seed, n)
	m := contentMap(t, content)
	return content, withXet(lfs("model.bin", content), m), m
}

// damage flips a bit of the partial file.
func damage(t *testing.T, c *Cache, e ref.Entry, at int64) {
	t.Helper()
	f, err := os.OpenFile(partFile(c, e, partSuffix), os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	require.NoError(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	require.NoError(t, err)
}

// twin is a cache with a copy of the partial's files as they are this moment: what a
// kill leaves.
func twin(t *testing.T, c *Cache, e ref.Entry) *Cache {
	t.Helper()
	other := open(t)
	for _, s := range []string{journalSuffix, partSuffix} { // data goes first, so it is copied last
		data, err := os.ReadFile(partFile(c, e, s))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(partFile(other, e, s)), 0o755))
		require.NoError(t, os.WriteFile(partFile(other, e, s), data, 0o644))
	}
	return other
}

func TestAheadOutlastsAKill(t *testing.T) {
	t.Parallel()
	c := open(t)
	content, e, m := xetFile(t, 21, 6*chunk.FixedLen)
	p := begin(t, c, e)
	defer p.Discard()
	require.Empty(t, p.Ahead())
	all := aheadOf(m, 2, 7)
	for i := len(all) - 1; i >= 0; i-- {
		putAll(t, p, content, all[i:i+1])
	}
	require.Equal(t, all, p.Ahead())
	require.Zero(t, p.Have().Count(), "they count for nothing yet")

	// Killed at any moment: with any part of the journal.
	whole, err := os.Stat(partFile(c, e, journalSuffix))
	require.NoError(t, err)
	require.Equal(t, int64(headerLen+len(all)*recordLen), whole.Size())
	killed := twin(t, c, e)
	for n := whole.Size(); n >= headerLen; n -= 13 {
		require.NoError(t, os.Truncate(partFile(killed, e, journalSuffix), n))
		q := begin(t, killed, e)
		records := int(n-headerLen) / recordLen
		require.Equal(t, all[len(all)-records:], q.Ahead(), "%d bytes of the journal", n)
		require.NoError(t, q.Close())
		if records == 0 {
			require.NoFileExists(t, partFile(killed, e, partSuffix))
			break
		}
	}

	// And it goes on where it was.
	killed = twin(t, c, e)
	q := begin(t, killed, e)
	require.NoError(t, q.Recut(m))
	require.Equal(t, len(all), q.Have().Count())
	require.Empty(t, q.Ahead())
	require.ErrorContains(t, q.Put(0, content[:100]), "cut by its content")
	fill(t, q, content)
	path, err := q.Commit(t.Context())
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
}

// TestKilledWhilePutting copies the files again and again while they are written.
func TestKilledWhilePutting(t *testing.T) {
	t.Parallel()
	c := open(t)
	content, e, m := xetFile(t, 32, 16*chunk.FixedLen)
	p := begin(t, c, e)
	defer p.Discard()
	var putters sync.WaitGroup
	for w := range 4 {
		putters.Go(func() {
			for i := w; i < m.Len(); i += 4 {
				if err := p.Put(m.Offset(i), part(m, content, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for told := 0; told < m.Len(); {
		killed := twin(t, c, e)
		journal, err := os.Stat(partFile(killed, e, journalSuffix))
		require.NoError(t, err)
		q := begin(t, killed, e)
		all := q.Ahead()
		told = len(all)
		require.Equal(t, int(journal.Size()-headerLen)/recordLen, told, "what the journal says is there")
		for _, a := range all {
			require.Equal(t, m.Chunk(m.At(a.Off)), a.Chunk)
		}
		require.NoError(t, q.Close())
	}
	putters.Wait()
}

func TestOnlyAheadIsKept(t *testing.T) {
	t.Parallel()
	c := open(t)
	content, e, m := xetFile(t, 22, 6*chunk.FixedLen)
	first, second := aheadOf(m, 0, 3), aheadOf(m, 3, 5)
	p := begin(t, c, e)
	putAll(t, p, content, first)
	require.NoError(t, p.Close())
	require.ErrorIs(t, p.Put(0, content[:100]), os.ErrClosed)
	p = begin(t, c, e)
	require.Equal(t, m.Offset(3), p.written().bytes(), "no room is needed for it any more")
	putAll(t, p, content, second)
	putAll(t, p, content, first[1:2]) // once more, which adds nothing
	require.Equal(t, aheadOf(m, 0, 5), p.Ahead())
	require.NoError(t, p.Close())

	p = begin(t, c, e)
	require.NoError(t, p.Recut(m), "without asking first")
	require.Equal(t, 5, p.Have().Count())
	require.NoError(t, p.Close())
	journal, err := os.ReadFile(partFile(c, e, journalSuffix))
	require.NoError(t, err)
	require.Len(t, journal, headerLen+5*recordLen)
	p = begin(t, c, e)
	require.Equal(t, 5, p.Have().Count())
	require.Empty(t, p.Ahead())
	require.NoError(t, p.Discard())
	require.Equal(t, []string{"snapshots/"}, listing(t, filepath.Join(c.Dir(), e.Repo.Folder())))
}

func TestDamagedAheadIsNotTold(t *testing.T) {
	t.Parallel()
	c := open(t)
	content, e, m := xetFile(t, 23, 6*chunk.FixedLen)
	all := aheadOf(m, 0, 4)
	p := begin(t, c, e)
	putAll(t, p, content, all)
	require.NoError(t, p.Close())
	damage(t, c, e, all[1].end()-1)
	p = begin(t, c, e)
	require.Equal(t, append(aheadOf(m, 0, 1), all[2:]...), p.Ahead())
	require.NoError(t, p.Close())

	p = begin(t, c, e)
	require.NoError(t, p.Recut(m))
	require.False(t, p.Have().Has(1))
	require.Equal(t, 3, p.Have().Count())
	fill(t, p, content)
	_, err := p.Commit(t.Context())
	require.NoError(t, err)
}

// TestFixedChunksOverAhead is a fetch that never gets its map.
func TestFixedChunksOverAhead(t *testing.T) {
	t.Parallel()
	content, e, m := xetFile(t, 24, 6*chunk.FixedLen)
	wrong := bytesOf(25, len(content))
	all := aheadOf(m, 0, m.Len())
	c := open(t)
	p := begin(t, c, e)
	putAll(t, p, wrong, all) // each is what it is, and none is the blob's
	require.Len(t, p.Ahead(), m.Len())
	cut := p.Map()
	require.NoError(t, p.WriteChunk(2, part(cut, content, 2)))
	outside := func(a Ahead) bool { return a.end() <= cut.Offset(2) || a.Off >= cut.Offset(3) }
	requireOutside := func(p *Partial) {
		t.Helper()
		told := p.Ahead()
		require.NotEmpty(t, told)
		require.Less(t, len(told), m.Len()-1)
		for _, a := range told {
			require.True(t, outside(a), "%d was written over", a.Off)
			require.Equal(t, hashOf(wrong[a.Off:a.end()]), a.Hash)
		}
	}
	requireOutside(p)
	require.NoError(t, p.Close())
	p = begin(t, c, e)
	requireOutside(p)
	require.Equal(t, 1, p.Have().Count())
	fill(t, p, content)
	require.Empty(t, p.Ahead())
	path, err := p.Commit(t.Context())
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
}

// TestPutOverFixedChunks has what was put spoil a chunk that was right.
func TestPutOverFixedChunks(t *testing.T) {
	t.Parallel()
	content, e, _ := xetFile(t, 26, 4*chunk.FixedLen)
	c := open(t)
	p := begin(t, c, e)
	fill(t, p, content)
	require.NoError(t, p.HashAlong(t.Context()))
	require.NoError(t, p.Put(chunk.FixedLen+5, content[chunk.FixedLen+5:][:1000]), "the same bytes")
	require.NoError(t, p.HashAlong(t.Context()))
	require.NoError(t, p.Put(2*chunk.FixedLen-5, make([]byte, 10)))
	_, err := p.Commit(t.Context())
	dropped, ok := errors.AsType[*DroppedError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, []int{1, 2}, dropped.Chunks)
	fill(t, p, content)
	_, err = p.Commit(t.Context())
	require.NoError(t, err)
}

func TestPutOverPut(t *testing.T) {
	t.Parallel()
	content, e, _ := xetFile(t, 27, 4*chunk.FixedLen)
	c := open(t)
	p := begin(t, c, e)
	defer p.Discard()
	require.NoError(t, p.Put(0, content[:1000]))
	require.NoError(t, p.Put(500, content[500:2000]), "the same bytes, cut otherwise")
	require.NoError(t, p.Put(2000, content[:1000]), "wrong ones")
	require.NoError(t, p.Put(2500, content[2500:3000]), "over the wrong ones")
	require.Equal(t, []Ahead{
		{0, chunk.Chunk{Length: 1000, Hash: hashOf(content[:1000])}},
		{2500, chunk.Chunk{Length: 500, Hash: hashOf(content[2500:3000])}},
	}, p.Ahead())
}

func TestRecutJoinsWhatWasPut(t *testing.T) {
	t.Parallel()
	content, e, m := xetFile(t, 28, 8*chunk.FixedLen)
	c := open(t)
	p := begin(t, c, e)
	defer p.Discard()
	for off := 0; off < 2*chunk.FixedLen; off += 50_000 { // not as the map cuts
		require.NoError(t, p.Put(int64(off), content[off:min(off+50_000, 2*chunk.FixedLen)]))
	}
	require.NoError(t, p.WriteChunk(2, part(p.Map(), content, 2)))
	require.NoError(t, p.Recut(m))
	for i := range m.Len() {
		require.Equal(t, m.Offset(i+1) <= 3*chunk.FixedLen, p.Have().Has(i), "chunk %d", i)
	}
}

func TestManyPutsAtOnce(t *testing.T) {
	t.Parallel()
	content, e, m := xetFile(t, 29, 20*chunk.FixedLen)
	c := open(t)
	p := begin(t, c, e)
	var putters sync.WaitGroup
	for w := range 8 {
		putters.Go(func() {
			for i := range m.Len() {
				if i%8 == w || i%5 == 0 { // some come twice and more
					if err := p.Put(m.Offset(i), part(m, content, i)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	putters.Go(func() { p.Ahead() })
	putters.Wait()
	require.Equal(t, aheadOf(m, 0, m.Len()), p.Ahead())

	// Closing waits for those under way; what they said they wrote is there.
	late := make(chan int, m.Len())
	for i := range m.Len() {
		putters.Go(func() {
			if p.Put(m.Offset(i), part(m, content, i)) == nil {
				late <- i
			}
		})
	}
	require.NoError(t, p.Close())
	putters.Wait()
	p = begin(t, c, e)
	require.Equal(t, aheadOf(m, 0, m.Len()), p.Ahead())
	require.NoError(t, p.Recut(m))
	require.True(t, p.Have().Full())
	path, err := p.Commit(t.Context())
	require.NoError(t, err)
	require.Equal(t, string(content), read(t, path))
}

func TestNoSuchPut(t *testing.T) {
	t.Parallel()
	c := open(t)
	content, e, _ := xetFile(t, 30, 2*chunk.FixedLen)
	p := begin(t, c, e)
	defer p.Discard()
	for _, off := range []int64{-1, int64(len(content)) - 9, math.MaxInt64} {
		require.Error(t, p.Put(off, content[:10]))
	}
	require.Error(t, p.Put(0, nil))
	require.Error(t, p.Put(0, content[:chunk.MaxLen+1]))
	require.NoError(t, p.Put(int64(len(content))-10, content[:10]))
}

func TestPartialReadChunk(t *testing.T) {
	t.Parallel()
	c := open(t)
	content, e, m := xetFile(t, 31, 4*chunk.FixedLen)
	p := begin(t, c, e)
	require.NoError(t, p.Recut(m))
	require.NoError(t, p.WriteChunk(1, part(m, content, 1)))
	for _, i := range []int{-1, 0, m.Len()} {
		_, err := p.ReadChunk(i, nil)
		require.ErrorIs(t, err, ErrIncomplete)
	}
	buf := make([]byte, 0, chunk.MaxLen)
	data, err := p.ReadChunk(1, buf)
	require.NoError(t, err)
	require.True(t, bytes.Equal(part(m, content, 1), data))
	require.Same(t, &buf[:1][0], &data[0], "no other buffer is made")
	data, err = p.ReadChunk(1, make([]byte, 3))
	require.NoError(t, err)
	require.True(t, bytes.Equal(part(m, content, 1), data))
	damage(t, c, e, m.Offset(1))
	_, err = p.ReadChunk(1, buf)
	require.ErrorIs(t, err, ErrMismatch)
	require.NoError(t, p.Close())
	_, err = p.ReadChunk(1, buf)
	require.ErrorIs(t, err, os.ErrClosed)
}
