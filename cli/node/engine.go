package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/gossip"
	"hffs/gossip/directory"
	"hffs/transfer"
	"hffs/transfer/catalog"
	"hffs/transfer/catalog/access"
	"hffs/transfer/hub"
	"hffs/transfer/pace"
	"hffs/transfer/peer"
	"hffs/transfer/source"
)

// Times an engine gives the swarm: for a download that goes on meanwhile, for a
// download that waits, and for a person who waits for an answer.
const (
	locatePatience = 3 * time.Second
	lookPatience   = 1 * time.Second
	wherePatience  = 5 * time.Second
)

// probeMost is how many members are asked outright whether they hold a blob,
// when the directory knows no holder: what somebody stored a moment ago is not
// told everywhere yet, and who wants it next often asks within that second.
const (
	probeMost     = 32
	probePatience = time.Second
)

// swarm is what an engine asks of its neighbours: a member of the gossip asks
// its own directory, a passer-by asks members.
type swarm interface {
	Known(context.Context, ref.File) ([]gossip.Known, error)
	Holders(context.Context, ref.Entry) ([]directory.Holder, error)
	Versions(context.Context, ref.Repo, string) ([]ref.Entry, error)
	Nodes(ctx context.Context, most int) ([]directory.Node, error)
	Revision(ctx context.Context, repo ref.Repo, revision string) ([]directory.Claim, error)
	List(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]gossip.Told, error)
	Holdings(ctx context.Context, repo ref.Repo) ([]directory.Holding, error)
	Near(ctx context.Context, repo ref.Repo) ([]ref.Repo, error)
}

// engine does what a user asks for: get and where. A node and a passer-by each
// have one.
type engine struct {
	cache    *cache.Cache
	hub      *hub.Client
	swarm    swarm
	dialer   *peer.Dialer
	transfer *transfer.Transfer
	resolver *transfer.Resolver
	catalog  *catalog.Catalog
	access   *access.Book
	forget   func(name string, etag ref.ETag) // may be nil
	searched func(context.Context)            // waits for a search for members; may be nil
	passing  *passersby                       // who is here for one download, and in no directory
	log      *slog.Logger
	own      string // the token of the node's user
	offline  bool   // by the user's wish

	life    context.Context // ends with the engine
	end     context.CancelFunc
	running sync.WaitGroup // what goes on behind an answer

	learnt  learnt // what the Hub has said of revisions
	reading reading

	mu      sync.Mutex // guards dropped
	dropped []control.Note
}

// newEngine makes an engine for the node with an identity.
func newEngine(cfg Config, node string, c *cache.Cache, h *hub.Client, s swarm, a *access.Book) *engine {
	log := cfg.Log
	e := &engine{cache: c, hub: h, swarm: s, access: a, dialer: peer.NewDialer(), passing: &passersby{}, log: log, own: cfg.Hub.Token, offline: cfg.Hub.Offline}
	e.life, e.end = context.WithCancel(context.Background())
	e.dialer.Limit(cfg.limits)
	e.dialer.Log = log
	e.resolver = &transfer.Resolver{Cache: c, Hub: h, Swarm: e.claims, Others: e.others, Learnt: e.learnt.add, Log: log}
	e.catalog = e.newCatalog(h, cfg.Hub.Offline, log)
	x := newXet(cfg, h)
	e.transfer = transfer.New(transfer.Config{
		Derive: e.derive(x), Learn: e.learn,
		Node:  node,
		Cache: c, Resolve: e.resolve, Peers: e.peers, Neighbours: e.neighbours, Batchers: e.batchers, Hub: hubSources(h, x), Failed: e.failed, Log: log,
	})
	return e
}

// Close ends what goes on in the background. Whoever still asks for something is not
// served well any more.
func (e *engine) Close() {
	e.end()
	_ = e.transfer.Close()
	e.running.Wait()
	e.dialer.Close()
}

// Get brings a file into the cache.
func (e *engine) Get(ctx context.Context, ask control.Ask, watch func(control.Progress)) (control.Got, error) {
	f, err := parse(ask)
	if err != nil {
		return control.Got{}, err
	}
	ctx = pace.Ask(ctx, pace.Rates{Down: max(0, ask.LimitDown), Hub: max(0, ask.LimitHub)})
	res, err := e.transfer.Get(ctx, f, func(p transfer.Progress) {
		if watch != nil {
			watch(progress(f, p))
		}
	})
	if none, ok := errors.AsType[*transfer.NoSourceError](err); ok && e.offline {
		none.Asked = append(none.Asked, hub.ErrOffline)
	}
	if err != nil {
		return control.Got{}, e.suggest(ctx, f.Repo, err)
	}
	return got(f, res), nil
}

