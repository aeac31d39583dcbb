package discovery

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"
)

// lacking skips a test for want of something in the system, except where the
// surroundings are ours and must have it.
func lacking(t testing.TB, what string, args ...any) {
	t.Helper()
	if os.Getenv("HFFS_REQUIRE_LAB") == "1" {
		t.Fatalf(what, args...)
	}
	t.Skipf(what, args...)
}

// freshService is a service of this test alone, on a machine where multicast
// over loopback works.
func freshService(t testing.TB) string {
	t.Helper()
	if err := probeMulticast(); err != nil {
		lacking(t, "multicast over loopback: %v", err)
	}
	return fmt.Sprintf("_hffs-%08x._tcp", rand.Uint32())
}

// probeMulticast sends itself a packet as mDNS does, with nothing of ours but
// the address of the group.
var probeMulticast = sync.OnceValue(func() error {
	lo, err := links(nil, true)
	if err != nil || len(lo) == 0 {
		return fmt.Errorf("no loopback interface: %v", err)
	}
	in, err := net.ListenMulticastUDP("udp4", &lo[0].Interface, net.UDPAddrFromAddrPort(groupV4))
	if err != nil {
		return err
	}
	defer in.Close()
	out, to, err := dialV4(lo[0])
	if err != nil {
		return err
	}
	defer out.Close()
	probe := fmt.Appendf(nil, "hffs probe %08x", rand.Uint32())
	if _, err := out.WriteToUDPAddrPort(probe, to); err != nil {
		return err
	}
	in.SetReadDeadline(time.Now().Add(2 * time.Second))
	for buf := make([]byte, 9000); ; {
		n, _, err := in.ReadFrom(buf)
		if err != nil || bytes.Equal(buf[:n], probe) {
			return err
		}
	}
})

// run starts m until the test ends, and hands on what it finds.
func run(t testing.TB, m *MDNS) <-chan Peer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	peers := make(chan Peer, 1024)
	done := make(chan error, 1)
	go func() { done <- m.Find(ctx, func(p Peer) { peers <- p }) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return peers
}

func announce(t testing.TB, service string, s Self) *MDNS {
	m := NewMDNS(MDNSConfig{Swarm: s.Swarm, Self: func() (Self, bool) { return s, true }, Service: service, Loopback: true})
	run(t, m)
	return m
}

func selfOnLo(node, boot string, swarm string, port uint16) Self {
	return Self{Member: node + "-" + boot, Node: node, Swarm: swarm, Addrs: addrs("127.0.0.1"), Gossip: port, Door: port + 1}
}

// ask asks up to three times, until somebody answers.
func ask(ctx context.Context, cfg MDNSConfig) (peers []Peer) {
	m := NewMDNS(cfg)
	everyWay := func(link) (bool, bool) { return true, true }
	for range 3 {
		asking, cancel := context.WithTimeout(ctx, fastWait)
		hs, here := m.ask(asking, everyWay, func(heard, []link) {})
		cancel()
		if peers = peersOf(m.ours(hs), here); len(peers) > 0 {
			break
		}
	}
	return peers
}

