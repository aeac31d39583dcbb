//go:build linux

package discovery

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// The lab is a few machines on a switch, made of network namespaces. A machine
// runs this test binary again as a node, which prints whom it finds.

// nodeEnv holds the number of the node that a started test binary plays.
const nodeEnv = "HFFS_DISCOVERY_NODE"

func TestMain(m *testing.M) {
	switch n := os.Getenv(nodeEnv); n {
	case "":
		os.Exit(m.Run())
	case "hold":
		holdPort()
	default:
		playNode(n)
	}
}

// holdPort takes port 5353 for itself alone, until its input ends.
func holdPort() {
	for _, network := range []string{"udp4", "udp6"} {
		c, err := net.ListenUDP(network, &net.UDPAddr{Port: 5353})
		if err != nil {
			panic(err)
		}
		defer c.Close()
	}
	fmt.Println("{}")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// playNode finds and announces until its input ends. It obeys one word a line.
func playNode(n string) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var own atomic.Pointer[[]netip.Addr]
	node := fmt.Sprintf("%016s", n)
	m := NewMDNS(MDNSConfig{Swarm: swarmA, Self: func() (Self, bool) {
		if as := own.Load(); as != nil && len(*as) > 0 {
			return Self{Member: node + "-00000001", Node: node, Addrs: *as, Gossip: 7766, Door: 7767}, true
		}
		return Self{}, false
	}})
	m.announcer.retry = rescan
	wg.Go(func() { _ = WatchAddrs(ctx, WatchConfig{}, func(as []netip.Addr) { own.Store(&as) }) })
	out := json.NewEncoder(os.Stdout)
	wg.Go(func() { _ = m.Find(ctx, func(p Peer) { _ = out.Encode(p) }) })
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "nudge":
			m.Nudge()
		case "ask":
			_ = json.NewEncoder(os.Stderr).Encode(ask(ctx, MDNSConfig{Swarm: swarmA}))
		}
	}
	cancel()
	wg.Wait()
}

type lab struct {
	t      *testing.T
	prefix string
}

var labs atomic.Int32

