package gossip

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

func TestEverybodyLearnsWhatOneHolds(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	nodes[1].Hold(holding(5))
	for _, i := range []int{0, 2} {
		nodes[i].awaitHolders(entryOf(3), "n1")
	}
	require.Empty(t, nodes[1].holders(entryOf(3)), "a node is not among its own others")

	nodes[2].Hold(holding(4))
	nodes[0].awaitHolders(entryOf(3), "n1", "n2")
	nodes[1].Hold(manifest.Holdings{})
	nodes[0].awaitHolders(entryOf(3), "n2")
}

func TestMembersTellOfThemselves(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 2, func(c *Config) { c.Name += " ü/" })
	nodes[1].Hold(holding(5))
	await(t, func() bool { m := nodes[0].Members(); return m[0].Files == 5 && !m[0].Behind }, "five files")
	m := nodes[0].Members()[0]
	require.Equal(t, "n1---", m.Name)
	require.Equal(t, nodeID(1), m.ID)
	require.Equal(t, "test", m.Version)
	require.Equal(t, int64(1000+1001+1002+1003+1004), m.Bytes)
	require.Equal(t, nodes[1].doorAddr(), m.Addr)
	require.Equal(t, nodes[1].gossipAddr(), m.Gossip)
	require.True(t, nodes[0].IsMember(nodes[1].Member()))
	require.False(t, nodes[0].IsMember(nodes[0].Member()))
}

func TestJoin(t *testing.T) {
	t.Parallel()
	a, b := start(t, 1), start(t, 2)
	nowhere := closedPort(t)
	ctx := context.Background()

	err := a.Join(ctx, "", []netip.AddrPort{nowhere})
	require.ErrorContains(t, err, nowhere.String())
	require.NoError(t, a.Join(ctx, b.Member(), []netip.AddrPort{nowhere, b.gossipAddr()}), "the second address answers")
	await(t, func() bool { return a.IsMember(b.Member()) }, "b")
	require.NoError(t, a.Join(ctx, b.Member(), []netip.AddrPort{nowhere}), "a member needs no joining")
	require.NoError(t, a.Join(ctx, a.Member(), []netip.AddrPort{nowhere}), "nor do we")
	require.Error(t, a.Join(ctx, "", []netip.AddrPort{a.gossipAddr()}), "nobody else is at our own address")

	gone, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, a.Join(gone, "", []netip.AddrPort{nowhere}), context.Canceled)
}

func closedPort(t testing.TB) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestGoodbye(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	nodes[1].Hold(holding(2))
	nodes[0].awaitHolders(entryOf(1), "n1")
	drain(nodes[0].Changes())
	nodes[1].leave()
	<-nodes[0].Changes()
	nodes[0].awaitHolders(entryOf(1))
	await(t, func() bool { return len(nodes[0].Members()) == 1 && len(nodes[2].Members()) == 1 }, "two are left")
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

func TestCrash(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	nodes[1].Hold(holding(2))
	nodes[0].awaitHolders(entryOf(1), "n1")
	nodes[1].cut.set(true)
	nodes[0].awaitHolders(entryOf(1))
	await(t, func() bool { return len(nodes[0].Members()) == 1 }, "the dead is gone")
}

// A node comes back under its old id, at another address, holding other things,
// while the others still believe its old process alive.
func TestRestart(t *testing.T) {
	t.Parallel()
	slow := func(c *Config) {
		c.Tune = func(m *memberlist.Config) { fast(m); m.ProbeInterval = time.Hour }
	}
	a, old := start(t, 1, slow), start(t, 2, slow)
	old.join(a)
	for i := range 3 {
		old.Hold(holding(10 + i))
		await(t, func() bool { m := a.Members(); return len(m) == 1 && m[0].Files == 10+i && !m[0].Behind }, "version %d", i)
	}
	old.crash()
	require.True(t, a.IsMember(old.Member()), "its ghost is there yet")

	again := start(t, 2, slow)
	again.Hold(holding(1))
	again.join(a)
	a.awaitHolders(entryOf(0), "n2")
	a.awaitHolders(entryOf(5))
	require.Len(t, a.Members(), 1, "one node, though two members")
	require.Equal(t, again.doorAddr(), a.Members()[0].Addr)
	hs, err := a.Holders(context.Background(), entryOf(0))
	require.NoError(t, err)
	require.Equal(t, again.doorAddr(), hs[0].Node.Addr)
}

func TestAddressChange(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127/8 without set-up")
	}
	nodes := swarmOf(t, 3, func(c *Config) { c.Bind = "" })
	nodes[1].Hold(holding(3))
	nodes[0].awaitHolders(entryOf(2), "n1")
	member, full := nodes[1].Member(), nodes[1].fulls.Load()

	moved := netip.MustParseAddr("127.0.0.2")
	nodes[1].SetAddr(moved)
	await(t, func() bool { return nodes[1].Member() != member && len(nodes[1].Members()) == 2 }, "it is back under another name")
	for _, i := range []int{0, 2} {
		await(t, func() bool {
			return slices.ContainsFunc(nodes[i].Members(), func(m Member) bool { return m.ID == nodeID(1) && m.Gossip.Addr() == moved })
		}, "the new address")
		hs, err := nodes[i].Holders(context.Background(), entryOf(2))
		require.NoError(t, err)
		require.Len(t, hs, 1)
		require.Equal(t, moved, hs[0].Node.Addr.Addr())
	}
	require.False(t, nodes[0].IsMember(member))
	require.Equal(t, full, nodes[1].fulls.Load(), "its manifest did not change, so nobody fetches it again")
}

