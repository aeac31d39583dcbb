package discovery

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// The library's client is not used for asking. It needs a route to the group
// even where the interface is given, binds port 5353 for each question, drops
// answers when its channel is full, and asks the whole network about every
// printer whose answer it overhears. The question here needs nothing but an
// interface with an address: one packet out, the answers come back directly.

const (
	maxPeers   = 1024    // peers that one round takes in
	maxAnswers = 8192    // packets read for one question
	receiveBuf = 1 << 20 // bytes; hundreds of nodes answer within a millisecond or two
)

// heard is one answer, with where it came from.
type heard struct {
	Self
	source netip.Addr
	link   string // name of the interface
	v6     bool
}

// asker asks all links at once.
type asker struct {
	service string
	scan    func() ([]link, error)
	log     *slog.Logger
	newer   sync.Once // says that there are nodes of another version
}

// round asks once and collects the answers until ctx ends, or until enough, which
// sees each as it comes, says so. The families function tells how to ask on a link. The links asked come
// back with the answers, as what a shared subnet is judged by.
func (a *asker) round(ctx context.Context, families func(link) (v4, v6 bool), enough func(h heard, here []link) bool) ([]heard, []link) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all, err := a.scan()
	if err != nil {
		a.log.Debug("list interfaces", "err", err)
	}
	answers := make(chan heard)
	var wg sync.WaitGroup
	for _, l := range all {
		v4, v6 := families(l)
		if v4 && l.v4().IsValid() {
			wg.Go(func() { a.ask(ctx, l, false, answers) })
		}
		if v6 && l.v6() {
			wg.Go(func() { a.ask(ctx, l, true, answers) })
		}
	}
	go func() { wg.Wait(); close(answers) }()
	var hs []heard
	for h := range answers {
		if hs = append(hs, h); enough(h, all) || len(hs) >= 4*maxPeers {
			cancel()
		}
	}
	return hs, all
}

// ask puts the question on one link over one family. Failure is ordinary: a
// half-disabled IPv6, an interface that went away a moment ago.
func (a *asker) ask(ctx context.Context, l link, v6 bool, answers chan<- heard) {
	listen := dialV4
	if v6 {
		listen = dialV6
	}
	conn, to, err := listen(l)
	if err == nil {
		defer conn.Close()
		err = a.exchange(ctx, conn, to, func(s Self, from netip.Addr) {
			answers <- heard{s, from, l.Name, v6}
		})
	}
	if err != nil {
		a.log.Debug("ask for peers", "interface", l.Name, "v6", v6, "err", err)
	}
}

// exchange sends the question and hands over each answer, until ctx ends.
func (a *asker) exchange(ctx context.Context, conn *net.UDPConn, to netip.AddrPort, heard func(Self, netip.Addr)) error {
	_ = conn.SetReadBuffer(receiveBuf) // what the system grants is fine
	defer context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })()
	id := uint16(rand.Uint32())
	packet, err := question(a.service, id)
	if err != nil {
		return err
	}
	if _, err := conn.WriteToUDPAddrPort(packet, to); err != nil {
		return err
	}
	buf := make([]byte, maxPacket)
	for range maxAnswers {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if s, err := parseAnswer(buf[:n], a.service, id); err == nil {
			heard(s, from.Addr().Unmap())
		} else {
			a.passOver(from, err)
		}
	}
	return nil
}

func (a *asker) passOver(from netip.AddrPort, err error) {
	a.log.Debug("answer passed over", "from", from, "err", err)
	if errors.Is(err, errVersion) {
		a.newer.Do(func() { a.log.Warn("there are nodes here that speak another version of hffs", "address", from.Addr()) })
	}
}

// dialV4 is bound to the link's address: no route is needed to ask, and the
// answer comes back on the same network.
func dialV4(l link) (*net.UDPConn, netip.AddrPort, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(l.v4(), 0)))
	if err != nil {
		return nil, groupV4, err
	}
	p := ipv4.NewPacketConn(conn)
	_ = p.SetMulticastTTL(255)
	_ = p.SetMulticastLoopback(true) // nodes of one host find each other too
	if err := p.SetMulticastInterface(&l.Interface); err != nil {
		conn.Close()
		return nil, groupV4, err
	}
	return conn, groupV4, nil
}

// dialV6 leaves the source address to the system, which knows which of them
// may be used by now; the zone says where to send.
func dialV6(l link) (*net.UDPConn, netip.AddrPort, error) {
	conn, err := net.ListenUDP("udp6", nil)
	if err != nil {
		return nil, groupV6, err
	}
	p := ipv6.NewPacketConn(conn)
	_ = p.SetMulticastHopLimit(255)
	_ = p.SetMulticastLoopback(true)
	if err := p.SetMulticastInterface(&l.Interface); err != nil {
		conn.Close()
		return nil, groupV6, err
	}
	return conn, netip.AddrPortFrom(groupV6.Addr().WithZone(l.Name), groupV6.Port()), nil
}

// peersOf makes candidates of answers: one for each member, with its addresses
// in the order in which this machine should try them.
func peersOf(hs []heard, here []link) (peers []Peer) {
	sources := map[string][]netip.Addr{}
	var firsts []heard
	for _, h := range hs {
		if len(sources[h.Member]) == 0 && len(firsts) < maxPeers {
			firsts = append(firsts, h)
		}
		if len(sources[h.Member]) < maxAddrs {
			sources[h.Member] = append(sources[h.Member], h.source)
		}
	}
	slices.SortStableFunc(firsts, func(a, b heard) int { return cmp.Compare(a.Member, b.Member) })
	for _, h := range firsts {
		peers = append(peers, h.peer(sources[h.Member], here))
	}
	return peers
}

// peer is the candidate that h speaks of. Should its record name no address of
// use, where it answered from is as good.
func (h heard) peer(sources []netip.Addr, here []link) Peer {
	addrs := bestFirst(h.Addrs, sources, here)
	if len(addrs) == 0 {
		addrs = bestFirst(sources, sources, here)
	}
	return Peer{Member: h.Member, Node: h.Node, Addrs: addrs, Gossip: h.Gossip, Door: h.Door, From: "mdns"}
}
