// Package pace keeps what comes and goes below the rates that a user chose.
//
// Read it in this order: pace.go has one limit, and the pair that a node or a
// download has; joint.go is the pair of a download that several people wait for;
// transport.go puts limits on what HTTP clients receive.
//
// Bytes are counted as they arrive, before anything is unpacked, over all
// connections together, and paid for in small pieces: whoever reads takes turns
// with the others, and waits for fractions of a second rather than for seconds.
// Nothing is kept meanwhile: a body that is not read has its sender wait.
package pace

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of a piece, in bytes: the largest keeps system calls few, the smallest
// lets many connections have their turn in time at rates that are next to nothing.
const (
	maxPiece = 64 << 10
	minPiece = 512
	// turns is how many pieces go into a second, between those bounds.
	turns = 256
	// ahead is which part of a second may pass at once after a pause.
	ahead = 10
)

// Limit is a bound on a rate, shared by all who count against it. A nil Limit
// bounds nothing. It is safe for concurrent use.
type Limit struct {
	bucket *rate.Limiter
	piece  atomic.Int64 // 0: no bound
}

// NewLimit is a limit of so many bytes per second; 0 is none.
func NewLimit(perSecond int64) *Limit {
	l := &Limit{bucket: rate.NewLimiter(rate.Inf, 0)}
	l.Set(perSecond)
	return l
}

// Set changes the limit for what comes next; 0 lifts it.
func (l *Limit) Set(perSecond int64) {
	if perSecond <= 0 {
		l.piece.Store(0)
		l.bucket.SetLimit(rate.Inf)
		return
	}
	piece := min(max(perSecond/turns, minPiece), maxPiece)
	l.bucket.SetLimit(rate.Limit(perSecond))
	l.bucket.SetBurst(int(max(piece, perSecond/ahead)))
	l.piece.Store(piece)
}

// Rate is the limit in bytes per second; 0 is none.
func (l *Limit) Rate() int64 {
	if !l.On() {
		return 0
	}
	return int64(l.bucket.Limit())
}

// On tells whether there is anything to keep to.
func (l *Limit) On() bool { return l != nil && l.piece.Load() > 0 }

// Piece is how many bytes at most should be moved at once.
func (l *Limit) Piece() int {
	if !l.On() {
		return math.MaxInt
	}
	return int(l.piece.Load())
}

// Wait counts n bytes and waits until they may pass. Those who wait come in the
// order in which they asked.
func (l *Limit) Wait(ctx context.Context, n int) error { return pause(ctx, l.count(time.Now(), n)) }

// count counts bytes and says how long to wait for them.
func (l *Limit) count(now time.Time, n int) (wait time.Duration) {
	if !l.On() {
		return 0
	}
	for n > 0 {
		part := min(n, l.bucket.Burst())
		r := l.bucket.ReserveN(now, part)
		if part == 0 || !r.OK() {
			return wait // the limit was changed between the look at it and now
		}
		wait, n = r.DelayFrom(now), n-part
	}
	return wait
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Rates are limits as people ask for them, in bytes per second; 0 is none.
type Rates struct {
	Down int64 // all that comes
	Hub  int64 // what of it comes from the Hub, its mirrors and what stands behind them
}

// Limits are rates in force. The zero value bounds nothing.
type Limits struct{ Down, Hub *Limit }

// New are limits of so much.
func New(r Rates) Limits { return Limits{NewLimit(r.Down), NewLimit(r.Hub)} }

// Rates is what they are.
func (l Limits) Rates() Rates { return Rates{l.Down.Rate(), l.Hub.Rate()} }