func TestPartition(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	lone := nodes[2]
	lone.cut.set(true)
	await(t, func() bool {
		return len(lone.Members()) == 0 && len(nodes[0].Members()) == 1 && len(nodes[1].Members()) == 1
	}, "each side has lost the other")
	lone.Hold(holding(2))
	nodes[0].Hold(holding(9))
	nodes[1].awaitHolders(entryOf(8), "n0")

	lone.cut.set(false)
	nodes[1].join(lone) // discovery's part; memberlist would never do it
	lone.awaitHolders(entryOf(8), "n0")
	nodes[0].awaitHolders(entryOf(1), "n2")
	nodes[1].awaitHolders(entryOf(1), "n0", "n2")
}

func TestNodeWithoutAnAddressWaits(t *testing.T) {
	t.Parallel()
	n := prepare(t, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { n.done <- n.Run(ctx) }()
	for _, useless := range []string{"0.0.0.0", "224.0.0.1", "fe80::1", "::"} {
		n.SetAddr(netip.MustParseAddr(useless))
	}
	require.False(t, n.wanted().IsValid())
	cancel()
	require.NoError(t, <-n.done)
	select {
	case <-n.Ready():
		require.Fail(t, "ready without an address")
	default:
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		port := occupy(t, network)
		n := prepare(t, 1, func(c *Config) { c.Port = port })
		n.SetAddr(loopback)
		require.ErrorIs(t, n.Run(context.Background()), ErrPortInUse, network)
	}
}

func occupy(t *testing.T, network string) int {
	if network == "tcp" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		return l.Addr().(*net.TCPAddr).Port
	}
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p.LocalAddr().(*net.UDPAddr).Port
}

func TestBadConfigs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"no id":      {DoorPort: 1},
		"short id":   {NodeID: "ab", DoorPort: 1},
		"upper case": {NodeID: "AAAAAAAAAAAAAAAA", DoorPort: 1},
		"no door":    {NodeID: nodeID(1)},
		"port":       {NodeID: nodeID(1), DoorPort: 1, Port: 70000},
	} {
		_, err := New(c)
		require.Error(t, err, name)
	}
}

func TestTwoSwarmsDoNotMix(t *testing.T) {
	t.Parallel()
	a := start(t, 1)
	b := start(t, 2, func(c *Config) { c.Swarm = "other" })
	require.Error(t, a.Join(context.Background(), "", []netip.AddrPort{b.gossipAddr()}))
	require.Error(t, b.Join(context.Background(), "", []netip.AddrPort{a.gossipAddr()}))
	require.Empty(t, a.Members())
	require.Empty(t, b.Members())
	require.NotEqual(t, SwarmID("other"), SwarmID(""))
	require.Equal(t, SwarmID("default"), SwarmID(""))
	require.Regexp(t, `^[0-9a-f]{16}$`, SwarmID("x"))
}

