package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"hffs/cache/ref"
	"hffs/gossip"
	"hffs/transfer"
	"hffs/transfer/catalog"
	"hffs/transfer/hub"
	"hffs/transfer/hub/caller"
	"hffs/transfer/hub/endpoint"
	"hffs/transfer/pace"
)

// library is what the local endpoint serves from: this cache, the swarm, then the Hub,
// each in the name of whoever asks.
type library struct {
	*engine
	stale *lru.Cache[asked, staleAnswer]
	names *lru.Cache[ref.Entry, named]
}

// asked is a revision that somebody asked about.
type asked struct {
	repo     ref.Repo
	revision string
	mark     string // of the caller
}

// staleAnswer is the commit that served while the Hub was out of reach.
type staleAnswer struct {
	commit ref.Commit
	until  time.Time
}

// named is by which name an entry was asked for.
type named struct {
	file ref.File
	is   transfer.Resolved
}

const (
	// staleFor is how long the last known answer serves without asking the Hub again
	// that was out of reach a moment ago: programs ask for many files one by one.
	staleFor  = 10 * time.Second
	staleMost = 1024
	namesMost = 4096
	// hubPatience is how long the Hub is waited for before it is found out meanwhile
	// what would serve in its place. Clients wait 10 s for an answer in all.
	hubPatience = 1500 * time.Millisecond
	// hubMost is how long it is waited for in all.
	hubMost = 4 * time.Second
)

func newLibrary(e *engine) *library {
	stale, err1 := lru.New[asked, staleAnswer](staleMost)
	names, err2 := lru.New[ref.Entry, named](namesMost)
	if err := errors.Join(err1, err2); err != nil {
		panic(err) // only for a size below one
	}
	return &library{e, stale, names}
}

// newCatalog joins what the Hub says of repos with what the swarm knows of them.
func (e *engine) newCatalog(h *hub.Client, offline bool, log *slog.Logger) *catalog.Catalog {
	others := e.others
	if offline {
		others = nil // nobody here asks the Hub: what is not known will not be
	}
	return catalog.New(catalog.Config{
		Hub: hubInfo{h}, Store: e.cache, Swarm: told{e}, Others: others, Refused: refused, Log: log,
		Learnt: func(repo ref.Repo, revision string, commit ref.Commit) {
			e.learnt.add(ref.File{Repo: repo, Revision: revision}, commit)
		},
	})
}

// hubInfo is the Hub's client as the catalog wants it.
type hubInfo struct{ *hub.Client }

func (h hubInfo) Info(ctx context.Context, repo ref.Repo, revision string, query url.Values) (ref.Commit, json.RawMessage, error) {
	i, err := h.Client.Info(ctx, repo, revision, query)
	return i.Commit, i.JSON, err
}

// told is the swarm as the catalog wants it.
type told struct{ e *engine }

func (t told) Revisions(ctx context.Context, repo ref.Repo, revision string) (all []catalog.Claim, err error) {
	claims, err := t.e.swarm.Revision(ctx, repo, revision)
	for _, c := range claims {
		all = append(all, catalog.Claim{Commit: c.Commit, Learnt: c.Learnt, From: c.Node.Name})
	}
	return all, err
}

func (t told) Lists(ctx context.Context, repo ref.Repo, commit ref.Commit) (all []catalog.Told, err error) {
	lists, err := t.e.swarm.List(ctx, repo, commit)
	for _, l := range lists {
		all = append(all, catalog.Told{Files: l.Files, Whole: l.Whole, From: l.Node.Name, Conflicts: conflicts(l.Conflicts)})
	}
	return all, err
}

func conflicts(found []gossip.Conflict) (all []catalog.Conflict) {
	for _, c := range found {
		all = append(all, catalog.Conflict{Path: c.Path, From: c.Node.Name})
	}
	return all
}

// mayKnow: the Hub tells the names in a gated repo to everybody.
func (l *library) mayKnow(ctx context.Context, repo ref.Repo) error {
	if err := l.access.May(ctx, repo); !errors.Is(err, hub.ErrGated) {
		return err
	}
	return nil
}

// May says whether the caller may read the files of a repo.
func (l *library) May(ctx context.Context, repo ref.Repo) error { return l.access.May(ctx, repo) }

// Commit says which commit a revision is now.
func (l *library) Commit(ctx context.Context, repo ref.Repo, revision string) (ref.Commit, error) {
	if err := l.mayKnow(ctx, repo); err != nil {
		return "", err
	}
	a, err := l.catalog.Commit(hub.Hasty(ctx, hubMost), repo, revision)
	return a.Commit, err
}

// List is what files a commit has.
func (l *library) List(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]ref.Listed, bool, error) {
	if err := l.mayKnow(ctx, repo); err != nil {
		return nil, false, err
	}
	return l.catalog.List(ctx, repo, commit)
}

// Info is what the Hub says of a repo.
func (l *library) Info(ctx context.Context, repo ref.Repo, revision string, query url.Values) (json.RawMessage, error) {
	if err := l.mayKnow(ctx, repo); err != nil {
		return nil, err
	}
	return l.catalog.Info(hub.Hasty(ctx, hubMost), repo, revision, query)
}

// Entry says what a file is. That the caller may read it is asked at the same time.
func (l *library) Entry(ctx context.Context, f ref.File) (ref.Entry, error) {
	ctx, cancel := context.WithCancel(hub.Hasty(ctx, hubMost))
	defer cancel()
	may := make(chan error, 1)
	go func() { may <- l.access.May(ctx, f.Repo) }()
	res, err := l.find(ctx, f)
	if no := <-may; no != nil {
		return ref.Entry{}, no
	}
	if err != nil {
		return ref.Entry{}, err
	}
	l.names.Add(res.Entry, named{f, res})
	return res.Entry, nil
}

