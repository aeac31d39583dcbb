package gossip

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

// knows has a node know the whole list of the test commit: n files.
func knows(n int) func(*Config) { return knowsFiles(testFiles(n), true) }

func knowsFiles(files []ref.Listed, whole bool) func(*Config) {
	return func(c *Config) {
		c.Trees = func(repo ref.Repo, commit ref.Commit) ([]ref.Listed, bool) {
			if repo != testRepo || commit != testCommit(1) {
				return nil, false
			}
			return files, whole
		}
	}
}

// clique brings up one node for each change of the config; all know each other.
func clique(t testing.TB, changes ...func(*Config)) []*testNode {
	t.Helper()
	var nodes []*testNode
	for i, change := range changes {
		nodes = append(nodes, start(t, i, change))
		if i > 0 {
			nodes[i].join(nodes[0])
		}
	}
	for _, n := range nodes {
		await(t, func() bool { return len(n.Members()) == len(nodes)-1 }, "%s sees all", n.cfg.Name)
	}
	return nodes
}

func plain(*Config) {}

// teller is what members and passers-by have in common.
type teller interface {
	List(context.Context, ref.Repo, ref.Commit) ([]Told, error)
}

func passing(n *testNode) *Passerby {
	return &Passerby{Doors: []netip.AddrPort{n.doorAddr()}}
}

// TestListOfANodeThatHoldsNothing: it knows the list, and that is enough.
func TestListOfANodeThatHoldsNothing(t *testing.T) {
	t.Parallel()
	nodes := clique(t, plain, knows(50), plain)
	for _, who := range []teller{nodes[0], nodes[2], passing(nodes[0]), passing(nodes[1])} {
		told, err := who.List(t.Context(), testRepo, testCommit(1))
		require.NoError(t, err)
		require.Len(t, told, 1)
		require.True(t, told[0].Whole)
		require.Equal(t, testFiles(50), told[0].Files)
		require.Equal(t, "n1", told[0].Node.Name)
		require.Equal(t, nodes[1].doorAddr(), told[0].Node.Addr)
		require.Equal(t, 1, told[0].Votes)
		require.Empty(t, told[0].Conflicts)
	}
	for _, who := range []teller{nodes[0], passing(nodes[2])} {
		for what, repo := range map[string]ref.Repo{"commit": testRepo, "repo": {Type: ref.Model, ID: "org/none"}} {
			told, err := who.List(t.Context(), repo, testCommit(2))
			require.NoError(t, err, "not to know another %s is no error", what)
			require.Empty(t, told)
		}
	}
	require.Empty(t, list(t, nodes[1]), "a node is not among its own others")
}

func list(t testing.TB, who teller) []Told {
	told, err := who.List(context.Background(), testRepo, testCommit(1))
	require.NoError(t, err)
	return told
}

// TestListMadeOfWhatIsHeld: nobody knows the whole list; some hold parts of it, and
// one of them is fetching another file.
func TestListMadeOfWhatIsHeld(t *testing.T) {
	t.Parallel()
	const holders = 3
	nodes := swarmOf(t, holders+1)
	for i, n := range nodes[1:] {
		h := holding(0)
		h.Snapshots[0].Files = testFiles(8)[2*i : 2*i+3]
		if i == 0 {
			h.Partials = []ref.Entry{entryOf(7)}
		}
		n.Hold(h)
	}
	want := append(testFiles(7), testFiles(8)[7])
	for _, who := range []teller{nodes[0], passing(nodes[0]), passing(nodes[2])} {
		var told []Told
		await(t, func() bool { told = list(t, who); return len(told) == 1 && len(told[0].Files) == len(want) }, "all parts")
		require.Equal(t, want, told[0].Files)
		require.False(t, told[0].Whole)
		require.Equal(t, holders, told[0].Votes)
		require.Empty(t, told[0].Conflicts)
	}
}

// TestListOfHoldersWhoseDoorIsShut: what they hold is known from before.
func TestListOfHoldersWhoseDoorIsShut(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	nodes[1].Hold(holding(4))
	nodes[2].Hold(manifest.Holdings{Partials: []ref.Entry{entryOf(5)}})
	nodes[0].awaitHolders(entryOf(3), "n1")
	nodes[0].awaitHolders(entryOf(5), "n2…")
	for _, n := range nodes[1:] {
		n.door.CloseClientConnections()
		n.door.Close()
	}
	told := list(t, nodes[0])
	require.Len(t, told, 1)
	require.False(t, told[0].Whole)
	require.Equal(t, append(testFiles(4), testFiles(6)[5]), told[0].Files)
	require.Equal(t, "n1", told[0].Node.Name)
	require.Equal(t, 2, told[0].Votes)
}

