package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNodesFindEachOther(t *testing.T) {
	l := New(t, Options{Hosts: 4})
	l.NewHub(synthetic("acme/tiny", "model.safetensors", 3<<20)...)
	first, late := l.Hosts[:3], l.Hosts[3]
	for _, h := range first {
		h.Up()
	}
	meet(t, 5*time.Second, 2, first...)

	lateNode := late.Up()
	meet(t, 5*time.Second, 3, l.Hosts...)

	get(t, late, "acme/tiny", "model.safetensors")
	announced(t, first[0], late, "acme/tiny", "model.safetensors")
	lateNode.Kill()
	Eventually(t, 15*time.Second, "a killed holder is gone from where", func() bool {
		return !where(t, first[0], "acme/tiny", "model.safetensors").holds(late)
	})
}

func TestNodesFindEachOtherWithoutARouter(t *testing.T) {
	l := New(t, Options{Hosts: 3, NoRoute: true})
	for _, h := range l.Hosts {
		l.sysctl(h.space, "net.ipv6.conf.all.disable_ipv6=1")
		h.Up()
	}
	meet(t, 5*time.Second, 2, l.Hosts...)
}

func TestGracefulLeaveIsSeenAtOnce(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	a, b := l.Hosts[0], l.Hosts[1]
	a.Up()
	node := b.Up()
	meet(t, 5*time.Second, 1, a, b)
	require.Zero(t, node.Stop())
	meet(t, 3*time.Second, 0, a)
}

func TestCutSwarmHeals(t *testing.T) {
	l := New(t, Options{Hosts: 3})
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	for _, h := range l.Hosts {
		h.Up()
	}
	meet(t, 5*time.Second, 2, a, b, c)
	l.Cut(c)
	meet(t, 40*time.Second, 1, a, b)
	meet(t, 40*time.Second, 0, c)
	l.Heal(c)
	meet(t, 30*time.Second, 2, a, b, c)
}

func TestTwoNodesOfOneHost(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	one, two := l.Hosts[0].As("one"), l.Hosts[0].As("two")
	one.Up()
	second := two.Up("--api-port", "7800")
	require.False(t, second.Ended())
	meet(t, 5*time.Second, 1, one)
}

func TestSwarmsOfDifferentNamesStayApart(t *testing.T) {
	l := New(t, Options{Hosts: 3})
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	a.Up("--swarm", "physics")
	b.Up("--swarm", "physics")
	stranger := c.Up("--swarm", "biology")
	meet(t, 5*time.Second, 1, a, b)
	require.Zero(t, peers(t, c))
	require.False(t, stranger.Said("ERR"), stranger.report())
}

func TestStaticPeersWithoutMulticast(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	a, b := l.Hosts[0], l.Hosts[1]
	a.Up("--no-mdns")
	b.Up("--no-mdns", "--peer", a.Addr)
	meet(t, 10*time.Second, 1, a, b)
}
