package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/plan"
	"hffs/transfer/source"
	"hffs/transfer/verify"
)

// errand is a plan.Task on its way. The owner may shorten it while it runs.
type errand struct {
	task   plan.Task
	from   *member       // the owner's, but for flowed
	source source.Source // what from was when it was sent
	end    atomic.Int64  // chunk before which to stop
	at     int           // the owner's: the chunk that it ended with
	alive  atomic.Int64  // when bytes last arrived, Unix nanoseconds
	began  time.Time
	waited atomic.Int64 // nanoseconds to the first byte; 0: none yet
	held   atomic.Int32 // bodies that wait for a limit of ours: bytes have come
	cancel context.CancelFunc
	quiet  bool         // the owner's: stalled by its own judgment
	sums   []chunk.Hash // what a fellow told of the span's chunks; zero: nothing
}

// report is what an errand tells the owner: that it stored some chunks, or that it
// is over.
type report struct {
	errand *errand
	chunks chunk.Span
	over   bool
	err    error
	under  *chunk.Map // what the last bytes were held against
}

// storeError is a fault of this machine, not of a source: the disk is full, or
// cannot be written. The download ends with it.
type storeError struct{ err error }

func (e *storeError) Error() string { return "store: " + e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// bufferLen is how much an errand takes in at once, in bytes: large enough that
// reading and writing cost few calls, and small enough for the caches of processors.
// Where many files are fetched at once it is what a chunk may have, so that memory stays
// bounded.
const (
	bufferLen = 512 << 10
	fewFiles  = 4
)

// Buffers and hashers, which take 11 KB, outlive errands.
var (
	buffers = sync.Pool{New: func() any { b := make([]byte, bufferLen); return &b }}
	smalls  = sync.Pool{New: func() any { b := make([]byte, chunk.FixedLen); return &b }}
	tinies  = sync.Pool{New: func() any { b := make([]byte, chunk.MaxLen); return &b }}
	hashers = sync.Pool{New: func() any { return chunk.NewHasher() }}
)

// carry runs an errand to its end: it reads chunks, lets only right ones pass, and
// puts them on the disk before it reports them.
func (f *fetch) carry(ctx context.Context, e *errand) {
	r := report{errand: e, over: true}
	r.err = f.carryAll(ctx, e, &r.under)
	f.tell(r)
}

func (f *fetch) carryAll(ctx context.Context, e *errand, under **chunk.Map) error {
	off, n := f.m.Bytes(e.task.Span)
	body := &steady{pos: off, end: off + n, open: func(off, n int64) (io.ReadCloser, error) {
		return e.source.Open(ctx, f.entry, off, n)
	}}
	defer body.Close()
	hasher := hashers.Get().(*chunk.Hasher)
	defer hashers.Put(hasher)
	pool := f.pool()
	buf := pool.Get().(*[]byte)
	defer pool.Put(buf)
	in := verify.NewReader(&flow{r: body, errand: e}, e.source.Name(), hasher, *buf)
	for i := e.task.Span.First; i < int(e.end.Load()); {
		*under = f.hearsay.chosen()
		data, sums, err := in.Next(**under, i, int(e.end.Load()))
		good, doubt := e.compare(f.m, i, sums)
		if doubt != nil {
			data, err = data[:f.m.Offset(i+good)-f.m.Offset(i)], doubt
		}
		if good > 0 {
			if err := f.part.WriteRun(i, data, sums[:good]); err != nil {
				return &storeError{fmt.Errorf("write %s: %w", f.entry, err)}
			}
			f.tell(report{errand: e, chunks: chunk.Span{First: i, End: i + good}})
			i += good
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pool is where an errand gets its buffer from.
func (f *fetch) pool() *sync.Pool {
	switch {
	case f.t.flying() <= fewFiles:
		return &buffers
	case f.m.Step() == 0:
		return &tinies
	}
	return &smalls
}

// flying is how many fetches are under way.
func (t *Transfer) flying() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.flights)
}

// compare holds chunks from i on against what the fellow that sends them has told of
// them, and says how many are as told.
func (e *errand) compare(m chunk.Map, i int, sums []chunk.Hash) (good int, err error) {
	for good, sum := range sums {
		k := i + good - e.task.Span.First
		if k < len(e.sums) && e.sums[k] != (chunk.Hash{}) && e.sums[k] != sum {
			return good, &verify.Error{From: e.source.Name(), Chunk: i + good, Off: m.Offset(i + good), Want: e.sums[k], Got: sum}
		}
	}
	return len(sums), nil
}

// tell hands a report to the owner, who reads until every errand is over.
func (f *fetch) tell(r report) { f.reports <- r }

// steady reads a range and goes on behind the place where a body broke off, as
// long as each attempt brings something worth it: some links and caches end every
// connection after a while.
type steady struct {
	open     func(off, n int64) (io.ReadCloser, error)
	pos, end int64
	body     io.ReadCloser
	brought  int64 // by this attempt
}

// worthIt is what an attempt must have brought, in bytes, for another one.
const worthIt = 64 << 10

func (s *steady) Read(p []byte) (int, error) {
	for {
		if s.body == nil {
			if s.pos == s.end {
				return 0, io.EOF
			}
			body, err := s.open(s.pos, s.end-s.pos)
			if err != nil {
				return 0, err
			}
			s.body, s.brought = body, 0
		}
		n, err := s.body.Read(p)
		s.pos, s.brought = s.pos+int64(n), s.brought+int64(n)
		if err != nil && s.pos < s.end && s.brought >= worthIt && brokeOff(err) {
			s.Close()
			err = nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

// brokeOff tells an end that came too early from everything else that can go
// wrong.
func brokeOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (s *steady) Close() error {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
	return nil
}

// flow notes that bytes arrive, and how many.
type flow struct {
	r      io.Reader
	errand *errand
}

func (w *flow) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		if w.errand.waited.Load() == 0 {
			w.errand.waited.Store(max(1, int64(time.Since(w.errand.began))))
		}
		w.errand.from.flowed.Add(int64(n))
		w.errand.alive.Store(time.Now().UnixNano())
	}
	return n, err
}
