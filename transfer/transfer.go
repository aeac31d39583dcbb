// Package transfer brings files here. [Transfer.Get] is the ring's middle as
// one function: resolve, find, locate, plan, fetch, verify, store.
//
// Read it in this order: transfer.go has Get and sees to it that many who want one
// blob cause one fetch; resolve.go asks the Hub, else the swarm, what a file is;
// content.go finds out of which chunks it is made, making.go who does so where many
// would; fetch.go is the owner of one download, a single goroutine that holds the plan
// and takes reports; errand.go is the worker that carries one span; crowd.go keeps the
// sources with their rates and failures; judge.go says what becomes of them,
// lastresort.go when the Hub is asked; hearsay.go weighs what peers say of the blob's
// chunks where the Hub has not said; fellows.go is about those who fetch the same blob
// at the same time, bulletin.go what they are told. open.go is for those who read a
// file while it comes, readers.go what they may be given of it, and stream.go how they
// get it. many.go is for many files at once, small.go for the small ones among them.
// record.go tells the log what was done.
//
// What is promised: nothing reaches the cache unless the whole blob has the hash
// that the Hub stated; a source that sends wrong bytes is named and dropped, and
// the download goes on with the others; what was fetched stays when the process
// ends, however it ends.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/pace"
	"hffs/transfer/peer"
	"hffs/transfer/source"
)

// Config is what a Transfer needs from the world.
type Config struct {
	Cache *cache.Cache
	// Resolve says what a file is; see [Resolver].
	Resolve func(context.Context, ref.File) (Resolved, error)
	// Node is this node's identity, which others see when they fetch the same blob.
	Node string
	// Peers finds who of the neighbours holds a blob, and who is fetching it. It may
	// take its time.
	Peers func(context.Context, ref.Entry) (Found, error)
	// Neighbours are nodes that may hold chunks of a blob in other blobs. It may take
	// its time; may be nil.
	Neighbours func(context.Context, ref.Entry) []source.Source
	// Batchers are nodes that may hold small files of the entry's commit, for asking
	// them outright. It may take its time; may be nil.
	Batchers func(context.Context, ref.Entry) []source.Batcher
	// Learn prepares to reuse chunks of what is here of older versions; may be nil.
	Learn func(ctx context.Context, e ref.Entry)
	// Derive works out a blob's map from those of other blobs, when nobody has it. May
	// be nil.
	Derive func(context.Context, Derivation) (chunk.Map, error)
	// Hub is the last resort: the Hub and its mirrors, at once.
	Hub func(ref.Entry) []source.Source
	// Failed is told of a source that said it does not hold the blob after all;
	// may be nil.
	Failed func(name string, e ref.Entry, err error)
	Log    *slog.Logger
}

// Derivation is a map to be worked out.
type Derivation struct {
	Entry ref.Entry
	Ahead []cache.Ahead // what an earlier run has fetched
	Most  int64         // bytes of what is new that may be fetched
	// Ready is called before anything of that is fetched; an error ends it.
	Ready func(context.Context) error
	// Keep takes what is fetched, chunk by chunk.
	Keep func(off int64, data []byte) error
}

// Found is who can be asked for a blob.
type Found struct {
	Holders []source.Source // of the whole blob
	Fellows []source.Source // who fetch it as well
	Others  bool            // there are others who may begin to
}

// Transfer fetches files into a cache. Safe for concurrent use.
type Transfer struct {
	cfg Config

	mu        sync.Mutex // guards what follows
	flights   map[ref.ETag]*flight
	companies map[ref.ETag]*company
	makings   map[ref.ETag]*making
	owes      bool
	sent      []sent                 // what the Hub has sent of blobs whose fetch was broken off
	spoilt    map[ref.ETag]time.Time // when what readers had had of a blob was doubted
	failures  []failure
	closed    bool // nobody lingers any more

	quit          chan struct{} // closed by Close
	lingering     sync.WaitGroup
	grace, hungry time.Duration
}

// New makes a Transfer; it starts nothing.
func New(cfg Config) *Transfer {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Transfer{
		cfg: cfg, flights: map[ref.ETag]*flight{}, companies: map[ref.ETag]*company{}, makings: map[ref.ETag]*making{},
		spoilt: map[ref.ETag]time.Time{}, quit: make(chan struct{}), grace: grace, hungry: hungry,
	}
}

