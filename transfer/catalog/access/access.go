// Package access keeps the book of who may read what: which repos are public, so that
// they may be announced and handed to anybody, and which callers have shown that they
// may read the others.
//
// Read it in this order: access.go is what others see of it; public.go is about repos,
// may.go about callers; run.go asks the Hub in the background; file.go is what lies on
// disk.
//
// It promises that what is not known to be public is not announced. A repo is known to
// be when the Hub has shown it to somebody without a token; what has come from
// neighbours alone, who hand it to everybody, is passed on until the Hub has been asked.
// Tokens are never written down, only their marks (see package caller).
package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"hffs/cache/ref"
	"hffs/transfer/catalog/flight"
	"hffs/transfer/hub/caller"
)

// ErrNoAccess: the Hub cannot be asked whether the caller may read the repo, and has
// not said so before.
var ErrNoAccess = errors.New("the Hub has not confirmed that this caller may read it")

// Hub is what is asked of the Hub itself, never of a mirror.
type Hub interface {
	// Public says whether everybody may read a repo.
	Public(ctx context.Context, repo ref.Repo) (bool, error)
	// May says whether the context's caller may read it: nil, or why not.
	May(ctx context.Context, repo ref.Repo) error
}

// Config is what a book works with. It needs Hub.
type Config struct {
	// Path is the book's file, in the state folder; empty means that nothing outlasts
	// the process.
	Path string
	Hub  Hub
	// Own is the node's own token; empty means that it has none.
	Own string
	// ShareAll is the user's wish to share what is not public as well.
	ShareAll bool
	// Refused tells an answer in which the Hub said no from one that did not come.
	Refused func(error) bool
	// Now is time.Now when nil.
	Now func() time.Time
	// Log is silent when nil.
	Log *slog.Logger
}

// Limits on what is remembered.
const (
	maxRepos    = 10_000
	maxGrants   = 10_000 // pairs of caller and repo
	maxRefusals = 1000   // apart, so that guesses push out nobody who was let in
)

// Book is for concurrent use.
type Book struct {
	cfg     Config
	own     string // the mark of the node's own token
	public  flight.Group[ref.Repo, bool]
	mays    flight.Group[pair, struct{}]
	changes chan struct{}
	work    chan struct{} // the queue got something
	dirty   chan struct{} // the file is to be written

	writing sync.Mutex // held while the file is written

	mu     sync.Mutex // guards what follows
	repos  map[ref.Repo]*fact
	queue  []ref.Repo
	queued map[ref.Repo]bool
	quiet  time.Time // until when the Hub is taken to be out of reach
	away   bool      // it did not answer Run's last question

	grants   *simplelru.LRU[pair, time.Time] // when the Hub said yes
	refusals *simplelru.LRU[pair, refusal]
}

// New opens the book. A file that cannot be read is as good as none.
func New(cfg Config) *Book {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Refused == nil {
		cfg.Refused = func(error) bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	b := &Book{
		cfg: cfg, own: caller.Mark(cfg.Own),
		grants: newest[time.Time](maxGrants), refusals: newest[refusal](maxRefusals),
		public:  flight.Group[ref.Repo, bool]{Limit: askMost},
		mays:    flight.Group[pair, struct{}]{Limit: askMost},
		changes: make(chan struct{}, 1), work: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		repos: map[ref.Repo]*fact{}, queued: map[ref.Repo]bool{},
	}
	if err := b.load(); err != nil {
		cfg.Log.Warn("what is known of who may read what is unreadable; it is asked for anew", "file", cfg.Path, "err", err)
	}
	return b
}

// newest keeps so many values, those used last.
func newest[V any](most int) *simplelru.LRU[pair, V] {
	l, err := simplelru.NewLRU[pair, V](most, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return l
}

// askMost is how long a question to the Hub may take.
const askMost = 30 * time.Second

// Changes receives a value when what Shared says of some repo may have changed;
// several changes may arrive as one.
func (b *Book) Changes() <-chan struct{} { return b.changes }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func noAccess(repo ref.Repo, token string, hubErr error) error {
	try := "log in with a token, the one that the node runs with, or try again when the Hub can be reached"
	if token != "" {
		try = "try again when the Hub can be reached, or use the token that the node runs with"
	}
	return fmt.Errorf("read %s: %w (%w); %s", repo, ErrNoAccess, hubErr, try)
}
