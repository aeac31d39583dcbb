package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"hffs/cache/disk"
	"hffs/cli/control"
	"hffs/cli/doctor"
	"hffs/discovery"
	"hffs/discovery/reach"
	"hffs/gossip"
	"hffs/transfer/hub"
)

// examined is this machine as package doctor looks at it. What several checks ask for is
// found out once.
type examined struct {
	cfg Config
	hub *hub.Client

	node      func(context.Context) *control.Status // nil when none runs
	echoes    func(context.Context) []discovery.Echo
	peers     func(context.Context) []doctor.Peer
	open      func(context.Context) *opened
	firewalls func(context.Context) []doctor.Firewall
	endpoints func(context.Context) []doctor.Endpoint

	mu      sync.Mutex // guards all below
	reached map[string]func() error
	closers []func() error // of what was opened
}

// Examine makes what checks look at, for the user's environment and for the environment
// as it is. What it takes it gives back when it is done.
func Examine(ctx context.Context, cfg Config, getenv, environ func(string) string) (w doctor.World, done func(), err error) {
	cfg = cfg.fill()
	if err := checkPeers(cfg); err != nil {
		return w, nil, err
	}
	x := &examined{cfg: cfg, reached: map[string]func() error{}}
	if x.hub, err = newHub(cfg); err != nil {
		return w, nil, err
	}
	x.node = once(ctx, x.findNode)
	x.echoes = once(ctx, x.listen)
	x.peers = once(ctx, x.findPeers)
	x.open = once(ctx, x.openPorts)
	x.endpoints = once(ctx, x.lookAtHub)
	x.firewalls = once(ctx, func(ctx context.Context) []doctor.Firewall {
		return doctor.Firewalls(ctx, doctor.Tools{System: runtime.GOOS, Read: readSmall, Run: runTool}, x.ports(ctx))
	})
	return doctor.World{
		System: runtime.GOOS, Getenv: getenv, Environ: environ, Now: time.Now,
		Node: x.status, Leads: x.leads, Interfaces: x.interfaces,
		NoMulticast: cfg.NoMDNS, Echoes: x.echo, Foreign: foreign,
		Peers: x.peers, Ports: x.ports, Reach: x.reach, Firewalls: x.firewalls,
		Hosts: x.hosts(), Lookup: lookup,
		Offline: cfg.Hub.Offline, Endpoints: x.endpoints, Whoami: x.whoami,
		Settings: func() (string, error) { return filepath.Join(cfg.Place.State, SettingsName), nil },
		Folders: []doctor.Folder{
			{Path: cfg.Place.Hub, For: "the cache", Variable: "HF_HUB_CACHE", Models: true},
			{Path: cfg.Place.State, For: "what hffs keeps", Variable: "HFFS_HOME"},
		},
		Free:  func(dir string) (int64, error) { return disk.Free(existing(dir)) },
		Read:  func(dir string) error { _, err := os.ReadDir(dir); return err },
		Write: func(dir string) error { return disk.CanWrite(existing(dir)) },
	}, x.close, nil
}

// What others get to answer: who is slower than that is of no use to anybody who waits.
const (
	hubLook  = 8 * time.Second
	nameLook = 5 * time.Second
)

// once finds something out on the first question, for as long as life goes on.
func once[T any](life context.Context, find func(context.Context) T) func(context.Context) T {
	found := sync.OnceValue(func() T { return find(life) })
	return func(context.Context) T { return found() }
}

func (x *examined) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.closers {
		_ = c()
	}
	_ = x.hub.Close()
}

// findNode asks the node of this user, if one runs.
func (x *examined) findNode(ctx context.Context) *control.Status {
	p := Running(x.cfg.Place.State, x.cfg.Place.Hub)
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := control.NewClient(p.Addr, p.Key).Status(ctx)
	if err != nil {
		return nil
	}
	return &s
}