// await reads until a peer is there that meets the condition.
func await(t testing.TB, peers <-chan Peer, what string, is func(Peer) bool) Peer {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case p := <-peers:
			if is(p) {
				return p
			}
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func gossipPort(port uint16) func(Peer) bool { return func(p Peer) bool { return p.Gossip == port } }

func TestNodesOfOneMachineMesh(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	const n = 4
	var found [n]<-chan Peer
	for i := range n {
		self := selfOnLo(fmt.Sprintf("%016x", i), "00000001", swarmA, uint16(100+i))
		found[i] = run(t, NewMDNS(MDNSConfig{Swarm: swarmA, Service: service, Loopback: true,
			Self: func() (Self, bool) { return self, true }}))
	}
	for i := range n {
		var others []Peer
		for j := range n {
			if i != j {
				s := selfOnLo(fmt.Sprintf("%016x", j), "00000001", swarmA, uint16(100+j))
				others = append(others, Peer{s.Member, s.Node, s.Addrs, s.Gossip, s.Door, "mdns"})
			}
		}
		got := map[string]Peer{}
		await(t, found[i], fmt.Sprintf("the others at node %d", i), func(p Peer) bool {
			got[p.Member] = p
			return len(got) == n-1
		})
		require.ElementsMatch(t, others, slices.Collect(maps.Values(got)))
	}
}

func TestMDNSReportsCandidatesOnly(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	other := selfOnLo(nodeB, "00000001", swarmA, 1)
	foreign := selfOnLo(nodeB, "00000002", swarmB, 2)
	wanted := selfOnLo(nodeB, "00000003", swarmA, 3)
	for _, s := range []Self{other, foreign, wanted} {
		announce(t, service, s)
	}
	me := selfOnLo(nodeA, "00000001", swarmA, 4)
	peers := run(t, NewMDNS(MDNSConfig{Swarm: swarmA, Service: service, Loopback: true,
		Self:     func() (Self, bool) { return me, true },
		IsMember: func(m string) bool { return m == other.Member },
	}))
	for range 3 {
		require.Equal(t, wanted.Member, (<-peers).Member, "neither this node, nor a member, nor another swarm's")
	}
}

// TestWhoPassesByIsFound has one that has a door and no gossip, and one that asks
// for it and is told before the round has ended.
func TestWhoPassesByIsFound(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	passing := selfOnLo(nodeB, "00000001", swarmA, 0)
	passing.Door = 4713
	announce(t, service, passing)
	want := Peer{passing.Member, passing.Node, passing.Addrs, 0, 4713, "mdns"}
	for _, atOnce := range []bool{false, true} {
		m := NewMDNS(MDNSConfig{Swarm: swarmA, Service: service, Loopback: true, AtOnce: atOnce})
		require.Equal(t, want, await(t, run(t, m), "who passes by", gossipPort(0)))
	}
}

// TestAtOnceDoesNotWaitForTheRound has a round that only ends with the search.
func TestAtOnceDoesNotWaitForTheRound(t *testing.T) {
	t.Parallel()
	somebody := heard{Self: Self{Member: "b", Swarm: swarmA, Addrs: addrs("10.0.0.2"), Door: 1}, source: netip.MustParseAddr("10.0.0.2")}
	m := NewMDNS(MDNSConfig{Swarm: swarmA, AtOnce: true})
	m.ask = func(ctx context.Context, _ func(link) (bool, bool), tell func(heard, []link)) ([]heard, []link) {
		stranger := somebody
		stranger.Swarm = swarmB
		tell(stranger, nil)
		tell(somebody, nil)
		require.Error(t, ctx.Err(), "the report has ended the search")
		return nil, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var found []Peer
	m.keepAsking(ctx, func(p Peer) { found = append(found, p); cancel() })
	require.Equal(t, []Peer{{Member: "b", Addrs: addrs("10.0.0.2"), Door: 1, From: "mdns"}}, found)
}

func TestMDNSTakesUpANewName(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	var mu sync.Mutex
	self, up := selfOnLo(nodeA, "00000001", "", 1), false
	run(t, NewMDNS(MDNSConfig{Swarm: swarmA, Service: service, Loopback: true, Self: func() (Self, bool) {
		mu.Lock()
		defer mu.Unlock()
		return self, up
	}}))
	other := NewMDNS(MDNSConfig{Swarm: swarmA, Service: service, Loopback: true})
	peers := run(t, other)
	set := func(s Self, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		self, up = s, ok
	}
	set(self, true)
	other.Nudge()
	await(t, peers, "the first name", gossipPort(1))
	set(selfOnLo(nodeA, "00000002", "", 2), true)
	other.Nudge()
	require.Equal(t, nodeA+"-00000002", await(t, peers, "the second name", gossipPort(2)).Member)
	require.Contains(t, []string{"lo", "lo0"}, other.Heard())
}

func TestWhoIsThereAnswers(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	cfg := MDNSConfig{Swarm: swarmA, Service: service, Loopback: true}
	require.Empty(t, ask(t.Context(), cfg))
	require.Empty(t, ask(t.Context(), MDNSConfig{Swarm: swarmA, Service: service, Interfaces: []string{"none such"}}))
	announce(t, service, selfOnLo(nodeB, "00000009", swarmB, 9))
	var nodes []*MDNS
	for i := range 3 {
		nodes = append(nodes, announce(t, service, selfOnLo(fmt.Sprintf("%016x", i), "00000001", swarmA, uint16(100+i))))
	}
	require.Eventually(t, func() bool { return len(ask(t.Context(), cfg)) == 3 }, patience, time.Millisecond)

	nodes[1].StopAnnouncing()
	require.Len(t, ask(t.Context(), cfg), 2, "who says goodbye is not found any more")
	nodes[1].StopAnnouncing()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, ask(ctx, cfg))
}

func TestStopAnnouncingBeforeFind(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	self := selfOnLo(nodeA, "00000001", swarmA, 1)
	m := NewMDNS(MDNSConfig{Swarm: swarmA, Service: service, Loopback: true, Self: func() (Self, bool) { return self, true }})
	m.StopAnnouncing()
	announce(t, service, selfOnLo(nodeB, "00000001", swarmA, 2))
	await(t, run(t, m), "the other node", gossipPort(2))
	for _, p := range ask(t.Context(), MDNSConfig{Swarm: swarmA, Service: service, Loopback: true}) {
		require.EqualValues(t, 2, p.Gossip)
	}
}

// TestGarbageIsSurvived sends what is no DNS, and DNS that is no answer, to all
// who listen on the group.
func TestGarbageIsSurvived(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	announce(t, service, selfOnLo(nodeA, "00000001", swarmA, 1))
	lo, err := links(nil, true)
	require.NoError(t, err)
	conn, to, err := dialV4(lo[0])
	require.NoError(t, err)
	defer conn.Close()
	many, err := question(service, 1)
	require.NoError(t, err)
	for _, b := range [][]byte{nil, {1}, bytes.Repeat([]byte{0xff}, 8000), answer(t, sample, 1), many[:len(many)-1]} {
		_, err := conn.WriteToUDPAddrPort(b, to)
		require.NoError(t, err)
	}
	await(t, run(t, NewMDNS(MDNSConfig{Swarm: swarmA, Service: service, Loopback: true})), "the node", gossipPort(1))
}

// TestBadAnswersArePassedOver has a responder that says all sorts of things
// before it comes to the point.
func TestBadAnswersArePassedOver(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	lo, err := links(nil, true)
	require.NoError(t, err)
	in, err := net.ListenMulticastUDP("udp4", &lo[0].Interface, net.UDPAddrFromAddrPort(groupV4))
	require.NoError(t, err)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for buf := make([]byte, 9000); ; {
			n, from, err := in.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dns.Msg
			if q.Unpack(buf[:n]) == nil && len(q.Question) == 1 && q.Question[0].Name == service+"."+domain {
				for _, b := range allSorts(service, q) {
					_, _ = in.WriteTo(b, from)
				}
			}
		}
	}()
	var log bytes.Buffer
	cfg := MDNSConfig{Swarm: swarmA, Service: service, Loopback: true, Log: slog.New(slog.NewTextHandler(&log, nil))}
	require.Equal(t, []Peer{{sample.Member, sample.Node, sample.Addrs, sample.Gossip, sample.Door, "mdns"}}, ask(t.Context(), cfg))
	require.Equal(t, 1, strings.Count(log.String(), "another version"), "said once: %s", log.String())
	in.Close()
	<-answered
}