// Where tells who holds a file.
func (e *engine) Where(ctx context.Context, ask control.Ask) (control.Where, error) {
	f, err := parse(ask)
	if err != nil {
		return control.Where{}, err
	}
	r, err := e.resolver.Resolve(ctx, f)
	if err != nil {
		return control.Where{}, e.suggest(ctx, f.Repo, err)
	}
	w := where(f, r)
	var wait sync.WaitGroup
	wait.Go(func() { w.Hub = !r.Stale && e.hub.Answers(ctx, r.Entry) })
	wait.Go(func() {
		path, err := e.cache.Find(ctx, r.Entry)
		if path, ok := e.lies(r.Entry, path, err); ok {
			w.Local = &path
		}
	})
	wait.Go(func() { w.Holders = e.holders(ctx, r.Entry) })
	wait.Wait()
	return w, ctx.Err()
}

// locate is who holds a blob, or part of it, as the directory knows. When it
// knows nobody who has the whole, sure is false, and members that may have got it
// in the meantime are among them, and who passes by: they must be asked.
func (e *engine) locate(ctx context.Context, entry ref.Entry) (found []directory.Holder, sure bool) {
	found, err := e.swarm.Holders(ctx, entry)
	if err != nil {
		e.log.Debug("looked for holders", "file", entry, "err", err)
	}
	if slices.ContainsFunc(found, func(h directory.Holder) bool { return h.Complete }) {
		return found, true
	}
	for _, n := range append(e.nodes(ctx), e.passing.lately(time.Now())...) {
		if !slices.ContainsFunc(found, func(h directory.Holder) bool { return h.Node.ID == n.ID }) {
			found = append(found, directory.Holder{Node: n})
		}
	}
	return found, false
}

// nodes are as many members as are asked outright, at random.
func (e *engine) nodes(ctx context.Context) []directory.Node {
	nodes, err := e.swarm.Nodes(ctx, probeMost)
	if err != nil {
		e.log.Debug("looked for members", "err", err)
	}
	return nodes
}

// having is what a node has of a blob.
type having struct {
	directory.Node
	peer.Having
}

// inquire is a way to ask a node how much it has of a blob.
type inquire func(*peer.Source, context.Context, ref.Blob) (peer.Having, error)

// haves asks nodes how much of a blob they really have: what the directory says
// may be some seconds old. Who does not answer in time has nothing.
func (e *engine) haves(ctx context.Context, patience time.Duration, entry ref.Entry, nodes []directory.Holder, ask inquire) []having {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := make([]having, len(nodes))
	var wait sync.WaitGroup
	for i, h := range nodes {
		wait.Go(func() {
			has, err := ask(e.source(h.Node), ctx, entry.Blob)
			if err == nil {
				all[i] = having{h.Node, has}
			}
		})
	}
	wait.Wait()
	return slices.DeleteFunc(all, func(h having) bool { return !h.Whole && !h.Fetching })
}

// holders is who has how much of a blob.
func (e *engine) holders(ctx context.Context, entry ref.Entry) []control.Holder {
	ctx, cancel := context.WithTimeout(ctx, wherePatience)
	defer cancel()
	if e.searched != nil {
		e.searched(ctx)
	}
	nodes, _ := e.locate(ctx, entry)
	all := []control.Holder{}
	for _, h := range e.haves(ctx, probePatience, entry, nodes, (*peer.Source).Have) {
		if h.Bytes > 0 || h.Whole {
			all = append(all, control.Holder{Node: h.Name, Addr: h.Addr.String(), Bytes: h.Bytes, Complete: h.Whole})
		}
	}
	return all
}

