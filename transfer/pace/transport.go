package pace

import (
	"context"
	"io"
	"math"
	"net/http"
	"sync/atomic"
	"time"
)

// Transport bounds what answers' bodies bring.
type Transport struct {
	Next http.RoundTripper
	// Node bounds all requests together; the zero value does not.
	Node Limits
	// Hub says that what comes counts as the Hub's.
	Hub bool
}

// RoundTrip makes a request whose answer's body is read at the pace that the
// node's limits allow, and those of the request's context.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.Next.RoundTrip(req)
	if err != nil || resp.Body == http.NoBody {
		return resp, err
	}
	ctx := req.Context()
	limits := t.counting(nil, t.Node)
	if l, ok := ctx.Value(limitsKey{}).(Limits); ok {
		limits = t.counting(limits, l)
	}
	if len(limits) > 0 {
		held, _ := ctx.Value(heldKey{}).(*atomic.Int32)
		joint, _ := ctx.Value(jointKey{}).(*Joint)
		resp.Body = &body{from: resp.Body, ctx: ctx, limits: limits, joint: joint, via: t, held: held}
	}
	return resp, nil
}

// counting adds those limits that count here. Some that bound nothing now may do
// so before the body ends.
func (t *Transport) counting(all []*Limit, l Limits) []*Limit {
	if l.Down != nil {
		all = append(all, l.Down)
	}
	if l.Hub != nil && t.Hub {
		all = append(all, l.Hub)
	}
	return all
}

// CloseIdleConnections is for http.Client, which asks for it.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.Next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Tell counts in held how many bodies of requests under the context are waiting
// for their turn: bytes have come then, and whoever sends them is not to blame.
func Tell(ctx context.Context, held *atomic.Int32) context.Context {
	return context.WithValue(ctx, heldKey{}, held)
}

// body pays for bytes after it has read them: only then is it known how many
// there are. It reads no further before they are paid for. Small reads are paid
// for together, or each would wait for as long as a large one.
type body struct {
	from   io.ReadCloser
	ctx    context.Context // of the request
	limits []*Limit
	joint  *Joint // whose shared limits come and go; may be nil
	via    *Transport
	held   *atomic.Int32 // may be nil
	owed   int
}

// all are the limits that hold now.
func (b *body) all() []*Limit {
	if b.joint == nil {
		return b.limits
	}
	shared := b.joint.shared.Load()
	if shared == nil {
		return b.limits
	}
	return b.via.counting(b.limits[:len(b.limits):len(b.limits)], *shared)
}

func (b *body) Read(p []byte) (int, error) {
	piece := math.MaxInt
	for _, l := range b.all() {
		piece = min(piece, l.Piece())
	}
	if piece == math.MaxInt {
		return b.from.Read(p)
	}
	n, err := b.from.Read(p[:min(len(p), max(piece-b.owed, 1))])
	if b.owed += n; b.owed >= piece || err != nil {
		b.pay()
	}
	return n, err
}

// pay counts what is owed against all limits and waits for the slowest. Where
// the request ends meanwhile, the next read will say so.
func (b *body) pay() {
	if wait := b.count(); wait > 0 {
		if b.held != nil {
			b.held.Add(1)
			defer b.held.Add(-1)
		}
		_ = pause(b.ctx, wait)
	}
}

func (b *body) count() (wait time.Duration) {
	if b.owed > 0 {
		now := time.Now()
		for _, l := range b.all() {
			wait = max(wait, l.count(now, b.owed))
		}
		b.owed = 0
	}
	return wait
}

func (b *body) Close() error {
	b.count() // who comes next waits for it
	return b.from.Close()
}