// newLab makes a switch with two separate networks, br0 and br1.
func newLab(t *testing.T) *lab {
	t.Helper()
	t.Parallel() // each lab is a world of its own
	if os.Geteuid() != 0 {
		lacking(t, "network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		lacking(t, "network namespaces: %v", err)
	}
	l := &lab{t, fmt.Sprintf("hffs-disc-%d-%d-", os.Getpid(), labs.Add(1))}
	if out, err := exec.Command("ip", "netns", "add", l.prefix+"probe").CombinedOutput(); err != nil {
		lacking(t, "network namespaces: %v: %s", err, out)
	}
	l.ip("netns del %sprobe", l.prefix)
	l.space("sw")
	for _, br := range []string{"br0", "br1"} {
		l.ip("-n %ssw link add %s type bridge stp_state 0 forward_delay 0 mcast_snooping 0", l.prefix, br)
		l.ip("-n %ssw link set %s up", l.prefix, br)
	}
	return l
}

func (l *lab) ip(format string, args ...any) {
	l.t.Helper()
	out, err := exec.Command("ip", strings.Fields(fmt.Sprintf(format, args...))...).CombinedOutput()
	require.NoError(l.t, err, "ip %s: %s", fmt.Sprintf(format, args...), out)
}

func (l *lab) space(name string) {
	l.ip("netns add %s%s", l.prefix, name)
	l.t.Cleanup(func() { l.ip("netns del %s%s", l.prefix, name) })
	l.ip("-n %s%s link set lo up", l.prefix, name)
}

// set writes a kernel setting of one machine.
func (l *lab) set(host int, key, value string) {
	l.in(host, nil, "sh", "-c", fmt.Sprintf("echo %s > /proc/sys/%s", value, key))
}

func (l *lab) in(host int, stdin io.Reader, args ...string) {
	l.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", l.prefix + fmt.Sprint(host)}, args...)...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	require.NoError(l.t, err, "%q: %s", args, out)
}

// host makes a machine without network. Addresses of IPv6 count at once: there
// is nobody here to have them twice.
func (l *lab) host(n int) {
	l.space(fmt.Sprint(n))
	l.set(n, "net/ipv6/conf/default/accept_dad", "0")
}

// plug connects eth<net> of a machine to a network, with the given addresses.
func (l *lab) plug(host, network int, addrs ...string) {
	l.ip("-n %ssw link add v%d-%d type veth peer name eth%d netns %s%d", l.prefix, host, network, network, l.prefix, host)
	l.ip("-n %ssw link set v%d-%d master br%d up", l.prefix, host, network, network)
	for _, a := range addrs {
		l.ip("-n %s%d addr add %s dev eth%d", l.prefix, host, a, network)
	}
	l.ip("-n %s%d link set eth%d up", l.prefix, host, network)
}

func (l *lab) unplug(host, network int) { l.ip("-n %ssw link del v%d-%d", l.prefix, host, network) }

// usual makes a machine on network 0 with an IPv4 address.
func (l *lab) usual(n int) {
	l.host(n)
	l.plug(n, 0, fmt.Sprintf("10.78.0.%d/24", n))
}

// labNode is a node that runs on a machine of the lab.
type labNode struct {
	t     *testing.T
	stdin io.WriteCloser
	found chan Peer
	asked chan []Peer
}

// node starts a node; wrap is what stands before the binary's own name.
func (l *lab) node(host, n int, wrap ...string) *labNode {
	return l.start(host, fmt.Sprint(n), wrap...)
}

func (l *lab) start(host int, what string, wrap ...string) *labNode {
	l.t.Helper()
	args := append([]string{"netns", "exec", l.prefix + fmt.Sprint(host)}, wrap...)
	cmd := exec.Command("ip", append(args, os.Args[0])...)
	// A binary with the race detector in it otherwise sleeps a second at its end.
	cmd.Env = append(os.Environ(), nodeEnv+"="+what, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	stdin, err := cmd.StdinPipe()
	require.NoError(l.t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(l.t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(l.t, err)
	require.NoError(l.t, cmd.Start())
	node := &labNode{l.t, stdin, make(chan Peer, 1<<16), make(chan []Peer, 16)}
	var wg sync.WaitGroup
	wg.Go(func() { decode(stdout, node.found) })
	wg.Go(func() { decode(stderr, node.asked) })
	l.t.Cleanup(func() {
		stdin.Close()
		wg.Wait()
		require.NoError(l.t, cmd.Wait())
	})
	return node
}

func decode[T any](r io.Reader, out chan<- T) {
	defer io.Copy(os.Stderr, r) // what is no JSON is a panic, or a race that was found
	for d := json.NewDecoder(r); ; {
		var v T
		if d.Decode(&v) != nil {
			rest, _ := io.ReadAll(d.Buffered())
			os.Stderr.Write(bytes.TrimSpace(rest))
			return
		}
		out <- v
	}
}

func (n *labNode) say(word string) {
	_, err := io.WriteString(n.stdin, word+"\n")
	require.NoError(n.t, err)
}

// is tells a peer by the number of its node.
func is(n int) func(Peer) bool {
	return func(p Peer) bool { return p.Node == fmt.Sprintf("%016d", n) }
}

// sees waits until the node has found another one.
func (n *labNode) sees(other int) Peer {
	n.t.Helper()
	return await(n.t, n.found, fmt.Sprintf("node %d", other), is(other))
}

// finds is sees, starting from now.
func (n *labNode) finds(other int) Peer {
	n.t.Helper()
	n.afresh()
	return n.sees(other)
}

// afresh forgets what was found and starts the quick rounds again.
func (n *labNode) afresh() {
	for len(n.found) > 0 {
		<-n.found
	}
	n.say("nudge")
}

// mesh starts a node on each of machines 1 to 3 and waits until all know all.
func (l *lab) mesh(wrap ...string) (nodes []*labNode) {
	l.t.Helper()
	for i := 1; i <= 3; i++ {
		nodes = append(nodes, l.node(i, i, wrap...))
	}
	for i, n := range nodes {
		left := []int{1, 2, 3}
		left = slices.Delete(left, i, i+1)
		await(l.t, n.found, fmt.Sprintf("the others at node %d", i+1), func(p Peer) bool {
			left = slices.DeleteFunc(left, func(j int) bool { return is(j)(p) })
			return len(left) == 0
		})
	}
	return nodes
}

func TestLabDefault(t *testing.T) {
	l := newLab(t)
	for i := 1; i <= 3; i++ {
		l.usual(i)
		l.ip("-n %s%d route add default via 10.78.0.254 dev eth0", l.prefix, i)
	}
	nodes := l.mesh()
	require.Equal(t, addrs("10.78.0.2"), nodes[0].finds(2).Addrs)

	late := l.node(3, 4) // a second one on that machine, later
	late.sees(1)
	late.sees(3)
	nodes[2].finds(4)
	require.Equal(t, addrs("10.78.0.3"), nodes[0].finds(4).Addrs)

	nodes[0].say("ask")
	require.Len(t, <-nodes[0].asked, 4, "a passer-by hears all of them")
}

func TestLabNoDefaultRoute(t *testing.T) {
	l := newLab(t)
	for i := 1; i <= 3; i++ {
		l.usual(i)
	}
	l.mesh()
}

func TestLabNoDefaultRouteNoIPv6(t *testing.T) {
	l := newLab(t)
	for i := 1; i <= 3; i++ {
		l.host(i)
		l.set(i, "net/ipv6/conf/all/disable_ipv6", "1")
		l.set(i, "net/ipv6/conf/default/disable_ipv6", "1")
		l.plug(i, 0, fmt.Sprintf("10.78.0.%d/24", i))
	}
	l.mesh()
}

func TestLabIPv6Only(t *testing.T) {
	l := newLab(t)
	for i := 1; i <= 3; i++ {
		l.host(i)
		l.plug(i, 0, fmt.Sprintf("fd78::%d/64", i))
	}
	require.Equal(t, addrs("fd78::2"), l.mesh()[0].finds(2).Addrs)
}

// TestLabTwoNetworks has a machine between two others that share none.
func TestLabTwoNetworks(t *testing.T) {
	l := newLab(t)
	for i := 1; i <= 3; i++ {
		l.host(i)
	}
	l.plug(1, 0, "10.78.0.1/25")
	l.plug(1, 1, "10.78.0.129/25")
	l.plug(2, 0, "10.78.0.2/25")
	l.plug(3, 1, "10.78.0.130/25")
	between, zero, one := l.node(1, 1), l.node(2, 2), l.node(3, 3)
	require.Equal(t, addrs("10.78.0.2"), between.sees(2).Addrs)
	require.Equal(t, addrs("10.78.0.130"), between.finds(3).Addrs)
	require.Equal(t, addrs("10.78.0.1", "10.78.0.129"), zero.sees(1).Addrs, "the one in reach comes first")
	require.Equal(t, addrs("10.78.0.129", "10.78.0.1"), one.sees(1).Addrs, "the one in reach comes first")
}

// TestLabHostNameIsLoopback has machines whose own name is 127.0.1.1, as
// Debian's installer makes it.
func TestLabHostNameIsLoopback(t *testing.T) {
	l := newLab(t)
	hosts := filepath.Join(t.TempDir(), "hosts")
	require.NoError(t, os.WriteFile(hosts, []byte("127.0.0.1 localhost\n127.0.1.1 hffs-box hffs-box.local\n"), 0o644))
	for i := 1; i <= 3; i++ {
		l.usual(i)
	}
	nodes := l.mesh("unshare", "--uts", "sh", "-c", "echo hffs-box > /proc/sys/kernel/hostname && mount --bind "+hosts+` /etc/hosts && exec "$0"`)
	require.Equal(t, addrs("10.78.0.2"), nodes[0].finds(2).Addrs)
}

// TestLabPortTaken has a machine where somebody holds port 5353 alone.
func TestLabPortTaken(t *testing.T) {
	l := newLab(t)
	l.usual(1)
	l.usual(2)
	holder := l.start(2, "hold")
	<-holder.found
	one, two := l.node(1, 1), l.node(2, 2)
	two.sees(1)
	require.Empty(t, one.found, "it cannot be found, so it has to find")
	holder.stdin.Close()
	one.finds(2)
}

func TestLabLinkIsLate(t *testing.T) {
	l := newLab(t)
	l.usual(1)
	l.host(2)
	one, two := l.node(1, 1), l.node(2, 2)
	l.plug(2, 0, "10.78.0.2/24")
	two.sees(1)
	require.Equal(t, addrs("10.78.0.2"), one.finds(2).Addrs)
}

func TestLabInterfaceIsReplaced(t *testing.T) {
	l := newLab(t)
	l.usual(1)
	l.usual(2)
	one, two := l.node(1, 1), l.node(2, 2)
	one.sees(2)
	two.sees(1)
	l.unplug(2, 0)
	l.plug(2, 0, "10.78.0.2/24")
	two.finds(1)
	one.finds(2)
}

func TestLabAddressChanges(t *testing.T) {
	l := newLab(t)
	l.usual(1)
	l.usual(2)
	one, two := l.node(1, 1), l.node(2, 2)
	one.sees(2)
	l.ip("-n %s2 addr del 10.78.0.2/24 dev eth0", l.prefix)
	l.ip("-n %s2 addr add 10.78.0.77/24 dev eth0", l.prefix)
	two.finds(1)
	one.afresh()
	await(t, one.found, "node 2 at its new address", func(p Peer) bool {
		return is(2)(p) && slices.Equal(p.Addrs, addrs("10.78.0.77"))
	})
}
