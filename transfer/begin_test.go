package transfer

import (
	"context"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/crossing"
	"hffs/transfer/source"
)

// asked notes the ranges that its source is asked for, and answers when it is let.
type asked struct {
	source.Source
	mu     sync.Mutex // guards ranges
	ranges []stretch
	some   chan struct{} // one for each range
	answer chan struct{} // closed: it answers
}

func (a *asked) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	a.mu.Lock()
	a.ranges = append(a.ranges, stretch{off, off + n})
	a.mu.Unlock()
	a.some <- struct{}{}
	select {
	case <-a.answer:
		return a.Source.Open(ctx, e, off, n)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestWhoMayNotBeAloneAsksForLittle: as long as others may have begun with the same
// blob, a holder is asked for whole cells, one at a time; otherwise for more.
func TestWhoMayNotBeAloneAsksForLittle(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]bool{"others": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, big)
			holder := &asked{Source: w.peer("holder"), some: make(chan struct{}, 1000), answer: make(chan struct{})}
			w.peers[0] = holder
			tr := w.transfer()
			tr.cfg.Peers = func(context.Context, ref.Entry) (Found, error) {
				return Found{Holders: w.peers, Others: others}, nil
			}
			got := make(chan error, 1)
			go func() {
				_, err := tr.Get(t.Context(), w.file(), nil)
				got <- err
			}()
			for range errandsPerPeer {
				<-holder.some
			}
			holder.mu.Lock()
			first := holder.ranges[:errandsPerPeer]
			holder.mu.Unlock()
			close(holder.answer)
			require.NoError(t, <-got)
			for _, r := range first {
				cell := crossing.CellBytes(big)
				if !others {
					require.Greater(t, r.to-r.from, cell)
					continue
				}
				require.Zero(t, r.from%cell, "%v begins with a cell", r)
				require.Equal(t, min(r.from+cell, big), r.to, "%v is one cell", r)
			}
		})
	}
}

// TestHolderIsAnOriginAtOnce: without a Hub a node can draw as soon as a holder is
// found, and says so.
func TestHolderIsAnOriginAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, big)
	part, err := w.cache.Begin(t.Context(), w.entry)
	require.NoError(t, err)
	defer part.Close()
	f := newFetch(w.transfer(), w.entry, part, newBoard())
	fellow := f.crowd.add([]source.Source{w.peer("fellow")})[0]
	fellow.node, fellow.has = "fellow", chunk.NewHave(f.m.Len())
	f.take(nil)
	require.False(t, f.co.bulletin.draws)
	f.take([]source.Source{w.peer("holder")})
	require.True(t, f.co.bulletin.draws)
}
