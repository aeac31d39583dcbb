package gossip

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
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

// TestPasserbyAsksForVersions: two nodes hold the file at two commits, and a third
// one is asked; then one of the holders itself.
func TestPasserbyAsksForVersions(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	file := testFiles(1)[0]
	older := file
	older.Blob = testBlob(1)
	nodes[0].Hold(manifest.Holdings{Snapshots: []manifest.Snapshot{
		{Repo: testRepo, Commit: testCommit(1), Files: []manifest.File{older}},
		{Repo: testRepo, Commit: testCommit(2), Files: []manifest.File{file}},
	}})
	nodes[1].Hold(manifest.Holdings{Snapshots: []manifest.Snapshot{
		{Repo: testRepo, Commit: testCommit(2), Files: []manifest.File{file}},
		{Repo: testRepo, Commit: testCommit(3), Files: []manifest.File{file}}, // the same blob again
	}})
	want := []ref.Blob{older.Blob, file.Blob}
	for _, asked := range nodes {
		p := &Passerby{Doors: []netip.AddrPort{closedPort(t), asked.doorAddr()}}
		await(t, func() bool {
			all, err := p.Versions(t.Context(), testRepo, file.Path)
			if err != nil || len(all) != len(want) {
				return false
			}
			return slices.ContainsFunc(all, func(e ref.Entry) bool { return e.Commit == testCommit(1) && e.Blob == want[0] }) &&
				slices.ContainsFunc(all, func(e ref.Entry) bool { return e.Commit != testCommit(1) && e.Blob == want[1] })
		}, "%s tells of both", asked.cfg.Name)
		none, err := p.Versions(t.Context(), testRepo, "another path")
		require.NoError(t, err)
		require.Empty(t, none)
	}
	all, err := nodes[2].Versions(t.Context(), testRepo, file.Path)
	require.NoError(t, err)
	require.Len(t, all, 2, "a member says the same")
}

func TestVersionsAreBounded(t *testing.T) {
	t.Parallel()
	n := start(t, 1)
	var h manifest.Holdings
	for i := range 3 * maxVersions {
		file := manifest.File{Path: "a", Blob: testBlob(i)}
		h.Snapshots = append(h.Snapshots, manifest.Snapshot{Repo: testRepo, Commit: testCommit(i), Files: []manifest.File{file}})
	}
	n.Hold(h)
	await(t, func() bool { return n.pub.version().Seq == 1 }, "published")
	p := &Passerby{Doors: []netip.AddrPort{n.doorAddr()}}
	all, err := p.Versions(t.Context(), testRepo, "a")
	require.NoError(t, err)
	require.Len(t, all, maxVersions)
}

// TestPasserbyLearnsOfNodes: through one door it hears of everybody.
func TestPasserbyLearnsOfNodes(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 4)
	p := &Passerby{}
	_, err := p.Nodes(t.Context(), 9)
	require.ErrorContains(t, err, "no member")
	p.Add(nodes[1].doorAddr(), nodes[1].doorAddr())
	require.Len(t, p.Doors, 1)
	all, err := p.Nodes(t.Context(), 9)
	require.NoError(t, err)
	require.Equal(t, "n1", all[0].Name, "who was asked comes first")
	addrs := map[string]netip.AddrPort{}
	for _, n := range all {
		addrs[n.ID] = n.Addr
	}
	require.Len(t, all, len(nodes))
	for i, n := range nodes {
		require.Equal(t, n.doorAddr(), addrs[nodeID(i)])
	}
	all, err = p.Nodes(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "n1", all[0].Name)

	some, err := nodes[0].Nodes(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, some, 2)
	require.NotEqual(t, some[0].ID, some[1].ID)
}

// TestShutDoorsAreNotTriedAgainAtOnce: a question after the first does not wait
// for a machine that is not there.
func TestShutDoorsAreNotTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	var dials atomic.Int64
	p := &Passerby{Doors: []netip.AddrPort{closedPort(t)}, HTTP: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}}}
	for range 3 {
		_, err := p.Nodes(t.Context(), 1)
		require.ErrorContains(t, err, "refused")
	}
	require.Equal(t, int64(1), dials.Load())
	doors, _ := p.open(time.Now().Add(shutTime))
	require.Len(t, doors, 1, "later it is")
}

