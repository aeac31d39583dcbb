package transfer

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// TestSilentPeerThatIsAskedTwiceHoldsNothingUp: whoever has fallen silent is asked once
// more, and is silent again. Others need not wait until both requests are given up.
func TestSilentPeerThatIsAskedTwiceHoldsNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	silent := w.peer("silent")
	silent.stallAt = big - 3*chunk.FixedLen
	var given, before atomic.Int32
	w.peers[0] = &forsaken{silent, &given}
	hub := w.theHub()
	w.hub[0] = &late{hub, &given, &before}
	w.get()
	require.Positive(t, hub.sent.Load())
	require.Zero(t, before.Load(), "the Hub was asked only when the peer had been given up")
}

// forsaken counts how often its source was given up in the middle of sending.
type forsaken struct {
	*teller
	given *atomic.Int32
}

func (f *forsaken) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	body, err := f.teller.Open(ctx, e, off, n)
	return &forsakenBody{body, f.given}, err
}

type forsakenBody struct {
	io.ReadCloser
	given *atomic.Int32
}

func (b *forsakenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, context.Canceled) {
		b.given.Add(1)
	}
	return n, err
}

// late notes how often another source had been given up when it was first asked.
type late struct {
	*teller
	given, before *atomic.Int32
}

func (l *late) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	l.before.CompareAndSwap(0, l.given.Load())
	return l.teller.Open(ctx, e, off, n)
}
