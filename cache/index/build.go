package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// Blob is a blob that the cache holds: its name, and the file that was found to
// hold it while it had this stamp.
type Blob struct {
	ETag  ref.ETag
	Size  int64       // bytes
	Xet   ref.XetHash // empty where nobody said
	Path  string
	Stamp disk.Stamp
}

// lacks reports whether a reading of b could teach more than r says.
func (r *record) lacks(b Blob) bool {
	if r == nil {
		return b.Size >= MinSize
	}
	xet, err := chunk.ParseHash(string(b.Xet))
	return !r.full && err == nil && !r.has(xet)
}

// Lacks reports whether building a blob could teach the index more of it.
func (x *Index) Lacks(b Blob) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byETag[b.ETag].lacks(b)
}

// Reconcile tells the index what the cache holds now. All else is forgotten, and
// what is to be built is given back, in the same order.
func (x *Index) Reconcile(blobs []Blob) (missing []Blob) {
	held := make(map[ref.ETag]bool, len(blobs))
	x.mu.RLock()
	for _, b := range blobs {
		if !held[b.ETag] && x.byETag[b.ETag].lacks(b) {
			missing = append(missing, b)
		}
		held[b.ETag] = true
	}
	var gone []ref.ETag
	for etag := range x.byETag {
		if !held[etag] {
			gone = append(gone, etag)
		}
	}
	x.mu.RUnlock()
	for _, etag := range gone {
		x.Forget(etag)
	}
	return missing
}

// Build reads a blob once and takes down its map: the one that its Xet hash
// confirms, or that of both rules. It works on a thread that everybody else goes
// before, and no faster than the index may.
func (x *Index) Build(ctx context.Context, b Blob) error {
	return x.build(b, func(f io.ReaderAt) (maps []chunk.Map, err error) {
		disk.InBackground(func() { maps, err = x.cutSlowly(ctx, f, b.Size) })
		return maps, err
	})
}

// BuildNow is Build for somebody who waits: on all cores, as fast as it goes.
func (x *Index) BuildNow(ctx context.Context, b Blob) error {
	return x.build(b, func(f io.ReaderAt) ([]chunk.Map, error) {
		return chunk.Scan(ctx, f, b.Size, chunk.ScanOptions{}, chunk.Current, chunk.Legacy)
	})
}

func (x *Index) build(b Blob, cut func(io.ReaderAt) ([]chunk.Map, error)) error {
	maps, err := cutUnchanged(b, cut)
	if err == nil {
		err = x.put(&record{etag: b.ETag, size: b.Size, full: true}, choose(maps, b.Xet))
	}
	if err != nil {
		return fmt.Errorf("index %s: %w", b.Path, err)
	}
	return nil
}

// cutUnchanged makes sure that what is read is what the cache has checked, from
// the first byte to the last.
func cutUnchanged(b Blob, cut func(io.ReaderAt) ([]chunk.Map, error)) ([]chunk.Map, error) {
	f, stamp, err := disk.OpenFile(b.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if stamp != b.Stamp || stamp.Size != b.Size {
		return nil, ErrChanged
	}
	maps, err := cut(f)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ErrChanged
	}
	if err != nil {
		return nil, err
	}
	return maps, sameStamp(f, stamp)
}

func sameStamp(f *os.File, stamp disk.Stamp) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if disk.StampOf(fi) != stamp {
		return ErrChanged
	}
	return nil
}

// choose leaves the map that the Xet hash confirms; without such, one of each
// kind.
func choose(maps []chunk.Map, xet ref.XetHash) []rooted {
	want, known := chunk.ParseHash(string(xet))
	var all []rooted
	for _, m := range maps {
		r := root(m)
		if known == nil && r.root == want {
			return []rooted{r}
		}
		if !slices.ContainsFunc(all, func(o rooted) bool { return o.root == r.root }) {
			all = append(all, r)
		}
	}
	return all
}

var pieces = sync.Pool{New: func() any { b := make([]byte, chunk.ScanPiece); return &b }}

// cutSlowly is chunk.Scan on this thread alone and at the index's pace.
func (x *Index) cutSlowly(ctx context.Context, f io.ReaderAt, size int64) ([]chunk.Map, error) {
	var current, legacy []chunk.Chunk
	c := chunk.NewCutter(func(rule chunk.Rule, ch chunk.Chunk) {
		if rule == chunk.Current {
			current = append(current, ch)
		} else {
			legacy = append(legacy, ch)
		}
	}, chunk.Current, chunk.Legacy)
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	for off := int64(0); off < size; off += int64(len(*piece)) {
		buf := (*piece)[:min(int64(len(*piece)), size-off)]
		if err := x.pace.WaitN(ctx, len(buf)); err != nil {
			return nil, err
		}
		if n, err := f.ReadAt(buf, off); n < len(buf) {
			return nil, endsEarly(err)
		}
		_, _ = c.Write(buf)
	}
	_ = c.Close()
	return contents(current, legacy)
}

// endsEarly is io.EOF where a file should have gone on.
func endsEarly(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func contents(lists ...[]chunk.Chunk) ([]chunk.Map, error) {
	var maps []chunk.Map
	for _, list := range lists {
		m, err := chunk.Content(list)
		if err != nil {
			return nil, err
		}
		maps = append(maps, m)
	}
	return maps, nil
}