// allSorts are answers to q of which the last is a good one.
func allSorts(service string, q dns.Msg) (packets [][]byte) {
	reply := dns.Msg{Answer: sample.records(service, q.Question[0])}
	reply.Response, reply.Id = true, q.Id
	pack := func(change func(*dns.TXT)) []byte {
		m := reply.Copy()
		for _, rr := range m.Answer {
			if txt, ok := rr.(*dns.TXT); ok {
				change(txt)
			}
		}
		b, _ := m.Pack()
		return b
	}
	later := pack(func(txt *dns.TXT) { txt.Txt = []string{"v=2"} })
	empty := pack(func(txt *dns.TXT) { txt.Txt = []string{""} })
	good := pack(func(*dns.TXT) {})
	return [][]byte{nil, {0xff}, good[:len(good)-9], later, later, empty, good}
}

// quiet is an MDNS that asks nobody and notes when it would have.
func quiet(cfg MDNSConfig, answer func(round int) ([]heard, []link)) (m *MDNS, asked *[]time.Duration) {
	m = NewMDNS(cfg)
	asked = new([]time.Duration)
	start := time.Now()
	m.ask = func(ctx context.Context, _ func(link) (bool, bool), _ func(heard, []link)) ([]heard, []link) {
		*asked = append(*asked, time.Since(start))
		<-ctx.Done()
		return answer(len(*asked) - 1)
	}
	return m, asked
}

