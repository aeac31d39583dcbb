package chunk

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// ScanOptions say how hard [Scan] may work. The zero value is as fast as it can.
type ScanOptions struct {
	// Workers is how many cores are used; 0 means all that Go uses.
	Workers int

	// Pace is called before n bytes are read and may wait, for the sake of whoever
	// else uses the disk; nil means full speed. n is at most ScanPiece, so
	// rate.Limiter's WaitN fits where its burst is no smaller.
	Pace func(ctx context.Context, n int) error

	region int64 // bytes; 0 means what suits size and workers
}

// ScanPiece is the most that [Scan] reads at once, in bytes: it stays in a core's
// own cache while it is cut and hashed.
const ScanPiece = 256 << 10

// Bounds of a region, in bytes. At each seam between two of them some three
// chunks are worked on twice.
const (
	minRegion = 4 << 20
	maxRegion = 32 << 20
)

// Scan says what the first size bytes of r are made of under each of the rules
// (none means Current), in one reading, on all cores.
//
// Where a chunk ends depends on where it began, so a file cannot simply be
// divided. But two cutters that began at different places soon cut at the same
// place, and from there on always do. So each worker takes a region and begins
// there as if a chunk did; the regions' lists are then joined in order by cutting
// anew at each seam, from the last true end up to the first that the next list
// has as well. The result is exactly that of one cutter from the start. Content
// in which cutters never meet, such as a long run of one byte, costs twice the
// work and no more.
//
// Memory is that of the maps and a piece for each worker.
func Scan(ctx context.Context, r io.ReaderAt, size int64, o ScanOptions, rules ...Rule) ([]Map, error) {
	if len(rules) == 0 {
		rules = []Rule{Current}
	}
	s := &scanner{ScanOptions: o, r: r, size: size, rules: rules}
	s.fill()
	for _, rule := range rules {
		s.seams = append(s.seams, newSeam(s, rule))
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	maps := make([]Map, len(rules))
	for i, seam := range s.seams {
		maps[i] = seam.m
	}
	return maps, nil
}

type scanner struct {
	ScanOptions
	r     io.ReaderAt
	size  int64
	rules []Rule
	seams []*seam // one for each rule
}

func (s *scanner) fill() {
	if s.Workers <= 0 {
		s.Workers = runtime.GOMAXPROCS(0)
	}
	if s.region == 0 {
		s.region = min(max(s.size/int64(4*s.Workers), minRegion), maxRegion)
	}
	if s.Workers == 1 {
		s.region = max(s.size, 1) // no seams
	}
}

// region is a part of the file and what a worker found in it.
type region struct {
	off, end int64
	chunks   map[Rule][]Chunk
	done     chan struct{} // closed when chunks are there
}

// run hands out regions and joins them. No more are under way or waiting to be
// joined than twice the workers, whatever the size of the file.
func (s *scanner) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan *region)
	inOrder := make(chan *region, 2*s.Workers)
	g.Go(func() error {
		defer close(todo)
		defer close(inOrder)
		return s.divide(ctx, todo, inOrder)
	})
	for range s.Workers {
		g.Go(func() error { return s.work(ctx, todo) })
	}
	g.Go(func() error { return s.join(ctx, inOrder) })
	return g.Wait()
}

func (s *scanner) divide(ctx context.Context, todo, inOrder chan<- *region) error {
	for off := int64(0); off < s.size; off += s.region {
		r := &region{off: off, end: min(off+s.region, s.size), chunks: map[Rule][]Chunk{}, done: make(chan struct{})}
		for _, to := range []chan<- *region{inOrder, todo} {
			select {
			case to <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func (s *scanner) work(ctx context.Context, todo <-chan *region) error {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	for r := range todo {
		if err := s.cut(ctx, r, *buf); err != nil {
			return err
		}
		close(r.done)
	}
	return nil
}

var pieces = sync.Pool{New: func() any { b := make([]byte, ScanPiece); return &b }}

// cut finds the chunks that end in a region, as if one began with it.
func (s *scanner) cut(ctx context.Context, r *region, buf []byte) error {
	c := NewCutter(func(rule Rule, ch Chunk) { r.chunks[rule] = append(r.chunks[rule], ch) }, s.rules...)
	for off := r.off; off < r.end; off += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), r.end-off)]
		if err := s.read(ctx, buf, off); err != nil {
			return err
		}
		_, _ = c.Write(buf)
	}
	if r.end == s.size {
		return c.Close()
	}
	return nil
}

func (s *scanner) read(ctx context.Context, buf []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.Pace != nil {
		if err := s.Pace(ctx, len(buf)); err != nil {
			return err
		}
	}
	n, err := s.r.ReadAt(buf, off)
	if n == len(buf) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read at %d: %w", off, err)
}

// join appends the regions' lists, in order, to the true list of each rule.
func (s *scanner) join(ctx context.Context, inOrder <-chan *region) error {
	for r := range inOrder {
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, seam := range s.seams {
			if err := seam.join(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// seam is the true list of one rule's chunks, as far as it is known.
type seam struct {
	s    *scanner
	rule Rule
	m    Map
	lane *lane
	buf  []byte
}

func newSeam(s *scanner, r Rule) *seam {
	return &seam{s: s, rule: r, lane: newLane(r)}
}

// join goes on to the end of r: chunk by chunk up to a place where the region's
// list has a chunk begin as well, from there on with the list.
func (j *seam) join(ctx context.Context, r *region) error {
	chunks, begins := r.chunks[j.rule], r.off
	for j.m.size < r.end {
		for len(chunks) > 0 && begins < j.m.size {
			begins += chunks[0].Length
			chunks = chunks[1:]
		}
		if len(chunks) > 0 && begins == j.m.size {
			return j.take(chunks)
		}
		if err := j.one(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (j *seam) take(chunks []Chunk) error {
	for _, c := range chunks {
		if err := j.m.add(c); err != nil {
			return err
		}
	}
	return nil
}

// one cuts the next chunk.
func (j *seam) one(ctx context.Context) error {
	if j.buf == nil {
		j.buf = make([]byte, MaxLen)
	}
	off := j.m.size
	buf := j.buf[:min(MaxLen, j.s.size-off)]
	if err := j.s.read(ctx, buf, off); err != nil {
		return err
	}
	j.lane.advance(buf)
	return j.m.add(j.lane.end())
}
