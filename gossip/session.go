package gossip

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"hffs/gossip/manifest"
)

// session is one membership: a memberlist from Create to Shutdown, under one
// name and one address. memberlist calls back into it, often with its own lock
// held, so everything here copies, stores and returns.
type session struct {
	ml    *memberlist.Memberlist
	name  string
	addr  netip.Addr
	port  int
	news  *queue
	inbox inbox

	meta  func() []byte
	admit func(*memberlist.Node) error
}

// inbox is what memberlist told us and nobody has looked at yet. Events are kept
// by member, the last one counts: however fast they come, none is lost and the
// inbox stays as small as the swarm.
type inbox struct {
	mu     sync.Mutex // guards events and news
	events map[string]event
	news   [][]byte
	wake   chan struct{}
}

// event is a member's latest state.
type event struct {
	gone bool
	addr netip.AddrPort
	meta []byte
}

const maxNewsWaiting = 1024

func (b *inbox) event(n *memberlist.Node, gone bool) {
	ip, _ := netip.AddrFromSlice(n.Addr)
	e := event{gone, netip.AddrPortFrom(ip.Unmap(), n.Port), append([]byte(nil), n.Meta...)}
	b.mu.Lock()
	b.events[n.Name] = e
	b.mu.Unlock()
	poke(b.wake)
}

func (b *inbox) message(msg []byte) {
	if len(msg) > manifest.MaxNews {
		return // memberlist would take 20 MB of it over TCP
	}
	b.mu.Lock()
	if len(b.news) < maxNewsWaiting {
		b.news = append(b.news, append([]byte(nil), msg...))
	}
	b.mu.Unlock()
	poke(b.wake)
}