func (x *examined) status(ctx context.Context) (doctor.Node, bool) {
	s := x.node(ctx)
	if s == nil {
		return doctor.Node{}, false
	}
	return doctor.Node{
		Name: s.Node, Version: s.Version, Swarm: s.Swarm, API: s.Listen.API, Gossip: s.Listen.Gossip, Door: s.Listen.Door,
		Peers: len(s.Peers), OtherVersion: s.Version != x.cfg.Version,
	}, true
}

// swarm is which one is looked at: that of the node that runs.
func (x *examined) swarm(ctx context.Context) string {
	if s := x.node(ctx); s != nil {
		return s.Swarm
	}
	return x.cfg.Swarm
}

func (x *examined) interfaces() (all []doctor.Interface, err error) {
	found, err := discovery.Interfaces(x.cfg.Loopback)
	for _, i := range found {
		selfMade, loopback := len(i.Prefixes) > 0, false
		for _, p := range i.Prefixes {
			selfMade = selfMade && p.Addr().IsLinkLocalUnicast()
			loopback = loopback || p.Addr().IsLoopback()
		}
		all = append(all, doctor.Interface{Name: i.Name, Subnets: i.Subnets(), Unfit: i.Unfit, Up: i.Up, Loopback: loopback, SelfMade: selfMade})
	}
	return all, err
}

// listen asks by multicast who is there.
func (x *examined) listen(ctx context.Context) []discovery.Echo {
	if x.cfg.NoMDNS {
		return nil
	}
	return discovery.Listen(ctx, discovery.EchoConfig{Swarm: gossip.SwarmID(x.swarm(ctx)), Loopback: x.cfg.Loopback, Log: x.cfg.Log})
}

func (x *examined) echo(ctx context.Context) (all []doctor.Echo) {
	for _, e := range x.echoes(ctx) {
		others := slices.DeleteFunc(slices.Clone(e.Peers), func(p discovery.Peer) bool { return x.own(ctx, p.Node) })
		all = append(all, doctor.Echo{
			Interface: e.Interface, Listening: e.Listening, Busy: errors.Is(e.Listening, syscall.EADDRINUSE),
			Sending: e.Sending, Denied: errors.Is(e.Sending, syscall.EPERM) || errors.Is(e.Sending, syscall.EACCES),
			Heard: e.Heard, Answers: len(others), Strangers: e.Strangers,
		})
	}
	return all
}

func (x *examined) own(ctx context.Context, id string) bool {
	s := x.node(ctx)
	return s != nil && s.ID == id
}

// findPeers asks whom the node knows, or else those who were added or remembered; and
// whoever has answered by multicast.
func (x *examined) findPeers(ctx context.Context) []doctor.Peer {
	c := census{swarm: x.swarm(ctx)}
	if p := x.node(ctx); p != nil {
		c.self, c.peers = p.ID, x.known(ctx)
	} else {
		c.addedAll(ctx, x.named())
	}
	var asked sync.WaitGroup
	for _, e := range x.echoes(ctx) {
		for _, p := range e.Peers {
			if p.Gossip != 0 && p.Door != 0 && len(p.Addrs) > 0 && !x.own(ctx, p.Node) {
				asked.Go(func() { c.heard(ctx, p) })
			}
		}
	}
	asked.Wait()
	return seen(c.sorted())
}

// known is whom the running node knows.
func (x *examined) known(ctx context.Context) []control.KnownPeer {
	p := Running(x.cfg.Place.State, x.cfg.Place.Hub)
	if p == nil {
		return nil
	}
	peers, err := control.NewClient(p.Addr, p.Key).Peers(ctx)
	if err != nil {
		x.cfg.Log.Debug("asked the node for peers", "err", err)
	}
	return peers.Peers
}

