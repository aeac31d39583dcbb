package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"hffs/cache"
	"hffs/cache/disk"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/discovery"
	"hffs/discovery/reach"
	"hffs/gossip"
	"hffs/transfer/catalog/access"
	"hffs/transfer/hub"
	"hffs/transfer/hub/endpoint"
	"hffs/transfer/pace"
	"hffs/transfer/peer"
)

// Node is a running node: cache, swarm, doors, and the loops that join them.
type Node struct {
	cfg     Config
	slot    *slot
	doors   *doors
	id      string
	name    string
	key     string
	began   time.Time
	sent    atomic.Int64 // bytes served to peers
	cache   *cache.Cache
	hub     *hub.Client
	swarm   *gossip.Swarm
	finder  discovery.Finder
	mdns    *discovery.MDNS // nil with NoMDNS
	memory  *discovery.Remembered
	access  *access.Book
	engine  *engine
	door    *http.Server
	blobs   *peer.Server // behind it
	api     *http.Server
	mine    atomic.Pointer[[]netip.Addr] // addresses of this machine, best first
	halt    halt
	origins origins       // how others were found
	brief   chan struct{} // closed when commands can find it; nil unless it runs briefly
}

// New builds a node from the disk up and takes its ports; nothing runs yet.
func New(cfg Config) (n *Node, err error) {
	n = &Node{cfg: cfg.fill(), key: control.NewKey(), began: time.Now()}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if n.slot, err = claim(n.cfg.Place.State, ""); err != nil {
		return n, err
	}
	if n.id, err = identity(n.slot.dir); err != nil {
		return n, err
	}
	n.name = label(n.cfg.Name, n.id)
	if n.doors, err = openDoors(n.cfg); err != nil {
		return n, err
	}
	if n.cache, err = openCache(n.cfg, n.slot.dir, disk.Boot()); err != nil {
		return n, err
	}
	if n.hub, err = newHub(n.cfg); err != nil {
		return n, err
	}
	n.access = newAccess(n.cfg, n.hub, n.cache, n.slot.dir)
	if n.swarm, err = n.newSwarm(); err != nil {
		return n, err
	}
	if err = n.newFinders(); err != nil {
		return n, err
	}
	n.engine = newEngine(n.cfg, n.id, n.cache, n.hub, n.swarm, n.access)
	n.engine.dialer.Self = func() peer.Introduction {
		return peer.Introduction{ID: n.id, Name: n.name, Port: uint16(n.doorPort())}
	}
	n.engine.forget = n.forget
	n.newDoors()
	return n, nil
}

func newHub(cfg Config) (*hub.Client, error) {
	c, err := hub.New(cfg.Hub)
	if err != nil {
		return nil, &control.Error{Code: control.CodeUsage, Message: err.Error(), Hint: "check HF_ENDPOINT, and HF_TOKEN or the file that \"hf auth login\" wrote"}
	}
	return c, nil
}

// openCache has boot for who runs the cache, see [cache.Config].
func openCache(cfg Config, state, boot string) (*cache.Cache, error) {
	return cache.Open(cache.Config{Dir: cfg.Place.Hub, State: state, Boot: boot, NoSymlinks: cfg.NoSymlinks, Log: cfg.Log})
}

func (n *Node) newSwarm() (*gossip.Swarm, error) {
	return gossip.New(gossip.Config{
		NodeID: n.id, Name: n.name, Swarm: n.cfg.Swarm, Bind: n.cfg.Bind,
		Port: n.doors.gossip, DoorPort: n.doorPort(), Loopback: n.cfg.Loopback || loopback(n.cfg.Bind),
		Version: n.cfg.Version, Log: n.cfg.Log, Shared: n.access.Shared,
		Trees: func(repo ref.Repo, commit ref.Commit) ([]ref.Listed, bool) {
			return n.engine.catalog.Known(repo, commit)
		},
	})
}

func (n *Node) newFinders() error {
	id := gossip.SwarmID(n.cfg.Swarm)
	static, err := discovery.NewStatic(n.cfg.Peers, DefaultPort, n.cfg.Log)
	if err != nil {
		return badPeer(err)
	}
	n.memory = discovery.OpenRemembered(discovery.RememberedConfig{
		Path: filepath.Join(n.slot.dir, "peers.json"), Swarm: id, IsMember: n.swarm.IsMember, Log: n.cfg.Log,
	})
	finders := []discovery.Finder{static, n.addedFinder(), n.memory}
	if !n.cfg.NoMDNS {
		n.mdns = discovery.NewMDNS(discovery.MDNSConfig{
			Swarm: id, Self: n.self, Members: func() int { return len(n.swarm.Members()) + 1 },
			IsMember: n.swarm.IsMember, Loopback: n.cfg.Loopback || loopback(n.cfg.Bind), Log: n.cfg.Log,
		})
		finders = append(finders, n.mdns)
	}
	n.finder = n.origins.over(discovery.Both(finders...))
	return nil
}

func badPeer(err error) error {
	return &control.Error{Code: control.CodeUsage, Message: err.Error(), Hint: "a peer is written HOST or HOST:PORT"}
}

// CheckPeer is what is wrong with how a peer is written, HOST or HOST:PORT.
func CheckPeer(text string) error {
	return checkPeers(Config{Peers: []string{text}}.fill())
}

