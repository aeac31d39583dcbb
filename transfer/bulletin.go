package transfer

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/source"
)

// bulletin is what this node tells its fellows of one download: which chunks can
// be had here, and what it is about to draw from the Hub. The owner writes, those
// who follow read, each at its own pace.
type bulletin struct {
	m    chunk.Map // the cut
	cell int64     // length of the cells that are claimed, in bytes
	told bool      // chunks are told with their hashes: no Xet hash proves them

	mu    sync.Mutex // guards what follows
	have  *chunk.Have
	sums  []chunk.Hash
	by    []uint16 // who answers for each chunk, as its place in names
	names []string // the first is empty: this node
	claim map[int]bool
	draws bool
	log   []event
	base  int64 // position of log[0]
	moved chan struct{}
	over  bool
}

// event is one line of the bulletin: about a chunk, or a cell for claims.
type event struct {
	kind source.NewsKind
	at   int32
}

const (
	// logMost is how many events are kept; who has not read them by then starts over.
	logMost = 1 << 16
	// gather is how long news wait for more of their kind: a frame for each chunk
	// would be a packet for each chunk, to everybody. What has come may wait for
	// longer than what is claimed, which others keep from drawing twice.
	gather     = 3 * time.Millisecond
	gatherHave = 20 * time.Millisecond
)

func newBulletin(m chunk.Map, cell int64, proven bool) *bulletin {
	b := &bulletin{
		m: m, cell: cell, told: !proven, have: chunk.NewHave(m.Len()), names: []string{""},
		claim: map[int]bool{}, draws: true, moved: make(chan struct{}),
	}
	if b.told {
		b.sums, b.by = make([]chunk.Hash, m.Len()), make([]uint16, m.Len())
	}
	return b
}

func (b *bulletin) say(kind source.NewsKind, at int) {
	b.log = append(b.log, event{kind, int32(at)})
	if len(b.log) > logMost {
		cut := len(b.log) / 2
		b.base += int64(cut)
		b.log = append([]event(nil), b.log[cut:]...)
	}
	close(b.moved)
	b.moved = make(chan struct{})
}

// got tells that chunk i can be had here; sum is its hash, and by who answers for
// it, empty for this node.
func (b *bulletin) got(i int, sum chunk.Hash, by string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.have.Add(i) {
		return
	}
	if b.told {
		b.sums[i], b.by[i] = sum, b.nameLocked(by)
	}
	b.say(source.NewsHave, i)
}

func (b *bulletin) nameLocked(by string) uint16 {
	for k, n := range b.names {
		if n == by {
			return uint16(k)
		}
	}
	if len(b.names) == 1<<16 {
		return 0
	}
	b.names = append(b.names, by)
	return uint16(len(b.names) - 1)
}

// lost tells that chunk i cannot be had any more.
func (b *bulletin) lost(i int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.have.Has(i) {
		b.have.Remove(i)
		b.say(source.NewsLost, i)
	}
}

// claimed tells that this node draws a cell from the Hub, or not any more.
func (b *bulletin) claimed(cell int, is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claim[cell] == is {
		return
	}
	if is {
		b.claim[cell] = true
		b.say(source.NewsClaim, cell)
		return
	}
	delete(b.claim, cell)
	b.say(source.NewsRelease, cell)
}

// draw tells whether this node draws from the Hub at all.
func (b *bulletin) draw(is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.draws != is {
		b.draws = is
		b.say(source.NewsDraws, 0)
	}
}

// end closes the bulletin; whole tells that the blob is in the cache.
func (b *bulletin) end(whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return
	}
	if whole {
		b.say(source.NewsWhole, 0)
	}
	b.over = true
	close(b.moved)
	b.moved = make(chan struct{})
}

