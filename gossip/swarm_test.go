package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

// patienceLimit ends a wait for an event that never comes. It is no measure of
// speed: the machine may be busy.
const patienceLimit = 30 * time.Second

var loopback = netip.MustParseAddr("127.0.0.1")

// testNode is a whole node: a swarm, its door, and a switch that cuts it off.
type testNode struct {
	*Swarm
	t    testing.TB
	door *httptest.Server
	cut  *cutter
	stop context.CancelFunc
	done chan error

	tree atomic.Pointer[http.HandlerFunc] // answers for the node when it is asked for a tree

	pulls  atomic.Int64 // of manifests, from this node
	fulls  atomic.Int64 // of those, answered with everything
	deltas atomic.Int64 // and with changes
}

// fast makes deaths and repairs quick.
func fast(c *memberlist.Config) {
	c.ProbeInterval = 200 * time.Millisecond
	c.ProbeTimeout = 100 * time.Millisecond
	c.GossipInterval = 20 * time.Millisecond
	c.SuspicionMult = 2
	c.SuspicionMaxTimeoutMult = 2
	c.PushPullInterval = time.Second
	c.TCPTimeout = time.Second
}

func nodeID(i int) string { return fmt.Sprintf("%016x", 0xa000+i) }

// start brings up a node that is not in a swarm with anybody yet.
func start(t testing.TB, i int, change ...func(*Config)) *testNode {
	t.Helper()
	n := prepare(t, i, change...)
	n.run()
	return n
}

func prepare(t testing.TB, i int, change ...func(*Config)) *testNode {
	n := &testNode{t: t, done: make(chan error, 1), cut: &cutter{}}
	n.door = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.cut.isCut() {
			panic(http.ErrAbortHandler)
		}
		if h := n.tree.Load(); h != nil && r.URL.Path == treePath {
			(*h)(w, r)
			return
		}
		if r.URL.Path == manifestPath {
			n.pulls.Add(1)
			rec := httptest.NewRecorder()
			n.Handler().ServeHTTP(rec, r)
			if a, err := manifest.DecodeAnswer(rec.Body.Bytes(), time.Now()); err == nil && a.Summary != nil {
				n.fulls.Add(1)
			} else if err == nil && a.Deltas != nil {
				n.deltas.Add(1)
			}
			w.WriteHeader(rec.Code)
			_, _ = w.Write(rec.Body.Bytes())
			return
		}
		n.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(n.door.Close)
	cfg := Config{
		NodeID: nodeID(i), Name: fmt.Sprintf("n%d", i), DoorPort: n.door.Listener.Addr().(*net.TCPAddr).Port,
		Bind: "127.0.0.1", Loopback: true, Version: "test", Tune: fast,
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	n.Swarm, err = New(cfg)
	require.NoError(t, err)
	n.wrap = n.cut.wrap
	return n
}

func (n *testNode) run() {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.SetAddr(loopback)
	go func() { n.done <- n.Run(ctx) }()
	n.t.Cleanup(n.crash)
	select {
	case <-n.Ready():
	case err := <-n.done:
		n.done <- err
		require.NoError(n.t, err)
	}
}

// leave ends the node as a person would.
func (n *testNode) leave() {
	n.stop()
	err := <-n.done
	n.done <- err
	require.NoError(n.t, err)
}

// crash ends the node without a word to the others.
func (n *testNode) crash() {
	n.cut.set(true)
	n.leave()
}

func (n *testNode) gossipAddr() netip.AddrPort {
	return netip.AddrPortFrom(loopback, uint16(n.Port()))
}

func (n *testNode) doorAddr() netip.AddrPort {
	return netip.MustParseAddrPort(strings.TrimPrefix(n.door.URL, "http://"))
}

func (n *testNode) join(other *testNode) {
	n.t.Helper()
	require.NoError(n.t, n.Join(context.Background(), other.Member(), []netip.AddrPort{other.gossipAddr()}))
}

// swarmOf brings up n nodes that all know each other.
func swarmOf(t testing.TB, n int, change ...func(*Config)) []*testNode {
	t.Helper()
	nodes := make([]*testNode, n)
	for i := range nodes {
		nodes[i] = start(t, i, change...)
		if i > 0 {
			nodes[i].join(nodes[0])
		}
	}
	for _, node := range nodes {
		await(t, func() bool { return len(node.Members()) == n-1 }, "%s sees all", node.cfg.Name)
	}
	return nodes
}

func await(t testing.TB, ok func() bool, what string, args ...any) {
	t.Helper()
	require.Eventually(t, ok, patienceLimit, 5*time.Millisecond, append([]any{what}, args...)...)
}

// cutter cuts a node's gossip off, both ways, and counts it.
type cutter struct {
	mu   sync.Mutex
	off  bool
	loss int          // per cent of the packets
	sent atomic.Int64 // bytes of gossip
}

func (c *cutter) set(off bool) { c.mu.Lock(); c.off = off; c.mu.Unlock() }
func (c *cutter) isCut() bool  { c.mu.Lock(); defer c.mu.Unlock(); return c.off }

func (c *cutter) lost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off || rand.IntN(100) < c.loss
}