// empty takes everything out.
func (b *inbox) empty() (events map[string]event, news [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events, news = b.events, b.news
	b.events, b.news = map[string]event{}, nil
	return events, news
}

// The callbacks of memberlist.

func (s *session) NodeMeta(int) []byte                        { return s.meta() }
func (s *session) NotifyMsg(msg []byte)                       { s.inbox.message(msg) }
func (s *session) GetBroadcasts(overhead, limit int) [][]byte { return s.news.take(overhead, limit) }
func (s *session) LocalState(bool) []byte                     { return nil }
func (s *session) MergeRemoteState([]byte, bool)              {}
func (s *session) NotifyJoin(n *memberlist.Node)              { s.inbox.event(n, false) }
func (s *session) NotifyUpdate(n *memberlist.Node)            { s.inbox.event(n, false) }
func (s *session) NotifyLeave(n *memberlist.Node)             { s.inbox.event(n, true) }
func (s *session) NotifyAlive(n *memberlist.Node) error       { return s.admit(n) }

var memberForm = regexp.MustCompile(`^[0-9a-f]{16}-[0-9a-f]{8}$`)

// admit refuses members that no node of ours could be. memberlist believes
// whatever reaches its port, so this is where nonsense ends.
func (s *Swarm) admit(own string, local netip.Addr, n *memberlist.Node) error {
	if n.Name == own {
		return nil
	}
	err := s.checkMember(local, n)
	if err != nil && s.quiet.pass("refused") {
		s.log.Warn("refused a member", "name", clip(n.Name), "addr", n.Address(), "err", err)
	}
	return err
}

func (s *Swarm) checkMember(local netip.Addr, n *memberlist.Node) error {
	if !memberForm.MatchString(n.Name) {
		return errors.New("its name is not one of ours")
	}
	ip, ok := netip.AddrFromSlice(n.Addr)
	ip = ip.Unmap()
	switch {
	case !ok || n.Port == 0 || ip.IsUnspecified() || ip.IsMulticast():
		return errors.New("its address cannot be one")
	case ip.IsLoopback() && !s.cfg.Loopback && !local.IsLoopback():
		return errors.New("its address is a loopback address")
	case s.roster.size() >= maxMembers && !s.roster.has(n.Name):
		return fmt.Errorf("there are %d members already", maxMembers)
	}
	_, err := decodeMeta(n.Meta)
	return err
}

// open begins a membership.
func (s *Swarm) open(addr netip.Addr, port int) (*session, error) {
	var boot [4]byte
	_, _ = rand.Read(boot[:])
	se := &session{name: s.cfg.NodeID + "-" + hex.EncodeToString(boot[:]), addr: addr}
	se.inbox = inbox{events: map[string]event{}, wake: make(chan struct{}, 1)}
	se.meta = s.encodeMeta
	se.admit = func(n *memberlist.Node) error { return s.admit(se.name, addr, n) }

	cfg := s.settings(se, port)
	se.news = &queue{mult: cfg.RetransmitMult, nodes: func() int { return s.roster.size() + 1 }, now: s.now}
	transport, err := listen(cfg)
	if err != nil {
		return nil, err
	}
	se.port = cfg.AdvertisePort
	cfg.Transport = transport
	if s.wrap != nil {
		cfg.Transport = s.wrap(transport)
	}
	if se.ml, err = memberlist.Create(cfg); err != nil {
		_ = transport.Shutdown() // memberlist leaves it open
		return nil, fmt.Errorf("begin membership: %w", err)
	}
	return se, nil
}

// settings are memberlist's defaults for a LAN with what was measured to be
// better: changes reach everybody at the first attempt, and a lost one is
// repaired within one push/pull.
func (s *Swarm) settings(se *session, port int) *memberlist.Config {
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = se.name
	cfg.BindAddr, cfg.BindPort = s.cfg.Bind, port
	if cfg.BindAddr == "" {
		cfg.BindAddr = "0.0.0.0"
	}
	cfg.AdvertiseAddr, cfg.AdvertisePort = se.addr.String(), port
	cfg.TCPTimeout = 3 * time.Second
	cfg.RetransmitMult = 8
	cfg.PushPullInterval = 15 * time.Second
	cfg.EnableCompression = false // manifests do not travel here, and it makes small messages larger
	cfg.DeadNodeReclaimTime = time.Second
	cfg.Label = s.swarmID
	cfg.Logger = newLibraryLog(s.log, &s.quiet)
	cfg.Delegate, cfg.Events, cfg.Alive = se, se, se
	if s.cfg.Tune != nil {
		s.cfg.Tune(cfg)
	}
	return cfg
}

// listen opens the gossip port ourselves: memberlist's errors do not say what
// went wrong in a way that a program can read.
func listen(cfg *memberlist.Config) (*memberlist.NetTransport, error) {
	if err := probe(cfg.BindAddr, cfg.BindPort); err != nil {
		return nil, err
	}
	var err error
	for range 10 { // with port 0, the TCP port may be taken for UDP
		var t *memberlist.NetTransport
		t, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{cfg.BindAddr}, BindPort: cfg.BindPort, Logger: cfg.Logger,
		})
		if err == nil {
			cfg.BindPort = t.GetAutoBindPort()
			cfg.AdvertisePort = cfg.BindPort
			return t, nil
		}
	}
	return nil, fmt.Errorf("listen on gossip port %d: %w", cfg.BindPort, err)
}

// probe tells whether the port is free.
func probe(bind string, port int) error {
	if port == 0 {
		return nil
	}
	addr := net.JoinHostPort(bind, fmt.Sprint(port))
	l, err := net.Listen("tcp", addr)
	if err == nil {
		_ = l.Close()
		var p net.PacketConn
		if p, err = net.ListenPacket("udp", addr); err == nil {
			return p.Close()
		}
	}
	if inUse(err) {
		return fmt.Errorf("listen on gossip port %d: %w", port, ErrPortInUse)
	}
	return fmt.Errorf("listen on gossip port %d: %w", port, err)
}

func inUse(err error) bool {
	const wsaeAddrInUse = syscall.Errno(10048) // what Windows says for EADDRINUSE
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno == syscall.EADDRINUSE || errno == wsaeAddrInUse)
}

// close leaves the swarm and ends the membership.
func (se *session) close() {
	_ = se.ml.Leave(2 * time.Second) // an error means that not all could be told in time
	_ = se.ml.Shutdown()
}

func clip(s string) string { return s[:min(len(s), 64)] }