// TestListsThatContradictEachOther: three nodes say whole lists, one of them lies,
// and a fourth holds the file that it lies about.
func TestListsThatContradictEachOther(t *testing.T) {
	t.Parallel()
	lie := testFiles(5)
	lie[2].Blob = testBlob(66)
	nodes := clique(t, plain, knowsFiles(lie, true), knows(5), knows(5), plain)
	nodes[4].Hold(holding(3))
	nodes[0].awaitHolders(entryOf(2), "n4")
	var told []Told
	await(t, func() bool { told = list(t, nodes[0]); return len(told) == 2 && told[0].Votes == 2 }, "all three have been heard")
	require.Equal(t, testFiles(5), told[0].Files)
	require.Equal(t, []Conflict{{lie[2].Path, told[1].Node, lie[2].Blob}}, told[0].Conflicts)
	require.Equal(t, "n1", told[1].Node.Name)
	require.Equal(t, lie, told[1].Files)
	require.NotEmpty(t, told[1].Conflicts)
}

// TestHoldersAreAskedFirst: more nodes are there than are asked; the one that has
// the list holds a file of the commit, or only says what main is.
func TestHoldersAreAskedFirst(t *testing.T) {
	t.Parallel()
	s, err := New(Config{NodeID: nodeID(0), DoorPort: 1})
	require.NoError(t, err)
	for i := range 5 * maxTellers {
		m := &member{name: fmt.Sprint(i), id: nodeID(i + 1), meta: meta{door: 1, version: manifest.Version{Epoch: 1}}}
		s.roster.aliveLocked(m, time.Now())
		p := s.roster.peers[m.id]
		h := holding(1)
		switch i {
		case 11:
			h.Refs = nil
		case 22:
			h.Snapshots = nil
		case 33: // another commit
			h.Snapshots[0].Commit, h.Refs[0].Commit = testCommit(2), testCommit(2)
		default:
			h = manifest.Holdings{}
		}
		p.summary = manifest.Build(h, nil).Summary
		s.settle(p)
	}
	ids := func(v view) (ids []string) {
		for _, n := range v.tellers(testRepo, testCommit(1)) {
			ids = append(ids, n.ID)
		}
		return ids
	}
	got := ids(s.view(false))
	require.Len(t, got, maxTellers)
	require.Equal(t, []string{nodeID(12), nodeID(23)}, got[:2])
	require.NotContains(t, got, nodeID(0))
	require.Equal(t, []string{nodeID(0), nodeID(12), nodeID(23)}, ids(s.view(true))[:3])

	s.cfg.Shared = func(ref.Repo) bool { return false }
	require.Equal(t, []string{nodeID(12), nodeID(23)}, ids(s.view(false)), "others do not hear the name of what is not public")
	require.Len(t, ids(s.view(true)), maxTellers)
}

// TestSilentTellersAreNotWaitedFor: one takes the question and says nothing; the
// list of the other comes. Alone, it is given up.
func TestSilentTellersAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	nodes := clique(t, plain, plain, knows(3))
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	nodes[1].tree.Store(&silent)
	told := list(t, nodes[0])
	require.Len(t, told, 1)
	require.Equal(t, "n2", told[0].Node.Name)

	nodes[2].leave()
	await(t, func() bool { return len(nodes[0].Members()) == 1 }, "the honest one is gone")
	require.Empty(t, list(t, nodes[0]))
	await(t, func() bool { return len(nodes[1].Members()) == 1 }, "the other has noticed as well")
	_, err := passing(nodes[1]).List(t.Context(), testRepo, testCommit(1))
	require.ErrorIs(t, err, errSilent)
}

// TestPatience is with who does not begin to answer, not with who takes long to say
// it all.
func TestPatience(t *testing.T) {
	t.Parallel()
	body := manifest.NewTree(testFiles(3), true).Encode()
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
	ask := func(t *testing.T, before, between time.Duration) ([]byte, error) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() {
			if _, err := http.ReadRequest(bufio.NewReader(theirs)); err != nil {
				return
			}
			time.Sleep(before)
			_, _ = theirs.Write([]byte(head))
			time.Sleep(between)
			_, _ = theirs.Write(body)
		}()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}
		defer transport.CloseIdleConnections()
		d := door{&http.Client{Transport: transport}, netip.MustParseAddrPort("10.0.0.1:1"), SwarmID("")}
		return d.tree(t.Context(), testRepo, testCommit(1))
	}
	synctest.Test(t, func(t *testing.T) {
		b, err := ask(t, treePatience/2, 5*treePatience)
		require.NoError(t, err)
		require.Equal(t, body, b)
	})
	synctest.Test(t, func(t *testing.T) {
		_, err := ask(t, 2*treePatience, 0)
		require.ErrorIs(t, err, errSilent)
		time.Sleep(2 * treePatience) // the other side ends as well
	})
}

// TestNonsenseTrees: who sends nonsense is named, and the others are believed.
func TestNonsenseTrees(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][]byte{
		"garbage": []byte("<html>"),
		"endless": make([]byte, manifest.MaxWire+5),
		"a list":  manifest.NewList(testFiles(3)).Wire(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes := clique(t, plain, plain, knows(3))
			lie := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
			nodes[1].tree.Store(&lie)
			told := list(t, nodes[0])
			require.Len(t, told, 1)
			require.Equal(t, "n2", told[0].Node.Name)

			nodes[2].leave()
			await(t, func() bool { return len(nodes[1].Members()) == 1 }, "the honest one is gone")
			_, err := passing(nodes[1]).List(t.Context(), testRepo, testCommit(1))
			require.ErrorIs(t, err, manifest.ErrMalformed)
			require.ErrorContains(t, err, "n1")
		})
	}
}