// find says what a file is, without waiting for a Hub that was out of reach a moment
// ago.
func (l *library) find(ctx context.Context, f ref.File) (transfer.Resolved, error) {
	if commit, err := ref.ParseCommit(f.Revision); err == nil {
		return l.inCommit(ctx, f, commit)
	}
	who := asked{f.Repo, f.Revision, caller.Mark(caller.Token(ctx, ""))}
	if s, ok := l.stale.Get(who); ok && time.Now().Before(s.until) {
		return stale(l.inCommit(ctx, f, s.commit))
	}
	res, err := l.ask(ctx, f)
	if err == nil && !res.Stale {
		l.resolved(ctx, f, res)
		return res, nil
	}
	if err == nil {
		l.keep(who, res.Entry.Commit, res.Notes)
		l.heard(res)
		return res, nil
	}
	if ctx.Err() != nil || refused(err) {
		return res, err
	}
	c, none := l.catalog.Commit(ctx, f.Repo, f.Revision)
	if none != nil {
		return res, err
	}
	l.keep(who, c.Commit, nil)
	res, err = stale(l.inCommit(ctx, f, c.Commit))
	if err == nil {
		l.heard(res)
	}
	return res, err
}

// ask asks the Hub, and finds out meanwhile which commit would serve when it is silent,
// so that whoever looks for a file that nobody has does not wait for it twice.
func (l *library) ask(ctx context.Context, f ref.File) (transfer.Resolved, error) {
	look := time.AfterFunc(hubPatience, func() { _, _ = l.catalog.Commit(ctx, f.Repo, f.Revision) })
	defer look.Stop()
	return l.resolver.Resolve(ctx, f)
}

func stale(res transfer.Resolved, err error) (transfer.Resolved, error) {
	res.Stale = true
	return res, err
}

func (l *library) keep(who asked, commit ref.Commit, notes []transfer.Note) {
	for _, n := range notes {
		level := slog.LevelInfo
		if n.Conflict {
			level = slog.LevelWarn
		}
		l.log.Log(context.Background(), level, n.Text, "repo", who.repo, "source", n.Source)
	}
	l.stale.Add(who, staleAnswer{commit, time.Now().Add(staleFor)})
}

// inCommit finds a file in a commit: that never changes, so what is known needs no
// asking.
func (l *library) inCommit(ctx context.Context, f ref.File, commit ref.Commit) (transfer.Resolved, error) {
	if e, ok := l.cache.SureEntry(f.Repo, commit, f.Path); ok {
		return transfer.Resolved{Entry: e}, nil
	}
	files, sure := l.catalog.Known(f.Repo, commit)
	whole := sure
	var err error
	if !whole {
		files, whole, err = l.catalog.List(ctx, f.Repo, commit)
		_, sure = l.catalog.Known(f.Repo, commit) // the Hub's own list is kept
	}
	if i := slices.IndexFunc(files, func(x ref.Listed) bool { return x.Path == f.Path }); i >= 0 {
		return transfer.Resolved{Entry: ref.Entry{Repo: f.Repo, Commit: commit, Path: f.Path, Blob: files[i].Blob}}, nil
	}
	switch {
	case whole:
		return transfer.Resolved{}, noFile(commit, sure)
	case err != nil && hub.IsRefusal(err):
		return transfer.Resolved{}, err
	}
	f.Revision = string(commit)
	return l.resolver.Resolve(ctx, f)
}

// noFile: where only neighbours say so, clients are not to write it down for good.
func noFile(commit ref.Commit, sure bool) error {
	no := &endpoint.Failure{Status: http.StatusNotFound, Code: "EntryNotFound", Message: "Entry not found", Hearsay: !sure}
	if sure {
		no.Commit = commit
	}
	return no
}

// Place brings a blob into the cache as long as that promises to be done in time.
func (l *library) Place(ctx context.Context, e ref.Entry) bool {
	if l.access.May(ctx, e.Repo) != nil || l.out(e) {
		return false
	}
	defer l.call(ctx, e)
	return l.transfer.Place(l.unbounded(ctx), e)
}

// Open gives the content of a file.
func (l *library) Open(ctx context.Context, e ref.Entry) (endpoint.Content, error) {
	if err := l.access.May(ctx, e.Repo); err != nil {
		return nil, err
	}
	if l.out(e) {
		return nil, endpoint.ErrForward
	}
	s, err := l.transfer.Open(l.unbounded(ctx), e)
	if err != nil {
		return nil, err
	}
	l.call(ctx, e)
	return stream{s, l.reading.begin(e.Blob.ETag)}, nil
}

// Spoilt says whether wrong bytes of the blob may have been handed out.
func (l *library) Spoilt(etag ref.ETag) bool { return l.transfer.Spoilt(etag) }

// unbounded: programs have no limits of their own beside the node's.
func (l *library) unbounded(ctx context.Context) context.Context { return pace.Ask(ctx, pace.Rates{}) }

// call has an entry be known by the name that it was asked for by.
func (l *library) call(ctx context.Context, e ref.Entry) {
	if n, ok := l.names.Get(e); ok {
		l.transfer.Named(ctx, n.file, n.is)
	}
}

// Forward has the Hub answer.
func (l *library) Forward(w http.ResponseWriter, r *http.Request) {
	l.hub.Forward(w, r, "http://"+r.Host)
}