// ErrMismatch says that the Hub itself, or all who could be asked, sent bytes
// that do not have the hash the Hub states.
var ErrMismatch = errors.New("the bytes do not have the hash that the Hub states")

// NoSourceError says that a blob could not be had anywhere, and what each
// source that was asked answered.
type NoSourceError struct {
	Entry ref.Entry
	Asked []error
}

func (e *NoSourceError) Error() string {
	s := fmt.Sprintf("no source for %s", e.Entry)
	for _, err := range e.Asked {
		s += "; " + err.Error()
	}
	return s
}

func (e *NoSourceError) Unwrap() []error { return e.Asked }

// Get brings a file into the cache, unless it is there, and returns where it
// lies. watch, which may be nil, is called now and then from Get's own goroutine.
// When ctx ends, what was fetched so far stays for the next Get.
func (t *Transfer) Get(ctx context.Context, f ref.File, watch func(Progress)) (Result, error) {
	began := time.Now()
	if watch == nil {
		watch = func(Progress) {}
	}
	watch(Progress{Phase: PhaseResolve})
	resolved, err := t.cfg.Resolve(ctx, f)
	if err != nil {
		return Result{}, err
	}
	e := resolved.Entry
	watch(Progress{Phase: PhaseLocate, Entry: e, Total: e.Blob.Size, Notes: resolved.Notes})
	result, err := t.bring(ctx, e, resolved.Notes, watch)
	if err != nil {
		return Result{}, err
	}
	if err := t.remember(f, resolved); err != nil {
		t.cfg.Log.Warn("revision was not recorded", "file", f, "err", err)
	}
	result.Entry, result.Took = e, time.Since(began)
	return result, nil
}

// bring finds the blob on this disk or fetches it.
func (t *Transfer) bring(ctx context.Context, e ref.Entry, notes []Note, watch func(Progress)) (Result, error) {
	path, err := t.cfg.Cache.Find(ctx, e)
	if err == nil {
		t.foundHere(e)
		here := SourceState{Kind: source.Local, Name: "cache", Bytes: e.Blob.Size}
		return Result{Path: path, Notes: notes, Sources: []SourceState{here}}, nil
	}
	if !errors.Is(err, cache.ErrNotFound) {
		return Result{}, err
	}
	last, err := t.join(ctx, e, notes, watch)
	if err != nil {
		return Result{}, err
	}
	path, err = t.cfg.Cache.Find(ctx, e)
	if err != nil {
		return Result{}, fmt.Errorf("find %s after the fetch: %w", e, err)
	}
	if len(last.Sources) == 0 { // another process brought it meanwhile
		last.Sources = []SourceState{{Kind: source.Local, Name: "cache", Bytes: e.Blob.Size}}
	}
	return Result{Path: path, Sources: last.Sources, Notes: last.Notes}, nil
}

// remember writes the revision's name into the cache once its snapshot exists.
// A stale answer is no news, so it leaves the record of when it was learnt alone.
func (t *Transfer) remember(f ref.File, r Resolved) error {
	if ref.IsCommit(f.Revision) || r.Stale {
		return nil
	}
	return t.cfg.Cache.SetRef(f.Repo, f.Revision, r.Entry.Commit)
}

// flight is one running fetch and those who wait for it.
type flight struct {
	board   *board
	readers *readers
	pace    *pace.Joint // the limits of those who wait
	cancel  context.CancelFunc
	done    chan struct{}
	err     error  // valid once done is closed
	users   int    // guarded by Transfer.mu, as are names
	names   []name // what the blob is to be called
}

// join waits for the fetch of e's blob, starting it if nobody has. The fetch
// lives as long as somebody waits for it.
func (t *Transfer) join(ctx context.Context, e ref.Entry, notes []Note, watch func(Progress)) (Progress, error) {
	fl, giveBack := t.board(ctx, e)
	defer t.leave(e, fl)
	defer giveBack()
	for {
		p, newer := fl.board.look()
		p.Notes = append(notes[:len(notes):len(notes)], p.Notes...)
		watch(p)
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-fl.done:
			p, _ = fl.board.look()
			p.Notes = append(notes[:len(notes):len(notes)], p.Notes...)
			watch(p)
			return p, fl.err
		case <-newer:
		}
	}
}