func (c *cutter) wrap(t memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
	w := &cutTransport{NodeAwareTransport: t, cut: c, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), end: make(chan struct{})}
	go w.pump()
	return w
}

type cutTransport struct {
	memberlist.NodeAwareTransport
	cut     *cutter
	packets chan *memberlist.Packet
	streams chan net.Conn
	end     chan struct{}
	once    sync.Once
}

func (t *cutTransport) pump() {
	for {
		select {
		case p := <-t.NodeAwareTransport.PacketCh():
			if t.cut.isCut() {
				continue
			}
			select {
			case t.packets <- p:
			case <-t.end:
				return
			}
		case c := <-t.NodeAwareTransport.StreamCh():
			if t.cut.isCut() {
				_ = c.Close()
				continue
			}
			select {
			case t.streams <- c:
			case <-t.end:
				return
			}
		case <-t.end:
			return
		}
	}
}

func (t *cutTransport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *cutTransport) StreamCh() <-chan net.Conn           { return t.streams }

func (t *cutTransport) Shutdown() error {
	defer t.once.Do(func() { close(t.end) })
	return t.NodeAwareTransport.Shutdown()
}

func (t *cutTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if t.cut.lost() {
		return time.Now(), nil
	}
	t.cut.sent.Add(int64(len(b)) + 42) // with its headers
	return t.NodeAwareTransport.WriteToAddress(b, a)
}

func (t *cutTransport) DialAddressTimeout(a memberlist.Address, d time.Duration) (net.Conn, error) {
	if t.cut.isCut() {
		return nil, net.ErrClosed
	}
	c, err := t.NodeAwareTransport.DialAddressTimeout(a, d)
	if err != nil {
		return nil, err
	}
	return countedConn{c, &t.cut.sent}, nil
}

// countedConn counts what is written to a stream.
type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// Names and holdings for tests.

var testRepo = ref.Repo{Type: ref.Model, ID: "org/model"}

func testCommit(i int) ref.Commit { return ref.Commit(fmt.Sprintf("%040x", 0xc0000+i)) }

func testBlob(i int) ref.Blob {
	b := ref.Blob{ETag: ref.ETag(fmt.Sprintf("%040x", 0xe0000+i)), Size: int64(1000 + i)}
	if i%2 == 1 {
		b.ETag = ref.ETag(fmt.Sprintf("%064x", 0xe0000+i))
		b.Xet = ref.XetHash(fmt.Sprintf("%064x", 0xf0000+i))
	}
	return b
}

// files are n files; file i is named file-<i> and has testBlob(i).
func testFiles(n int) []manifest.File {
	out := make([]manifest.File, n)
	for i := range out {
		out[i] = manifest.File{Path: fmt.Sprintf("file-%06d.bin", i), Blob: testBlob(i)}
	}
	return out
}

func holding(files int) manifest.Holdings {
	return manifest.Holdings{
		Snapshots: []manifest.Snapshot{{Repo: testRepo, Commit: testCommit(1), Files: testFiles(files)}},
		Refs:      []manifest.Ref{{Repo: testRepo, Name: "main", Commit: testCommit(1), Learnt: time.Now().Add(-time.Hour)}},
	}
}

// wide is holding(n) and n small snapshots beside it: from a hundred on, too much
// for a broadcast.
func wide(n int) manifest.Holdings {
	h := holding(n)
	for i := range n {
		h.Snapshots = append(h.Snapshots, manifest.Snapshot{Repo: testRepo, Commit: testCommit(1000 + i), Files: testFiles(1)})
	}
	return h
}

func entryOf(i int) ref.Entry {
	f := testFiles(i + 1)[i]
	return ref.Entry{Repo: testRepo, Commit: testCommit(1), Path: f.Path, Blob: f.Blob}
}

func (n *testNode) holders(e ref.Entry) []string {
	hs, err := n.Holders(context.Background(), e)
	require.NoError(n.t, err)
	var out []string
	for _, h := range hs {
		mark := ""
		if !h.Complete {
			mark = "…"
		}
		out = append(out, h.Node.Name+mark)
	}
	return out
}

func (n *testNode) awaitHolders(e ref.Entry, want ...string) {
	n.t.Helper()
	await(n.t, func() bool {
		got := n.holders(e)
		return len(got) == len(want) && strings.Join(got, ",") == strings.Join(want, ",")
	}, "holders of %s as %s sees them: %v", e, n.cfg.Name, want)
}
