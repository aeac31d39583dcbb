package discovery

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const lan = net.FlagUp | net.FlagMulticast | net.FlagBroadcast

func testLink(index int, name string, flags net.Flags, prefixes ...string) link {
	l := link{Interface: net.Interface{Index: index, Name: name, Flags: flags}}
	for _, p := range prefixes {
		l.prefixes = append(l.prefixes, netip.MustParsePrefix(p))
	}
	return l
}

func TestWhichLinksAreUsed(t *testing.T) {
	t.Parallel()
	routes := addrs("10.0.0.5")
	for name, c := range map[string]struct {
		link     link
		names    []string
		loopback bool
		want     bool
	}{
		"a LAN":                         {link: testLink(2, "eth0", lan, "10.0.0.5/24"), want: true},
		"down":                          {link: testLink(2, "eth0", net.FlagMulticast, "10.0.0.5/24")},
		"no address":                    {link: testLink(2, "eth0", lan)},
		"no multicast":                  {link: testLink(2, "eth0", net.FlagUp, "10.0.0.5/24")},
		"point to point":                {link: testLink(2, "ppp0", lan|net.FlagPointToPoint, "10.0.0.5/24")},
		"container bridge":              {link: testLink(2, "docker0", lan, "172.17.0.1/16")},
		"Windows' virtual switch":       {link: testLink(2, "vEthernet (WSL)", lan, "172.30.0.1/20")},
		"virtual switch over the card":  {link: testLink(2, "vEthernet (LAN)", lan, "10.0.0.5/24"), want: true},
		"tunnel with the default route": {link: testLink(2, "tun0", lan, "10.0.0.5/24")},
		"bridge that was named":         {link: testLink(2, "docker0", lan, "172.17.0.1/16"), names: []string{"docker0"}, want: true},
		"not among the named":           {link: testLink(2, "eth0", lan, "10.0.0.5/24"), names: []string{"eth1"}},
		"loopback unasked":              {link: testLink(1, "lo", net.FlagUp|net.FlagLoopback, "127.0.0.1/8")},
		"loopback asked for":            {link: testLink(1, "lo", net.FlagUp|net.FlagLoopback, "127.0.0.1/8"), loopback: true, want: true},
		"a LAN beside loopback":         {link: testLink(2, "eth0", lan, "10.0.0.5/24"), loopback: true},
	} {
		require.Equal(t, c.want, c.link.wanted(c.names, c.loopback, routes), name)
	}
}

func TestOwnAddrsBestFirst(t *testing.T) {
	t.Parallel()
	wire := testLink(2, "eth0", lan, "169.254.3.4/16", "fe80::1/64", "2001:db8::5/64", "fd00::5/64", "10.1.0.5/24")
	air := testLink(3, "wlan0", lan, "203.0.113.5/24", "192.168.1.5/24")
	all := []link{wire, air}
	require.Equal(t, addrs("192.168.1.5", "203.0.113.5", "10.1.0.5", "fd00::5", "2001:db8::5", "169.254.3.4"),
		ownAddrs(all, addrs("192.168.1.5"), ""), "the default route's interface")
	require.Equal(t, addrs("10.1.0.5", "fd00::5", "2001:db8::5", "169.254.3.4", "192.168.1.5", "203.0.113.5"),
		ownAddrs(all, addrs("192.168.1.5"), "eth0"), "the preferred interface")
	require.Equal(t, addrs("10.1.0.5", "192.168.1.5", "203.0.113.5", "fd00::5", "2001:db8::5", "169.254.3.4"),
		ownAddrs(all, nil, ""), "no route at all")
	require.Empty(t, ownAddrs([]link{testLink(2, "eth0", lan, "fe80::1/64")}, nil, ""))
}

