package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	bigRepo = "acme/big"
	bigFile = "model.safetensors"
	bigSize = 200_000_000
)

// twoHolders is a lab in which B and C run nodes that hold the big file. The
// cables get slow only when they have it.
func twoHolders(t *testing.T, o Options, size int64) (*Lab, *Hub) {
	t.Helper()
	l := New(t, Options{Hosts: o.Hosts})
	hub := l.NewHub(synthetic(bigRepo, bigFile, size)...)
	for _, h := range l.Hosts[1:3] {
		h.Up("-vv")
		get(t, h, bigRepo, bigFile)
	}
	b, c := l.Hosts[1], l.Hosts[2]
	announced(t, b, c, bigRepo, bigFile)
	announced(t, c, b, bigRepo, bigFile)
	for _, h := range l.Hosts {
		h.Rate(o.Rate)
	}
	return l, hub
}

func TestFileComesFromBothHolders(t *testing.T) {
	l, hub := twoHolders(t, Options{Hosts: 4, Rate: "500mbit"}, bigSize)
	sent := hub.Bytes(bigRepo, bigFile)
	fromBoth := func(t *testing.T, g gotJSON) {
		require.Len(t, g.Sources, 2)
		for _, s := range g.Sources {
			require.Equal(t, "peer", s.Kind)
			require.GreaterOrEqual(t, s.Bytes, int64(bigSize/4), "%s sends its share: %v", s.Name, g.Sources)
		}
		require.EqualValues(t, bigSize, g.from("peer"))
		require.Equal(t, sent, hub.Bytes(bigRepo, bigFile), "the Hub sends nothing of it")
	}
	t.Run("without a node of its own", func(t *testing.T) {
		fromBoth(t, get(t, l.Hosts[3], bigRepo, bigFile))
	})
	t.Run("through its node", func(t *testing.T) {
		a := l.Hosts[0]
		a.Up()
		meet(t, 5*time.Second, 2, a)
		announced(t, a, l.Hosts[1], bigRepo, bigFile)
		announced(t, a, l.Hosts[2], bigRepo, bigFile)
		fromBoth(t, get(t, a, bigRepo, bigFile))
	})
}

func TestHubServesFirstThenTheNeighbour(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	hub := l.NewHub(append(synthetic("acme/tiny", "model.safetensors", 30_000_000),
		synthetic("acme/tiny", "config.json", 700)...)...)
	a, b := l.Hosts[0], l.Hosts[1]
	a.Up()
	b.Up()
	meet(t, 5*time.Second, 1, a, b)
	for _, file := range []string{"model.safetensors", "config.json"} {
		first := get(t, a, "acme/tiny", file)
		require.Equal(t, first.Size, first.from("hub"))
		sent := hub.Bytes("acme/tiny", file)
		require.Equal(t, first.Size, sent)
		announced(t, b, a, "acme/tiny", file)
		second := get(t, b, "acme/tiny", file)
		require.Equal(t, second.Size, second.from("peer"))
		require.Equal(t, sent, hub.Bytes("acme/tiny", file))
		require.Equal(t, first.Commit, second.Commit)
	}
	again := get(t, b, "acme/tiny", "config.json")
	require.Equal(t, again.Size, again.from("local"), "what is here is not fetched again")
}

func TestWhereNamesTheHolders(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	hub := l.NewHub(synthetic("acme/tiny", "model.safetensors", 3<<20)...)
	a, b := l.Hosts[0], l.Hosts[1]
	a.Up()
	b.Up()
	meet(t, 5*time.Second, 1, a, b)
	w := where(t, a, "acme/tiny", "model.safetensors")
	require.Nil(t, w.Local)
	require.Empty(t, w.Holders)
	require.True(t, w.Hub)
	g := get(t, b, "acme/tiny", "model.safetensors")
	announced(t, a, b, "acme/tiny", "model.safetensors")
	w = where(t, b, "acme/tiny", "model.safetensors")
	require.NotNil(t, w.Local)
	require.Equal(t, g.Path, *w.Local)
	require.Equal(t, g.ETag, w.ETag)
	hub.Down()
	var r Result
	Eventually(t, 10*time.Second, "the swarm answers alone", func() bool {
		r = a.Hffs("where", "acme/tiny", "model.safetensors", "--json")
		return r.Code == 0
	})
	require.Contains(t, r.Stdout, `"hub":false`)
	require.Contains(t, r.Stdout, `"complete":true`)
}
