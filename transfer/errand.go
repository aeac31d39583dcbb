package transfer

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/plan"
	"hffs/transfer/verify"
)

// errand is a plan.Task on its way. The owner may shorten it while it runs.
type errand struct {
	task   plan.Task
	from   *member
	end    atomic.Int64 // chunk before which to stop
	alive  atomic.Int64 // when bytes last arrived, Unix nanoseconds
	cancel context.CancelFunc
	quiet  bool // the owner's: stalled by its own judgment
}

// report is what an errand tells the owner: that it stored a chunk, or that it
// is over.
type report struct {
	errand *errand
	chunk  int
	over   bool
	err    error
	under  *chunk.Map // what the last bytes were held against
}

// storeError is a fault of this machine, not of a source: the disk is full, or
// cannot be written. The download ends with it.
type storeError struct{ err error }

func (e *storeError) Error() string { return "store: " + e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// Buffers hold one chunk each; hashers take 11 KB. Both outlive errands.
var (
	buffers = sync.Pool{New: func() any { b := make([]byte, chunk.FixedLen); return &b }}
	hashers = sync.Pool{New: func() any { return chunk.NewHasher() }}
)

// carry runs an errand to its end: it reads chunk by chunk, lets only right ones
// pass, and puts each on the disk before it reports it.
func (f *fetch) carry(ctx context.Context, e *errand) {
	r := report{errand: e, over: true}
	r.err = f.carryAll(ctx, e, &r.under)
	f.tell(r)
}

func (f *fetch) carryAll(ctx context.Context, e *errand, under **chunk.Map) error {
	off, n := f.m.Bytes(e.task.Span)
	body, err := e.from.Open(ctx, f.entry, off, n)
	if err != nil {
		return err
	}
	defer body.Close()
	hasher := hashers.Get().(*chunk.Hasher)
	defer hashers.Put(hasher)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if int64(len(*buf)) < f.m.Length(0) {
		*buf = make([]byte, f.m.Length(0))
	}
	in := verify.NewReader(&flow{r: body, errand: e}, e.from.Name(), hasher)
	for i := e.task.Span.First; i < int(e.end.Load()); i++ {
		*under = f.hearsay.chosen()
		data, sum, err := in.Next(**under, i, *buf)
		if err != nil {
			return err
		}
		if err := f.part.WriteHashed(i, data, sum); err != nil {
			return &storeError{fmt.Errorf("write %s: %w", f.entry, err)}
		}
		f.tell(report{errand: e, chunk: i})
	}
	return nil
}

// tell hands a report to the owner, who reads until every errand is over.
func (f *fetch) tell(r report) { f.reports <- r }

// flow notes that bytes arrive, and how many.
type flow struct {
	r      io.Reader
	errand *errand
}

func (w *flow) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.errand.from.flowed.Add(int64(n))
		w.errand.alive.Store(time.Now().UnixNano())
	}
	return n, err
}
