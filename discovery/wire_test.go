package discovery

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

var sample = Self{
	Member: nodeA + "-00000001", Node: nodeA, Swarm: swarmA,
	Addrs: addrs("192.168.7.9", "10.1.2.3", "fd00::7"), Gossip: 7766, Door: 7767,
}

// answer is what the library's server would send for s.
func answer(t testing.TB, s Self, id uint16) []byte {
	packet, err := question(serviceName, id)
	require.NoError(t, err)
	var q dns.Msg
	require.NoError(t, q.Unpack(packet))
	q.Response, q.Compress = true, true
	q.Answer = s.records(serviceName, q.Question[0])
	q.Question = nil
	b, err := q.Pack()
	require.NoError(t, err)
	return b
}

func TestAnswerComesBackAsItWas(t *testing.T) {
	t.Parallel()
	got, err := parseAnswer(answer(t, sample, 7), serviceName, 7)
	require.NoError(t, err)
	require.Equal(t, sample, got)
	passing := sample
	passing.Gossip = 0
	got, err = parseAnswer(answer(t, passing, 7), serviceName, 7)
	require.NoError(t, err)
	require.Equal(t, passing, got, "who passes by has a door and no gossip")
}

func TestAnswerStaysInOnePacket(t *testing.T) {
	t.Parallel()
	s := sample
	for i := range byte(40) {
		s.Addrs = append(s.Addrs, netip.AddrFrom16([16]byte{0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, i}))
	}
	b := answer(t, s, 7)
	require.Less(t, len(b), 400)
	got, err := parseAnswer(b, serviceName, 7)
	require.NoError(t, err)
	require.Equal(t, s.Addrs[:len(got.Addrs)], got.Addrs, "the best addresses are the ones kept")
	require.GreaterOrEqual(t, len(got.Addrs), 4)
}

func TestNothingIsAnnouncedWithoutNameOrAddress(t *testing.T) {
	t.Parallel()
	q := dns.Question{Name: serviceName + "." + domain, Qtype: dns.TypePTR, Qclass: dns.ClassINET}
	require.NotEmpty(t, sample.records(serviceName, q))
	for name, change := range map[string]func(*Self){
		"no address":  func(s *Self) { s.Addrs = nil },
		"no member":   func(s *Self) { s.Member = "" },
		"dotted name": func(s *Self) { s.Member = "a.b" },
		"no port":     func(s *Self) { s.Gossip, s.Door = 0, 0 },
	} {
		s := sample
		change(&s)
		require.Empty(t, s.records(serviceName, q), name)
	}
}

func TestParseTXT(t *testing.T) {
	t.Parallel()
	good := sample.txt()
	s, err := parseTXT(append(good, "future=1", "v=9"))
	require.NoError(t, err, "unknown keys are skipped, and of a key given twice the first counts")
	require.Equal(t, sample.Addrs, s.Addrs)

	_, err = parseTXT([]string{"v=2", "whatever"})
	require.ErrorIs(t, err, errVersion)
	for name, strs := range map[string][]string{
		"swarm not hex":      {"v=1", "s=00000000000000zz"},
		"swarm upper case":   {"v=1", "s=00000000000000AA"},
		"no swarm":           {"v=1", "n=" + nodeA},
		"node too long":      {"v=1", "s=" + swarmA, "n=" + nodeA + "0"},
		"door 0":             {"v=1", "s=" + swarmA, "p=0"},
		"door too high":      {"v=1", "s=" + swarmA, "p=65536"},
		"a name for address": {"v=1", "s=" + swarmA, "a=localhost"},
		"too many addresses": {"v=1", "s=" + swarmA, "a=" + strings.Repeat("10.0.0.1,", maxAddrs+1)},
		"too many strings":   append(good, make([]string, maxStrings)...),
	} {
		_, err := parseTXT(strs)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, errVersion, name)
	}
}

func TestForeignAnswersArePassedOver(t *testing.T) {
	t.Parallel()
	ptr := func(name, to string) dns.RR {
		return &dns.PTR{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypePTR, Class: dns.ClassINET}, Ptr: to}
	}
	pack := func(change func(*dns.Msg), rrs ...dns.RR) []byte {
		m := dns.Msg{Answer: rrs}
		m.Response, m.Id = true, 7
		change(&m)
		b, err := m.Pack()
		require.NoError(t, err)
		return b
	}
	asIs := func(*dns.Msg) {}
	ours := serviceName + "." + domain
	header := func(rrtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: "a." + ours, Rrtype: rrtype, Class: dns.ClassINET}
	}
	txt := func(more ...string) dns.RR {
		return &dns.TXT{Hdr: header(dns.TypeTXT), Txt: append([]string{"v=1", "s=" + swarmA}, more...)}
	}
	srv := func(port uint16) dns.RR {
		return &dns.SRV{Hdr: header(dns.TypeSRV), Port: port, Target: "a" + hostDomain}
	}
	_, err := parseAnswer(pack(asIs, ptr(ours, "a."+ours), txt("p=7"), srv(0)), serviceName, 7)
	require.NoError(t, err, "what follows lacks something")
	for name, b := range map[string][]byte{
		"a printer":            pack(asIs, ptr("_ipp._tcp.local.", "laser._ipp._tcp.local.")),
		"a name with dots":     pack(asIs, ptr(ours, "a.b."+ours)),
		"a name with a space":  pack(asIs, ptr(ours, `a\032b.`+ours)),
		"another's instance":   pack(asIs, ptr(ours, "laser._ipp._tcp.local.")),
		"a question":           pack(func(m *dns.Msg) { m.Response = false }, ptr(ours, "a."+ours)),
		"to somebody else":     pack(func(m *dns.Msg) { m.Id = 8 }, ptr(ours, "a."+ours)),
		"name without records": pack(asIs, ptr(ours, "a."+ours)),
		"name without port":    pack(asIs, ptr(ours, "a."+ours), txt("p=7")),
		"name without door":    pack(asIs, ptr(ours, "a."+ours), txt(), srv(0)),
		"nothing":              nil,
		"too long":             make([]byte, maxPacket+1),
	} {
		_, err := parseAnswer(b, serviceName, 7)
		require.Error(t, err, name)
	}
}

func FuzzParseTXT(f *testing.F) {
	f.Add(strings.Join(sample.txt(), "\n"))
	f.Add("v=1\ns=" + swarmA + "\na=::ffff:1.2.3.4,fe80::1%eth0,")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseTXT(strings.Split(text, "\n"))
		if err != nil {
			return
		}
		if !isID(s.Swarm) || len(s.Addrs) > maxAddrs {
			t.Fatalf("%q gave %+v", text, s)
		}
		for _, a := range bestFirst(s.Addrs, nil, nil) {
			if a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.Zone() != "" {
				t.Fatalf("%q made an address of %s", text, a)
			}
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(answer(f, sample, 7))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseAnswer(b, serviceName, 7); err == nil && (!isMember(s.Member) || s.Gossip == 0 && s.Door == 0 || !isID(s.Swarm)) {
			t.Fatalf("%q gave %+v", b, s)
		}
	})
}
