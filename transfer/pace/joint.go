package pace

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Joint is the limits of a download that several may wait for: the loosest that
// one of them asks for, so that nobody waits for a limit of somebody else's.
//
// Where all of them wait for one order of many files ([Together]), the order's limits
// hold, which its other downloads count against as well.
type Joint struct {
	Limits
	shared atomic.Pointer[Limits] // nil: none

	mu    sync.Mutex // guards asked
	asked []*wish
}

// wish is what one who waits asks for.
type wish struct {
	Rates
	shared *Limits
}

// NewJoint is a joint that nobody has joined; it bounds nothing.
func NewJoint() *Joint { return &Joint{Limits: New(Rates{})} }

// Join takes in one more who waits, until leave is called.
func (j *Joint) Join(r Rates) (leave func()) { return j.join(&wish{Rates: r}) }

// JoinAs is Join for who asks by the context.
func (j *Joint) JoinAs(ctx context.Context) (leave func()) {
	shared, _ := ctx.Value(togetherKey{}).(*Limits)
	return j.join(&wish{Asked(ctx), shared})
}

func (j *Joint) join(mine *wish) (leave func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = append(j.asked, mine)
	j.setLocked()
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.asked = slices.DeleteFunc(j.asked, func(w *wish) bool { return w == mine })
		j.setLocked()
	}
}

func (j *Joint) setLocked() {
	if len(j.asked) == 0 {
		return // the download ends: as it was will do
	}
	most, shared := j.asked[0].Rates, j.asked[0].shared
	for _, w := range j.asked[1:] {
		most = Rates{looser(most.Down, w.Down), looser(most.Hub, w.Hub)}
		if w.shared != shared {
			shared = nil
		}
	}
	j.Down.Set(most.Down)
	j.Hub.Set(most.Hub)
	j.shared.Store(shared)
}

// On has requests under the context count against the joint, as With does for limits.
func (j *Joint) On(ctx context.Context) context.Context {
	return context.WithValue(With(ctx, j.Limits), jointKey{}, j)
}

func looser(a, b int64) int64 {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// What a context can carry.
type (
	askedKey  struct{} // Rates
	limitsKey struct{} // Limits
	jointKey  struct{} // *Joint

	togetherKey struct{} // *Limits
	heldKey     struct{} // *atomic.Int32
)

// Ask has a download that begins under the context keep to rates.
func Ask(ctx context.Context, r Rates) context.Context { return context.WithValue(ctx, askedKey{}, r) }

// Asked is what was asked for by [Ask].
func Asked(ctx context.Context) Rates {
	r, _ := ctx.Value(askedKey{}).(Rates)
	return r
}

// With has requests under the context count against limits, besides those of the
// client that they are made by.
func With(ctx context.Context, l Limits) context.Context {
	return context.WithValue(ctx, limitsKey{}, l)
}

// Together has downloads that begin under the context keep to the same limits, all of
// them together, and requests under it as well.
func Together(ctx context.Context, l Limits) context.Context {
	return Ask(context.WithValue(With(ctx, l), togetherKey{}, &l), Rates{})
}
