// Package index remembers what the blobs of a cache are made of: the
// content-defined map of each, and for any chunk where on this disk it lies.
//
// Two things are asked of it. [Index.Map] gives a blob's map, to check the blob
// chunk by chunk or to hand the map to a peer. [Index.Find] tells which blobs hold
// a chunk, so that what a new revision shares with an old one need not cross the
// network. What it says of places is a hint: files change under us, so whoever
// reads a place hashes what they read. What it says of maps is true of the bytes
// that had the blob's name when they were read; a map whose root is the blob's
// Xet hash is true of the blob.
//
// On disk there are a file of maps, which is the truth, and a table of rows, one
// for each chunk, which follows from it:
//
//	maps       records one after the other, each a blob and its maps
//	table      which runs there are, and how far they have got
//	run-<n>    rows in the order of their chunks' hashes
//
// New rows gather in memory, become a run when there are many, and runs are
// merged so that there are never many of them. It is what databases call a
// log-structured merge tree, and here rather than in a library since it has to
// hold sixteen million chunks for each terabyte in little memory: a row is 20
// bytes on disk, a thousandth of that in memory, and finding it costs one read of
// 4 KiB in each run. A B-tree of such keys was measured to take four times the
// disk, and to write seventy times as much as it keeps while it grows, since hashes
// fall everywhere in it.
//
// Nothing here is precious. A record is written behind the last one, its header
// at the very end, and whatever does not add up when the file is opened is cut
// off; a table that is damaged or behind is made again from the maps, and a map
// that is gone from its blob. So a kill, a full disk or a lost file cost time and
// nothing else.
//
// Read on in this order: record.go and maps.go (the file of maps), row.go, run.go
// and table.go (the rows), then put.go, build.go, find.go and tidy.go with merge.go
// for what is done with them.
package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

var (
	// ErrUnknown: the index has no such map.
	ErrUnknown = errors.New("no map of it is known")
	// ErrChanged: the file is not what it was when the cache checked it.
	ErrChanged = errors.New("changed on disk since it was checked")
)

// MinSize is the size in bytes from which a blob is worth a map. Below it there
// is a chunk or two, and looking for them costs as much as fetching them.
const MinSize = chunk.TargetLen

// Config says where the index lives and how hard it may work.
type Config struct {
	// Dir is the index's own folder; it belongs to one process at a time.
	Dir string
	// Log is silent when nil.
	Log *slog.Logger
	// Rate is how many bytes a second are read in the background; zero means
	// 100 MB/s.
	Rate int64

	flushRows int // rows that gather in memory; zero means what suits
}

// defaultRate leaves most of any disk to others, and goes through a terabyte in
// three hours.
const defaultRate = 100 << 20

func (cfg Config) fill() Config {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Rate <= 0 {
		cfg.Rate = defaultRate
	}
	if cfg.flushRows <= 0 {
		cfg.flushRows = 64 << 10
	}
	return cfg
}

// Index is an open index. All methods are for concurrent use.
type Index struct {
	cfg  Config
	log  *slog.Logger
	root *os.Root
	pace *rate.Limiter

	damaged atomic.Bool // a run turned out to be damaged; Tidy makes the table anew

	tidying sync.Mutex // held by Tidy
	writing sync.Mutex // held while files or what is below change
	runs    uint64     // number of the youngest run

	mu     sync.RWMutex // guards what follows; writers hold both
	maps   *mapFile
	blobs  map[uint32]*record // by number
	byETag map[ref.ETag]*record
	byRoot map[chunk.Hash][]uint32
	next   uint32 // number of the next record
	table  table
	closed bool
}

// Open opens the index in cfg.Dir, or starts one there. What is damaged or of
// another version is dropped, and said so in the log. It starts nothing.
func Open(cfg Config) (*Index, error) {
	cfg = cfg.fill()
	if err := os.MkdirAll(cfg.Dir, 0o777); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	x := &Index{
		cfg: cfg, log: cfg.Log, root: root,
		pace:   rate.NewLimiter(rate.Limit(cfg.Rate), chunk.ScanPiece),
		blobs:  map[uint32]*record{},
		byETag: map[ref.ETag]*record{},
		byRoot: map[chunk.Hash][]uint32{},
		next:   1,
	}
	if err := x.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open index: %w", err), x.closeFiles())
	}
	return x, nil
}

// load reads what there is, the maps first. A table that lags behind by what a
// kill can lose is brought up to date at once; the rest is for Tidy.
func (x *Index) load() error {
	var err error
	if x.maps, err = openMaps(x.root, x.log, x.replay); err != nil {
		return err
	}
	if err := x.loadTable(); err != nil {
		return err
	}
	return x.catchUp(context.Background(), x.cfg.flushRows)
}

// replay takes over a record as it was written.
func (x *Index) replay(r *record) {
	x.next = max(x.next, r.number+1)
	if old := x.byETag[r.etag]; old != nil {
		x.drop(old)
	}
	if len(r.maps) > 0 {
		x.add(r)
	}
}

func (x *Index) add(r *record) {
	x.blobs[r.number], x.byETag[r.etag] = r, r
	for _, m := range r.maps {
		x.byRoot[m.root] = append(x.byRoot[m.root], r.number)
	}
}

func (x *Index) drop(r *record) {
	delete(x.blobs, r.number)
	delete(x.byETag, r.etag)
	for _, m := range r.maps {
		rest := slices.DeleteFunc(x.byRoot[m.root], func(n uint32) bool { return n == r.number })
		if x.byRoot[m.root] = rest; len(rest) == 0 {
			delete(x.byRoot, m.root)
		}
	}
}

// Close writes down what is left to write.
func (x *Index) Close() error {
	x.writing.Lock()
	defer x.writing.Unlock()
	if x.closed {
		return nil
	}
	err := x.flush(x.table.done)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	if err = errors.Join(err, x.maps.sync(), x.closeFiles()); err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

func (x *Index) closeFiles() error {
	var errs []error
	if x.maps != nil {
		errs = append(errs, x.maps.f.Close())
	}
	for _, r := range x.table.runs {
		errs = append(errs, r.f.Close())
	}
	return errors.Join(append(errs, x.root.Close())...)
}
