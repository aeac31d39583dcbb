package discovery

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	swarmA = "00000000000000aa"
	swarmB = "00000000000000bb"
	nodeA  = "0123456789abcdef"
	nodeB  = "fedcba9876543210"
)

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

func addrs(list ...string) (as []netip.Addr) {
	for _, a := range list {
		as = append(as, netip.MustParseAddr(a))
	}
	return as
}

// lookFor runs f until it has found a peer on gossip port 4711, and checks what
// every Finder promises on the way.
func lookFor(t *testing.T, f Finder) Peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var inside, over atomic.Bool
	got := make(chan Peer, 1)
	done := make(chan error, 1)
	go func() {
		done <- f.Find(ctx, func(p Peer) {
			if !inside.CompareAndSwap(false, true) || over.Load() {
				t.Error("found was called twice at a time, or after Find had returned")
			}
			defer inside.Store(false)
			if p.Gossip == 4711 {
				select {
				case got <- p:
				default:
				}
			}
		})
		over.Store(true)
	}()
	var p Peer
	select {
	case p = <-got:
	case <-ctx.Done():
		t.Fatal("the peer was not found")
	}
	cancel()
	require.NoError(t, <-done)
	return p
}

func TestFinders(t *testing.T) {
	t.Parallel()
	peer := Peer{Member: nodeA + "-00000001", Node: nodeA, Addrs: addrs("127.0.0.1"), Gossip: 4711, Door: 4712}
	memory := func(*testing.T) Finder {
		var m Memory
		m.Add(peer)
		return &m
	}
	static := func(t *testing.T) Finder {
		s, err := NewStatic([]string{"127.0.0.1:4711"}, 1, nil)
		require.NoError(t, err)
		return s
	}
	for name, c := range map[string]struct {
		make func(*testing.T) Finder
		want Peer
	}{
		"memory": {memory, peer.from("memory")},
		"static": {static, Peer{Addrs: peer.Addrs, Gossip: 4711, Door: 4712, From: "static"}},
		"remembered": {func(t *testing.T) Finder {
			r := OpenRemembered(RememberedConfig{Path: filepath.Join(t.TempDir(), "peers.json"), Swarm: swarmA})
			r.Saw(peer)
			return r
		}, peer.from("remembered")},
		"mdns": {func(t *testing.T) Finder {
			service := freshService(t)
			announce(t, service, Self{peer.Member, peer.Node, swarmA, peer.Addrs, peer.Gossip, peer.Door})
			return NewMDNS(MDNSConfig{Swarm: swarmA, Service: service, Loopback: true})
		}, peer.from("mdns")},
		"several":             {func(t *testing.T) Finder { return Both(&Memory{}, memory(t)) }, peer.from("memory")},
		"several at once":     {func(t *testing.T) Finder { return Both(memory(t), memory(t), memory(t)) }, peer.from("memory")},
		"one that has ended":  {func(t *testing.T) Finder { return Both(ended{}, memory(t)) }, peer.from("memory")},
		"none beside another": {func(t *testing.T) Finder { return Both(Both(), memory(t)) }, peer.from("memory")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, lookFor(t, c.make(t)))
		})
	}
}

func (p Peer) from(finder string) Peer {
	p.From = finder
	return p
}

type ended struct{ err error }

func (e ended) Find(context.Context, func(Peer)) error { return e.err }

func TestBothTellsTheErrorAtTheEnd(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var m Memory
	m.Add(Peer{Gossip: 1})
	ctx, cancel := context.WithCancel(t.Context())
	err := Both(ended{broken}, &m).Find(ctx, func(Peer) { cancel() })
	require.ErrorIs(t, err, broken)
}

func TestMemoryFindsLaterOnes(t *testing.T) {
	t.Parallel()
	var m Memory
	m.Add(Peer{Gossip: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ports []uint16
	require.NoError(t, m.Find(ctx, func(p Peer) {
		ports = append(ports, p.Gossip)
		if len(ports) == 3 {
			cancel()
			return
		}
		m.Add(Peer{Gossip: p.Gossip + 1})
	}))
	require.Equal(t, []uint16{1, 2, 3}, ports)
}
