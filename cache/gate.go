package cache

import (
	"context"
	"sync"
)

// gate lets one at a time through per key. The zero value is open.
type gate struct {
	mu     sync.Mutex // guards inside
	inside map[string]chan struct{}
}

// enter waits until nobody else is inside under this key, or ctx ends.
func (g *gate) enter(ctx context.Context, key string) (leave func(), err error) {
	for {
		busy := g.tryEnter(key)
		if busy == nil {
			return func() { g.leave(key) }, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryEnter returns nil when it got in, else what closes when the way is free.
func (g *gate) tryEnter(key string) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if busy, ok := g.inside[key]; ok {
		return busy
	}
	if g.inside == nil {
		g.inside = map[string]chan struct{}{}
	}
	g.inside[key] = make(chan struct{})
	return nil
}

func (g *gate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.inside[key])
	delete(g.inside, key)
}