// What is too large for a broadcast is pulled, as a difference.
func TestLargeChangeIsPulled(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 2)
	nodes[0].Hold(wide(1000))
	nodes[1].awaitHolders(entryOf(999), "n0")
	require.Equal(t, int64(1), nodes[0].fulls.Load())
	nodes[0].Hold(wide(1200))
	nodes[1].awaitHolders(entryOf(1199), "n0")
	require.Equal(t, int64(1), nodes[0].fulls.Load())
	require.Equal(t, int64(1), nodes[0].deltas.Load())
}

func TestLostPackets(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 5)
	for _, n := range nodes {
		n.cut.mu.Lock()
		n.cut.loss = 20
		n.cut.mu.Unlock()
	}
	for i, n := range nodes {
		n.Hold(holding(i + 1))
	}
	nodes[0].awaitHolders(entryOf(2), "n2", "n3", "n4")
	nodes[4].awaitHolders(entryOf(0), "n0", "n1", "n2", "n3")
}

func TestManySmallChangesInARow(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	for i := range 8 {
		nodes[i%3].Hold(holding(i + 1))
	}
	nodes[0].awaitHolders(entryOf(4), "n1", "n2")
	nodes[1].awaitHolders(entryOf(6), "n0")
	for _, n := range nodes {
		await(t, func() bool { return !n.Members()[0].Behind && !n.Members()[1].Behind }, "nobody is behind")
	}
}

// The owner of a manifest cannot be reached over HTTP, but somebody has it.
func TestManifestFromSomebodyElse(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 2)
	nodes[0].Hold(wide(500))
	nodes[1].awaitHolders(entryOf(499), "n0")
	nodes[0].door.CloseClientConnections()
	nodes[0].door.Close()
	late := start(t, 7)
	late.join(nodes[0])
	late.awaitHolders(entryOf(499), "n0")
}

func TestOwnerDiesBeforeItWasAsked(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 2)
	nodes[1].door.Close()
	nodes[1].Hold(wide(500))
	await(t, func() bool { return nodes[0].Members()[0].Files == 1000 }, "it was announced")
	require.True(t, nodes[0].Members()[0].Behind)
	nodes[1].crash()
	await(t, func() bool { return len(nodes[0].Members()) == 0 }, "it is gone")
	await(t, func() bool {
		nodes[0].roster.mu.Lock()
		defer nodes[0].roster.mu.Unlock()
		return !nodes[0].roster.peers[nodeID(1)].pulling
	}, "nobody asks the dead")
	nodes[0].awaitHolders(entryOf(1))
}

// A peer that answers nonsense: what was known stays, and it is named in the log.
func TestNonsenseManifests(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(manifest.Version) []byte{
		"garbage": func(manifest.Version) []byte { return []byte("<html>") },
		"endless": func(manifest.Version) []byte { return make([]byte, manifest.MaxWire+5) },
		"other manifest": func(v manifest.Version) []byte {
			return manifest.Answer{Version: v, Summary: manifest.Build(holding(3), nil).Summary}.Encode(time.Now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logCounter{}
			n := start(t, 1, func(c *Config) { c.Log = slog.New(log) })
			liar := prepare(t, 2)
			var lying atomic.Bool
			honest := liar.door.Config.Handler
			liar.door.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if lying.Load() {
					_, _ = w.Write(answer(liar.pub.version()))
					return
				}
				honest.ServeHTTP(w, r)
			})
			liar.run()
			liar.Hold(wide(200))
			liar.join(n)
			n.awaitHolders(entryOf(199), "n2")

			lying.Store(true)
			liar.Hold(wide(900))
			await(t, func() bool { return log.warned("n2") }, "a warning that names it")
			require.Equal(t, []string{"n2"}, n.holders(entryOf(199)))
			require.True(t, n.Members()[0].Behind)
		})
	}
}

// logCounter counts lines and finds warnings.
type logCounter struct {
	lines atomic.Int64
	warns atomic.Pointer[[]string]
}

