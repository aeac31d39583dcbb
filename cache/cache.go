// Package cache keeps the Hugging Face cache on disk, which other programs use
// at the same time.
//
// Its layout is theirs: content in blobs/<etag>, names as relative links in
// snapshots/<commit>/<path>, branches in refs/<name>. hffs adds one thing that
// scanners of the cache do not mind: a folder .hffs inside a repo's folder, there
// only while a fetch is unfinished. What hffs remembers lies in a state folder
// elsewhere and can be rebuilt.
//
// A file is fetched in four steps: [Cache.Find] looks whether its bytes are
// here under this or another name, [Cache.Begin] opens or resumes a [Partial],
// [Partial.WriteChunk] fills it in any order, [Partial.Commit] checks the whole
// and gives it its final name. Nothing is ever under a final name before its
// content hash was found right.
//
// Files that other tools put here are found by [Cache.Run]. They are shared
// once their content hash was computed and found to be what their name says,
// and as long as they stay unchanged: each is opened anew for each reader, and
// compared to the stamp it had when it was checked. Names alone are never
// trusted, since most tools do not check what they download.
//
// Several programs may work on one cache directory at the same time, hffs
// among them; the state directory belongs to one process at a time.
//
// What was checked is then read once more, without haste, to learn its
// content-defined chunks: [Cache.ContentMap] gives the map of a blob, and
// [Cache.ReadChunk] a chunk from whichever blob has it.
//
// A cache that this account may only read, as a shelf on a read-only mount is, opens as
// any other: what is here is found, checked and shared, and whatever must be written
// into it is a [NotWritableError] ([Cache.Writable]).
//
// Read on in this order: layout.go (names on disk), check.go (what counts as
// checked), find.go and link.go, begin.go and partial.go with journal.go and
// follow.go, commit.go and durable.go, then holdings.go, scan.go and run.go for what is shared,
// stored.go for what lies here unchecked, remove.go and busy.go for what goes again,
// content.go and indexing.go for what it is made of, recut.go and ahead.go for a
// fetch that goes by that, and relatives.go for blobs that may share some of it.
// What the Hub said of files is in entry.go, of whole commits in trees.go and info.go.
package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hffs/cache/disk"
	"hffs/cache/index"
	"hffs/cache/ref"
)

// Errors by which callers decide what to do next.
var (
	// ErrNotFound: the cache does not hold or know it.
	ErrNotFound = errors.New("not in the cache")
	// ErrPresent: nothing to begin, the blob is here by now; Find gives its path.
	ErrPresent = errors.New("already in the cache")
	// ErrChanged: the file is not any more what it was when it was checked.
	ErrChanged = errors.New("changed on disk since it was checked")
	// ErrMismatch: the bytes do not hash to what they should.
	ErrMismatch = errors.New("content does not match its hash")
	// ErrIncomplete: chunks are still missing.
	ErrIncomplete = errors.New("chunks are missing")
	// ErrInUse: another process has our state folder open.
	ErrInUse = errors.New("in use by another hffs")
)

// NotWritableError says that this account cannot write into a folder that the
// cache needs.
type NotWritableError struct {
	Dir string
	Err error
}

func (e *NotWritableError) Error() string { return e.Dir + " is not writable: " + e.Err.Error() }
func (e *NotWritableError) Unwrap() error { return e.Err }

// SpaceError says that the disk has no room for what is still to be written.
type SpaceError struct {
	Need, Free int64 // bytes
	// Dir is where it was to be written, and State whether that is our own state
	// rather than the cache.
	Dir   string
	State bool
}

func (e *SpaceError) Error() string {
	if e.Limited() {
		return fmt.Sprintf("disk full: %d bytes are free, but no more files or none of this account's", e.Free)
	}
	return fmt.Sprintf("disk full: %d bytes are needed and %d are free", e.Need, e.Free)
}