func TestPeerAddrsBestFirst(t *testing.T) {
	t.Parallel()
	here := []link{testLink(2, "eth0", lan, "10.1.0.5/24", "fe80::5/64"), testLink(3, "eth1", lan, "10.2.0.5/24")}
	for name, c := range map[string]struct{ said, sources, want []netip.Addr }{
		"shared subnet":          {addrs("192.168.9.9", "10.2.0.9"), nil, addrs("10.2.0.9", "192.168.9.9")},
		"where it answered from": {addrs("10.1.0.9", "10.2.0.9"), addrs("fe80::9%eth1", "10.2.0.9"), addrs("10.2.0.9", "10.1.0.9")},
		"answered over both":     {addrs("fd00::9", "10.2.0.9"), addrs("fd00::9", "10.2.0.9"), addrs("10.2.0.9", "fd00::9")},
		"another's loopback":     {addrs("127.0.0.1", "127.0.1.1", "::1", "10.1.0.9"), addrs("10.1.0.9"), addrs("10.1.0.9")},
		"our own loopback":       {addrs("127.0.0.1"), addrs("127.0.0.1"), addrs("127.0.0.1")},
		"nonsense":               {addrs("0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::9", "0.1.2.3"), nil, nil},
		"twice":                  {addrs("10.1.0.9", "10.1.0.9"), nil, addrs("10.1.0.9")},
	} {
		require.Equal(t, c.want, bestFirst(c.said, c.sources, here), name)
	}
}

func TestAPeerWithoutUsefulAddressIsWhereItAnsweredFrom(t *testing.T) {
	t.Parallel()
	h := heard{Self: Self{Member: "a", Addrs: addrs("127.0.1.1")}, source: netip.MustParseAddr("10.1.0.9")}
	require.Equal(t, addrs("10.1.0.9"), peersOf([]heard{h}, nil)[0].Addrs)
}

// TestWatchAddrs plays a day of a loose cable, in a bubble of its own time.
func TestWatchAddrs(t *testing.T) {
	t.Parallel()
	one, two, both := addrs("10.0.0.1"), addrs("10.0.0.2"), addrs("10.0.0.1", "10.0.0.2")
	for name, c := range map[string]struct {
		scans, want [][]netip.Addr // one scan every two seconds, the last one for ever
	}{
		"nothing ever":             {[][]netip.Addr{nil, nil}, nil},
		"there from the start":     {[][]netip.Addr{one}, [][]netip.Addr{one}},
		"a link late at boot":      {[][]netip.Addr{nil, nil, one}, [][]netip.Addr{one}},
		"away for a moment":        {[][]netip.Addr{one, nil, one}, [][]netip.Addr{one}},
		"gone":                     {[][]netip.Addr{one, nil, nil}, [][]netip.Addr{one, {}}},
		"best one away a moment":   {[][]netip.Addr{both, two, both}, [][]netip.Addr{both}},
		"best one gone":            {[][]netip.Addr{both, two}, [][]netip.Addr{both, two}},
		"another address":          {[][]netip.Addr{one, two}, [][]netip.Addr{one, both, two}},
		"another order":            {[][]netip.Addr{both, addrs("10.0.0.2", "10.0.0.1")}, [][]netip.Addr{both, addrs("10.0.0.2", "10.0.0.1")}},
		"a better one comes first": {[][]netip.Addr{two, both}, [][]netip.Addr{two, both}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var got [][]netip.Addr
				n := -1
				scan := func() []netip.Addr {
					n = min(n+1, len(c.scans)-1)
					return c.scans[n]
				}
				require.NoError(t, watchAddrs(ctx, scan, func(as []netip.Addr) { got = append(got, as) }))
				require.Equal(t, c.want, got)
			})
		})
	}
}

func TestAddrsOfLoopback(t *testing.T) {
	t.Parallel()
	require.Contains(t, Addrs(WatchConfig{Loopback: true}), netip.MustParseAddr("127.0.0.1"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []netip.Addr
	require.NoError(t, WatchAddrs(ctx, WatchConfig{Loopback: true}, func(as []netip.Addr) { got = as; cancel() }))
	require.Equal(t, "127.0.0.1", got[0].String())
}