func TestListWithNobodyThere(t *testing.T) {
	t.Parallel()
	n := start(t, 1)
	require.Empty(t, list(t, n))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.List(gone, testRepo, testCommit(1))
	require.ErrorIs(t, err, context.Canceled)
	_, err = (&Passerby{Doors: []netip.AddrPort{closedPort(t)}}).List(t.Context(), testRepo, testCommit(1))
	require.ErrorContains(t, err, "no member")
	_, err = (&Passerby{Doors: []netip.AddrPort{closedPort(t)}}).Revision(t.Context(), testRepo, "main")
	require.ErrorContains(t, err, "no member")
}

// TestTreesAreToldAFewAtATime: long lists take memory.
func TestTreesAreToldAFewAtATime(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int64
	goOn := make(chan struct{})
	n := start(t, 1, func(c *Config) {
		c.Trees = func(ref.Repo, ref.Commit) ([]ref.Listed, bool) {
			if k := now.Add(1); k > most.Load() {
				most.Store(k)
			}
			<-goOn
			now.Add(-1)
			return testFiles(1), true
		}
	})
	const askers = 3 * maxTrees
	done := make(chan error, askers)
	for range askers {
		go func() {
			resp, err := http.Get(n.door.URL + treePath + "?" + commitQuery(testRepo, testCommit(1)).Encode())
			if err == nil {
				_ = resp.Body.Close()
			}
			done <- err
		}()
	}
	await(t, func() bool { return now.Load() == maxTrees }, "as many as may be")
	close(goOn)
	for range askers {
		require.NoError(t, <-done)
	}
	require.Equal(t, int64(maxTrees), most.Load())
}

func TestRevision(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 4)
	for _, who := range []*testNode{nodes[0], nodes[2]} {
		claims, err := who.Revision(t.Context(), testRepo, "main")
		require.NoError(t, err)
		require.Empty(t, claims)
	}
	newer, again := holding(1), holding(1)
	newer.Refs[0].Commit, newer.Refs[0].Learnt = testCommit(2), time.Now().Add(-time.Minute)
	again.Refs[0].Learnt = time.Now().Add(-2 * time.Hour)
	nodes[1].Hold(holding(1))
	nodes[2].Hold(newer)
	nodes[3].Hold(again)
	for _, door := range []int{0, 1, 2} {
		p := passing(nodes[door])
		await(t, func() bool {
			claims, err := p.Revision(t.Context(), testRepo, "main")
			return err == nil && len(claims) == 3
		}, "what three nodes say through n%d", door)
		claims, err := p.Revision(t.Context(), testRepo, "main")
		require.NoError(t, err)
		require.Equal(t, []string{"n2", "n1", "n3"}, []string{claims[0].Node.Name, claims[1].Node.Name, claims[2].Node.Name}, "the latest learnt first")
		require.Equal(t, []ref.Commit{testCommit(2), testCommit(1), testCommit(1)}, []ref.Commit{claims[0].Commit, claims[1].Commit, claims[2].Commit})
		require.WithinDuration(t, time.Now().Add(-2*time.Hour), claims[2].Learnt, 10*time.Minute)
		require.Equal(t, nodes[2].doorAddr(), claims[0].Node.Addr)
	}
	two := &Passerby{Doors: []netip.AddrPort{nodes[0].doorAddr(), nodes[1].doorAddr()}}
	claims, err := two.Revision(t.Context(), testRepo, "main")
	require.NoError(t, err)
	require.Len(t, claims, 3, "each node once, however many doors speak of it")

	claims, err = nodes[2].Revision(t.Context(), testRepo, "main")
	require.NoError(t, err)
	require.Len(t, claims, 2, "a member asks for the others")
	for _, none := range []string{"dev", string(testCommit(1))} {
		claims, err = nodes[0].Revision(t.Context(), testRepo, none)
		require.NoError(t, err)
		require.Empty(t, claims)
		claims, err = two.Revision(t.Context(), testRepo, none)
		require.NoError(t, err)
		require.Empty(t, claims)
	}
	_, err = nodes[0].Revision(t.Context(), testRepo, "a..b")
	require.Error(t, err)
	_, err = two.Revision(t.Context(), testRepo, "")
	require.Error(t, err)
}

func TestClaimsAreBounded(t *testing.T) {
	t.Parallel()
	n := start(t, 1)
	for i := range 2 * maxKnown {
		h := manifest.Build(holding(1), nil)
		n.table.Set(tellerNode(100+i), h.Summary)
	}
	claims, err := n.Revision(t.Context(), testRepo, "main")
	require.NoError(t, err)
	require.Len(t, claims, maxKnown)
	claims, err = passing(n).Revision(t.Context(), testRepo, "main")
	require.NoError(t, err)
	require.Len(t, claims, maxKnown)
}