// TestSilentDoorsAreNotTriedAgainAtOnce: somebody takes the connection and says
// nothing; only the first question waits for that.
func TestSilentDoorsAreNotTriedAgainAtOnce(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	p := &Passerby{Doors: []netip.AddrPort{netip.MustParseAddrPort(l.Addr().String())}, HTTP: &http.Client{}}
	patient, cancel := context.WithTimeout(t.Context(), silence+50*time.Millisecond)
	defer cancel()
	_, err = p.Holders(patient, entryOf(0))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = p.Holders(t.Context(), entryOf(0)) // would wait for ever
	require.ErrorContains(t, err, "no member")

	p.shut = nil
	hasty, cancel := context.WithTimeout(t.Context(), silence/100)
	defer cancel()
	_, err = p.Holders(hasty, entryOf(0))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, p.shut, "it had no time to answer")
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
	for name, body := range map[string]string{
		"bad commit": `{"versions":[{"commit":"x","blob":{"etag":"` + string(testBlob(0).ETag) + `","size":1}}]}`,
		"bad etag":   `{"versions":[{"commit":"` + string(testCommit(0)) + `","blob":{"etag":"../x","size":1}}]}`,
		"too many":   `{"versions":[` + strings.Repeat(`{},`, maxAnswers) + `{}]}`,
	} {
		_, err := decodeVersions([]byte(body), testRepo, "a")
		require.Error(t, err, name)
	}
	for name, body := range map[string]string{
		"not json":   "<html>",
		"bad id":     `{"members":[{"id":"x","addr":"127.0.0.1:1"}]}`,
		"no address": `{"members":[{"id":"00000000000000ab","addr":"here"}]}`,
		"too many":   `{"members":[` + strings.Repeat(`{},`, maxAnswers) + `{}]}`,
	} {
		_, _, err := decodeMembers([]byte(body), netip.MustParseAddrPort("127.0.0.1:1"))
		require.ErrorIs(t, err, manifest.ErrMalformed, name)
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
		Known:    []wireKnown{{Commit: string(testCommit(1)), AgeMS: &ms, Node: wireNode{ID: nodeID(1), Addr: "10.0.0.1:1"}, Blob: &wireBlob{ETag: string(testBlob(1).ETag), Size: 5}}},
		Holders:  []wireHolder{{Node: wireNode{ID: nodeID(1), Self: true}, Bytes: 3}},
		Versions: []wireVersion{{Commit: string(testCommit(1)), Blob: wireBlob{ETag: string(testBlob(1).ETag), Size: 5}}},
		Tellers:  []wireNode{{ID: nodeID(1), Self: true}, {ID: nodeID(2), Addr: "10.0.0.2:1"}},
	})
	f.Add(seed)
	members, _ := json.Marshal(wireMembers{Members: []wireMember{
		{wireNode: wireNode{ID: nodeID(1), Self: true}}, {wireNode: wireNode{ID: nodeID(2), Addr: "10.0.0.2:1"}},
	}})
	f.Add(members)
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
		if es, err := decodeVersions(b, file.Repo, file.Path); err == nil {
			require.LessOrEqual(t, len(es), maxVersions)
			for _, e := range es {
				require.Len(t, string(e.Commit), 40)
				require.NoError(t, ref.CheckSize(e.Blob.Size))
				require.Equal(t, file.Path, e.Path)
			}
		}
		if cs, err := decodeClaims(b, door, now); err == nil {
			require.LessOrEqual(t, len(cs), maxKnown)
			for _, c := range cs {
				require.Len(t, string(c.Commit), 40)
				require.False(t, c.Learnt.After(now))
			}
		}
		if ns, err := decodeTellers(b, door); err == nil {
			require.LessOrEqual(t, len(ns), maxTellers)
			for _, n := range ns {
				require.Regexp(t, nodeIDForm, n.ID)
				require.True(t, n.Addr.IsValid())
			}
		}
		if self, others, err := decodeMembers(b, door); err == nil {
			require.LessOrEqual(t, len(self), 1)
			for _, n := range append(self, others...) {
				require.Regexp(t, nodeIDForm, n.ID)
				require.True(t, n.Addr.IsValid())
				require.Equal(t, n.Name, cleanName(n.Name))
			}
		}
	})
}