// Limited tells that not the bytes are lacking: the disk has no more room for files, of
// which many file systems have a fixed number, or a quota is used up.
func (e *SpaceError) Limited() bool { return e.Free >= e.Need }

// NameError says that a file cannot be kept here under its name.
type NameError struct{ Path, Why string }

func (e *NameError) Error() string {
	return fmt.Sprintf("%q cannot be a file on this machine: %s", e.Path, e.Why)
}

// Config says where the cache lives. The zero value is the usual place.
type Config struct {
	// Dir is the Hugging Face cache; empty means what Locate finds.
	Dir string
	// State is the folder of our own state, outside of Dir; empty means the
	// folder "hffs" beside Dir. It belongs to one process at a time.
	State string
	// NoSymlinks makes snapshots of real files even where links would work.
	NoSymlinks bool
	// LikeWindows has the rules of Windows for names hold: which there are, and that
	// upper and lower case are one. On Windows they hold anyway; the disk decides.
	LikeWindows bool
	// Boot names this start of the machine ([disk.Boot]). With it, a fetched file is named
	// before the disk has it, and [Cache.Run] has it written out afterwards; see
	// durable.go. Without, Commit waits for the disk.
	Boot string
	// Log is silent when nil.
	Log *slog.Logger
	// Rescan is how often the whole cache is looked through besides watching
	// it; zero means once a minute.
	Rescan time.Duration
	// IndexRate is how many bytes a second are read to learn what blobs are made
	// of; zero means what package index thinks right.
	IndexRate int64
}