func (l *logCounter) Enabled(context.Context, slog.Level) bool { return true }
func (l *logCounter) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logCounter) WithGroup(string) slog.Handler            { return l }
func (l *logCounter) Handle(_ context.Context, r slog.Record) error {
	l.lines.Add(1)
	if r.Level < slog.LevelWarn {
		return nil
	}
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	for {
		old := l.warns.Load()
		var lines []string
		if old != nil {
			lines = append(lines, *old...)
		}
		lines = append(lines, line)
		if l.warns.CompareAndSwap(old, &lines) {
			return nil
		}
	}
}

func (l *logCounter) warned(word string) bool {
	lines := l.warns.Load()
	return lines != nil && strings.Contains(strings.Join(*lines, "\n"), word)
}

// Whatever is thrown at the gossip port, the swarm goes on, and the log stays
// short.
func TestGarbageOnTheGossipPort(t *testing.T) {
	t.Parallel()
	log := &logCounter{}
	a := start(t, 1, func(c *Config) { c.Log = slog.New(log) })
	b := start(t, 2)
	b.join(a)
	label := append([]byte{244, 16}, SwarmID("")...) // memberlist's label header
	for i := range 400 {
		junk := strings.Repeat(fmt.Sprintf("%c junk %d ", i%256, i), 1+i%50)
		udp, err := net.Dial("udp", a.gossipAddr().String())
		require.NoError(t, err)
		_, _ = udp.Write([]byte(junk))
		_, _ = udp.Write(append(label, append([]byte{byte(i % 16)}, junk...)...))
		_ = udp.Close()
		if i%8 == 0 {
			tcp, err := net.Dial("tcp", a.gossipAddr().String())
			require.NoError(t, err)
			_, _ = tcp.Write(append(label, append([]byte{byte(i / 8 % 16)}, junk...)...))
			_ = tcp.Close()
		}
	}
	b.Hold(holding(3))
	a.awaitHolders(entryOf(2), "n2")
	require.Len(t, a.Members(), 1)
	require.Less(t, log.lines.Load(), int64(200))
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	s, err := New(Config{NodeID: nodeID(1), DoorPort: 7767})
	require.NoError(t, err)
	good := meta{door: 1, name: "x"}.encode(0)
	name := nodeID(2) + "-01234567"
	node := func(name, addr string, port uint16, meta []byte) *memberlist.Node {
		return &memberlist.Node{Name: name, Addr: net.ParseIP(addr), Port: port, Meta: meta}
	}
	lan := netip.MustParseAddr("10.0.0.1")
	require.NoError(t, s.checkMember(lan, node(name, "10.0.0.2", 7766, good)))
	require.NoError(t, s.checkMember(lan, node(name, "fd00::2", 7766, good)))
	require.NoError(t, s.checkMember(loopback, node(name, "127.0.0.1", 7766, good)), "we are on loopback ourselves")
	for what, n := range map[string]*memberlist.Node{
		"name":        node("evil\n", "10.0.0.2", 7766, good),
		"long name":   node(name+"0", "10.0.0.2", 7766, good),
		"no address":  node(name, "", 7766, good),
		"unspecified": node(name, "0.0.0.0", 7766, good),
		"multicast":   node(name, "224.0.0.251", 7766, good),
		"loopback":    node(name, "127.0.0.1", 7766, good),
		"loopback 6":  node(name, "::1", 7766, good),
		"port":        node(name, "10.0.0.2", 0, good),
		"no meta":     node(name, "10.0.0.2", 7766, nil),
		"short meta":  node(name, "10.0.0.2", 7766, good[:20]),
		"no door":     node(name, "10.0.0.2", 7766, meta{}.encode(0)),
		"absurd size": node(name, "10.0.0.2", 7766, meta{door: 1, bytes: 1 << 63}.encode(0)),
		"absurd seq":  node(name, "10.0.0.2", 7766, meta{door: 1, version: manifest.Version{Seq: 1 << 63}}.encode(0)),
	} {
		require.Error(t, s.checkMember(lan, n), what)
	}
}

