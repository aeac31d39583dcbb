package gossip

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

func TestPasserby(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	nodes[0].Hold(holding(3))
	nodes[1].Hold(holding(4))
	nodes[2].Hold(manifest.Holdings{Partials: []ref.Entry{entryOf(2)}})
	nodes[0].awaitHolders(entryOf(2), "n1", "n2…")

	p := &Passerby{Doors: []netip.AddrPort{closedPort(t), nodes[0].doorAddr()}}
	hs, err := p.Holders(context.Background(), entryOf(2))
	require.NoError(t, err)
	got := map[string]directory.Holder{}
	for _, h := range hs {
		got[h.Node.Name] = h
	}
	require.Len(t, got, 3, "the one that was asked is a holder too")
	require.True(t, got["n0"].Complete)
	require.Equal(t, nodes[0].doorAddr(), got["n0"].Node.Addr)
	require.True(t, got["n1"].Complete)
	require.Equal(t, nodes[1].doorAddr(), got["n1"].Node.Addr)
	require.False(t, got["n2"].Complete)
	require.Equal(t, "n2", hs[2].Node.Name, "whole ones come first")

	f, err := ref.NewFile(testRepo, "main", entryOf(2).Path)
	require.NoError(t, err)
	known, err := p.Known(context.Background(), f)
	require.NoError(t, err)
	require.Len(t, known, 2)
	for _, k := range known {
		require.Equal(t, entryOf(2), k.Entry)
		require.WithinDuration(t, time.Now().Add(-time.Hour), k.Claim.Learnt, 10*time.Minute)
	}
	require.Len(t, nodes[0].Members(), 2, "nobody has noticed")
}

func TestPasserbyAsksFurtherDoors(t *testing.T) {
	t.Parallel()
	n := start(t, 1)
	n.Hold(holding(1))
	await(t, func() bool { return n.pub.version().Seq == 1 }, "published")
	p := &Passerby{}
	for range 2 * doorsAtOnce {
		p.Doors = append(p.Doors, closedPort(t))
	}
	_, err := p.Holders(context.Background(), entryOf(0))
	require.ErrorContains(t, err, "no member")
	p.Doors = append(p.Doors, n.doorAddr())
	hs, err := p.Holders(context.Background(), entryOf(0))
	require.NoError(t, err)
	require.Len(t, hs, 1)

	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = p.Holders(gone, entryOf(0))
	require.ErrorIs(t, err, context.Canceled)
}

func TestPasserbyOfAnotherSwarm(t *testing.T) {
	t.Parallel()
	n := start(t, 1)
	p := &Passerby{Doors: []netip.AddrPort{n.doorAddr()}, Swarm: "other"}
	_, err := p.Holders(context.Background(), entryOf(0))
	require.ErrorIs(t, err, errStranger)
}

func TestPasserbyTakesNoNonsense(t *testing.T) {
	t.Parallel()
	node := `{"id":"00000000000000ab","name":"n","addr":"127.0.0.1:1"}`
	holder := func(node, rest string) string {
		return fmt.Sprintf(`{"holders":[{"node":%s,"complete":true%s}]}`, node, rest)
	}
	for name, body := range map[string]string{
		"not json":      "<html>",
		"endless":       strings.Repeat(" ", maxLookup+1),
		"too many":      `{"holders":[` + strings.Repeat(`{},`, maxAnswers) + `{}]}`,
		"bad id":        holder(`{"id":"x","addr":"127.0.0.1:1"}`, ""),
		"no address":    holder(`{"id":"00000000000000ab","addr":"here"}`, ""),
		"negative":      holder(node, `,"bytes":-1`),
		"more than all": holder(node, `,"bytes":99999999`),
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		p := &Passerby{Doors: []netip.AddrPort{srv.Listener.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort()}}
		_, err := p.Holders(context.Background(), entryOf(0))
		require.ErrorIs(t, err, manifest.ErrMalformed, name)
		srv.Close()
	}
}

func TestAddressesThatMeanNothingHereAreSkipped(t *testing.T) {
	t.Parallel()
	lan := netip.MustParseAddrPort("10.0.0.1:7767")
	var w wireLookup
	for i, addr := range []string{"127.0.0.1:7767", "0.0.0.0:7767", "10.0.0.2:0", "224.0.0.1:7", "10.0.0.3:7767", "[::ffff:127.0.0.1]:7767"} {
		w.Holders = append(w.Holders, wireHolder{Node: wireNode{ID: nodeID(i), Addr: addr}, Complete: true})
	}
	b, err := json.Marshal(w)
	require.NoError(t, err)
	hs, err := decodeHolders(b, entryOf(0), lan)
	require.NoError(t, err)
	require.Len(t, hs, 1)
	require.Equal(t, "10.0.0.3:7767", hs[0].Node.Addr.String())
	hs, err = decodeHolders(b, entryOf(0), netip.MustParseAddrPort("127.0.0.1:7767"))
	require.NoError(t, err)
	require.Len(t, hs, 3, "on one machine loopback is shared")
}

func FuzzLookup(f *testing.F) {
	ms := int64(5)
	seed, _ := json.Marshal(wireLookup{
		Known:   []wireKnown{{Commit: string(testCommit(1)), AgeMS: &ms, Node: wireNode{ID: nodeID(1), Addr: "10.0.0.1:1"}, Blob: &wireBlob{ETag: string(testBlob(1).ETag), Size: 5}}},
		Holders: []wireHolder{{Node: wireNode{ID: nodeID(1), Self: true}, Bytes: 3}},
	})
	f.Add(seed)
	f.Add([]byte(`{}`))
	door := netip.MustParseAddrPort("10.0.0.1:7767")
	file := ref.File{Repo: testRepo, Revision: "main", Path: "a"}
	now := time.Now()
	f.Fuzz(func(t *testing.T, b []byte) {
		if ks, err := decodeKnown(b, file, door, now); err == nil {
			for _, k := range ks {
				require.Len(t, string(k.Claim.Commit), 40)
				require.False(t, k.Claim.Learnt.After(now))
				require.True(t, k.Claim.Node.Addr.IsValid())
				if k.HasEntry {
					require.NoError(t, ref.CheckSize(k.Entry.Blob.Size))
				}
			}
		}
		if hs, err := decodeHolders(b, entryOf(0), door); err == nil {
			for _, h := range hs {
				require.Regexp(t, nodeIDForm, h.Node.ID)
				require.LessOrEqual(t, h.Bytes, entryOf(0).Blob.Size)
			}
		}
	})
}
