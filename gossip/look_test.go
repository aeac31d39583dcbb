package gossip

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/gossip/directory"
)

func TestLook(t *testing.T) {
	t.Parallel()
	n := swarmOf(t, 1)[0]
	n.Hold(holding(3))
	require.Eventually(t, func() bool {
		l, err := Look(t.Context(), n.doorAddr(), n.cfg.Swarm)
		return err == nil && l.Files > 0 && l.Bytes > 0
	}, 10*time.Second, 10*time.Millisecond)
	l, err := Look(t.Context(), n.doorAddr(), n.cfg.Swarm)
	require.NoError(t, err)
	require.Equal(t, directory.Node{ID: n.cfg.NodeID, Name: n.cfg.Name, Addr: n.doorAddr()}, l.Node)
	require.Equal(t, n.cfg.Version, l.Version)
	require.Positive(t, l.RoundTrip)
	require.WithinDuration(t, time.Now(), l.Clock, time.Minute)

	l, err = Look(t.Context(), n.doorAddr(), "another")
	require.ErrorIs(t, err, ErrStranger)
	require.False(t, l.Clock.IsZero(), "the time it tells to all")
	_, err = Look(t.Context(), closedPort(t), n.cfg.Swarm)
	require.Error(t, err)
}

func TestLookRefusesNonsense(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{
		"no JSON":           "<html>",
		"nobody":            `{"members":[]}`,
		"only others":       `{"members":[{"id":"0123456789abcdef","name":"a","addr":"10.0.0.1:1"}]}`,
		"no id":             `{"members":[{"id":"me","name":"a","self":true}]}`,
		"less than nothing": `{"members":[{"id":"0123456789abcdef","name":"a","self":true,"files":-1}]}`,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(said)) }))
		_, err := Look(t.Context(), netip.MustParseAddrPort(s.Listener.Addr().String()), "")
		require.Error(t, err, name)
		s.Close()
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 2)
	at := netip.AddrPortFrom(nodes[1].doorAddr().Addr(), uint16(nodes[1].Port()))
	_, err := nodes[0].Probe(t.Context(), "", at)
	require.NoError(t, err, "whoever is there answers")
	_, err = nodes[0].Probe(t.Context(), "", closedPort(t))
	require.Error(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = nodes[0].Probe(ctx, "", closedPort(t))
	require.ErrorIs(t, err, context.Canceled)
}
