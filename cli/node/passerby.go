package node

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hffs/cache"
	"hffs/cli/control"
	"hffs/discovery"
	"hffs/gossip"
	"hffs/transfer/hub"
	"hffs/transfer/pace"
	"hffs/transfer/peer"
)

// Passerby is the short-lived node behind a command that finds none running. It
// asks members of the swarm what they know and fetches from them, but does not
// join: its coming and going would be told to everybody. While it fetches it has a
// door and is announced by mDNS, so that others who want the same file follow it.
type Passerby struct {
	cfg    Config
	id     string // of this run
	name   string
	engine *engine
	hub    *hub.Client
	cache  *cache.Cache
	slot   *slot
	mdns   *discovery.MDNS // nil with NoMDNS
	asking *asking

	stop    context.CancelFunc // ends the search for others
	opening func()             // opens the door and begins the search, once
	hurry   func()             // has Close wait for nobody
	hurried chan struct{}
	running sync.WaitGroup // the door, and the watch over addresses
	door    *http.Server
	visits  *visits
	blobs   *peer.Server                 // behind the door
	port    atomic.Uint32                // of the door; 0: there is none
	mine    atomic.Pointer[[]netip.Addr] // addresses of this machine, best first
}

// NewPasserby opens the cache for a command. Nobody is asked before the command
// wants something, and nobody is told before it fetches.
func NewPasserby(cfg Config) (p *Passerby, err error) {
	cfg = cfg.fill()
	p = &Passerby{cfg: cfg, id: newID(), hurried: make(chan struct{})}
	p.hurry = sync.OnceFunc(func() { close(p.hurried) })
	p.name = passerLabel(cfg.Name, p.id)
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if err := checkPeers(cfg); err != nil {
		return p, err
	}
	p.cfg.added = added(cfg)
	if p.slot, err = claimSomewhere(cfg.Place.State); err != nil {
		return p, err
	}
	if p.cache, err = openCache(cfg, p.slot.dir, ""); err != nil {
		return p, err
	}
	if p.hub, err = newHub(cfg); err != nil {
		return p, err
	}
	p.newEngine()
	return p, nil
}

func (p *Passerby) newEngine() {
	passing := &passersby{}
	if !p.cfg.NoMDNS {
		p.mdns = discovery.NewMDNS(discovery.MDNSConfig{
			Swarm: gossip.SwarmID(p.cfg.Swarm), Self: p.self, AtOnce: true,
			Members:  func() int { return len(passing.lately(time.Now())) + 1 },
			Loopback: p.cfg.Loopback || loopback(p.cfg.Bind), Log: p.cfg.Log,
		})
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.asking = newAsking(ctx, p.cfg, p.mdns, passing)
	p.engine = newEngine(p.cfg, p.id, p.cache, p.hub, p.asking, newAccess(p.cfg, p.hub, p.cache, p.slot.dir))
	p.engine.passing, p.engine.searched = passing, p.asking.wait
	p.engine.dialer.Self = func() peer.Introduction {
		return peer.Introduction{ID: p.id, Name: p.name, Port: uint16(p.port.Load())}
	}
	p.opening = sync.OnceFunc(func() {
		p.open(ctx)
		p.asking.start()
	})
}

// open opens the door to whoever fetches the same, before they are asked for: of
// two who come at the same time one at least finds the other. Without a door the
// command does what it can.
func (p *Passerby) open(ctx context.Context) {
	if p.mdns == nil && len(p.cfg.Peers) == 0 && len(p.cfg.added) == 0 {
		return // nobody would learn of it
	}
	l, err := net.Listen("tcp", hostPort(p.cfg.Bind, 0))
	if err != nil {
		p.cfg.Log.Debug("no door", "err", err)
		return
	}
	blobs := peer.NewServer(newStore(p.cache, p.engine), p.cfg.Log)
	blobs.Limit = pace.NewLimit(p.cfg.LimitUp)
	p.engine.tellServed(blobs, nil)
	p.blobs = blobs
	p.visits = &visits{Handler: blobs}
	p.door = server(p.visits, p.cfg.Log)
	p.running.Go(func() {
		if err := serve(ctx, p.door, l)(); err != nil {
			p.cfg.Log.Debug("the door is shut", "err", err)
		}
	})
	p.port.Store(uint32(l.Addr().(*net.TCPAddr).Port))
	p.address(ctx)
}

// address keeps an eye on where this machine can be reached, and knows it at once.
func (p *Passerby) address(ctx context.Context) {
	set := func(addrs []netip.Addr) { p.mine.Store(&addrs) }
	if ip, ok := bound(p.cfg); ok {
		set([]netip.Addr{ip})
		return
	}
	watch := discovery.WatchConfig{Loopback: p.cfg.Loopback, Log: p.cfg.Log}
	if p.mdns != nil {
		watch.Prefer = p.mdns.Heard
	}
	set(discovery.Addrs(watch))
	p.running.Go(func() { _ = discovery.WatchAddrs(ctx, watch, set) })
}

// self is what is announced: a door, and nothing that could be joined.
func (p *Passerby) self() (discovery.Self, bool) {
	s := discovery.Self{
		Member: passerMember(p.name, p.id), Node: p.id, Swarm: gossip.SwarmID(p.cfg.Swarm), Door: uint16(p.port.Load()),
	}
	if addrs := p.mine.Load(); addrs != nil {
		s.Addrs = *addrs
	}
	return s, s.Door != 0 && len(s.Addrs) > 0
}

// Close releases what NewPasserby took, once nobody needs it any more.
func (p *Passerby) Close() {
	if p.mdns != nil {
		p.mdns.StopAnnouncing()
	}
	p.linger()
	p.shut()
	if p.blobs != nil {
		p.blobs.Flush()
	}
	if p.stop != nil {
		p.stop()
	}
	p.running.Wait()
	if p.engine != nil {
		p.asking.running.Wait()
		p.engine.Close()
	}
	if p.hub != nil {
		_ = p.hub.Close()
	}
	if p.cache != nil {
		_ = p.cache.Close()
	}
	if p.slot != nil {
		_ = p.slot.Close()
	}
}

// Get brings a file into the cache.
func (p *Passerby) Get(ctx context.Context, ask control.Ask, watch func(control.Progress)) (control.Got, error) {
	p.opening()
	context.AfterFunc(ctx, p.hurry)
	return p.engine.Get(ctx, ask, watch)
}

// Where tells who holds a file.
func (p *Passerby) Where(ctx context.Context, ask control.Ask) (control.Where, error) {
	p.asking.start()
	return p.engine.Where(ctx, ask)
}

// Status has nothing to tell: a passer-by is not a node.
func (p *Passerby) Status(context.Context) (control.Status, error) {
	return control.Status{}, &control.Error{
		Code: control.CodeNoNode, Message: "no node is running here", Hint: `start one with "hffs up"`,
	}
}
