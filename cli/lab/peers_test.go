package lab

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type peersJSON struct {
	Node  string
	Peers []struct {
		Node, Addr    string
		Alive, Member bool
		Found         []string
		Trip          float64 `json:"round_trip_ms"`
	}
}

type doctorJSON struct {
	OK    bool
	Lines []struct{ Check, State, Text, Hint string }
}

// route moves a host into a subnet of its own, behind a router that passes on no
// multicast: the way of two floors of a building, or of a VPN.
func route(l *Lab, router, behind *Host) {
	l.t.Helper()
	l.Cut(behind)
	l.ip(l.sw, fmt.Sprintf("link add vfar type veth peer name eth1 netns %d", router.space.pid()), "link set vfar master br1 up")
	l.ip(router.space, "addr add 10.79.0.1/24 dev eth1", "link set eth1 up")
	l.sysctl(router.space, "net.ipv4.ip_forward=1")
	behind.Addr = strings.Replace(behind.Addr, "10.78.", "10.79.", 1)
	l.ip(behind.space, "addr flush dev eth0 scope global", "addr add "+behind.Addr+"/24 dev eth0", "route add default via 10.79.0.1 dev eth0")
	for _, h := range append([]*Host{l.hub}, l.Hosts...) {
		if h != router && h != behind {
			l.ip(h.space, "route replace 10.79.0.0/24 via "+router.Addr)
		}
	}
}

// known is who a host says there is.
func known(t *testing.T, h *Host) (p peersJSON) {
	t.Helper()
	h.HffsJSON(&p, "peer", "ls")
	return p
}

// TestAddedPeerAcrossSubnets: nobody hears the other's multicast. One word on one of the
// machines brings them together, and after the end of either again.
func TestAddedPeerAcrossSubnets(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := New(t, Options{Hosts: 4})
	a, b, c, router := l.Hosts[0], l.Hosts[1], l.Hosts[2], l.Hosts[3]
	route(l, router, b)
	const size = 3_000_000
	hub := l.NewHub(synthetic("org/model", "model.bin", size)...)
	onA, onB := a.Up(), b.Up()
	get(t, b, "org/model", "model.bin")
	require.Zero(t, peers(t, a))
	require.Zero(t, peers(t, b), "multicast does not cross the router")

	r := a.Hffs("peer", "add", b.Addr)
	require.Zero(t, r.Code, r.String())
	require.Equal(t, "added "+b.Addr+":7766\n", r.Stdout)
	require.Contains(t, r.Stderr, "answers there")
	meet(t, 5*time.Second, 1, a, b)
	p := known(t, a)
	require.Len(t, p.Peers, 1)
	require.Equal(t, []string{"added"}, p.Peers[0].Found)
	require.True(t, p.Peers[0].Alive && p.Peers[0].Member)
	require.Positive(t, p.Peers[0].Trip)
	require.Equal(t, []string{"gossip"}, known(t, b).Peers[0].Found, "one direction is enough")

	onB.Kill()
	meet(t, 30*time.Second, 0, a)
	onB = b.Up()
	meet(t, 30*time.Second, 1, a, b)

	onA.Kill()
	onA = a.Up()
	meet(t, 30*time.Second, 1, a, b)

	// Without a node the command asks them as well.
	require.Zero(t, onA.Stop())
	before := hub.Bytes("org/model", "model.bin")
	require.EqualValues(t, size, get(t, a, "org/model", "model.bin").from("peer"))
	require.Equal(t, before, hub.Bytes("org/model", "model.bin"))
	require.Equal(t, 3, c.Hffs("peer", "rm", b.Addr).Code, "another machine has its own list")

	// Taken off the list it is let go: nobody comes to it any more. What either
	// remembers of the other is gone with its state.
	require.Zero(t, a.Hffs("peer", "rm", b.Addr).Code)
	require.Zero(t, onB.Stop())
	for _, h := range []*Host{a, b} {
		require.NoError(t, exec.Command("rm", "-r", h.Home()).Run())
	}
	a.Up()
	b.Up()
	quiet := a.Sent()
	require.Empty(t, known(t, a).Peers)
	time.Sleep(2 * time.Second) // nothing happens, and nothing tells of that
	require.Zero(t, peers(t, b))
	require.Less(t, a.Sent()-quiet, int64(64<<10))
}

// worst is the worst line of a check, with its text and hint.
func (d doctorJSON) worst(check string) (state, text string) {
	rank := map[string]int{"": 0, "ok": 1, "warn": 2, "fail": 3}
	for _, line := range d.Lines {
		if line.Check == check && rank[line.State] > rank[state] {
			state, text = line.State, line.Text+" / "+line.Hint
		}
	}
	return state, text
}

