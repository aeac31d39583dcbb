package discovery

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInterfacesSayWhyTheyAreNotUsed(t *testing.T) {
	t.Parallel()
	up := net.FlagUp | net.FlagMulticast
	for name, c := range map[string]struct {
		flags net.Flags
		addr  string
		want  string
	}{
		"eth0":    {up, "10.0.0.7/24", ""},
		"eth1":    {net.FlagMulticast, "10.0.0.7/24", "down"},
		"eth2":    {up, "", "no address"},
		"eth3":    {net.FlagUp, "10.0.0.7/24", "multicast is switched off"},
		"lo":      {up | net.FlagLoopback, "127.0.0.1/8", "loopback"},
		"wg0":     {up, "10.0.0.7/24", "tunnel"},
		"ppp0":    {up | net.FlagPointToPoint, "10.0.0.7/32", "tunnel"},
		"docker0": {up, "172.17.0.1/16", "containers"},
	} {
		l := link{Interface: net.Interface{Name: name, Flags: c.flags}}
		if c.addr != "" {
			l.prefixes = []netip.Prefix{netip.MustParsePrefix(c.addr)}
		}
		why := l.unfit(nil, false, nil)
		require.Equal(t, c.want == "", why == "", "%s: %s", name, why)
		require.Contains(t, why, c.want, name)
	}
	all, err := Interfaces(true)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, i := range all {
		if i.Unfit == "" {
			require.Contains(t, i.Subnets(), "127.0.0.1/8")
		}
	}
}

func TestListenHearsItselfAndOthers(t *testing.T) {
	t.Parallel()
	service := freshService(t)
	announce(t, service, selfOnLo("0123456789abcdef", "01234567", "00000000000000aa", 7000))
	announce(t, service, selfOnLo("1123456789abcdef", "01234567", "00000000000000bb", 7004))
	var heard, answers, strangers bool
	for range 3 { // a busy machine may be late
		for _, e := range Listen(t.Context(), EchoConfig{Swarm: "00000000000000aa", Service: service, Loopback: true}) {
			require.NoError(t, e.Sending)
			require.NoError(t, e.Listening)
			heard, strangers = heard || e.Heard, strangers || e.Strangers == 1
			answers = answers || len(e.Peers) == 1 && e.Peers[0].Node == "0123456789abcdef"
		}
	}
	require.True(t, heard)
	require.True(t, answers)
	require.True(t, strangers, "a node of another swarm is counted, and no more")
}

func TestListenOnAnInterfaceThatIsGone(t *testing.T) {
	t.Parallel()
	a := &asker{service: freshService(t), log: orDiscard(nil)}
	lo, err := links(nil, true)
	require.NoError(t, err)
	gone := lo[0]
	gone.Index, gone.Name = 1<<20, "gone0"
	e := a.echo(t.Context(), gone, "", lo)
	require.Error(t, errors.Join(e.Sending, e.Listening))
	require.False(t, e.Heard)
}
