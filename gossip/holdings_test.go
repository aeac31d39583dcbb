package gossip

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

// TestHoldings: one node has a commit whole, another part of it, and the one that is
// asked has another commit. What is dropped is not told any more.
func TestHoldings(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	nodes[0].Hold(manifest.Holdings{Snapshots: []manifest.Snapshot{{Repo: testRepo, Commit: testCommit(2), Files: testFiles(1)}}})
	nodes[1].Hold(holding(4))
	nodes[2].Hold(manifest.Holdings{Snapshots: holding(3).Snapshots})
	door := nodes[0].doorAddr()
	p := &Passerby{Doors: []netip.AddrPort{door}}
	told := func() map[string]directory.Holding {
		hs, err := p.Holdings(t.Context(), testRepo)
		require.NoError(t, err)
		by := map[string]directory.Holding{}
		for _, h := range hs {
			by[h.Node.Name] = h
		}
		return by
	}
	await(t, func() bool { return len(told()) == 3 }, "all are told of")
	by := told()
	require.Equal(t, directory.Holding{Node: by["n0"].Node, Commit: testCommit(2), Files: 1, Bytes: 1000}, by["n0"])
	require.Equal(t, door, by["n0"].Node.Addr)
	require.Equal(t, []string{"main"}, by["n1"].Refs)
	require.Equal(t, 4, by["n1"].Files)
	require.Equal(t, testCommit(1), by["n2"].Commit)
	require.Equal(t, 3, by["n2"].Files)
	hs, err := nodes[0].Holdings(t.Context(), testRepo)
	require.NoError(t, err)
	require.Len(t, hs, 2, "a member knows of itself already")

	nodes[1].Hold(manifest.Holdings{})
	await(t, func() bool { return len(told()) == 2 }, "who has dropped it is not told of")
}

func TestNearNames(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 2, func(c *Config) { c.Shared = func(r ref.Repo) bool { return r.ID != "org/modem" } })
	secret := manifest.Snapshot{Repo: ref.Repo{Type: ref.Model, ID: "org/modem"}, Commit: testCommit(1), Files: testFiles(1)}
	nodes[0].Hold(manifest.Holdings{Snapshots: []manifest.Snapshot{secret}})
	nodes[1].Hold(holding(1))
	p := &Passerby{Doors: []netip.AddrPort{nodes[0].doorAddr()}}
	wrote := ref.Repo{Type: ref.Model, ID: "org/mode"}
	await(t, func() bool {
		near, err := p.Near(t.Context(), wrote)
		require.NoError(t, err)
		require.NotContains(t, near, secret.Repo, "what is not shared is not named")
		return len(near) == 1 && near[0] == testRepo
	}, "the name of a neighbour's repo is told")
	near, err := nodes[1].Near(t.Context(), ref.Repo{Type: ref.Model, ID: "zz/qqqqq"})
	require.NoError(t, err)
	require.Empty(t, near)
}

func FuzzHoldings(f *testing.F) {
	seed, _ := json.Marshal(wireLookup{
		Holdings: []wireHolding{{Node: wireNode{ID: nodeID(1), Self: true}, Commit: string(testCommit(1)), Files: 1, Bytes: 2, Refs: []string{"main"}}},
		Near:     []wireRepo{{"dataset", "org/x"}},
	})
	f.Add(seed)
	f.Add([]byte(`{"holdings":[{"files":-1}],"near":[{"id":"../x"}]}`))
	door := netip.MustParseAddrPort("10.0.0.1:7767")
	f.Fuzz(func(t *testing.T, b []byte) {
		hs, err := decodeHoldings(b, door)
		for _, h := range hs {
			require.NoError(t, err)
			require.Regexp(t, nodeIDForm, h.Node.ID)
			require.Len(t, string(h.Commit), 40)
			require.GreaterOrEqual(t, min(int64(h.Files), h.Bytes), int64(0))
			for _, name := range h.Refs {
				require.NoError(t, ref.CheckRevision(name))
			}
		}
		rs, err := decodeNear(b)
		require.LessOrEqual(t, len(rs), ref.MaxNear)
		for _, r := range rs {
			require.NoError(t, err)
			_, err := ref.ParseRepo(r.Type, r.ID)
			require.NoError(t, err)
		}
	})
}
