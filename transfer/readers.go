package transfer

import (
	"maps"
	"sync"

	"hffs/cache"
	"hffs/cache/chunk"
)

// readers are those who read a blob while it is fetched, and what they may be given by
// now: only what is sure. A client does not hash what it gets, and keeps the beginning
// of a file when its connection breaks; so a wrong byte that was sent once is never
// taken back. Sure is
//
//   - a chunk that the Hub's own hash proves (the blob has a proven map);
//   - else, one that the Hub itself has sent over its own connection: that is what the
//     client would have got without us. What peers send is sure when the whole blob has
//     its hash, and not before;
//   - of the chunks that an earlier run has left, those of which the same can be said,
//     once they were read again.
//
// Where neither is to be had, since only peers have the blob and the Hub cannot be asked,
// a reader that would starve gets what they have sent, but for the end of it. Whatever
// was given and is doubted later, be it the Hub's own, spoils the reading: the reader's
// connection is broken off, and nobody who comes back for the rest gets it for a while,
// so that nobody is left with a wrong file that looks whole.
//
// The owner of the fetch says which chunks are sure, each reader where it is.
type readers struct {
	poke chan struct{} // tells the owner that somebody waits, or has found damage

	mu     sync.Mutex     // guards what follows
	part   *cache.Partial // nil: the fetch has not begun
	m      chunk.Map
	proven bool
	sure   *chunk.Have
	old    *chunk.Have        // of these, what an earlier run has left under a proven map
	sums   map[int]chunk.Hash // without one: what the Hub has sent
	given  *chunk.Have        // without one: what readers have had
	spoil  func()             // told when some of that is doubted
	broken []int              // chunks that are not on disk what they should be
	seats  map[*seat]bool
}

// seat is one reader's place.
type seat struct {
	at, end int64 // bytes: where it is, and up to where it wants to go
	chunk   int   // that it waits for; -1: whichever
	loose   bool  // it takes what is not sure
	had     bool  // it was given what no proven map stands for
	spoilt  bool  // and that is doubted
	wake    chan struct{}
}

func newReaders() *readers {
	return &readers{poke: make(chan struct{}, 1), seats: map[*seat]bool{}}
}

// begin says that the blob comes into part, of which the chunks in have are left from
// before; sums is what the Hub is known to have sent of them.
func (r *readers) begin(part *cache.Partial, m chunk.Map, proven bool, have *chunk.Have, sums map[int]chunk.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.part, r.m, r.proven = part, m, proven
	r.sure, r.old, r.sums = chunk.NewHave(m.Len()), chunk.NewHave(m.Len()), map[int]chunk.Hash{}
	r.given = chunk.NewHave(m.Len())
	for i := range m.Len() {
		switch sum, known := sums[i]; {
		case !have.Has(i):
		case proven:
			r.sure.Add(i)
			r.old.Add(i)
		case known && sum == part.Sum(i):
			r.sure.Add(i)
			r.sums[i] = sum
		}
	}
	for s := range r.seats {
		s.call()
	}
}

// check says that chunk i is sure. Without a proven map sum is what the Hub has sent.
func (r *readers) check(i int, sum chunk.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sure.Add(i)
	if !r.proven {
		r.sums[i] = sum
	}
	for s := range r.seats {
		if s.chunk == i {
			s.call()
		}
	}
}

// came says that chunk i is there, and not sure.
func (r *readers) came(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.seats {
		if s.loose && s.chunk == i {
			s.call()
		}
	}
}

// doubt takes that back: the bytes were wrong, or may have been.
func (r *readers) doubt(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubtLocked(i)
	if !r.given.Has(i) {
		return
	}
	for s := range r.seats {
		if s.had {
			s.spoilt = true
			s.call()
		}
	}
	if r.spoil != nil {
		r.spoil()
	}
}

// gave notes that a reader is given a chunk for which no proven map stands.
func (r *readers) gave(s *seat, i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.had = true
	r.given.Add(i)
}

// failed says that the whole is wrong, and nobody knows where.
func (r *readers) failed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.part != nil && r.given.Count() > 0 {
		r.spoil()
	}
}

// isSpoilt tells whether a reader has had something that is doubted by now.
func (r *readers) isSpoilt(s *seat) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.spoilt
}

// loosen has a reader take what is not sure from now on.
func (r *readers) loosen(s *seat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.loose = true
}

func (r *readers) doubtLocked(i int) {
	r.sure.Remove(i)
	r.old.Remove(i)
	delete(r.sums, i)
}

// damage says that a reader has found something else on disk than what was there.
func (r *readers) damage(i int) {
	r.mu.Lock()
	r.doubtLocked(i)
	r.broken = append(r.broken, i)
	r.mu.Unlock()
	r.call()
}

// damaged are the chunks that readers found damaged since the last time.
func (r *readers) damaged() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	broken := r.broken
	r.broken = nil
	return broken
}

// sent is what the Hub is known to have sent, by chunks of equal length; nothing where
// there is a proven map, since it is of no use then.
func (r *readers) sent() (sums map[int]chunk.Hash, begun bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.sums), r.part != nil
}

// sit takes a seat for the bytes from at to end.
func (r *readers) sit(at, end int64) *seat {
	s := &seat{at: at, end: end, chunk: -1, wake: make(chan struct{}, 1)}
	r.mu.Lock()
	r.seats[s] = true
	r.mu.Unlock()
	r.call()
	return s
}

func (r *readers) rise(s *seat) {
	r.mu.Lock()
	delete(r.seats, s)
	r.mu.Unlock()
	r.call()
}

// call wakes the owner.
func (r *readers) call() {
	select {
	case r.poke <- struct{}{}:
	default: // it is being woken
	}
}

func (s *seat) call() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// piece is what a reader may be given next.
type piece struct {
	part   *cache.Partial
	proven bool       // all that is ever given is proven
	chunk  int        // the first one
	off    int64      // where it begins in the blob
	end    int64      // where the piece ends; 0: there is none yet
	sum    chunk.Hash // of the chunk, which is to be held against it first; zero: need not be
}

// runMost is how many bytes a reader takes at once, before it says where it is.
const runMost = 4 << 20

// look says where a reader is, and what there is for it. If that is nothing it is woken
// when it may have changed.
func (r *readers) look(s *seat, at int64) piece {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.at, s.chunk = at, -1
	if r.part == nil {
		return piece{}
	}
	i := r.m.At(at)
	p := piece{part: r.part, proven: r.proven, chunk: i, off: r.m.Offset(i)}
	sum, sure := r.sums[i], r.sure.Has(i)
	if !sure && s.loose && !r.proven {
		sum = r.part.Sum(i)
		sure = sum != (chunk.Hash{})
	}
	if !sure {
		s.chunk = i
		r.call()
		return p
	}
	p.end = r.m.Offset(i + 1)
	switch {
	case !r.proven:
		p.sum = sum
	case r.old.Has(i):
		p.sum = r.m.Hash(i)
	default:
		for i++; i < r.m.Len() && r.sure.Has(i) && !r.old.Has(i) && p.end-at < runMost; i++ {
			p.end = r.m.Offset(i + 1)
		}
	}
	return p
}

// wanted is what readers need next, each of them up to so many bytes ahead.
func (r *readers) wanted(ahead int64) (spans []chunk.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.seats {
		if end := min(s.end, s.at+ahead); s.at < end {
			spans = append(spans, chunk.Span{First: r.m.At(s.at), End: r.m.At(end-1) + 1})
		}
	}
	return spans
}