func nobody(int) ([]heard, []link) { return nil, nil }

// gaps are the pauses between rounds; the rounds themselves are left out.
func gaps(asked []time.Duration) (ds []time.Duration) {
	for i := range asked[1:] {
		wait := fastWait
		if i >= fastRounds {
			wait = slowWait
		}
		ds = append(ds, asked[i+1]-asked[i]-wait)
	}
	return ds
}

func TestRhythm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		members int
		longest time.Duration
	}{{1, 20 * time.Second}, {20, 20 * time.Second}, {200, 200 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			m, asked := quiet(MDNSConfig{Swarm: swarmA, Members: func() int { return c.members }}, nobody)
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Hour)
			defer cancel()
			m.keepAsking(ctx, func(Peer) {})
			require.Zero(t, (*asked)[0], "the first question is asked at once")
			for i, gap := range gaps(*asked) {
				want := min(firstPause<<min(i, 20), c.longest)
				require.InDelta(t, want, gap, float64(want)/4+1, "pause %d with %d members", i, c.members)
			}
		})
	}
}

func TestNudgeStartsTheRoundsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, asked := quiet(MDNSConfig{Swarm: swarmA, Members: func() int { return 200 }}, nobody)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { m.keepAsking(ctx, func(Peer) {}); close(done) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		before := len(*asked)
		m.Nudge()
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.GreaterOrEqual(t, len(*asked)-before, fastRounds)
		before = len(*asked)
		for range 6000 { // a storm of a minute
			m.Nudge()
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		require.InDelta(t, 70, len(*asked)-before, 20, "about one round in 0.9 seconds, not more")
		cancel()
		<-done
	})
}

func TestLaterRoundsAskWhereAnswersCameFrom(t *testing.T) {
	t.Parallel()
	m := NewMDNS(MDNSConfig{Swarm: swarmA})
	m.note([]heard{{link: "a"}, {link: "b", v6: true}, {link: "c"}, {link: "c", v6: true}})
	for name, want := range map[string][2]bool{"a": {true, false}, "b": {false, true}, "c": {true, false}, "silent": {true, true}} {
		v4, v6 := m.families(fastRounds)(testLink(1, name, lan))
		require.Equal(t, want, [2]bool{v4, v6}, name)
		v4, v6 = m.families(fastRounds - 1)(testLink(1, name, lan))
		require.True(t, v4 && v6, "at first both ways")
	}
}

// spoken runs an MDNS for some of its own time and returns its log.
func spoken(t *testing.T, cfg MDNSConfig, answer func(int) ([]heard, []link), d time.Duration) string {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		cfg.Swarm, cfg.Log = swarmA, slog.New(slog.NewTextHandler(&log, nil))
		m, _ := quiet(cfg, answer)
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		m.keepAsking(ctx, func(Peer) {})
	})
	return log.String()
}

func TestHintWhenAlone(t *testing.T) {
	t.Parallel()
	network := []link{testLink(2, "eth0", lan, "10.0.0.1/24")}
	somebody := []heard{{Self: Self{Member: "b", Swarm: swarmA}, link: "eth0", source: netip.MustParseAddr("10.0.0.2")}}
	stranger := []heard{{Self: Self{Member: "b", Swarm: swarmB}, link: "eth0", source: netip.MustParseAddr("10.0.0.2")}}
	alone := func(int) ([]heard, []link) { return nil, network }
	for name, c := range map[string]struct {
		answer  func(int) ([]heard, []link)
		members int
		d       time.Duration
		want    int
	}{
		"for an hour":           {alone, 1, time.Hour, 1},
		"for a minute":          {alone, 1, 59 * time.Second, 0},
		"no network":            {nobody, 1, time.Hour, 0},
		"members by other ways": {alone, 2, time.Hour, 0},
		"other swarms only":     {func(int) ([]heard, []link) { return stranger, network }, 1, time.Hour, 1},
		"a late answer":         {func(n int) ([]heard, []link) { return somebody[:min(n/5, 1)], network }, 1, time.Hour, 0},
	} {
		log := spoken(t, MDNSConfig{Members: func() int { return c.members }}, c.answer, c.d)
		require.Equal(t, c.want, strings.Count(log, "hffs peer add HOST"), "%s: %s", name, log)
	}
}

