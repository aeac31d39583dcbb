package lab

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the Hub offers by Xet comes from an honest node and from one that lies: it
// arrives whole and without the Hub, a lie costs a span at most, and who told it
// is named wherever one would look.
func TestLiesAboutChunks(t *testing.T) {
	const size = 30_000_000
	kinds := []string{"flip", "swap", "map", "other"}
	l := New(t, Options{Hosts: 3})
	args := []string{"--xet"}
	for i, kind := range kinds {
		args = append(args, synthetic(bigRepo, kind+".bin", size+int64(i))...) // each has bytes of its own
	}
	hub := l.NewHub(args...)
	a, honest := l.Hosts[0], l.Hosts[1]
	honest.Up()
	node := a.Up("-vv")
	for _, kind := range kinds {
		get(t, honest, bigRepo, kind+".bin")
	}
	for _, h := range l.Hosts {
		h.Rate("200mbit")
	}
	sent := hub.AllBytes()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			g := getFromALiar(t, l, kind)
			require.Equal(t, sent, hub.AllBytes(), "the Hub sends nothing")
			require.Equal(t, g.Size, g.from("peer"), "%v", g.Sources)
			named(t, a, node, g, "liar-"+kind)
		})
	}
}

// getFromALiar has host A get a file that an honest node on B and a liar on C
// offer, and proves that the lie was told and what it cost.
func getFromALiar(t *testing.T, l *Lab, kind string) gotJSON {
	t.Helper()
	// What a lie may cost: the span in which it was found out, and what came
	// meanwhile of others that the liar was to bring.
	const span = 4 << 20
	a, honest, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	lie := act(c, strings.Join([]string{"forger", kind, c.Addr, honest.Addr + ":7766", honest.Addr + ":7767", kind + ".bin"}, " "))
	lie.WaitFor("lying", 20*time.Second)
	announced(t, a, honest, bigRepo, kind+".bin")
	announced(t, a, c, bigRepo, kind+".bin")
	before := a.Received()
	// Whoever gives a true map first ends the search for one.
	aboutMaps := kind == "map" || kind == "other"
	if aboutMaps {
		honest.node(t).Pause()
	}
	p := a.Start(Binary(t), "get", bigRepo, kind+".bin", "--json")
	if aboutMaps {
		lie.WaitFor("lied: "+kind, 20*time.Second)
		honest.node(t).Resume()
	}
	g := finish(t, p)
	came := a.Received() - before
	t.Logf("%d bytes came in: %v; dropped %v", came, g.Sources, g.Dropped)
	require.True(t, lie.Said("lied: "+kind), lie.report())
	require.LessOrEqual(t, came, g.Size*104/100+span, "a lie costs a span")
	return g
}

// named proves that a liar is named in the answer, in the log and in the status.
func named(t *testing.T, h *Host, node *Process, g gotJSON, name string) {
	t.Helper()
	by := func(n noteJSON) bool { return strings.Contains(n.Source, name) }
	var s statusJSON
	h.HffsJSON(&s, "status")
	assert.True(t, slices.ContainsFunc(g.Dropped, by), "get names %s: %v, warnings %q", name, g.Dropped, g.Warnings)
	assert.True(t, slices.ContainsFunc(s.Dropped, by), "status names %s: %v", name, s.Dropped)
	warned := regexp.MustCompile(`(?m)^.*level=WARN.*` + name)
	assert.True(t, warned.MatchString(node.Err.String()), "the log names %s", name)
}
