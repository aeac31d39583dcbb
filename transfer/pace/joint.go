package pace

import (
	"context"
	"slices"
	"sync"
)

// Joint is the limits of a download that several may wait for: the loosest that
// one of them asks for, so that nobody waits for a limit of somebody else's.
type Joint struct {
	Limits
	mu    sync.Mutex // guards asked
	asked []*Rates
}

// NewJoint is a joint that nobody has joined; it bounds nothing.
func NewJoint() *Joint { return &Joint{Limits: New(Rates{})} }

// Join takes in one more who waits, until leave is called.
func (j *Joint) Join(r Rates) (leave func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	mine := &r
	j.asked = append(j.asked, mine)
	j.setLocked()
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.asked = slices.DeleteFunc(j.asked, func(r *Rates) bool { return r == mine })
		j.setLocked()
	}
}

func (j *Joint) setLocked() {
	if len(j.asked) == 0 {
		return // the download ends: as it was will do
	}
	most := *j.asked[0]
	for _, r := range j.asked[1:] {
		most = Rates{looser(most.Down, r.Down), looser(most.Hub, r.Hub)}
	}
	j.Down.Set(most.Down)
	j.Hub.Set(most.Hub)
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
	heldKey   struct{} // *atomic.Int32
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