// A copied machine: two nodes with one id. Both sides keep working.
func TestTwoNodesWithOneID(t *testing.T) {
	t.Parallel()
	log := &logCounter{}
	a := start(t, 1, func(c *Config) { c.Log = slog.New(log) })
	b := start(t, 2)
	twin := start(t, 1, func(c *Config) { c.Name = "twin" })
	b.join(a)
	twin.join(a)
	await(t, func() bool { return log.warned("our node id") }, "a warning")
	twin.Hold(holding(2))
	b.awaitHolders(entryOf(1), "twin")
	require.Len(t, a.Members(), 1)
	require.Equal(t, "n2", a.Members()[0].Name)
}

func TestForget(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	nodes[1].Hold(holding(3))
	nodes[2].Hold(holding(3))
	nodes[0].awaitHolders(entryOf(1), "n1", "n2")
	pulls := nodes[1].pulls.Load()
	nodes[0].Forget(nodeID(1), entryOf(1).Blob.ETag)
	require.Equal(t, []string{"n2"}, nodes[0].holders(entryOf(1)))
	require.Equal(t, []string{"n1", "n2"}, nodes[0].holders(entryOf(2)), "its other files are there")
	await(t, func() bool { return nodes[1].pulls.Load() > pulls }, "its manifest is looked at again")
	nodes[0].Forget("nobody", entryOf(1).Blob.ETag)

	nodes[1].Hold(holding(4)) // a new version speaks for itself
	nodes[0].awaitHolders(entryOf(1), "n1", "n2")
}

func TestHoldersElsewhere(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 4)
	files := testFiles(4)
	nodes[1].Hold(holding(4))
	nodes[2].Hold(manifest.Holdings{Snapshots: []manifest.Snapshot{
		{Repo: testRepo, Commit: testCommit(2), Files: []manifest.File{{Path: "renamed", Blob: files[3].Blob}}},
	}})
	nodes[3].Hold(manifest.Holdings{Partials: []ref.Entry{entryOf(3)}})
	nodes[0].awaitHolders(entryOf(3), "n1", "n2", "n3…")

	e := entryOf(3)
	e.Blob.Size++
	require.Empty(t, nodes[0].holders(e), "another size is another blob")

	elsewhere := entryOf(3)
	elsewhere.Repo.ID = "org/fork"
	require.Equal(t, []string{"n1", "n2", "n3…"}, nodes[0].holders(elsewhere), "what is known of other repos counts")
}

func TestKnownBranch(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	f, err := ref.NewFile(testRepo, "main", "file-000001.bin")
	require.NoError(t, err)
	known, err := nodes[0].Known(context.Background(), f)
	require.NoError(t, err)
	require.Empty(t, known)

	nodes[1].Hold(holding(3))
	newer := holding(3)
	newer.Snapshots[0].Commit, newer.Refs[0].Commit = testCommit(2), testCommit(2)
	newer.Snapshots[0].Files[1].Blob = testBlob(77)
	newer.Refs[0].Learnt = time.Now().Add(-time.Minute)
	nodes[2].Hold(newer)
	await(t, func() bool {
		known, err = nodes[0].Known(context.Background(), f)
		return err == nil && len(known) == 2 && known[0].HasEntry && known[1].HasEntry
	}, "two claims")
	require.Equal(t, testCommit(2), known[0].Claim.Commit, "the latest comes first")
	require.Equal(t, "n2", known[0].Claim.Node.Name)
	require.Equal(t, ref.Entry{Repo: testRepo, Commit: testCommit(2), Path: f.Path, Blob: testBlob(77)}, known[0].Entry)
	require.Equal(t, entryOf(1), known[1].Entry)
	require.WithinDuration(t, time.Now().Add(-time.Hour), known[1].Claim.Learnt, 10*time.Minute)

	f.Path = "not/there"
	known, err = nodes[0].Known(context.Background(), f)
	require.NoError(t, err)
	require.Len(t, known, 2)
	require.False(t, known[0].HasEntry)
}

