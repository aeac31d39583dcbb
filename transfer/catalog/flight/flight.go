// Package flight has callers who ask the same at the same time share one answer,
// and lets it serve for a moment after it came.
//
// It is x/sync's singleflight with three differences: whoever does not want to
// wait any longer goes, and takes nobody along; a question that nobody waits for
// is given up; and an answer may be kept.
package flight

import (
	"cmp"
	"context"
	"maps"
	"sync"
	"time"
)

// Group is questions with keys K and answers V. The zero Group keeps nothing.
type Group[K comparable, V any] struct {
	// Keep is how long an answer serves after it came; errors do not.
	Keep time.Duration
	// Limit is how long a question may take; 0 means that it is not bounded.
	Limit time.Duration
	// Most is how many answers are kept at a time; 0 means 4096.
	Most int
	// Now is time.Now when nil.
	Now func() time.Time

	mu    sync.Mutex // guards what follows
	calls map[K]*call[V]
}

const (
	keptMost = 4096
	// untidy is from how many answers on those that are over are looked for.
	untidy = 16
)

type call[V any] struct {
	done    chan struct{} // closed when val and err are there
	cancel  context.CancelFunc
	waiting int       // callers; guarded by the group
	until   time.Time // how long the answer serves; zero while it is not there; guarded by the group
	val     V
	err     error
}

// Do gives the answer to the question with the key, asking for it where nobody
// does. The context that ask gets has the values of the first caller's.
func (g *Group[K, V]) Do(ctx context.Context, key K, ask func(context.Context) (V, error)) (V, error) {
	c := g.join(ctx, key, ask)
	defer g.leave(key, c)
	select {
	case <-c.done:
		return c.val, c.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

func (g *Group[K, V]) join(ctx context.Context, key K, ask func(context.Context) (V, error)) *call[V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.calls[key]; c != nil && (c.until.IsZero() || g.now().Before(c.until)) {
		c.waiting++
		return c
	}
	g.sweepLocked()
	ctx, cancel := g.detached(ctx)
	c := &call[V]{done: make(chan struct{}), cancel: cancel, waiting: 1}
	g.calls[key] = c
	go func() {
		defer cancel()
		c.val, c.err = ask(ctx)
		g.land(key, c)
		close(c.done)
	}()
	return c
}

// detached keeps the values of a context; its end is that of the question.
func (g *Group[K, V]) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if g.Limit > 0 {
		return context.WithTimeout(ctx, g.Limit)
	}
	return context.WithCancel(ctx)
}

// sweepLocked makes room for one more answer.
func (g *Group[K, V]) sweepLocked() {
	if g.calls == nil {
		g.calls = map[K]*call[V]{}
	}
	landed := func(_ K, c *call[V]) bool { return !c.until.IsZero() }
	over := func(k K, c *call[V]) bool { return landed(k, c) && !g.now().Before(c.until) }
	most := cmp.Or(g.Most, keptMost)
	if len(g.calls) >= min(untidy, most) {
		maps.DeleteFunc(g.calls, over)
	}
	if len(g.calls) >= most {
		maps.DeleteFunc(g.calls, landed)
	}
}

// land keeps an answer, unless the question was given up and asked anew.
func (g *Group[K, V]) land(key K, c *call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.calls[key] != c:
	case c.err != nil || g.Keep <= 0:
		delete(g.calls, key)
	default:
		c.until = g.now().Add(g.Keep)
	}
}

func (g *Group[K, V]) leave(key K, c *call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.waiting--; c.waiting > 0 {
		return
	}
	select {
	case <-c.done:
		return
	default:
	}
	if g.calls[key] == c && c.until.IsZero() {
		delete(g.calls, key)
	}
	c.cancel()
}

func (g *Group[K, V]) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}