// heard asks one that has answered by multicast, unless it is there already.
func (c *census) heard(ctx context.Context, found discovery.Peer) {
	addr, door := netip.AddrPortFrom(found.Addrs[0], found.Gossip), netip.AddrPortFrom(found.Addrs[0], found.Door)
	p := control.KnownPeer{ID: found.Node, Addr: addr.String(), Door: door.String(), Found: []string{"mdns"}}
	if l, err := gossip.Look(ctx, door, c.swarm); err != nil {
		p.Problem = why(err)
	} else {
		takeOver(&p, l)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.ContainsFunc(c.peers, func(o control.KnownPeer) bool { return o.ID == p.ID }) {
		c.peers = append(c.peers, p)
	}
}

func seen(all []control.KnownPeer) (peers []doctor.Peer) {
	for _, p := range all {
		d := doctor.Peer{
			Name: p.Node, Addr: p.Addr, Door: p.Door, Alive: p.Alive, Member: p.Member, Version: p.Version,
			Added: slices.Contains(p.Found, "added"), Problem: p.Problem,
		}
		if p.Ahead != nil {
			ahead := time.Duration(*p.Ahead * float64(time.Second))
			d.Ahead = &ahead
		}
		peers = append(peers, d)
	}
	return peers
}

// opened are the ports of a node: one that runs, or our own for the moment.
type opened struct {
	doctor.Ports

	mu    sync.Mutex // guards heard
	heard map[netip.Addr]bool
}

// openPorts finds the ports of the node that runs, or opens those that one would take.
func (x *examined) openPorts(ctx context.Context) *opened {
	o := &opened{Ports: doctor.Ports{Gossip: DefaultPort, Door: DefaultPort + 1, Taken: map[string]error{}}, heard: map[netip.Addr]bool{}}
	if s := x.node(ctx); s != nil {
		gossip, err1 := netip.ParseAddrPort(s.Listen.Gossip)
		door, err2 := netip.ParseAddrPort(s.Listen.Door)
		if o.Running = true; err1 == nil && err2 == nil {
			o.Gossip, o.Door = int(gossip.Port()), int(door.Port())
		}
		return o
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, port := range []int{o.Gossip, o.Door} {
		l, err := net.Listen("tcp", hostPort(x.cfg.Bind, port))
		if err != nil {
			o.Taken[fmt.Sprintf("TCP port %d", port)] = rootCause(err)
			continue
		}
		x.closers = append(x.closers, l.Close)
	}
	u, err := net.ListenPacket("udp", hostPort(x.cfg.Bind, o.Gossip))
	if err != nil {
		o.Taken[fmt.Sprintf("UDP port %d", o.Gossip)] = rootCause(err)
		return o
	}
	x.closers = append(x.closers, u.Close)
	go o.hear(u)
	return o
}

// hear notes from whom packets come in.
func (o *opened) hear(u net.PacketConn) {
	buf := make([]byte, 64)
	for {
		_, from, err := u.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		} // other errors are about one packet, such as one longer than the buffer on Windows
		if a, is := from.(*net.UDPAddr); is {
			o.mu.Lock()
			o.heard[a.AddrPort().Addr().Unmap()] = true
			o.mu.Unlock()
		}
	}
}

func (x *examined) ports(ctx context.Context) doctor.Ports { return x.open(ctx).Ports }

// reach has a peer dial back, once for each way.
func (x *examined) reach(ctx context.Context, p doctor.Peer, network string, port int) error {
	key := fmt.Sprint(p.Door, network, port)
	x.mu.Lock()
	ask := x.reached[key]
	if ask == nil {
		ask = sync.OnceValue(func() error { return x.dialBack(ctx, p, network, port) })
		x.reached[key] = ask
	}
	x.mu.Unlock()
	return ask()
}

func (x *examined) dialBack(ctx context.Context, p doctor.Peer, network string, port int) error {
	door, err := netip.ParseAddrPort(p.Door)
	if err != nil {
		return err
	}
	o := x.open(ctx)
	a, err := reach.Ask(ctx, door, network, port)
	switch {
	case errors.Is(err, reach.ErrUnable):
		return doctor.ErrUnable
	case err != nil:
		return errors.New(why(err))
	case a.Result == reach.Open:
		return nil
	case a.Result == reach.Refused:
		return doctor.ErrRefused
	case a.Result == reach.Silent:
		o.mu.Lock()
		defer o.mu.Unlock()
		if network == "udp" && o.heard[door.Addr()] {
			return nil // there is no node here that could have answered
		}
		return doctor.ErrSilent
	}
	return errors.New(a.Reason)
}

// hosts are the names that must be known.
func (x *examined) hosts() (all []doctor.Host) {
	add := func(name, what string) {
		if _, err := netip.ParseAddr(name); err != nil && name != "" && !slices.ContainsFunc(all, func(h doctor.Host) bool { return h.Name == name }) {
			all = append(all, doctor.Host{Name: name, For: what})
		}
	}
	for _, e := range x.endpointURLs() {
		add(e.Hostname(), "the Hub")
	}
	for _, p := range x.named() {
		host, _, _ := net.SplitHostPort(p)
		add(host, "peer")
	}
	return all
}

// named are the peers that the user has named, by a flag or for good.
func (x *examined) named() (all []string) {
	for _, p := range slices.Concat(x.cfg.Peers, added(x.cfg)) {
		if name, err := discovery.Canonical(p, DefaultPort); err == nil {
			all = append(all, name)
		}
	}
	return all
}

func (x *examined) endpointURLs() (all []*url.URL) {
	list := x.cfg.Hub.Endpoints
	if len(list) == 0 {
		list, _ = hub.ParseEndpoints("")
	}
	for _, e := range list {
		if u, err := url.Parse(e); err == nil {
			all = append(all, u)
		}
	}
	return all
}

func lookup(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, nameLook)
	defer cancel()
	_, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if dns, is := errors.AsType[*net.DNSError](err); is {
		return errors.New(dns.Err)
	}
	return err
}