// board finds or starts the fetch of e's blob. It keeps to the limits that its user
// asks for until that one gives them back.
func (t *Transfer) board(ctx context.Context, e ref.Entry) (fl *flight, giveBack func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fl = t.flights[e.Blob.ETag]
	fresh := fl == nil
	if fresh {
		fl = &flight{board: newBoard(), readers: newReaders(), pace: pace.NewJoint(), done: make(chan struct{})}
		fl.readers.spoil = func() { t.spoil(e.Blob.ETag) }
		t.flights[e.Blob.ETag] = fl
	}
	giveBack = fl.pace.JoinAs(ctx)
	if fresh {
		fctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl.cancel = cancel
		go t.fly(fl.pace.On(fctx), e, fl)
	}
	fl.users++
	fl.nameLocked(name{entry: e})
	return fl, giveBack
}

func (t *Transfer) fly(ctx context.Context, e ref.Entry, fl *flight) {
	began := time.Now()
	fl.err = t.fetch(ctx, e, fl.board, fl.readers)
	t.ended(e, fl, time.Since(began))
	if errors.Is(fl.err, ErrMismatch) {
		fl.readers.failed()
	}
	t.mu.Lock()
	if t.flights[e.Blob.ETag] == fl {
		delete(t.flights, e.Blob.ETag)
	}
	names := fl.names
	if fl.err != nil {
		names = nil
	}
	t.retainLocked(e.Blob.ETag, fl)
	t.failedLocked(e.Blob.ETag, fl)
	t.mu.Unlock()
	for _, n := range names {
		t.call(context.WithoutCancel(ctx), n)
	}
	fl.cancel()
	close(fl.done)
}

// ended tells the log what became of a fetch.
func (t *Transfer) ended(e ref.Entry, fl *flight, took time.Duration) {
	p, _ := fl.board.look()
	switch {
	case fl.err != nil:
		t.cfg.Log.Info("not fetched", "file", e, "bytes", p.Done, "of", e.Blob.Size, "err", fl.err)
	case len(p.Sources) == 0: // another process brought it meanwhile
		t.foundHere(e)
	default:
		t.fetched(e, p.Sources, took)
	}
}

// leave ends the fetch with its last user and waits for it: after that, its
// files are closed and another process may go on with them.
func (t *Transfer) leave(e ref.Entry, fl *flight) {
	t.mu.Lock()
	fl.users--
	last := fl.users == 0
	if last && t.flights[e.Blob.ETag] == fl {
		delete(t.flights, e.Blob.ETag)
	}
	t.mu.Unlock()
	if last {
		fl.cancel()
		<-fl.done
	}
}

// keep has a fetch be found by fellows until it leaves.
func (t *Transfer) keep(etag ref.ETag, c *company) (leave func(whole bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.companies[etag] = c
	return func(whole bool) {
		c.bulletin.end(whole)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.owes = t.owes || whole && c.owes()
		if t.companies[etag] == c {
			delete(t.companies, etag)
		}
	}
}

// News is what this node tells of a blob that it is fetching.
func (t *Transfer) News(etag ref.ETag) (peer.Feed, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.companies[etag]
	if c == nil {
		return nil, false
	}
	return c.bulletin, true
}

// Meet introduces a node that asked about a blob: it is fetching it as well.
func (t *Transfer) Meet(etag ref.ETag, s source.Source) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.companies[etag]; c != nil {
		select {
		case c.met <- s:
		default: // it will be found
		}
	}
	if mk := t.makings[etag]; mk != nil {
		select {
		case mk.met <- s:
		default:
		}
	}
}

// Owes tells whether a download that has ended drew something from the Hub that no
// fellow had by then.
func (t *Transfer) Owes() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owes
}

// Active is a look at every fetch under way.
func (t *Transfer) Active() []Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Progress
	for _, fl := range t.flights {
		p, _ := fl.board.look()
		p.Limits = fl.pace.Rates()
		all = append(all, p)
	}
	return all
}
