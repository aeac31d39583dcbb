package node

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/discovery"
	"hffs/gossip"
	"hffs/gossip/directory"
	"hffs/transfer/hub"
)

// Passerby is the short-lived node behind a command that finds none running. It
// asks members of the swarm what they know and fetches from them, but does not
// join: its coming and going would be told to everybody. It serves nobody.
type Passerby struct {
	engine *engine
	hub    *hub.Client
	cache  *cache.Cache
	slot   *slot
	stop   context.CancelFunc // ends the search for members
}

// NewPasserby opens the cache for a command.
func NewPasserby(cfg Config) (p *Passerby, err error) {
	cfg = cfg.fill()
	p = &Passerby{}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if err := checkPeers(cfg); err != nil {
		return p, err
	}
	if p.slot, err = claim(cfg.Place.State, "get"); err != nil {
		return p, err
	}
	if p.cache, err = openCache(cfg, p.slot.dir); err != nil {
		return p, err
	}
	if p.hub, err = newHub(cfg); err != nil {
		return p, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	asking := newAsking(ctx, cfg)
	p.engine = newEngine(cfg, "", p.cache, p.hub, asking)
	p.engine.searched = asking.wait
	return p, nil
}

// Close releases what NewPasserby took.
func (p *Passerby) Close() {
	if p.stop != nil {
		p.stop()
	}
	if p.engine != nil {
		p.engine.dialer.Close()
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
	return p.engine.Get(ctx, ask, watch)
}

// Where tells who holds a file.
func (p *Passerby) Where(ctx context.Context, ask control.Ask) (control.Where, error) {
	return p.engine.Where(ctx, ask)
}

// Status has nothing to tell: a passer-by is not a node.
func (p *Passerby) Status(context.Context) (control.Status, error) {
	return control.Status{}, &control.Error{
		Code: control.CodeNoNode, Message: "no node is running here", Hint: `start one with "hffs up"`,
	}
}

// asking is the swarm as a passer-by sees it: a few doors, looked for once, from
// the start, while the Hub is asked what the file is.
type asking struct {
	cfg   Config
	began time.Time
	doors *gossip.Passerby
	found chan struct{} // closed when the search is over

	mu    sync.Mutex // guards nodes, and has one ask for them
	nodes []directory.Node
}

// enough is how many members a passer-by asks: one would do, three agree.
const enough = 3

// searchPatience is how long a passer-by that has found nobody yet keeps a
// download from going to the Hub. Neighbours on a wire answer within
// milliseconds, on Wi-Fi within 300; whoever answers later is asked later.
const searchPatience = 500 * time.Millisecond

func newAsking(ctx context.Context, cfg Config) *asking {
	a := &asking{cfg: cfg, began: time.Now(), doors: &gossip.Passerby{Swarm: cfg.Swarm}, found: make(chan struct{})}
	go func() {
		defer close(a.found)
		a.find(ctx)
	}()
	return a
}

// wait waits for the whole search.
func (a *asking) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-a.found:
	}
}

// Known waits for the whole search: it is asked only when there is no Hub.
func (a *asking) Known(ctx context.Context, f ref.File) ([]gossip.Known, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-a.found:
		return a.doors.Known(ctx, f)
	}
}

// someFound waits for the search, but not for long: afterwards whoever was found
// by then is asked. The transfer looks for holders again in a while.
func (a *asking) someFound(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, a.began.Add(searchPatience))
	defer cancel()
	a.wait(ctx)
}

func (a *asking) Holders(ctx context.Context, e ref.Entry) ([]directory.Holder, error) {
	a.someFound(ctx)
	return a.doors.Holders(ctx, e)
}

func (a *asking) Versions(ctx context.Context, repo ref.Repo, path string) ([]ref.Entry, error) {
	a.someFound(ctx)
	return a.doors.Versions(ctx, repo, path)
}

// Nodes are those who were found and whom they know, asked for once.
func (a *asking) Nodes(ctx context.Context, most int) (_ []directory.Node, err error) {
	a.someFound(ctx)
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.nodes) == 0 {
		a.nodes, err = a.doors.Nodes(ctx, most)
	}
	return slices.Clone(a.nodes[:min(len(a.nodes), most)]), err
}

// find looks for members by mDNS, and among those that were named.
func (a *asking) find(ctx context.Context) {
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() { a.doors.Add(a.named(ctx)...) })
	if !a.cfg.NoMDNS {
		wait.Go(func() { a.doors.Add(a.heard(ctx)...) })
	}
}

// heard are the doors of those who answer by mDNS.
func (a *asking) heard(ctx context.Context) (doors []netip.AddrPort) {
	found := discovery.Ask(ctx, discovery.AskConfig{
		Swarm: gossip.SwarmID(a.cfg.Swarm), Want: enough, Loopback: a.cfg.Loopback || loopback(a.cfg.Bind), Log: a.cfg.Log,
	})
	for _, p := range found {
		if len(p.Addrs) > 0 && p.Door != 0 {
			doors = append(doors, netip.AddrPortFrom(p.Addrs[0], p.Door))
		}
	}
	return doors[:min(len(doors), enough)]
}

// named are the doors of the peers that the user gave by HOST[:PORT]: a node's
// door is the port above its gossip port.
func (a *asking) named(ctx context.Context) (doors []netip.AddrPort) {
	for _, p := range a.cfg.Peers {
		host, port := p, DefaultPort
		if h, s, err := net.SplitHostPort(p); err == nil {
			host = h
			port, _ = strconv.Atoi(s)
		}
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", strings.Trim(host, "[]"))
		if err != nil || len(ips) == 0 || port < 1 || port > 65534 {
			a.cfg.Log.Debug("peer cannot be asked", "peer", p, "err", err)
			continue
		}
		for _, ip := range ips {
			doors = append(doors, netip.AddrPortFrom(ip.Unmap(), uint16(port+1)))
		}
	}
	return doors
}