func (cfg Config) fill() (Config, error) {
	if cfg.Dir == "" {
		place, err := Locate(os.Getenv)
		if err != nil {
			return cfg, err
		}
		cfg.Dir = place.Hub
		if cfg.State == "" {
			cfg.State = place.State
		}
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return cfg, err
	}
	cfg.Dir = dir
	if cfg.State == "" {
		cfg.State = defaultState(cfg.Dir)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Rescan <= 0 {
		cfg.Rescan = time.Minute
	}
	return cfg, checkState(cfg.Dir, cfg.State)
}

// Cache is an open cache. All methods are for concurrent use.
type Cache struct {
	dir        string
	log        *slog.Logger
	rescan     time.Duration
	book       *book
	index      *index.Index
	doors      gate       // one at a time per partial and per file being hashed
	trees      *treeCache // lists that other tools keep
	lists      *listCache // lists that we keep
	stated     fifo
	listed     fifo
	infos      fifo
	noSymlinks func() bool
	boot       string        // names this start of the machine; see durable.go
	windows    bool          // its rules for names hold
	locked     bool          // when it was opened, nothing could be written into it
	changes    chan struct{} // holdings differ from what was last read
	work       chan struct{} // the queue got something
	learn      chan struct{} // blobs may have come or gone
	named      chan struct{} // volatile got something

	mu       sync.Mutex // guards what follows
	shelves  map[string]*shelf
	notes    map[string]int // how often we added a name to a shelf
	names    map[ref.Repo]*sync.RWMutex
	checked  map[string]record
	volatile map[string]bool              // checked files that may not be on the disk yet
	torn     map[string]record            // what was volatile when the machine went down
	places   map[ref.ETag]map[string]bool // checked files by content
	partials map[*Partial]bool
	fetched  time.Time // when a fetch last ended
	queue    queue
	looked   bool      // the whole cache was looked through once
	shown    *Holdings // nil when it must be built anew
}

// Open makes the cache's folders where they are missing, if it may, and reads what was
// recorded about its files. It starts nothing; see [Cache.Run].
func Open(cfg Config) (*Cache, error) {
	cfg, err := cfg.fill()
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	err = prepare(cfg.Dir)
	locked := isLocked(err)
	if err != nil && !locked {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	b, err := openBook(cfg.State, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	c := &Cache{
		dir: cfg.Dir, log: cfg.Log, rescan: cfg.Rescan, book: b, boot: cfg.Boot, windows: cfg.LikeWindows || disk.LikeWindows, locked: locked,
		changes:  make(chan struct{}, 1),
		work:     make(chan struct{}, 1),
		learn:    make(chan struct{}, 1),
		named:    make(chan struct{}, 1),
		shelves:  map[string]*shelf{},
		notes:    map[string]int{},
		checked:  map[string]record{},
		volatile: map[string]bool{},
		torn:     map[string]record{},
		places:   map[ref.ETag]map[string]bool{},
		partials: map[*Partial]bool{},
		queue:    newQueue(),
		trees:    newTreeCache(),
		lists:    newListCache(),
		stated:   fifo{values: bucketEntries, order: bucketOrder, max: maxEntries},
		listed:   fifo{values: bucketTrees, order: orderOf(bucketTrees), max: maxLists, maxBytes: maxListsBytes},
		infos:    fifo{values: bucketInfos, order: orderOf(bucketInfos), max: maxInfos, maxBytes: maxInfosBytes},
	}
	c.noSymlinks = sync.OnceValue(func() bool {
		return cfg.NoSymlinks || !disk.CanSymlink(filepath.Join(cfg.Dir, locksDir))
	})
	if err := c.loadRecords(); err != nil {
		return nil, errors.Join(fmt.Errorf("open cache: %w", err), b.close())
	}
	c.index, err = index.Open(index.Config{Dir: filepath.Join(cfg.State, indexDir), Log: cfg.Log, Rate: cfg.IndexRate})
	if err != nil {
		err = asNotWritable(cfg.State, noSpaceForState(err, cfg.State))
		return nil, errors.Join(fmt.Errorf("open cache: %w", err), b.close())
	}
	return c, nil
}

// Writable is nil, or a *NotWritableError that says why nothing can be put into the
// cache. One that could not be written when it was opened is tried again: a mount may
// change.
func (c *Cache) Writable() error {
	if !c.locked {
		return nil
	}
	return prepare(c.dir)
}

// Close writes down what is left to write. Partials still open are kept for
// another time.
func (c *Cache) Close() error {
	c.mu.Lock()
	var open []*Partial
	for p := range c.partials {
		open = append(open, p)
	}
	c.mu.Unlock()
	var errs []error
	for _, p := range open {
		errs = append(errs, p.Close())
	}
	return errors.Join(append(errs, c.index.Close(), c.book.close())...)
}

// Dir is the absolute path of the Hugging Face cache.
func (c *Cache) Dir() string { return c.dir }

// Changes receives a value when Holdings may have changed since they were last
// read; several changes may arrive as one.
func (c *Cache) Changes() <-chan struct{} { return c.changes }

// poke leaves a value for whoever reads, unless one is waiting already.
func poke(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

func (c *Cache) notify() {
	for _, to := range []chan struct{}{c.changes, c.learn} {
		poke(to)
	}
}

// prepare makes the folders. CACHEDIR.TAG is left to today's huggingface_hub: the
// scanner of its older versions takes it for a damaged repo.
func prepare(dir string) error {
	locks := filepath.Join(dir, locksDir)
	err := os.MkdirAll(locks, 0o777)
	if err == nil {
		err = disk.CanWrite(locks)
	}
	return asNotWritable(dir, err)
}

func asNotWritable(dir string, err error) error {
	if err != nil && disk.IsNotWritable(err) && !isLocked(err) {
		return &NotWritableError{dir, err}
	}
	return err
}

func isLocked(err error) bool {
	_, is := errors.AsType[*NotWritableError](err)
	return is
}

// diskError gives the faults of a disk that people can do something about their
// own types. need is how many bytes were to be written.
func (c *Cache) diskError(err error, need int64) error {
	return asNotWritable(c.dir, noSpace(err, need, c.dir))
}

// wrap says what was being done when err came up, if it did.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
