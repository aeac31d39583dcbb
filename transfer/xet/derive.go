package xet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

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
	// Ready is called when it is known what is to be fetched, before anything of it is;
	// an error ends the job. Nil means to go on.
	Ready func(context.Context) error
	// Keep takes each chunk that is fetched; nil throws them away. Several
	// goroutines call it at once, and data is good only as long as the call lasts.
	Keep func(off int64, data []byte) error
	// Bridge reads n of the blob's plain bytes at off, for when the CAS tells how
	// the blob is put together but its data cannot be had; nil means no bridge.
	Bridge func(ctx context.Context, off, n int64) (io.ReadCloser, error)
	// Most is how many bytes may be fetched; 0 means an eighth of the blob. Where
	// more is new an ordinary download, which uses all sources, is faster.
	Most int64
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

// Bounds of working out a map.
const (
	maxOutline   = 64 << 30 // bytes of a blob
	pieceLen     = 8 << 30  // bytes of a blob that one recipe is asked for
	newShare     = 8        // unless said otherwise, what is fetched may be one in so many bytes
	deriveConns  = 4
	outlineConns = 4
)

// How far the host of the xorbs' data is trusted where there is a bridge: no map
// is worth waiting for a host that falls silent again and again.
const (
	maxFaults  = 2               // answers that stopped or broke off, in the whole job
	dataSilent = 3 * time.Second // for the next byte
)

// Derive works out a blob's map although nobody has it. The Hub tells of which
// runs of which xorbs the blob is made, and the same of known blobs; what they
// share has known chunks, and what the blob repeats is fetched once. What is left
// is fetched unless an earlier run has done so, and given to Keep. The map is
// proven by the blob's Xet hash before it is given away.
//
// What is ahead may be cut at the wrong places, such as by the other rule; and what
// the CAS sends may be wrong. So where the blob's hash is not reached the map is
// worked out without the one, and then by the bridge instead of the other.
func (c *Client) Derive(ctx context.Context, j Job) (chunk.Map, error) {
	d := &derivation{Job: j, c: c}
	if d.Keep == nil {
		d.Keep = func(int64, []byte) error { return nil }
	}
	if d.Most == 0 {
		d.Most = j.Entry.Blob.Size / newShare
	}
	d.data, d.noData = context.WithCancelCause(context.Background())
	defer d.noData(nil)
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

	usedAhead, usedData atomic.Bool  // in this try
	faults              atomic.Int32 // of the host of the xorbs' data
	data                context.Context
	noData              context.CancelCauseFunc // ends data: from then on the bridge is used
}

// errUnproven marks maps that are not the blob's.
var errUnproven = errors.New("what was worked out is wrong")

func (d *derivation) derive(ctx context.Context) (chunk.Map, error) {
	if err := d.plan(ctx); err != nil {
		return chunk.Map{}, err
	}
	if d.Ready != nil && d.missing() > 0 {
		if err := d.Ready(ctx); err != nil {
			return chunk.Map{}, err
		}
	}
	m, err := d.try(ctx)
	for _, doubt := range []func(error) bool{d.doubtAhead, d.doubtData} {
		if err := context.Cause(ctx); err != nil {
			return chunk.Map{}, err
		}
		if !errors.Is(err, errUnproven) || !doubt(err) {
			continue
		}
		if d.missing() > d.Most {
			return chunk.Map{}, err
		}
		m, err = d.try(ctx)
	}
	return m, err
}

// plan finds out what is to be fetched.
func (d *derivation) plan(ctx context.Context) error {
	if b := d.Entry.Blob; b.Xet == "" || b.Size == 0 || b.Size > maxOutline {
		return ErrNothingShared
	}
	terms, shared, err := d.c.outlines(ctx, d.Entry, d.Known)
	if err != nil {
		return err
	}
	all, most := lay(terms, shared), d.Most
	for _, p := range d.Ahead {
		most += max(0, min(p.Length, chunk.MaxLen))
	}
	if leastNew(all) <= most { // or else it is asked in vain
		d.c.locate(ctx, d.Entry, all)
	}
	if d.runs, err = split(all); err != nil {
		return err
	}
	d.fresh = link(d.runs)
	if d.missing() > d.Most {
		return ErrNothingShared
	}
	return nil
}

// doubtAhead leaves out what is ahead, if it was used.
func (d *derivation) doubtAhead(err error) bool {
	if !d.usedAhead.Load() {
		return false
	}
	d.c.cfg.Log.Debug("what an earlier run fetched is of no use", "file", d.Entry, "err", err)
	d.Ahead = nil
	return true
}

// doubtData leaves out the xorbs' data as well, if it was used and need not be.
func (d *derivation) doubtData(err error) bool {
	if !d.usedData.Load() || d.Bridge == nil {
		return false
	}
	d.c.cfg.Log.Debug("what came by Xet is of no use", "file", d.Entry, "err", err)
	d.Ahead = nil
	d.noData(err)
	return true
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
	if err != nil && d.data.Err() != nil {
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