// peers turns holders into sources: the joint between gossip and transfer.
func (e *engine) peers(ctx context.Context, entry ref.Entry) (found transfer.Found, err error) {
	ctx, cancel := context.WithTimeout(ctx, locatePatience)
	defer cancel()
	nodes, sure := e.locate(ctx, entry)
	if !sure {
		found.Others = len(nodes) > 0
		for _, h := range e.haves(ctx, probePatience, entry, nodes, (*peer.Source).Greet) {
			if h.Whole {
				found.Holders = append(found.Holders, e.source(h.Node))
			} else {
				found.Fellows = append(found.Fellows, e.source(h.Node))
			}
		}
		return found, ctx.Err()
	}
	if entry.Blob.Size >= greetMin {
		found.Others = len(e.nodes(ctx)) > len(nodes)
		go e.greet(context.WithoutCancel(ctx), entry)
	}
	for _, h := range nodes {
		if h.Complete {
			found.Holders = append(found.Holders, e.source(h.Node))
		} else {
			found.Fellows = append(found.Fellows, e.source(h.Node))
		}
	}
	return found, ctx.Err()
}

// greetMin is the size in bytes from which a blob that somebody holds is worth
// sharing out among those who fetch it at the same time.
const greetMin = 8 << 20

// greet makes itself known to those who may fetch the blob as well, where a download
// need not wait for them.
func (e *engine) greet(ctx context.Context, entry ref.Entry) {
	var all []directory.Holder
	for _, n := range append(e.nodes(ctx), e.passing.lately(time.Now())...) {
		all = append(all, directory.Holder{Node: n})
	}
	for _, h := range e.haves(ctx, probePatience, entry, all, (*peer.Source).Greet) {
		if h.Fetching {
			e.transfer.Meet(entry.Blob.ETag, e.source(h.Node))
		}
	}
}

func (e *engine) source(n directory.Node) *peer.Source { return e.dialer.Source(n.ID, n.Name, n.Addr) }

// neighbours are nodes that may hold chunks of a blob in other blobs. Those who
// hold another version are told to look what it is made of, if they have not yet.
func (e *engine) neighbours(ctx context.Context, entry ref.Entry) (all []source.Source) {
	ctx, cancel := context.WithTimeout(ctx, holderPatience)
	defer cancel()
	var wait sync.WaitGroup
	for _, v := range e.versions(ctx, entry) {
		wait.Go(func() {
			for _, h := range e.wholeHolders(ctx, v) {
				if err := e.source(h.Node).Learn(ctx, v.Blob); err != nil {
					e.log.Debug("asked for a map", "file", v, "source", h.Name, "err", err)
				}
			}
		})
	}
	for _, n := range e.nodes(ctx) {
		all = append(all, e.source(n))
	}
	wait.Wait()
	return all
}

// claims turns what the swarm knows into what the resolver weighs.
func (e *engine) claims(ctx context.Context, f ref.File) ([]transfer.Claim, error) {
	ctx, cancel := context.WithTimeout(ctx, wherePatience)
	defer cancel()
	known, err := e.swarm.Known(ctx, f)
	var all []transfer.Claim
	for _, k := range known {
		if k.HasEntry {
			all = append(all, transfer.Claim{Entry: k.Entry, Learnt: k.Claim.Learnt, From: k.Claim.Node.Name})
		}
	}
	return all, err
}

// failed hears of sources that were dropped: the directory forgets a holder that
// does not hold, and status tells of those who did worse.
func (e *engine) failed(name string, entry ref.Entry, err error) {
	if e.forget != nil && (errors.Is(err, source.ErrGone) || errors.Is(err, source.ErrChanged)) {
		e.forget(name, entry.Blob.ETag)
	}
	if errors.Is(err, source.ErrGone) {
		return
	}
	const keep = 20
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped = append(e.dropped, control.Note{Source: name, Text: fmt.Sprintf("%s: %v", entry, err), Dropped: true})
	e.dropped = e.dropped[max(0, len(e.dropped)-keep):]
}

func (e *engine) recentlyDropped() []control.Note {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]control.Note{}, e.dropped...)
}

// Check refuses what no file can be called, before anything is done for it.
func Check(ask control.Ask) error {
	_, err := parse(ask)
	return err
}

func parse(ask control.Ask) (ref.File, error) {
	t, err := ref.ParseType(ask.RepoType)
	if err != nil {
		return ref.File{}, err
	}
	repo, err := ref.ParseRepo(t, ask.Repo)
	if err != nil {
		return ref.File{}, err
	}
	return ref.NewFile(repo, ask.Revision, ask.File)
}
