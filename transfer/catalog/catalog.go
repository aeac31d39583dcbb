// Package catalog knows of repos what is not in any file: which commit a branch is,
// which files a commit has, and what else the Hub says of a repo.
//
// Read it in this order: catalog.go is what others see of it; revision.go finds out
// what a branch is; list.go finds out what a commit's files are; info.go is what the
// Hub says of a repo, and what is made up in its place; hush.go is how long a silent
// Hub is waited for.
//
// The Hub's word counts. A branch is asked anew each time, but those who ask at the
// same time, for the same caller, share one answer. A commit never changes: what the
// Hub has said of its files is kept, and it is not asked again. When the Hub is out of
// reach the last known answer serves, this machine's before its neighbours', and the
// log says how old it is. What neighbours say is never kept.
//
// Nobody is asked here whether the caller may know all this: see package access.
package catalog

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/transfer/catalog/flight"
	"hffs/transfer/hub/caller"
)

// Hub is what is asked of the Hub, with the token of the context's caller.
type Hub interface {
	// Info is what it says of a repo at a revision: the commit, and all of it as JSON.
	// Where the query asks for other things the commit may be empty.
	Info(ctx context.Context, repo ref.Repo, revision string, query url.Values) (ref.Commit, json.RawMessage, error)
	// Tree is the list of all files of a commit.
	Tree(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]ref.Listed, error)
}

// Store is what is kept on this machine; see [cache.Cache].
type Store interface {
	Ref(repo ref.Repo, revision string) (cache.KnownRef, error)
	SetRef(repo ref.Repo, revision string, commit ref.Commit) error
	StatedTree(repo ref.Repo, commit ref.Commit) ([]ref.Listed, bool)
	Tree(repo ref.Repo, commit ref.Commit) ([]ref.Listed, bool)
	KeepTree(repo ref.Repo, commit ref.Commit, files []ref.Listed) error
	Present(repo ref.Repo, commit ref.Commit) []ref.Listed
	SureEntry(repo ref.Repo, commit ref.Commit, path string) (ref.Entry, bool)
	Info(repo ref.Repo, commit ref.Commit) (json.RawMessage, bool)
	KeepInfo(repo ref.Repo, commit ref.Commit, info json.RawMessage) error
}

// Swarm is what the neighbours last knew.
type Swarm interface {
	// Revisions is who says which commit a branch or tag is.
	Revisions(ctx context.Context, repo ref.Repo, revision string) ([]Claim, error)
	// Lists are the files of a commit as neighbours tell them, the best first.
	Lists(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]Told, error)
}

// Claim is what a neighbour says that a revision was when it last asked the Hub.
type Claim struct {
	Commit ref.Commit
	Learnt time.Time
	From   string
}

// Told is a list of a commit's files as a neighbour tells it.
type Told struct {
	Files []ref.Listed
	Whole bool // these are said to be all
	From  string
	// Conflicts are who tells something else, and of which file.
	Conflicts []Conflict
}

// Conflict is a file of which somebody says something else.
type Conflict struct{ Path, From string }

// Config is what a catalog works with. It needs Hub and Store.
type Config struct {
	Hub   Hub
	Store Store
	// Swarm may be nil: nobody is asked.
	Swarm Swarm
	// Others tells whether there are neighbours who may come to know what nobody
	// knows yet, since they ask the Hub themselves; nil means that there are none.
	Others func(context.Context) bool
	// Refused tells an answer in which the Hub said no from one that did not come.
	Refused func(error) bool
	// Learnt is told what the Hub has said of a branch or tag; may be nil.
	Learnt func(repo ref.Repo, revision string, commit ref.Commit)
	// Now is time.Now when nil.
	Now func() time.Time
	// Log is silent when nil.
	Log *slog.Logger
}

// Catalog is for concurrent use.
type Catalog struct {
	cfg       Config
	revisions flight.Group[question, known]
	lists     flight.Group[question, listing]
}

const (
	// freshFor is how long an answer of the Hub serves others who ask the same.
	freshFor = 2 * time.Second
	// listFor is how long a list serves that could not be kept, as it came from
	// neighbours: the Hub may be back.
	listFor  = 30 * time.Second
	listMost = 32
	// askMost is how long a question may take in all.
	askMost = time.Minute
)

// New makes a catalog.
func New(cfg Config) *Catalog {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Refused == nil {
		cfg.Refused = func(error) bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Catalog{
		cfg:       cfg,
		revisions: flight.Group[question, known]{Keep: freshFor, Limit: askMost, Now: cfg.Now},
		lists:     flight.Group[question, listing]{Keep: listFor, Limit: askMost, Most: listMost, Now: cfg.Now},
	}
}

// question is what one flight is about: the Hub's answer depends on who asks.
type question struct {
	repo     ref.Repo
	revision string
	query    string
	mark     string // of the caller
}

func ask(ctx context.Context, repo ref.Repo, revision string, query url.Values) question {
	return question{repo, revision, query.Encode(), markOf(ctx)}
}

// markOf is the mark of the context's caller; the node itself has one of its own.
func markOf(ctx context.Context) string { return caller.Mark(caller.Token(ctx, "the node itself")) }

// Answer is which commit a revision is.
type Answer struct {
	Commit ref.Commit
	// Stale says that the Hub could not be asked and an older answer serves.
	Stale  bool
	Learnt time.Time // when the Hub said so; zero where that is not known
	From   string    // who says so; empty for a commit, which nobody is asked about
	Notes  []string  // what to tell the user
}

// Commit says which commit a revision is. A full commit id is what it says, even
// where the repo has no such commit.
func (c *Catalog) Commit(ctx context.Context, repo ref.Repo, revision string) (Answer, error) {
	if commit, err := ref.ParseCommit(revision); err == nil {
		return Answer{Commit: commit}, nil
	}
	k, err := c.about(ctx, repo, revision, nil)
	return k.Answer, err
}
