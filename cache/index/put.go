package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// Put takes a map of a blob that somebody has proven or learnt, in place of what
// was known of it; with two maps, the current rule's comes first.
func (x *Index) Put(etag ref.ETag, maps ...chunk.Map) error {
	if err := checkMaps(etag, maps); err != nil {
		return fmt.Errorf("index %s: %w", etag, err)
	}
	var all []rooted
	for _, m := range maps {
		all = append(all, root(m))
	}
	return x.put(&record{etag: etag, size: maps[0].Size()}, all)
}

func checkMaps(etag ref.ETag, maps []chunk.Map) error {
	if _, err := ref.ParseETag(string(etag)); err != nil {
		return err
	}
	if len(maps) == 0 || len(maps) > mapsMax {
		return fmt.Errorf("%d maps are given", len(maps))
	}
	for _, m := range maps {
		if m.Step() != 0 || m.Len() > 0 && !m.Hashed() || m.Size() != maps[0].Size() {
			return errors.New("the map is not of chunks that follow the content")
		}
	}
	return nil
}

func (x *Index) put(r *record, maps []rooted) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	if x.closed {
		return os.ErrClosed
	}
	r.number = x.next
	if r.number == maxNumber {
		return errors.New("the index is used up")
	}
	if err := x.maps.append(r, maps); err != nil {
		return fmt.Errorf("write the index: %w", err)
	}
	x.mu.Lock()
	if old := x.byETag[r.etag]; old != nil {
		x.drop(old)
	}
	x.add(r)
	x.next++
	x.mu.Unlock()
	if x.table.done < r.number-1 {
		return nil // its turn comes when the table has caught up
	}
	return x.addRows(r.number, maps)
}

// addRows gives a record its rows, after all records before it. The caller holds
// x.writing.
func (x *Index) addRows(number uint32, maps []rooted) error {
	var other chunk.Map
	for _, m := range maps {
		for s := (chunk.Span{}); s.First < m.Len(); s.First = s.End {
			s.End = min(s.First+x.cfg.flushRows, m.Len())
			if err := x.addRecent(rowsOf(number, m.Map, s, other), number-1); err != nil {
				return err
			}
		}
		other = m.Map
	}
	x.mu.Lock()
	x.table.done = number
	x.mu.Unlock()
	return nil
}

// addRecent makes room for rows when there are many, and adds them. All records
// up to done have their rows already.
func (x *Index) addRecent(rows []row, done uint32) error {
	if n := len(x.table.recent); n > 0 && n+len(rows) > x.cfg.flushRows {
		if err := x.flush(done); err != nil {
			return err
		}
	}
	x.mu.Lock()
	x.table.recent = insertRows(x.table.recent, rows)
	x.mu.Unlock()
	return nil
}

// catchUp gives rows to records that have none yet, up to about limit rows.
func (x *Index) catchUp(ctx context.Context, limit int) error {
	for !x.caughtUp() {
		for _, number := range x.behind() {
			if limit <= 0 || ctx.Err() != nil {
				return ctx.Err()
			}
			n, err := x.tabulate(number)
			if err != nil {
				return err
			}
			limit -= n
		}
	}
	return nil
}

// caughtUp reports whether every record has its rows, and if so lets new ones
// have theirs at once.
func (x *Index) caughtUp() bool {
	x.writing.Lock()
	defer x.writing.Unlock()
	if len(x.behind()) > 0 {
		return false
	}
	x.mu.Lock()
	x.table.done = x.next - 1
	x.mu.Unlock()
	return true
}

func (x *Index) behind() []uint32 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var numbers []uint32
	if x.table.done+1 == x.next {
		return nil
	}
	for n := range x.blobs {
		if n > x.table.done {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// tabulate gives one record its rows, unless it was forgotten meanwhile. A map
// that cannot be read is forgotten.
func (x *Index) tabulate(number uint32) (rows int, err error) {
	x.writing.Lock()
	defer x.writing.Unlock()
	r := x.blobs[number]
	if x.closed {
		return 0, os.ErrClosed
	}
	if r == nil {
		return 0, nil
	}
	var maps []rooted
	for _, s := range r.maps {
		m, err := x.maps.read(r, s)
		if err != nil {
			x.log.Warn("a map of chunks cannot be read; it is made anew", "blob", r.etag, "error", err)
			x.forget(r)
			return 0, nil
		}
		maps, rows = append(maps, rooted{m, s.root}), rows+m.Len()
	}
	return rows, x.addRows(number, maps)
}

// Forget drops what is known of a blob.
func (x *Index) Forget(etag ref.ETag) {
	x.writing.Lock()
	defer x.writing.Unlock()
	if r := x.byETag[etag]; r != nil && !x.closed {
		x.forget(r)
	}
}

// forget is Forget for the holder of x.writing. Rows of the blob stay until their
// runs are merged; without a record they say nothing.
func (x *Index) forget(r *record) {
	if err := x.maps.append(&record{number: r.number, etag: r.etag, size: r.size}, nil); err != nil {
		x.log.Warn("cannot write the index of chunks", "error", err)
	}
	x.mu.Lock()
	x.drop(r)
	x.mu.Unlock()
}
