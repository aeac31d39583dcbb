package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Tidy does what can wait until nobody is in a hurry: it makes a damaged table
// anew, merges runs, drops the rows of blobs that are gone, and writes to disk
// for good what was put. It may take seconds when the index is large, during most
// of which others go on.
func (x *Index) Tidy(ctx context.Context) error {
	if err := x.tidy(ctx); err != nil {
		return fmt.Errorf("tidy index: %w", err)
	}
	return nil
}

func (x *Index) tidy(ctx context.Context) error {
	x.tidying.Lock()
	defer x.tidying.Unlock()
	if err := x.repair(); err != nil {
		return err
	}
	if err := x.catchUp(ctx, math.MaxInt); err != nil {
		return err
	}
	for again := true; again; {
		var err error
		if again, err = x.merge(ctx); err != nil {
			return err
		}
	}
	return x.shrink()
}

// repair empties a table that turned out to be damaged; catchUp fills it.
func (x *Index) repair() error {
	x.writing.Lock()
	defer x.writing.Unlock()
	if !x.damaged.Load() || x.closed {
		return nil
	}
	return x.reset()
}

// merge makes one run of several, where that pays, and says whether it did.
func (x *Index) merge(ctx context.Context) (done bool, err error) {
	old, alive := x.pick()
	if len(old) == 0 {
		return false, nil
	}
	x.writing.Lock()
	name := x.runName()
	x.writing.Unlock()
	var r *run
	m, err := newMerger(ctx, old, alive)
	if err == nil {
		r, err = writeRun(x.root, name, m.next)
	}
	if errors.Is(err, errDamaged) {
		x.log.Warn("the table of chunks is damaged; it is made anew", "error", err)
		x.damaged.Store(true)
		return false, nil // the next Tidy has it
	}
	if err != nil {
		return false, err
	}
	return x.swap(old, r)
}

// swap puts a run in the place of those that it was made of. Only newer runs can
// have come meanwhile, or all went.
func (x *Index) swap(old []*run, r *run) (bool, error) {
	x.writing.Lock()
	defer x.writing.Unlock()
	at := slices.Index(x.table.runs, old[0])
	if at < 0 || x.closed {
		r.remove(x.root)
		return false, nil
	}
	t := x.table
	t.runs = slices.Concat(t.runs[:at], []*run{r}, t.runs[at+len(old):])
	if err := x.replaceTable(t); err != nil {
		r.remove(x.root)
		return false, err
	}
	return true, nil
}

// pick chooses what to merge: the youngest runs while the next older one is not
// more than twice as large as they are together, or all when half of the rows are
// of blobs that are gone. So there are no more runs than the table could be halved
// times, and each row is written about as often.
func (x *Index) pick() ([]*run, set) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	runs := x.table.runs
	if x.closed || len(runs) == 0 {
		return nil, nil
	}
	first, sum := len(runs)-1, runs[len(runs)-1].rows
	for first > 0 && runs[first-1].rows <= 2*sum {
		first--
		sum += runs[first].rows
	}
	all := int64(0)
	for _, r := range runs {
		all += r.rows
	}
	if all > 2*x.liveRows()+int64(x.cfg.flushRows) {
		first = 0
	} else if first == len(runs)-1 {
		return nil, nil
	}
	return runs[first:], x.aliveSet()
}

// liveRows is at least as many rows as the blobs in the index need. The caller
// holds x.mu.
func (x *Index) liveRows() (n int64) {
	for _, r := range x.blobs {
		for _, m := range r.maps {
			n += m.len / int64(rootLen)
		}
	}
	return n
}

// set is a set of numbers.
type set []uint64

func (s set) has(n uint32) bool { return int(n/64) < len(s) && s[n/64]&(1<<(n%64)) != 0 }

// aliveSet is the numbers of all records. The caller holds x.mu.
func (x *Index) aliveSet() set {
	s := make(set, x.next/64+1)
	for n := range x.blobs {
		s[n/64] |= 1 << (n % 64)
	}
	return s
}

// wasteMax is how much of the file of maps may be void, in bytes, besides as much
// as is not.
const wasteMax = 4 << 20

// shrink writes the file of maps anew when most of it is void, and has the disk
// keep it for good.
func (x *Index) shrink() error {
	x.writing.Lock()
	defer x.writing.Unlock()
	if x.closed {
		return nil
	}
	used := int64(mapsHead)
	live := make([]*record, 0, len(x.blobs))
	for _, r := range x.blobs {
		used += r.bytes()
		live = append(live, r)
	}
	if x.maps.end <= 2*used+wasteMax {
		return x.maps.sync()
	}
	slices.SortFunc(live, func(a, b *record) int { return cmp.Compare(a.number, b.number) })
	to, moved, err := x.maps.rewrite(x.root, live)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	done, err := x.maps.install(x.root, to)
	if done {
		x.maps = to
		for _, r := range moved {
			x.blobs[r.number], x.byETag[r.etag] = r, r
		}
	}
	return err
}
