package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cli/control"
	"hffs/transfer/hub/standin"
)

// upAt runs a node with limits.
func (l *lan) upAt(down, up, hub int64) *Node {
	l.t.Helper()
	l.limit = func(c *Config) { c.LimitDown, c.LimitUp, c.LimitHub = down, up, hub }
	defer func() { l.limit = nil }()
	n, _ := l.up(l.t.TempDir())
	return n
}

// atMost: no more than a limit let pass since, as far as a clock can tell.
func atMost(t *testing.T, rate, bytes int64, began time.Time) {
	t.Helper()
	require.LessOrEqual(t, float64(bytes), float64(rate)*time.Since(began).Seconds()+float64(rate)/10)
}

// TestLimitedDownloadIsNotHelped: a neighbour that is read slowly by choice is not
// slow, so the Hub is left alone, and nobody is said to have stalled.
func TestLimitedDownloadIsNotHelped(t *testing.T) {
	t.Parallel()
	const rate, size = 2_000_000, 6_000_000
	for name, c := range map[string]struct {
		node int64
		ask  int64
	}{"by the node": {node: rate}, "by the command": {ask: rate}, "by both": {node: 9 * rate, ask: rate}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			l.hub.Add(repo, "main", map[string]standin.Content{file: standin.Synthetic(3, size)})
			a, b := l.upAt(0, 0, 0), l.upAt(c.node, 0, 0)
			l.peers(b, 1)
			_, err := a.Get(t.Context(), ask, nil)
			require.NoError(t, err)
			l.shares(a)
			sent := l.hub.BodyBytes(repo, file)

			question := ask
			question.LimitDown = c.ask
			began := time.Now()
			var inForce control.Limits
			got, err := b.Get(t.Context(), question, func(control.Progress) {
				s, err := b.Status(t.Context())
				if err == nil && len(s.Transfers) > 0 {
					inForce = s.Transfers[0].Limits
				}
			})
			require.NoError(t, err)
			atMost(t, rate, size, began)
			require.Equal(t, []control.Source{{Kind: "peer", Name: a.Name(), Bytes: size}}, got.Sources)
			require.Empty(t, got.Warnings)
			require.Equal(t, sent, l.hub.BodyBytes(repo, file))
			require.Equal(t, control.Limits{Down: c.ask}, inForce)
		})
	}
}

// TestLimitTowardTheHub, by either protocol.
func TestLimitTowardTheHub(t *testing.T) {
	t.Parallel()
	const rate = 8_000_000
	l := newLAN(t)
	n := l.upAt(0, 5_000_000, rate)
	s, err := n.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, control.Limits{Up: 5_000_000, Hub: rate}, s.Limits)
	began := time.Now()
	got, err := n.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	require.Equal(t, l.size, got.Size)
	atMost(t, rate, l.size, began)
}

// TestLimitOfWhatIsSent: who asks gets help from the Hub, but no more than the limit
// from the peer.
func TestLimitOfWhatIsSent(t *testing.T) {
	t.Parallel()
	const rate = 3_000_000
	l := newLAN(t)
	a, b := l.upAt(0, rate, 0), l.upAt(0, 0, 0)
	l.peers(b, 1)
	_, err := a.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(a)
	began := time.Now()
	_, err = b.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	s, err := a.Status(t.Context())
	require.NoError(t, err)
	require.NotZero(t, s.Shares.Sent)
	atMost(t, rate, s.Shares.Sent, began)
}