func (x *examined) lookAtHub(ctx context.Context) (all []doctor.Endpoint) {
	ctx, cancel := context.WithTimeout(ctx, hubLook)
	defer cancel()
	for _, l := range x.hub.Look(ctx) {
		e := doctor.Endpoint{Name: l.Endpoint, Hub: l.Hub, Took: l.Took, Err: l.Err}
		if !l.Clock.IsZero() {
			ahead := l.Clock.Sub(time.Now().Truncate(time.Second))
			e.Ahead = &ahead
		}
		all = append(all, e)
	}
	return all
}

func (x *examined) whoami(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, hubLook)
	defer cancel()
	name, err := x.hub.Whoami(ctx)
	switch {
	case errors.Is(err, hub.ErrUnsafe):
		return "", doctor.ErrUnsafe
	case errors.Is(err, hub.ErrNoToken):
		return "", doctor.ErrNoToken
	case errors.Is(err, hub.ErrUnauthorized):
		return "", doctor.ErrBadToken
	}
	return name, err
}

// leads tells whether an endpoint is the local API of a node, and whether one is there.
func (x *examined) leads(ctx context.Context, endpoint string) (ours, answers bool) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" {
		return false, false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return false, false
	}
	var port int
	if _, err := fmt.Sscan(u.Port(), &port); err != nil {
		return false, false
	}
	for _, p := range Places(x.cfg.Place.State) {
		if strings.HasSuffix(p.Addr, ":"+u.Port()) {
			return true, control.NewClient(p.Addr, p.Key).Alive(ctx)
		}
	}
	if off := port - DefaultAPIPort; off < 0 || off >= portTries*portStep || off%portStep != 0 {
		return false, false
	}
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", u.Host)
	if err == nil {
		c.Close()
	}
	return true, err == nil
}

// foreign is the kind of box that this system runs in.
func foreign() string {
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	switch {
	case strings.Contains(strings.ToLower(readSmall("/proc/sys/kernel/osrelease")), "microsoft"):
		return "WSL2"
	case exists("/.dockerenv"), exists("/run/.containerenv"):
		return "a container"
	}
	return ""
}

// existing is the folder, or the nearest above it that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// readSmall is a small file of the system, empty when it cannot be read.
func readSmall(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	n, _ := f.Read(b)
	return string(b[:n])
}

// runTool runs a command that tells something of the system.
func runTool(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return string(out), err
}
