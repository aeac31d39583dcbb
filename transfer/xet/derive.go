package xet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// A Job is a map to be worked out although nobody has it. Entry is needed; what
// else there is to go by makes it possible, or cheaper.
type Job struct {
	Entry ref.Entry
	// Known are blobs that may have chunks in common with the entry's.
	Known []Known
	// Ahead are chunks of the blob that an earlier run has fetched, sorted by
	// their offsets and apart from one another. They are not fetched again.
	Ahead []Piece
	// Keep takes each chunk that is fetched; nil throws them away. Several
	// goroutines call it at once, and data is good only as long as the call lasts.
	Keep func(off int64, data []byte) error
	// Bridge reads n of the blob's plain bytes at off, for when the CAS tells how
	// the blob is put together but its data cannot be had; nil means no bridge.
	Bridge func(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// Known is a blob of which every chunk is known, such as an older revision.
type Known struct {
	Entry ref.Entry
	Map   chunk.Map
}

// A Piece is a chunk and where in the blob it begins.
type Piece struct {
	Off int64
	chunk.Chunk
}

// ErrNothingShared says that too little of a blob is known for its map to be
// worked out.
var ErrNothingShared = errors.New("too little in common with what is known")

// Bounds of working out a map. What is new is fetched on the way; where it is
// more than a part of the blob, an ordinary download of all sources is faster.
const (
	maxOutline   = 8 << 30 // bytes of a blob that one recipe is asked for
	newShare     = 8       // what is to be fetched may be one in so many bytes
	deriveConns  = 4
	outlineConns = 4
)

// Derive works out a blob's map although nobody has it. The Hub tells of which
// runs of which xorbs the blob is made, and the same of known blobs; what they
// share has known chunks, and what the blob repeats is fetched once. What is left
// is fetched unless an earlier run has done so, and given to Keep. The map is
// proven by the blob's Xet hash before it is given away.
//
// What is ahead may be cut at the wrong places, such as by the other rule. So
// where it does not lead to the blob's hash it is left out, once.
func (c *Client) Derive(ctx context.Context, j Job) (chunk.Map, error) {
	d := &derivation{Job: j, c: c}
	if d.Keep == nil {
		d.Keep = func(int64, []byte) error { return nil }
	}
	m, err := d.derive(ctx)
	if err != nil {
		return chunk.Map{}, fmt.Errorf("derive the map of %s: %w", j.Entry, err)
	}
	return m, nil
}

// A derivation is a job under way.
type derivation struct {
	Job
	c     *Client
	runs  []*run // the whole blob, in order
	fresh []*run // those to be fetched

	usedAhead atomic.Bool
	noData    atomic.Bool // the xorbs' data cannot be had
}

// errUnproven marks maps that are not the blob's.
var errUnproven = errors.New("what was worked out is wrong")

func (d *derivation) derive(ctx context.Context) (chunk.Map, error) {
	if b := d.Entry.Blob; b.Xet == "" || b.Size == 0 || b.Size > maxOutline {
		return chunk.Map{}, ErrNothingShared
	}
	terms, shared, err := d.c.outlines(ctx, d.Entry, d.Known)
	if err != nil {
		return chunk.Map{}, err
	}
	if d.runs, err = split(terms, shared); err != nil {
		return chunk.Map{}, err
	}
	d.fresh = link(d.runs)
	if d.missing() > d.Entry.Blob.Size/newShare {
		return chunk.Map{}, ErrNothingShared
	}
	m, err := d.try(ctx)
	if err := context.Cause(ctx); err != nil {
		return chunk.Map{}, err
	}
	if !errors.Is(err, errUnproven) || !d.usedAhead.Load() {
		return m, err
	}
	d.c.cfg.Log.Debug("what an earlier run fetched is of no use", "file", d.Entry, "err", err)
	d.Ahead = nil
	if d.missing() > d.Entry.Blob.Size/newShare {
		return chunk.Map{}, err
	}
	return d.try(ctx)
}

// missing is how many bytes are to be fetched.
func (d *derivation) missing() (n int64) {
	for _, r := range d.fresh {
		n += r.length
		for p, ok := d.ahead(r.off, r.end()); ok; p, ok = d.ahead(p.Off+p.Length, r.end()) {
			n -= p.Length
		}
	}
	return n
}

// try fetches what is missing and puts the map together. What came over the
// bridge was cut here, by both rules, and nothing but the blob's hash tells which
// of them made it.
func (d *derivation) try(ctx context.Context) (chunk.Map, error) {
	if err := d.fill(ctx); err != nil {
		return chunk.Map{}, err
	}
	m, err := d.join(chunk.Current)
	if err != nil && d.noData.Load() {
		if m, legacy := d.join(chunk.Legacy); legacy == nil {
			return m, nil
		}
	}
	return m, err
}

// join puts the map together and proves it.
func (d *derivation) join(rule chunk.Rule) (chunk.Map, error) {
	var all []chunk.Chunk
	for _, r := range d.runs {
		chunks, err := r.under(rule)
		if err != nil {
			return chunk.Map{}, fmt.Errorf("%w: %w", errUnproven, err)
		}
		all = append(all, chunks...)
	}
	m, err := chunk.Content(all)
	if err == nil {
		err = m.Verify(d.Entry.Blob.Xet, d.Entry.Blob.Size)
	}
	if err != nil {
		return chunk.Map{}, fmt.Errorf("%w: %w", errUnproven, err)
	}
	return m, nil
}
