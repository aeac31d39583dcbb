package access

import (
	"context"
	"math/rand/v2"
	"time"

	"hffs/cache/ref"
)

const (
	// pace is the time between two questions of Run, give or take; the Hub counts
	// requests by the hundred in five minutes, for a whole network together.
	pace = 250 * time.Millisecond
	// After a question that found no answer Run rests, longer each time.
	restFirst = 5 * time.Second
	restMost  = time.Minute
	// sweepEvery is how often repos are looked for that should be asked about again.
	sweepEvery = time.Hour
	// writeAfter is how long what is learnt may wait to be written.
	writeAfter = time.Second
)

// Run asks the Hub about the repos that are waiting, one at a time and without haste,
// and keeps the file, until ctx ends.
func (b *Book) Run(ctx context.Context) error {
	written := make(chan struct{})
	go func() {
		defer close(written)
		b.writeAll(ctx)
	}()
	defer func() { <-written }()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	rest := restFirst
	for {
		wait, asked := pace, false
		if repo, ok := b.next(); ok {
			asked = true
			_, err := b.ask(ctx, repo)
			b.setAway(err != nil && ctx.Err() == nil)
			if err != nil && ctx.Err() == nil {
				b.cfg.Log.Debug("asked whether a repo is public", "repo", repo, "rest", rest, "err", err)
				b.enqueue(repo) // after all others
				wait, rest = rest, min(2*rest, restMost)
			} else {
				rest = restFirst
			}
		}
		if !b.pause(ctx, asked, wait, sweep.C) {
			return nil
		}
	}
}

func (b *Book) setAway(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

// Withheld is how many repos are not shared for no other reason than that the Hub cannot
// be asked about them.
func (b *Book) Withheld() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for repo := range b.queued {
		if b.away && !b.cfg.ShareAll && !b.sharedAs(b.repos[repo]) {
			n++
		}
	}
	return n
}

// pause waits for the time to ask again, or for something to ask; false at the end.
func (b *Book) pause(ctx context.Context, asked bool, wait time.Duration, sweep <-chan time.Time) bool {
	if asked {
		select {
		case <-time.After(wait + rand.N(wait/4)):
		case <-ctx.Done():
		}
		return ctx.Err() == nil
	}
	select {
	case <-b.work:
	case <-sweep:
		b.sweep()
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (b *Book) next() (repo ref.Repo, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) > 0 {
		repo, b.queue = b.queue[0], b.queue[1:]
		delete(b.queued, repo)
		if b.due(b.repos[repo]) { // it may have been settled meanwhile
			return repo, true
		}
	}
	return repo, false
}

// sweep queues the repos whose standing is old news and of interest to somebody.
func (b *Book) sweep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for repo, f := range b.repos {
		if f.wanted && b.due(f) {
			b.enqueueLocked(repo)
		}
	}
}

// writeAll writes the file a moment after something changed, and at the end.
func (b *Book) writeAll(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-b.dirty:
		case <-ctx.Done():
			continue
		}
		select {
		case <-time.After(writeAfter):
		case <-ctx.Done():
		}
		b.save()
	}
	select {
	case <-b.dirty:
		b.save()
	default:
	}
}