func TestWarnsOfPeersOnAnotherNetwork(t *testing.T) {
	t.Parallel()
	here := []link{testLink(2, "eth0", lan, "10.0.0.1/24"), testLink(3, "eth1", lan, "10.1.0.1/24")}
	on := func(link, member string) heard {
		return heard{Self: Self{Member: member, Swarm: swarmA}, link: link, source: netip.MustParseAddr("10.0.0.2")}
	}
	me := Self{Member: "me", Addrs: addrs("10.0.0.1", "10.1.0.1")}
	for name, c := range map[string]struct {
		hs   []heard
		want int
	}{
		"near":           {[]heard{on("eth0", "b")}, 0},
		"apart":          {[]heard{on("eth0", "b"), on("eth1", "c")}, 1},
		"on both":        {[]heard{on("eth1", "b"), on("eth0", "b")}, 0},
		"a member apart": {[]heard{on("eth1", "friend")}, 0},
	} {
		cfg := MDNSConfig{Self: func() (Self, bool) { return me, true }, IsMember: func(m string) bool { return m == "friend" }}
		log := spoken(t, cfg, func(int) ([]heard, []link) { return c.hs, here }, time.Hour)
		require.Equal(t, c.want, strings.Count(log, "another network"), "%s: %s", name, log)
	}
}

func TestOneRoundReportsEachPeerOnce(t *testing.T) {
	t.Parallel()
	var hs []heard
	for i := range maxPeers + 10 {
		h := heard{Self: Self{Member: fmt.Sprint(i), Addrs: addrs("10.0.0.9")}, source: netip.MustParseAddr("10.0.0.9")}
		hs = append(hs, h, h)
	}
	peers := peersOf(hs, nil)
	require.Len(t, peers, maxPeers)
	names := map[string]bool{}
	for _, p := range peers {
		names[p.Member] = true
	}
	require.Len(t, names, maxPeers)
}

func testAnnouncer(members int) *announcer {
	return &announcer{service: serviceName, members: func() int { return members },
		self: func() (Self, bool) { return sample, true }, limit: rate.NewLimiter(rate.Inf, 0)}
}

func TestManyNodesAnswerInTurn(t *testing.T) {
	t.Parallel()
	q := dns.Question{Name: serviceName + "." + domain, Qtype: dns.TypePTR, Qclass: dns.ClassINET | 1<<15}
	count := func(a *announcer) (n int) {
		for range 2_000 {
			n += cmp.Compare(len(a.Records(q)), 0)
		}
		return n
	}
	require.Equal(t, 2_000, count(testAnnouncer(8)))
	require.InDelta(t, 80, count(testAnnouncer(200)), 60)
	bounded := testAnnouncer(1)
	bounded.limit = rate.NewLimiter(0, 5)
	require.Equal(t, 5, count(bounded), "a flood of questions is not answered by one of answers")
}

func TestOnlyQuestionsAboutUsAreAnswered(t *testing.T) {
	t.Parallel()
	a := testAnnouncer(1)
	for name, qtype := range map[string]uint16{
		serviceName + "." + domain:                       dns.TypePTR,
		sample.Member + "." + serviceName + "." + domain: dns.TypeSRV,
		sample.Member + hostDomain:                       dns.TypeA,
		"_services._dns-sd._udp." + domain:               dns.TypePTR,
	} {
		require.NotEmpty(t, a.Records(dns.Question{Name: name, Qtype: qtype}), name)
	}
	for _, name := range []string{"_ipp._tcp.local.", "localhost.", "somebody" + hostDomain} {
		require.Empty(t, a.Records(dns.Question{Name: name, Qtype: dns.TypeANY}), name)
	}
	a.self = func() (Self, bool) { return sample, false }
	require.Empty(t, a.Records(dns.Question{Name: serviceName + "." + domain, Qtype: dns.TypeANY}), "not now")
}

func TestClockJumpsCount(t *testing.T) {
	t.Parallel()
	now := time.Now()
	require.False(t, slept(now, now.Add(rescan)))
	require.True(t, slept(now, now.Add(time.Hour)), "the laptop was closed")
	require.True(t, slept(now.Round(0), now.Round(0).Add(-time.Hour)), "the clock was set back")
}