// News is for the door: see peer.Feed.
func (b *bulletin) News(ctx context.Context, pos int64) ([]source.News, int64, error) {
	for {
		b.mu.Lock()
		end, over, moved := b.base+int64(len(b.log))+1, b.over, b.moved
		if pos < b.base+1 {
			news := b.snapshotLocked()
			b.mu.Unlock()
			return news, end, nil
		}
		b.mu.Unlock()
		switch {
		case pos < end:
			if !over {
				b.gather(pos)
			}
			return b.since(pos)
		case over:
			return nil, pos, io.EOF
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, pos, ctx.Err()
		}
	}
}

// gather waits for more news.
func (b *bulletin) gather(pos int64) {
	enough := time.After(gatherHave)
	for {
		b.mu.Lock()
		urgent, moved := b.urgentLocked(pos), b.moved
		pos = max(pos, b.base+int64(len(b.log))+1) // what was looked at need not be again
		b.mu.Unlock()
		if urgent {
			time.Sleep(gather)
			return
		}
		select {
		case <-moved:
		case <-enough:
			return
		}
	}
}

// urgentLocked tells whether there is more to tell from pos on than what has come.
func (b *bulletin) urgentLocked(pos int64) bool {
	return b.over || pos < b.base+1 || slices.ContainsFunc(b.log[pos-b.base-1:], func(e event) bool { return e.kind != source.NewsHave })
}

// since is what happened from pos on.
func (b *bulletin) since(pos int64) ([]source.News, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	end := b.base + int64(len(b.log)) + 1
	if pos < b.base+1 {
		return b.snapshotLocked(), end, nil
	}
	return b.newsLocked(b.log[pos-b.base-1:]), end, nil
}

// snapshotLocked is all there is to tell.
func (b *bulletin) snapshotLocked() []source.News {
	var all []event
	all = append(all, event{source.NewsDraws, 0})
	for i := range b.m.Len() {
		if b.have.Has(i) {
			all = append(all, event{source.NewsHave, int32(i)})
		}
	}
	for c := range b.claim {
		all = append(all, event{source.NewsClaim, int32(c)})
	}
	if n := len(b.log); n > 0 && b.log[n-1].kind == source.NewsWhole {
		all = append(all, b.log[n-1])
	}
	return b.newsLocked(all)
}

// newsLocked puts events into words, neighbouring chunks together. What has
// changed since is told as it is now.
func (b *bulletin) newsLocked(events []event) (news []source.News) {
	for k := 0; k < len(events); k++ {
		e := events[k]
		switch e.kind {
		case source.NewsHave, source.NewsLost:
			first := int(e.at)
			end := first + 1
			for k+1 < len(events) && events[k+1] == (event{e.kind, int32(end)}) && b.sameLocked(first, end) {
				end++
				k++
			}
			news = b.runsLocked(news, e.kind, first, end)
		case source.NewsDraws:
			n := source.News{Kind: e.kind}
			if b.draws {
				n.Len = 1
			}
			news = append(news, n)
		case source.NewsWhole:
			news = append(news, source.News{Kind: e.kind})
		default:
			off := int64(e.at) * b.cell
			news = append(news, source.News{Kind: e.kind, Off: off, Len: min(b.cell, b.m.Size()-off)})
		}
	}
	return news
}

func (b *bulletin) sameLocked(i, k int) bool { return !b.told || b.by[i] == b.by[k] }

// runsLocked tells of those chunks of a range of which it is still true.
func (b *bulletin) runsLocked(news []source.News, kind source.NewsKind, first, end int) []source.News {
	for i := first; i < end; {
		if b.have.Has(i) != (kind == source.NewsHave) {
			i++
			continue
		}
		k := i + 1
		for k < end && b.have.Has(k) == (kind == source.NewsHave) {
			k++
		}
		news = append(news, b.rangeLocked(kind, i, k))
		i = k
	}
	return news
}

func (b *bulletin) rangeLocked(kind source.NewsKind, first, end int) source.News {
	n := source.News{Kind: kind, Off: b.m.Offset(first), Len: b.m.Offset(end) - b.m.Offset(first)}
	if kind == source.NewsHave && b.told {
		n.By, n.Sums = b.names[b.by[first]], append([]chunk.Hash(nil), b.sums[first:end]...)
	}
	return n
}
