package discovery

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// What is here is for people who wonder why machines do not see each other: the same
// scan and the same question as finders use, with what went wrong told.

// Interface is a network interface, and why no peers are looked for there.
type Interface struct {
	Name     string
	Prefixes []netip.Prefix // its addresses, each with its subnet
	Unfit    string         // why it is not used; empty when it is
	Up       bool
}

// Interfaces lists all of them, those that are used first.
func Interfaces(loopback bool) ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	routes := defaultRoutes()
	var out []Interface
	for _, i := range all {
		l := link{i, prefixesOf(i)}
		out = append(out, Interface{l.Name, l.prefixes, l.unfit(nil, loopback, routes), l.Flags&net.FlagUp != 0})
	}
	slices.SortStableFunc(out, func(a, b Interface) int { return first(a.Unfit == "", b.Unfit == "") })
	return out, nil
}

// Echo is what became of a question that was asked by multicast on one interface.
type Echo struct {
	Interface string
	V6        bool
	Listening error // why port 5353 could not be listened on; nil when it could
	Sending   error // why the question could not be sent
	Heard     bool  // the question itself was heard, by this very machine
	Peers     []Peer
	Strangers int // nodes of other swarms that answered

	asked []uint16 // the ports it was asked from
}

// How long the echo of a question is waited for, and how often it is asked: Wi-Fi holds
// multicast back, and may lose it.
const (
	echoWait   = 700 * time.Millisecond
	echoRounds = 2
)

// EchoConfig says what to ask for. The zero value asks for every swarm's nodes on all
// interfaces that look like a LAN.
type EchoConfig struct {
	Swarm    string // id of the only swarm whose nodes count; empty means all
	Service  string // DNS-SD service type; empty means "_hffs._tcp"
	Loopback bool   // ask on loopback alone
	Log      *slog.Logger
}

// Listen asks on every usable interface who is there, and listens whether the question
// is heard: what a machine does not hear of itself, others will hardly hear of it.
func Listen(ctx context.Context, cfg EchoConfig) []Echo {
	all, err := links(nil, cfg.Loopback)
	if err != nil {
		return nil
	}
	a := &asker{service: cmp.Or(cfg.Service, serviceName), log: orDiscard(cfg.Log)}
	echoes := make([]Echo, len(all))
	var wait sync.WaitGroup
	for i, l := range all {
		wait.Go(func() { echoes[i] = a.echo(ctx, l, cfg.Swarm, all) })
	}
	wait.Wait()
	return echoes
}

// echo asks on one link, over IPv4 where it has that.
func (a *asker) echo(ctx context.Context, l link, swarm string, here []link) (e Echo) {
	e = Echo{Interface: l.Name, V6: !l.v4().IsValid()}
	network, group := "udp4", groupV4
	if e.V6 {
		network, group = "udp6", groupV6
	}
	var ear *net.UDPConn
	if ear, e.Listening = net.ListenMulticastUDP(network, &l.Interface, net.UDPAddrFromAddrPort(group)); e.Listening == nil {
		ports := map[uint16]bool{} // ports of this machine from which something was heard
		var listening sync.WaitGroup
		listening.Go(func() { listen(ear, l, ports) })
		defer func() {
			ear.Close()
			listening.Wait()
			for _, port := range e.asked {
				e.Heard = e.Heard || ports[port]
			}
		}()
	}
	var hs []heard
	for range echoRounds {
		hs = append(hs, a.askAloud(ctx, l, &e)...)
	}
	all := len(peersOf(hs, here))
	hs = slices.DeleteFunc(hs, func(h heard) bool { return swarm != "" && h.Swarm != swarm })
	e.Peers = peersOf(hs, here)
	e.Strangers = all - len(e.Peers)
	return e
}

// askAloud asks once, and notes from which port.
func (a *asker) askAloud(ctx context.Context, l link, e *Echo) (hs []heard) {
	ctx, cancel := context.WithTimeout(ctx, echoWait)
	defer cancel()
	dial := dialV4
	if e.V6 {
		dial = dialV6
	}
	conn, to, err := dial(l)
	if err != nil {
		e.Sending = err
		return nil
	}
	defer conn.Close()
	e.asked = append(e.asked, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	e.Sending = a.exchange(ctx, conn, to, func(s Self, from netip.Addr) {
		hs = append(hs, heard{s, from, l.Name, e.V6})
	})
	return hs
}

// listen notes from which ports of this machine something is heard, until the ear is
// closed.
func listen(ear *net.UDPConn, l link, ports map[uint16]bool) {
	buf := make([]byte, maxPacket)
	for {
		_, from, err := ear.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if l.hasAny([]netip.Addr{from.Addr().Unmap().WithZone("")}) {
			ports[from.Port()] = true
		}
	}
}

// Subnets says the addresses of an interface for people: "192.168.1.7/24".
func (i Interface) Subnets() string {
	var all []string
	for _, p := range i.Prefixes {
		if a := p.Addr(); !a.Is6() || !a.IsLinkLocalUnicast() || len(i.Prefixes) == 1 {
			all = append(all, p.String())
		}
	}
	return strings.Join(all, ", ")
}
