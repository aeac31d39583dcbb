package index

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// Place is where a chunk should lie on this disk. It is a hint: whoever reads it
// compares the hash.
type Place struct {
	ETag ref.ETag
	Off  int64 // bytes
	Len  int   // bytes
}

// maxPlaces is how many places are told of one chunk. More than one, since the
// first may have changed; not all, since a chunk of zeros is everywhere.
const maxPlaces = 4

// Find tells where each of the chunks lies, nil for those that no blob holds. It
// is made for asking about many at once: they are looked up in the order of the
// table, so that a cold disk is read in one direction.
func (x *Index) Find(hashes []chunk.Hash) [][]Place {
	f := finder{x: x, hashes: hashes, found: make([][]Place, len(hashes)), order: make([]int, len(hashes))}
	for i := range f.order {
		f.order[i] = i
	}
	slices.SortFunc(f.order, func(a, b int) int { return cmp.Compare(keyOf(hashes[a]), keyOf(hashes[b])) })
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return f.found
	}
	f.inRecent(x.table.recent)
	for _, r := range slices.Backward(x.table.runs) {
		if err := f.inRun(r); err != nil && !x.damaged.Swap(true) {
			x.log.Warn("the table of chunks is damaged; it is made anew", "error", err)
		}
	}
	return f.found
}

// finder is one call of Find, under x.mu.
type finder struct {
	x      *Index
	hashes []chunk.Hash
	found  [][]Place
	order  []int // of hashes, by key
}

// take adds a row's place to those of hash i and says whether more are wanted.
func (f *finder) take(i int, r row) bool {
	blob := f.x.blobs[r.blob]
	if blob == nil || slices.ContainsFunc(f.found[i], func(p Place) bool { return p.ETag == blob.etag }) {
		return true
	}
	f.found[i] = append(f.found[i], Place{blob.etag, r.off(), r.len()})
	return len(f.found[i]) < maxPlaces
}

func (f *finder) inRecent(rows []row) {
	for _, i := range f.order {
		key := keyOf(f.hashes[i])
		for at := search(rows, key); at < len(rows) && rows[at].key == key && f.take(i, rows[at]); at++ {
		}
	}
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func (f *finder) inRun(r *run) error {
	rd := readers.Get().(*reader)
	defer readers.Put(rd)
	rd.begin(r)
	for _, i := range f.order {
		if len(f.found[i]) >= maxPlaces {
			continue
		}
		if err := rd.each(keyOf(f.hashes[i]), func(r row) bool { return f.take(i, r) }); err != nil {
			return err
		}
	}
	return nil
}

// Map is the map of a blob: the proven one where its Xet hash was known when it
// was made, else that of the current rule.
func (x *Index) Map(etag ref.ETag) (chunk.Map, error) {
	m, err := x.read(func() (*record, int) { return x.byETag[etag], 0 })
	if err != nil {
		return chunk.Map{}, fmt.Errorf("map of blob %s: %w", etag, err)
	}
	return m, nil
}

// MapOf is the map that has this Xet hash, under whichever rule.
func (x *Index) MapOf(xet ref.XetHash) (chunk.Map, error) {
	root, err := chunk.ParseHash(string(xet))
	if err != nil {
		return chunk.Map{}, err
	}
	m, err := x.read(func() (*record, int) {
		for _, n := range x.byRoot[root] {
			r := x.blobs[n]
			return r, slices.IndexFunc(r.maps, func(s stored) bool { return s.root == root })
		}
		return nil, 0
	})
	if err != nil {
		return chunk.Map{}, fmt.Errorf("map of Xet hash %s: %w", xet, err)
	}
	return m, nil
}

// read reads the map that pick chooses, and forgets the blob if it cannot be read.
func (x *Index) read(pick func() (*record, int)) (chunk.Map, error) {
	x.mu.RLock()
	r, i := pick()
	if r == nil || x.closed {
		x.mu.RUnlock()
		return chunk.Map{}, ErrUnknown
	}
	m, err := x.maps.read(r, r.maps[i])
	x.mu.RUnlock()
	if err != nil {
		x.log.Warn("a map of chunks cannot be read; it is made anew", "blob", r.etag, "error", err)
		x.Forget(r.etag)
		return chunk.Map{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return m, nil
}
