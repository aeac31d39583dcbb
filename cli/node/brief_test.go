package node

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cli/control"
	"hffs/transfer/peer"
)

// A node for one command is there for it, is known to end with it, and does end.
func TestBriefNode(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	holder, _ := l.up(t.TempDir())
	_, err := holder.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(holder)
	sent := l.hub.BodyBytes(repo, file)

	cfg := l.config(t.TempDir())
	cfg.NoMDNS, cfg.Peers = true, []string{holder.gossipAddr()}
	n, err := New(cfg)
	require.NoError(t, err)
	defer n.Close()
	worked := false
	err = n.RunBriefly(t.Context(), func() context.Context {
		worked = true
		p := Running(cfg.Place.State, cfg.Place.Hub)
		require.NotNil(t, p)
		require.True(t, p.Brief)
		require.Equal(t, n.API(), p.Addr)
		l.peers(n, 1) // at once, unless the machine is busy
		got, err := control.NewClient(p.Addr, p.Key).Get(t.Context(), ask, nil)
		require.NoError(t, err)
		require.Equal(t, holder.Name(), got.Sources[0].Name)
		return t.Context()
	})
	require.NoError(t, err)
	require.True(t, worked)
	require.Equal(t, sent, l.hub.BodyBytes(repo, file))
	require.Nil(t, Running(cfg.Place.State, cfg.Place.Hub))
}

func TestBriefNodeWaitsForNobodyWhenTold(t *testing.T) {
	t.Parallel()
	cfg := newLAN(t).config(t.TempDir())
	n, err := New(cfg)
	require.NoError(t, err)
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	worked := false
	require.NoError(t, n.RunBriefly(ctx, func() context.Context { worked = true; return ctx }))
	require.True(t, worked)
}

func TestNodesThatStayAreFoundFirst(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	cfg := l.config(t.TempDir())
	n, err := New(cfg)
	require.NoError(t, err)
	defer n.Close()
	require.NoError(t, n.RunBriefly(t.Context(), func() context.Context {
		second, stop := l.up(cfg.Place.Home)
		defer stop()
		require.Eventually(t, func() bool { return len(Places(cfg.Place.State)) == 2 }, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, second.API(), Running(cfg.Place.State, cfg.Place.Hub).Addr)
		return t.Context()
	}))
}

// Only who comes for bytes is waited for.
func TestBlobsThrough(t *testing.T) {
	t.Parallel()
	yes := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	no := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {})
	h := blobsThrough(yes, no)
	for path, want := range map[string]int{
		peer.PathBlobs + "248dfc39": http.StatusTeapot, peer.PathChunks: http.StatusTeapot, "/v1/manifest": http.StatusOK, "/v1/lookup": http.StatusOK,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, want, w.Code, path)
	}
}