func examined(t *testing.T, h *Host, code int, args ...string) (d doctorJSON) {
	t.Helper()
	r := h.Hffs(append([]string{"doctor", "--json"}, args...)...)
	require.Equal(t, code, r.Code, r.String())
	require.Less(t, r.Took, 15*time.Second)
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &d), r.String())
	require.Equal(t, code == 0, d.OK)
	return d
}

// block keeps packets from a host: what is left of an input rule of nftables.
func block(t *testing.T, h *Host, rule string) (lift func()) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("nft is not installed")
	}
	feed := func(text string) {
		cmd := h.space.command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	feed("table inet lab {\nchain in {\ntype filter hook input priority 0;\n" + rule + " drop\n}\n}\n")
	return func() { feed("delete table inet lab\n") }
}

func TestDoctorFindsNothingWrong(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	a, b := l.Hosts[0], l.Hosts[1]
	l.NewHub()
	b.Up()
	for _, running := range []bool{false, true} {
		if running {
			a.Up()
			meet(t, 20*time.Second, 1, a)
		}
		d := examined(t, a, 0)
		for _, check := range []string{"multicast", "ports", "reach", "peers", "hub", "clock", "disk"} {
			state, text := d.worst(check)
			require.Equal(t, "ok", state, "%s: %s", check, text)
		}
		_, text := d.worst("multicast")
		require.Contains(t, text, "1 other node answered")
		_, text = d.worst("peers")
		require.Contains(t, text, "lab-b")
	}
}

func TestDoctorFindsMulticastCut(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	a, b := l.Hosts[0], l.Hosts[1]
	l.NewHub()
	b.Up()

	l.Cut(b)
	d := examined(t, a, 0)
	state, text := d.worst("peers")
	require.Equal(t, "warn", state)
	require.Contains(t, text, "no other node answers")
	state, text = d.worst("reach")
	require.Equal(t, "warn", state)
	require.Contains(t, text, "nobody to ask")
	l.Heal(b)

	l.ip(a.space, "link set eth0 multicast off")
	state, text = examined(t, a, 1).worst("interfaces")
	require.Equal(t, "fail", state)
	require.Contains(t, text, "no network")
	l.ip(a.space, "link set eth0 multicast on")

	lift := block(t, a, "udp dport 5353")
	state, text = examined(t, a, 1).worst("multicast")
	require.Equal(t, "fail", state)
	require.Contains(t, text, "5353")
	lift()
	state, text = examined(t, a, 0).worst("multicast")
	require.Equal(t, "ok", state, text)
}

func TestDoctorFindsBlockedPorts(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := New(t, Options{Hosts: 2})
	a, b := l.Hosts[0], l.Hosts[1]
	l.NewHub()
	b.Up()
	for _, running := range []bool{false, true} {
		if running {
			a.Up()
			meet(t, 20*time.Second, 1, a)
		}
		for _, c := range []struct {
			rule, state, text string
			code              int
		}{
			{"tcp dport 7766", "fail", "TCP port 7766", 1},
			{"tcp dport 7767", "fail", "TCP port 7767", 1},
			{"udp dport 7766", "warn", "UDP port 7766", 0},
		} {
			lift := block(t, a, c.rule)
			d := examined(t, a, c.code)
			state, text := d.worst("reach")
			require.Equal(t, c.state, state, text)
			require.Contains(t, text, c.text)
			require.Contains(t, text, "firewall")
			state, text = d.worst("firewall")
			require.Equal(t, "warn", state)
			require.Contains(t, text, "nftables is on")
			lift()
		}
	}
}

// TestDoctorDoesNotHang: the Hub and a peer take connections and say nothing, and there
// is no name server.
func TestDoctorDoesNotHang(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := New(t, Options{Hosts: 2})
	a, b := l.Hosts[0], l.Hosts[1]
	hub := l.NewHub()
	onB := b.Up()
	a.Hffs("peer", "add", b.Addr)
	a.Hffs("peer", "add", "box.example")
	hub.proc.Pause()
	onB.Pause()
	d := examined(t, a, 1)
	state, text := d.worst("peers")
	require.Equal(t, "warn", state)
	require.Contains(t, text, b.Addr)
	state, text = d.worst("hub")
	require.Equal(t, "fail", state)
	require.Contains(t, text, "does not answer")
	state, text = d.worst("names")
	require.NotEqual(t, "ok", state)
	require.Contains(t, text, "box.example")
	hub.proc.Resume()
	onB.Resume()
}
