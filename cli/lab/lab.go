// Package lab builds a small network out of one machine and runs the real hffs
// in it, for the stories that no single process can tell: three nodes that find
// each other, a holder that dies half-way, a bridge that is cut and healed.
//
// Read it in this order: [New] lays the cables, [Host] is one machine on them,
// [Process] is something that runs there, and [Hub] is the stand-in for
// huggingface.co, a machine of its own. The stories are this package's tests,
// one theme a file; the program in benchlan measures with the same parts.
//
// A lab is a bridge in a network namespace of its own and one namespace for
// each host, joined by veth pairs. Nothing of it has a name outside, so labs
// never meet, and nothing leaves it. Each namespace lives as long as a keeper
// process that reads from a pipe of ours: when the pipe closes, because the
// test is over or because it was killed, the keeper ends what still runs in its
// namespace, and the kernel takes the cables away. There is nothing to tidy up
// afterwards, whatever went wrong.
//
// It needs Linux, root, and a few tools: see [Require].
package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// T is what a lab needs of a test; *testing.T has it, and so has the benchmark
// program, which is no test.
type T interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	FailNow()
	Failed() bool
	Cleanup(func())
	TempDir() string
}

// Options say how a lab is built. The zero value is three hosts with a Hub's
// place beside them, on cables as fast as the machine.
type Options struct {
	Hosts   int    // 3; how many hosts
	Rate    string // unlimited; line rate of each host, both ways, as tc writes it: "200mbit"
	NoRoute bool   // false; leave out the default route, as on a switch without a router
	Dir     string // the test's temporary folder; where the hosts' files lie
}

// Lab is one network with its hosts. It goes when the test ends.
type Lab struct {
	Hosts []*Host

	t   T
	hub *Host
	sw  *space

	mu    sync.Mutex // guards procs
	procs []*Process
}

const tools = "ip tc unshare nsenter find kill sysctl curl"

// Require skips the test with a clear word where the system cannot have a lab.
// Where one must be had, with HFFS_REQUIRE_LAB=1, that is a failure instead.
func Require(t T) {
	t.Helper()
	why := missing()
	switch {
	case why == "":
	case os.Getenv("HFFS_REQUIRE_LAB") == "1":
		t.Fatalf("a lab is required here: %s", why)
	default:
		t.Skipf("no lab: %s", why)
	}
}

// missing says what this system lacks for a lab, or nothing.
var missing = sync.OnceValue(func() string {
	if runtime.GOOS != "linux" {
		return "network namespaces are Linux's"
	}
	for tool := range strings.FieldsSeq(tools) {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	try := "ip link add a0 type veth peer name a1 && ip link add b0 type bridge && ip link set lo up"
	if out, err := exec.Command("unshare", "--net", "--uts", "sh", "-c", try).CombinedOutput(); err != nil {
		return fmt.Sprintf("no right to make network namespaces: %s", strings.TrimSpace(string(out)))
	}
	return ""
})

// New builds a lab, or skips the test as [Require] says.
func New(t T, o Options) *Lab {
	t.Helper()
	Require(t)
	if o.Hosts == 0 {
		o.Hosts = 3
	}
	if o.Dir == "" {
		o.Dir = t.TempDir() // before our own Cleanup, so that it goes after it
	}
	l := &Lab{t: t}
	t.Cleanup(l.close)
	l.sw = l.newSpace("lab-switch")
	l.ip(l.sw, "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
		"link add br1 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
		"link set br0 up", "link set br1 up")
	l.hub = l.newHost("hub", 2, o)
	for i := range o.Hosts {
		l.Hosts = append(l.Hosts, l.newHost(string(rune('A'+i)), 11+i, o))
	}
	return l
}

// newHost makes a host and plugs it in. It gets cubic for its congestion
// control by its routes, since a namespace may not choose another default than
// the machine's, and under BBR a loopback is three times slower than it is.
func (l *Lab) newHost(name string, number int, o Options) *Host {
	l.t.Helper()
	h := &Host{Name: name, Addr: fmt.Sprintf("10.78.0.%d", number), lab: l, port: "v" + name}
	h.Dir = filepath.Join(o.Dir, name)
	if err := os.MkdirAll(h.Dir, 0o755); err != nil {
		l.t.Fatalf("make %s: %v", h.Dir, err)
	}
	h.space = l.newSpace(h.Hostname())
	l.ip(l.sw, fmt.Sprintf("link add %s type veth peer name eth0 netns %d", h.port, h.space.pid()),
		"link set "+h.port+" master br0 up")
	l.sysctl(h.space, "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.eth0.accept_dad=0")
	local := "table local proto kernel scope host congctl cubic"
	l.ip(h.space, "link set lo up", "addr add "+h.Addr+"/24 dev eth0", "link set eth0 up",
		"route replace 10.78.0.0/24 dev eth0 proto kernel scope link congctl cubic src "+h.Addr,
		"route replace local 127.0.0.0/8 dev lo "+local+" src 127.0.0.1",
		"route replace local 127.0.0.1 dev lo "+local+" src 127.0.0.1",
		"route replace local "+h.Addr+" dev eth0 "+local+" src "+h.Addr)
	if !o.NoRoute {
		l.ip(h.space, "route add default via 10.78.0.1 dev eth0")
	}
	if o.Rate != "" {
		h.Rate(o.Rate)
	}
	return h
}

// Cut moves the hosts behind another bridge: they reach each other, and nobody
// else. Heal brings them back.
func (l *Lab) Cut(hosts ...*Host) { l.plug("br1", hosts) }

// Heal undoes [Lab.Cut].
func (l *Lab) Heal(hosts ...*Host) { l.plug("br0", hosts) }

func (l *Lab) plug(bridge string, hosts []*Host) {
	l.t.Helper()
	for _, h := range hosts {
		l.ip(l.sw, "link set "+h.port+" master "+bridge)
	}
}

// close ends everything and, after a failure, shows what the processes said. A
// process that crashed or raced is a failure even where no story noticed.
func (l *Lab) close() {
	l.mu.Lock()
	procs := slices.Clone(l.procs)
	l.mu.Unlock()
	for _, h := range append(slices.Clone(l.Hosts), l.hub) {
		if h != nil {
			h.space.close()
		}
	}
	if l.sw != nil {
		l.sw.close()
	}
	for _, p := range procs {
		<-p.done
		if word := p.broken(); word != "" {
			l.t.Errorf("%s: %s", p.name, word)
		}
	}
	for _, p := range procs {
		if l.t.Failed() {
			l.t.Logf("%s", p.report())
		}
	}
}
