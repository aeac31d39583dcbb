package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cli/control"
	"hffs/cli/doctor"
)

// named is a node that nobody finds by multicast.
func (l *lan) named(home string) *Node {
	l.t.Helper()
	l.limit = func(cfg *Config) { cfg.NoMDNS = true }
	n, _ := l.up(home)
	return n
}

// awaitPeer waits until a node tells of another one as it is wanted.
func (l *lan) awaitPeer(n *Node, what string, is func(control.KnownPeer) bool) (found control.KnownPeer) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		p, err := n.Peers(l.t.Context())
		require.NoError(l.t, err)
		require.Equal(l.t, n.Name(), p.Node)
		i := slices.IndexFunc(p.Peers, is)
		if i >= 0 {
			found = p.Peers[i]
		}
		return i >= 0
	}, 30*time.Second, 50*time.Millisecond, what)
	return found
}

func TestAddedPeerIsJoinedAtOnceAndShown(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	home := t.TempDir()
	a, b := l.named(home), l.named(t.TempDir())
	list := AddedPeers(l.config(home).Place)
	nobody := fmt.Sprintf("127.0.0.1:%d", freePair(t))
	for _, p := range []string{b.gossipAddr(), nobody, a.gossipAddr()} {
		fresh, err := list.Add(p)
		require.NoError(t, err)
		require.True(t, fresh)
	}
	l.peers(a, 1)
	l.peers(b, 1)
	p := l.awaitPeer(a, "the added one", func(p control.KnownPeer) bool { return p.Member && p.Alive })
	require.Equal(t, []string{"added"}, p.Found)
	require.Equal(t, b.gossipAddr(), p.Addr)
	require.Equal(t, b.Name(), p.Node)
	require.Positive(t, *p.Trip)
	require.InDelta(t, 0, *p.Ahead, 60)
	back := l.awaitPeer(b, "who came", func(p control.KnownPeer) bool { return p.Member && p.Alive })
	require.Equal(t, []string{"gossip"}, back.Found)

	gone := l.awaitPeer(a, "nobody", func(p control.KnownPeer) bool { return p.Addr == nobody })
	require.False(t, gone.Alive)
	require.NotEmpty(t, gone.Problem)
	own := l.awaitPeer(a, "itself", func(p control.KnownPeer) bool { return p.Addr == a.gossipAddr() })
	require.Contains(t, own.Problem, "itself")

	was, err := list.Remove(b.gossipAddr())
	require.NoError(t, err)
	require.True(t, was)
	l.awaitPeer(a, "a member all the same", func(p control.KnownPeer) bool { return p.ID == b.id && p.Member })
}

// freePair is a port that nobody has, nor the one above.
func freePair(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		m, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err == nil {
			m.Close()
			return port
		}
	}
}

func TestPasserbyAsksAddedPeers(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	n := l.named(t.TempDir())
	_, err := n.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(n)
	cfg := l.config(t.TempDir())
	cfg.NoMDNS = true
	list := AddedPeers(cfg.Place)
	for _, p := range []string{fmt.Sprintf("127.0.0.1:%d", freePair(t)), n.gossipAddr()} {
		_, err := list.Add(p)
		require.NoError(t, err)
	}
	p := l.passerWhoFound(cfg)
	require.Len(t, p.asking.doors.Doors, 1, "who does not answer is not asked again")
	got, err := p.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	require.Equal(t, l.size, bytesBy(got, "peer"))
}

func TestAskAdded(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	n := l.named(t.TempDir())
	cfg := l.config(t.TempDir())
	p, err := AskAdded(t.Context(), cfg)
	require.NoError(t, err)
	require.Empty(t, p.Peers)
	_, err = AddedPeers(cfg.Place).Add(n.gossipAddr())
	require.NoError(t, err)
	p, err = AskAdded(t.Context(), cfg)
	require.NoError(t, err)
	require.Len(t, p.Peers, 1)
	require.True(t, p.Peers[0].Alive)
	require.False(t, p.Peers[0].Member)
	require.Equal(t, n.Name(), p.Peers[0].Node)
	cfg.Swarm = "another"
	require.Contains(t, AskPeer(t.Context(), cfg, n.gossipAddr()).Problem, "another swarm")

	require.NoError(t, os.WriteFile(AddedPeers(cfg.Place).Path, []byte("{"), 0o600))
	_, err = AskAdded(t.Context(), cfg)
	require.Equal(t, control.CodeStorage, Explain(err).Code)
	require.NotEmpty(t, Explain(err).Hint)
}

// examine has all checks look, and gives their lines by check.
func examine(t *testing.T, cfg Config) map[string][]doctor.Line {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	none := func(string) string { return "" }
	w, done, err := Examine(ctx, cfg, none, none)
	require.NoError(t, err)
	defer done()
	by := map[string][]doctor.Line{}
	doctor.Run(ctx, w, doctor.Checks(), time.Minute, func(l doctor.Line) { by[l.Check] = append(by[l.Check], l) })
	return by
}

func TestDoctorWithANode(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	home := t.TempDir()
	a, b := l.named(home), l.named(t.TempDir())
	_, err := AddedPeers(l.config(home).Place).Add(b.gossipAddr())
	require.NoError(t, err)
	l.peers(a, 1)
	cfg := l.config(home)
	cfg.NoMDNS = true
	by := examine(t, cfg)
	require.Contains(t, by["node"][0].Text, a.Name())
	require.Len(t, by["reach"], 3)
	for _, line := range by["reach"] {
		require.Equal(t, doctor.OK, line.State, line)
		require.Contains(t, line.Text, b.Name()+" gets through")
	}
	require.Contains(t, by["peers"][0].Text, b.Name())
	require.Equal(t, doctor.OK, by["hub"][0].State)
	require.Equal(t, doctor.OK, by["clock"][0].State)
}

// TestDoctorWithoutANode: the ports are opened for the moment, and a peer that was added
// gets through to them, by UDP as well, where nothing answers it.
func TestDoctorWithoutANode(t *testing.T) {
	l := newLAN(t)
	n := l.named(t.TempDir())
	<-n.swarm.Ready() // before that its port is anybody's who tries it, as doctor does
	cfg := l.config(t.TempDir())
	cfg.NoMDNS = true
	_, err := AddedPeers(cfg.Place).Add(n.gossipAddr())
	require.NoError(t, err)
	by := examine(t, cfg)
	require.Equal(t, doctor.Warn, by["node"][0].State)
	require.Contains(t, by["peers"][0].Text, n.Name())
	if by["ports"][0].State == doctor.Warn { // another test has them just now
		require.Contains(t, by["reach"][0].Text, "not tried")
		return
	}
	for _, line := range by["reach"] {
		require.Equal(t, doctor.OK, line.State, line)
	}
}
