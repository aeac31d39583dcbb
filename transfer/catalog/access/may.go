package access

import (
	"context"
	"errors"
	"time"

	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
)

// pair is a caller, by mark, and a repo.
type pair struct {
	mark string
	repo ref.Repo
}

// refusal is the Hub's no to a caller.
type refusal struct {
	err error
	at  time.Time
}

const (
	// grantFor is how long the Hub's yes to a caller serves, graceFor how long it does
	// while the Hub is out of reach, and refusalFor how long its no serves.
	grantFor   = 10 * time.Minute
	graceFor   = 24 * time.Hour
	refusalFor = time.Minute
	// patience is how long the Hub is waited for where we could do without it, and
	// quietFor how long it is not even asked after that.
	patience = 2 * time.Second
	quietFor = 10 * time.Second
)

// May says whether the caller of the context may read the repo: nil, or why not. That
// is the Hub's refusal, or [ErrNoAccess] where the Hub cannot be asked.
func (b *Book) May(ctx context.Context, repo ref.Repo) error {
	token := caller.Token(ctx, b.cfg.Own)
	p := pair{caller.Mark(token), repo}
	if b.isOpen(repo) {
		return nil
	}
	if err, known := b.remembered(p); known {
		return err
	}
	fallback := b.without(p)
	if fallback && b.isQuiet() {
		return nil
	}
	err := b.askMay(ctx, p, fallback)
	switch {
	case err == nil || b.cfg.Refused(err):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case fallback:
		b.hush()
		return nil
	}
	return noAccess(repo, token, err)
}

var errPatience = errors.New("the Hub is silent")

// askMay asks the Hub. hasty: not for long.
func (b *Book) askMay(ctx context.Context, p pair, hasty bool) error {
	if hasty {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, errPatience)
		defer cancel()
	}
	_, err := b.mays.Do(ctx, p, func(ctx context.Context) (struct{}, error) {
		err := b.cfg.Hub.May(ctx, p.repo)
		if err == nil || b.cfg.Refused(err) {
			b.note(p, err)
		}
		return struct{}{}, err
	})
	return err
}

// note remembers what the Hub said of a caller. Who showed a token may be about to
// fetch what is not public, so that is settled before the first byte of it is here.
func (b *Book) note(p pair, err error) {
	b.mu.Lock()
	if err == nil {
		b.refusals.Remove(p)
		b.grants.Add(p, b.cfg.Now())
	} else {
		b.grants.Remove(p)
		b.refusals.Add(p, refusal{err, b.cfg.Now()})
	}
	b.mu.Unlock()
	poke(b.dirty)
	switch {
	case err != nil:
	case p.mark != "":
		b.Learned(p.repo, false)
	default:
		b.enqueue(p.repo)
	}
}

// isOpen says whether a repo is known to be public, be it for long: Run asks again.
func (b *Book) isOpen(repo ref.Repo) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.repos[repo]
	if f == nil || f.is != open {
		return false
	}
	f.wanted = true
	if b.due(f) {
		b.enqueueLocked(repo)
	}
	return true
}

// remembered is what the Hub said of a caller a moment ago.
func (b *Book) remembered(p pair) (err error, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.grants.Get(p); ok {
		return nil, b.cfg.Now().Sub(at) < grantFor
	}
	no, ok := b.refusals.Get(p)
	return no.err, ok && b.cfg.Now().Sub(no.at) < refusalFor
}

// without says whether a caller may read a repo though the Hub cannot be asked: who
// was let in lately, the node's own user, and everybody where the node can only have
// what is public.
func (b *Book) without(p pair) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at, ok := b.grants.Peek(p); ok && b.cfg.Now().Sub(at) < graceFor {
		return true
	}
	if b.cfg.Own == "" {
		f := b.repos[p.repo]
		return f == nil || f.is == heard
	}
	return p.mark == b.own && !b.refusals.Contains(p)
}

func (b *Book) isQuiet() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cfg.Now().Before(b.quiet)
}

func (b *Book) hush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.quiet = b.cfg.Now().Add(quietFor)
}
