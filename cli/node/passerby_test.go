package node

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// TestPasserbyReusesWhatPeersHold: an old revision is with a peer, the new one
// with nobody but the Hub, and no node runs here.
func TestPasserbyReusesWhatPeersHold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nodes int // the first holds the old revision, the passer-by may name the last
		alter func(cfg *Config, last *Node)
	}{
		"found by mDNS": {1, func(*Config, *Node) {}},
		"named beside the holder": {2, func(cfg *Config, last *Node) {
			cfg.NoMDNS, cfg.Peers = true, []string{"127.0.0.1:1", last.gossipAddr()} // the first is not there
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			first, second, _, want := l.revisions(chunk.Current)
			a, _ := l.up(t.TempDir())
			last := a
			if c.nodes > 1 {
				last, _ = l.up(t.TempDir())
				l.peers(a, 1)
				l.peers(last, 1)
			}
			_, err := a.Get(t.Context(), l.at(first), nil)
			require.NoError(t, err)
			l.learnt(a, first)
			l.tells(last, file)
			before := l.hub.XorbBytes() + l.hub.AllBodyBytes()

			cfg := l.config(t.TempDir())
			c.alter(&cfg, last)
			got, err := l.passerWhoFound(cfg).Get(t.Context(), l.at(second), nil)
			require.NoError(t, err)
			data, err := os.ReadFile(got.Path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, data))
			size := int64(len(want))
			require.Less(t, l.hub.XorbBytes()+l.hub.AllBodyBytes()-before, size*4/100, "%+v", got.Sources)
			require.Greater(t, bytesBy(got, "peer"), size*96/100, "%+v", got.Sources)
			require.Equal(t, size, bytesBy(got, "peer")+bytesBy(got, "hub"), "%+v", got.Sources)
		})
	}
}

// passerWhoFound is a passer-by whose search has ended well: on a busy machine the
// answers may come after it.
func (l *lan) passerWhoFound(cfg Config) (p *Passerby) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		var err error
		p, err = NewPasserby(cfg)
		require.NoError(l.t, err)
		p.engine.searched(l.t.Context())
		if len(p.engine.nodes(l.t.Context())) > 0 {
			return true
		}
		p.Close()
		return false
	}, 30*time.Second, time.Millisecond)
	l.t.Cleanup(p.Close)
	return p
}

// gossipAddr is what other machines name the node by: its door is one port above.
func (n *Node) gossipAddr() string {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(n.doorPort()-1)).String()
}

// tells waits until the node answers strangers that somebody holds a version.
func (l *lan) tells(n *Node, path string) {
	l.t.Helper()
	p := l.asker(n)
	require.Eventually(l.t, func() bool {
		all, err := p.Versions(l.t.Context(), repo, path)
		return err == nil && len(all) == 1 && all[0].Blob.Xet != ""
	}, 20*time.Second, 10*time.Millisecond)
}

// TestPasserbyAloneAsksNobody: with no peer there is nothing that could be waited
// for after the search.
func TestPasserbyAloneAsksNobody(t *testing.T) {
	t.Parallel()
	cfg := newLAN(t).config(t.TempDir()).fill()
	a := newAsking(t.Context(), cfg, nil, &passersby{})
	a.wait(t.Context())
	gone, cancel := context.WithCancel(t.Context())
	cancel() // whoever waited would say so
	versions, err := a.Versions(gone, repo, file)
	require.Empty(t, versions)
	require.ErrorContains(t, err, "no member")
	nodes, err := a.Nodes(gone, probeMost)
	require.Empty(t, nodes)
	require.ErrorContains(t, err, "no member")
}

// TestNamedPeersAreAskedWhileTheSearchGoesOn: who was named does not have to wait
// for multicast that nobody answers.
func TestNamedPeersAreAskedWhileTheSearchGoesOn(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	first, _, _, _ := l.revisions(chunk.Current)
	n, _ := l.up(t.TempDir())
	_, err := n.Get(t.Context(), l.at(first), nil)
	require.NoError(t, err)
	l.tells(n, file)
	a := &asking{start: func() {}, began: time.Now(), found: make(chan struct{}), doors: l.asker(n)} // found is never closed
	versions, err := a.Versions(t.Context(), repo, file)
	require.NoError(t, err)
	require.Equal(t, []ref.Commit{first}, commitsOf(versions))
	nodes, err := a.Nodes(t.Context(), probeMost)
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	require.Equal(t, n.Name(), nodes[0].Name)
}

func commitsOf(all []ref.Entry) (cs []ref.Commit) {
	for _, e := range all {
		cs = append(cs, e.Commit)
	}
	return cs
}

// TestSilentPeerDoesNotKeepAPasserbyFromTheHub: somebody takes the connection and
// says nothing.
func TestSilentPeerDoesNotKeepAPasserbyFromTheHub(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	_, second, _, _ := l.revisions(chunk.Current)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	cfg := l.config(t.TempDir())
	cfg.NoMDNS = true
	cfg.Peers = []string{fmt.Sprint("127.0.0.1:", silent.Addr().(*net.TCPAddr).Port-1)}
	p, err := NewPasserby(cfg)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	got, err := p.Get(t.Context(), l.at(second), nil)
	require.NoError(t, err)
	require.Equal(t, "hub", got.Sources[0].Kind)
}
