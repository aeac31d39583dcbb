package lab

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// faultJSON is what the stand-in Hub is asked to break: see its fault.go.
type faultJSON struct {
	Do     string `json:"do"`
	N      int64  `json:"n,omitempty"`
	Path   string `json:"path,omitempty"`
	Host   string `json:"host,omitempty"`
	Method string `json:"method,omitempty"`
	Skip   int    `json:"skip,omitempty"`
	Times  int    `json:"times,omitempty"`
}

// Whatever goes wrong with the Xet side of the Hub, the file arrives, by the LFS
// bridge if need be, and the user hears nothing of it.
func TestXetFails(t *testing.T) {
	const (
		size    = 40_000_000
		recipes = "*/reconstructions/*"
		xorbs   = "/xorbs/*"
	)
	l := New(t, Options{Hosts: 1})
	hub := l.NewHub(append(synthetic(bigRepo, bigFile, size), "--xet")...)
	a := l.Hosts[0]
	for _, story := range []struct {
		name   string
		faults []faultJSON
		bridge bool // all has to come by it, since Xet has nothing to give
		tokens int  // how many are asked for, at the least
	}{
		{"nothing", nil, false, 1},
		{"the token expires on the way", []faultJSON{{Do: "status", N: 401, Path: recipes, Skip: 2, Times: 1}}, false, 2},
		{"all tokens are revoked on the way", []faultJSON{{Do: "revoke", Path: xorbs, Times: 1}}, false, 2},
		{"no token is good enough", []faultJSON{{Do: "status", N: 401, Path: recipes}}, true, 0},
		{"no token is given", []faultJSON{{Do: "status", N: 500, Path: "*/xet-read-token/*"}}, true, 0},
		{"addresses of xorbs expire on the way", []faultJSON{{Do: "expired", Path: xorbs, Times: 3}}, false, 0},
		{"xorbs are refused", []faultJSON{{Do: "expired", Path: xorbs}}, true, 0},
		{"recipes fail for a moment", []faultJSON{{Do: "status", N: 500, Path: recipes, Times: 2}}, false, 0},
		{"recipes fail", []faultJSON{{Do: "status", N: 503, Path: recipes}}, true, 0},
		{"recipes are cut short for a moment", []faultJSON{{Do: "cut", N: 100, Path: recipes, Times: 2}}, false, 0},
		{"recipes are cut short", []faultJSON{{Do: "cut", N: 100, Path: recipes}}, true, 0},
		{"a recipe is never finished", []faultJSON{{Do: "stall", N: 100, Path: recipes, Times: 1}}, false, 0},
		{"xorbs are cut short for a moment", []faultJSON{{Do: "cut", N: 200_000, Path: xorbs, Times: 3}}, false, 0},
		{"xorbs are cut short", []faultJSON{{Do: "cut", N: 2_000_000, Path: xorbs}}, false, 0},
		{"xorbs are cut at once", []faultJSON{{Do: "cut", N: 100, Path: xorbs}}, true, 0},
	} {
		t.Run(story.name, func(t *testing.T) {
			defer forget(t, a)
			defer hub.Heal()
			hub.Reset()
			if story.faults != nil {
				hub.Post("faults", story.faults)
			}
			r := a.Hffs("get", bigRepo, bigFile, "--no-mdns", "--json")
			require.Zero(t, r.Code, "%s", r)
			require.Empty(t, r.Stderr, "nothing is said of it")
			g := decode[gotJSON](t, r)
			right(t, g)
			require.Equal(t, g.Size, g.from("hub"), "%v", g.Sources)
			require.Empty(t, g.Dropped)
			require.Empty(t, g.Warnings)
			xorbs, bridge := hub.XorbBytes(), hub.Bytes(bigRepo, bigFile)
			t.Logf("%d bytes of xorbs, %d by the bridge, in %v; broken on request: %d", xorbs, bridge, r.Took, hub.Broken())
			require.Equal(t, story.faults != nil, hub.Broken() > 0, "the fault was met")
			require.GreaterOrEqual(t, strings.Count(hub.Log(), "/xet-read-token/"), story.tokens)
			if story.bridge {
				require.Equal(t, g.Size, bridge)
			} else {
				require.Positive(t, xorbs)
			}
		})
	}
}