// checkPeers refuses names that no peer can have.
func checkPeers(cfg Config) error {
	if _, err := discovery.NewStatic(cfg.Peers, DefaultPort, cfg.Log); err != nil {
		return badPeer(err)
	}
	return nil
}

// newDoors puts the handlers of the rooms behind the two ports.
func (n *Node) newDoors() {
	blobs := peer.NewServer(newStore(n.cache, n.engine), n.cfg.Log)
	blobs.Sent = n.countSent
	n.engine.tellServed(blobs, n.memberAt)
	n.blobs = blobs
	blobs.Limit = pace.NewLimit(n.cfg.LimitUp)
	open := http.NewServeMux()
	for _, path := range peer.Paths {
		open.Handle(path, blobs)
	}
	open.Handle(reach.Path, n.reach())
	open.Handle("/v1/", n.swarm.Handler())
	n.door = server(open, n.cfg.Log)
	n.api = server(control.LocalOnly(n.local()), n.cfg.Log)
}

// local is what this machine's own programs see: the control of the node, and the Hub.
// Addresses reach the latter as they came: a mux would mend them by a redirect.
func (n *Node) local() http.Handler {
	ours := control.NewServer(n, n.key, Explain)
	theirs := endpoint.New(endpoint.Config{Library: newLibrary(n.engine), Explain: failure, Log: n.cfg.Log})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/control/") {
			ours.ServeHTTP(w, r)
			return
		}
		theirs.ServeHTTP(w, r)
	})
}

// Run runs the node until ctx ends, and leaves the swarm in good order.
func (n *Node) Run(ctx context.Context) error {
	if err := n.checkShelf(); err != nil {
		return err
	}
	ctx, end := n.halt.within(ctx)
	defer end()
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g, live := errgroup.WithContext(live)
	g.Go(func() error { return n.cache.Run(live) })
	g.Go(func() error { return n.swarm.Run(live) })
	g.Go(func() error { return n.address(live) })
	g.Go(func() error { return n.finder.Find(live, n.join(live)) })
	g.Go(func() error { return n.announce(live) })
	g.Go(func() error { return n.access.Run(live) })
	g.Go(func() error { return n.withheld(live) })
	g.Go(func() error { return n.report(live) })
	g.Go(serve(live, n.door, n.doors.door))
	g.Go(serve(live, n.api, n.doors.api))
	g.Go(func() error { return n.ready(live) })
	g.Go(func() error { // a graceful leave: out of mDNS first, or it would be found again
		select {
		case <-ctx.Done():
		case <-live.Done():
		}
		if n.mdns != nil {
			n.mdns.StopAnnouncing()
		}
		cancel()
		return nil
	})
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// ready lets commands find the node once its doors are open.
func (n *Node) ready(ctx context.Context) error {
	place := control.Place{
		Addr: n.doors.api.Addr().String(), Key: n.key, PID: os.Getpid(),
		Cache: n.cfg.Place.Hub, Version: n.cfg.Version, Host: hostname(), Env: EnvOf(n.cfg),
		Brief: n.brief != nil, Began: n.began, Log: n.cfg.LogFile,
	}
	if err := place.Write(n.slot.dir); err != nil {
		return err
	}
	if n.brief != nil {
		close(n.brief)
	}
	<-ctx.Done()
	control.Remove(n.slot.dir)
	return nil
}

// EnvOf is the part of a config that commands compare with their own.
func EnvOf(cfg Config) control.Env {
	return control.Env{Endpoints: cfg.Hub.Endpoints, Offline: cfg.Hub.Offline, NoXet: cfg.NoXet, Token: control.Mark(cfg.Hub.Token)}
}

// Close releases what New took, in reverse.
func (n *Node) Close() {
	if n.blobs != nil {
		n.blobs.Flush()
	}
	if n.memory != nil {
		_ = n.memory.Close()
	}
	if n.hub != nil {
		_ = n.hub.Close()
	}
	if n.engine != nil {
		n.engine.Close()
	}
	if n.cache != nil {
		_ = n.cache.Close()
	}
	if n.doors != nil {
		n.doors.Close()
	}
	if n.slot != nil {
		_ = n.slot.Close()
	}
}

// Get and Where are the engine's; the node is a [control.Engine].
func (n *Node) Get(ctx context.Context, ask control.Ask, watch func(control.Progress)) (control.Got, error) {
	return n.engine.Get(ctx, ask, watch)
}

// Where tells who holds a file.
func (n *Node) Where(ctx context.Context, ask control.Ask) (control.Where, error) {
	return n.engine.Where(ctx, ask)
}

// Name is what people call the node.
func (n *Node) Name() string { return n.name }

func (n *Node) doorPort() int { return n.doors.door.Addr().(*net.TCPAddr).Port }

func loopback(bind string) bool {
	ip, err := netip.ParseAddr(bind)
	return err == nil && ip.IsLoopback()
}

func (n *Node) listening() string {
	host := n.cfg.Bind
	if a, ok := n.self(); ok && len(a.Addrs) > 0 {
		host = a.Addrs[0].String()
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return fmt.Sprintf("%s on %s (peers' door: %d, API: %s), swarm %q", n.name, hostPort(host, n.doors.gossip), n.doorPort(), n.doors.api.Addr(), n.cfg.Swarm)
}