func TestKnownCommit(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 5)
	f, err := ref.NewFile(testRepo, string(testCommit(1)), "file-000001.bin")
	require.NoError(t, err)
	h, noXet, liar := holding(3), holding(3), holding(3)
	noXet.Snapshots[0].Files[1].Blob.Xet = ""
	liar.Snapshots[0].Files[1].Blob = testBlob(99)
	nodes[1].Hold(noXet)
	nodes[2].Hold(h)
	nodes[3].Hold(liar)
	nodes[4].Hold(manifest.Holdings{Partials: []ref.Entry{entryOf(1)}})
	var known []Known
	await(t, func() bool {
		known, err = nodes[0].Known(context.Background(), f)
		if err != nil || len(known) != 2 {
			return false
		}
		return !slices.ContainsFunc(nodes[0].Members(), func(m Member) bool { return m.Behind || m.Files == 0 && m.Name != "n4" })
	}, "what four nodes say")
	require.Equal(t, entryOf(1), known[0].Entry, "with the Xet hash that one of them knows")
	require.Equal(t, testBlob(99), known[1].Entry.Blob, "a lone voice comes last")
}

// A list that cannot be fetched does not spoil the answer of the others.
func TestDeadOwnerOfAList(t *testing.T) {
	t.Parallel()
	nodes := swarmOf(t, 3)
	nodes[1].Hold(holding(300))
	nodes[2].Hold(holding(301))
	await(t, func() bool { return !nodes[0].Members()[0].Behind && !nodes[0].Members()[1].Behind }, "all summaries")
	nodes[1].door.Close()
	nodes[0].lists.init() // lists were never asked for
	nodes[0].awaitHolders(entryOf(5), "n2")
}

func TestHandlerRefusesNonsense(t *testing.T) {
	t.Parallel()
	n := start(t, 1)
	n.Hold(holding(2))
	commit := string(testCommit(1))
	etag := string(testBlob(0).ETag)
	for path, want := range map[string]int{
		"/v1/manifest":                                                        200,
		"/v1/manifest?epoch=x&seq=-1":                                         200,
		"/v1/manifest?node=nobody":                                            404,
		"/v1/lists/zz":                                                        400,
		"/v1/lists/" + strings.Repeat("0", 32):                                404,
		"/v1/lookup":                                                          400,
		"/v1/lookup?repo=org/model&path=a":                                    200,
		"/v1/lookup?repo=org/model&path=a&versions=1":                         200,
		"/v1/lookup?repo=../x&path=a&versions=1":                              400,
		"/v1/lookup?repo=org/model&path=../a&versions=1":                      400,
		"/v1/lookup?repo=org/model&versions=1":                                400,
		"/v1/lookup?repo=../x&path=a":                                         400,
		"/v1/lookup?repo=org/model&path=../a":                                 400,
		"/v1/lookup?type=x&repo=a/b&path=a":                                   400,
		"/v1/lookup?repo=a/b&path=a&revision=..":                              400,
		"/v1/lookup?repo=a/b&commit=" + commit + "&etag=" + etag + "&size=1":  200,
		"/v1/lookup?repo=a/b&commit=" + commit + "&etag=" + etag + "&size=-1": 400,
		"/v1/lookup?repo=a/b&commit=" + commit + "&etag=zz&size=1":            400,
		"/v1/lookup?repo=a/b&commit=x&etag=" + etag + "&size=1":               400,
		"/v1/lookup?repo=" + strings.Repeat("a", maxQuery):                    414,
		"/v1/lookup?repo=org/model&revision=main&claims=1":                    200,
		"/v1/lookup?repo=org/model&claims=1":                                  400,
		"/v1/lookup?repo=org/model&revision=a..b&claims=1":                    400,
		"/v1/lookup?repo=../x&revision=main&claims=1":                         400,
		"/v1/lookup?repo=a/b&commit=" + commit + "&tellers=1":                 200,
		"/v1/lookup?repo=a/b&commit=main&tellers=1":                           400,
		"/v1/tree?repo=org/model&commit=" + commit:                            200,
		"/v1/tree?repo=org/none&commit=" + commit:                             404,
		"/v1/tree?repo=org/model&commit=main":                                 400,
		"/v1/tree?repo=../x&commit=" + commit:                                 400,
		"/v1/tree":                                                            400,
		"/v1/members":                                                         200,
		"/v1/members?most=-1":                                                 200,
		"/v1/nothing":                                                         404,
		"/v1/../v1/members":                                                   200,
	} {
		resp, err := http.Get(n.door.URL + path)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode, path)
	}
	resp, err := http.Post(n.door.URL+"/v1/members", "text/plain", strings.NewReader("x"))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}
