package access

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"hffs/cache/ref"
)

// standing is what is known of a repo.
type standing int

const (
	unknown   standing = iota
	withToken          // somebody needed, or at least used, a token
	closed             // the Hub lets not everybody read it
	open               // the Hub lets everybody read it
	heard              // neighbours hand it to everybody, and all that is here came from them
)

// fact is what the Hub said of a repo, and when it should be asked again.
type fact struct {
	is     standing
	at     time.Time
	again  time.Time
	wanted bool // somebody has asked since the process began
}

// againAfter is how long the Hub's word on a repo counts before it is asked again,
// give or take a tenth, so that not all are asked for at once.
const againAfter = 7 * 24 * time.Hour

// Shared says whether the repo may be announced and served to peers. It never waits:
// what is not known is asked for by Run, and comes up in Changes.
func (b *Book) Shared(repo ref.Repo) bool {
	if b.cfg.ShareAll {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.repos[repo]
	if b.due(f) {
		b.enqueueLocked(repo)
	}
	if f != nil {
		f.wanted = true
	}
	return b.sharedAs(f)
}

// sharedAs: what is not known is not shared. Other programs of the same user fill the
// cache too, with tokens of which this node knows nothing.
func (b *Book) sharedAs(f *fact) bool { return f != nil && (f.is == open || f.is == heard) }

func (b *Book) due(f *fact) bool {
	return f == nil || f.is == withToken || f.is == heard || !b.cfg.Now().Before(f.again)
}

// Check is Shared that waits for the Hub where it does not know, or has known for too
// long.
func (b *Book) Check(ctx context.Context, repo ref.Repo) bool {
	if b.cfg.ShareAll {
		return true
	}
	b.mu.Lock()
	due := b.due(b.repos[repo])
	b.mu.Unlock()
	if due {
		if _, err := b.ask(ctx, repo); err != nil {
			b.cfg.Log.Debug("asked whether a repo is public", "repo", repo, "err", err)
		}
	}
	return b.Shared(repo)
}

// ask asks the Hub whether a repo is public, and writes it down.
func (b *Book) ask(ctx context.Context, repo ref.Repo) (bool, error) {
	return b.public.Do(ctx, repo, func(ctx context.Context) (bool, error) {
		public, err := b.cfg.Hub.Public(ctx, repo)
		if err != nil {
			return false, err
		}
		is := closed
		if public {
			is = open
		}
		b.set(repo, is)
		return public, nil
	})
}

// Learned is told that the Hub has just let somebody read a file of the repo, or its
// headers. Whoever did so without a token shows that it is public. Lists and the like
// show nothing: the Hub tells those of gated repos to everybody.
func (b *Book) Learned(repo ref.Repo, anonymous bool) {
	b.mu.Lock()
	f := b.repos[repo]
	b.mu.Unlock()
	switch {
	case anonymous && (f == nil || f.is != open || b.due(f)):
		b.set(repo, open)
	case !anonymous && f == nil:
		b.set(repo, withToken)
		b.enqueue(repo)
	}
}

// Heard is told that neighbours hand a repo to everybody, of which nothing was here so
// far: passing on what comes from them shows nobody more. The Hub is asked all the same.
func (b *Book) Heard(repo ref.Repo) {
	b.mu.Lock()
	f := b.repos[repo]
	b.mu.Unlock()
	if f == nil {
		b.set(repo, heard)
		b.enqueue(repo)
	}
}

// Known says whether anything is known of a repo.
func (b *Book) Known(repo ref.Repo) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.repos[repo] != nil
}

// set writes down how a repo stands. That one is not shared any more is on disk
// before anything else happens.
func (b *Book) set(repo ref.Repo, is standing) {
	now := b.cfg.Now()
	b.mu.Lock()
	old := b.repos[repo]
	f := &fact{is: is, at: now, again: now.Add(jitter(againAfter)), wanted: true}
	before, after := b.sharedAs(old), b.sharedAs(f)
	b.repos[repo] = f
	b.boundLocked(repo)
	b.mu.Unlock()
	if before == after {
		poke(b.dirty)
		return
	}
	if !b.cfg.ShareAll {
		b.cfg.Log.Info("a repo's access has changed", "repo", repo, "shared", after)
	}
	poke(b.changes)
	if after {
		poke(b.dirty)
		return
	}
	b.save()
}

func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5)
}

// boundLocked forgets the tenth that was heard of longest ago when there are too many
// repos; what is public first, since what is forgotten may count as public.
func (b *Book) boundLocked(keep ref.Repo) {
	if len(b.repos) <= maxRepos {
		return
	}
	var all []ref.Repo
	for repo := range b.repos {
		if repo != keep {
			all = append(all, repo)
		}
	}
	slices.SortFunc(all, func(x, y ref.Repo) int {
		fx, fy := b.repos[x], b.repos[y]
		return cmp.Or(cmp.Compare(fy.is, fx.is), fx.at.Compare(fy.at))
	})
	for _, repo := range all[:maxRepos/10] {
		delete(b.repos, repo)
	}
}

func (b *Book) enqueue(repo ref.Repo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.enqueueLocked(repo)
}

func (b *Book) enqueueLocked(repo ref.Repo) {
	if b.queued[repo] || len(b.queue) >= maxRepos {
		return
	}
	b.queued[repo] = true
	b.queue = append(b.queue, repo)
	poke(b.work)
}
