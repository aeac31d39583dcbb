package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/chunk"
	"hffs/cache/index"
	"hffs/cache/ref"
	"hffs/discovery"
	"hffs/gossip"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
	"hffs/transfer/peer"
	"hffs/transfer/source"
)

// address tells the swarm under which address this machine can be reached.
func (n *Node) address(ctx context.Context) error {
	if ip, ok := bound(n.cfg); ok {
		n.setAddrs([]netip.Addr{ip})
		<-ctx.Done()
		return nil
	}
	var prefer func() string
	if n.mdns != nil {
		prefer = n.mdns.Heard
	}
	return discovery.WatchAddrs(ctx, discovery.WatchConfig{Loopback: n.cfg.Loopback, Prefer: prefer, Log: n.cfg.Log}, n.setAddrs)
}

// bound is the one address that the user wants to be reached at, if there is one.
func bound(cfg Config) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(cfg.Bind)
	return ip, err == nil && !ip.IsUnspecified()
}

func (n *Node) setAddrs(addrs []netip.Addr) {
	n.mine.Store(&addrs)
	if len(addrs) > 0 {
		n.doors.release()
		n.swarm.SetAddr(addrs[0])
	}
}

// self is what is announced: nothing before the swarm has an address.
func (n *Node) self() (discovery.Self, bool) {
	var addrs []netip.Addr
	if p := n.mine.Load(); p != nil {
		addrs = *p
	}
	if len(addrs) == 0 || n.swarm.Member() == "" {
		return discovery.Self{}, false
	}
	return discovery.Self{
		Member: n.swarm.Member(), Node: n.id, Swarm: gossip.SwarmID(n.cfg.Swarm), Addrs: addrs,
		Gossip: uint16(n.doors.gossip), Door: uint16(n.doorPort()),
	}, true
}

// join leads from discovery to gossip: candidates are tried a few at a time,
// and each only once at a time. Who only passes by cannot be joined, but fetches
// something.
func (n *Node) join(ctx context.Context) func(discovery.Peer) {
	const atOnce = 3
	places := make(chan struct{}, atOnce)
	var mu sync.Mutex // guards trying
	trying := map[string]bool{}
	return func(p discovery.Peer) {
		if p.Gossip == 0 {
			n.engine.passing.saw(p, time.Now())
			return
		}
		key := p.Member + fmt.Sprint(p.Addrs, p.Gossip)
		mu.Lock()
		defer mu.Unlock()
		if len(p.Addrs) == 0 || p.Node == n.id || trying[key] || p.Member != "" && n.swarm.IsMember(p.Member) {
			return
		}
		select {
		case places <- struct{}{}:
		default:
			return // it will be found again
		}
		trying[key] = true
		go func() {
			n.tryJoin(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			delete(trying, key)
			<-places
		}()
	}
}

func (n *Node) tryJoin(ctx context.Context, p discovery.Peer) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var addrs []netip.AddrPort
	for _, a := range p.Addrs {
		addrs = append(addrs, netip.AddrPortFrom(a, p.Gossip))
	}
	if err := n.swarm.Join(ctx, p.Member, addrs); err != nil {
		n.cfg.Log.Debug("candidate was not joined", "member", p.Member, "addrs", addrs, "from", p.From, "err", err)
	}
}

// announce leads from the cache to gossip: what is held is told.
func (n *Node) announce(ctx context.Context) error {
	for {
		n.swarm.Hold(n.engine.shown())
		select {
		case <-ctx.Done():
			return nil
		case <-n.cache.Changes():
		case <-n.engine.access.Changes():
		}
	}
}

// withheldLook is how often it is looked whether something is not shared that could be.
const withheldLook = 5 * time.Second

// withheld tells the user, once, of repos that are not shared since nobody can say
// whether they are public.
func (n *Node) withheld(ctx context.Context) error {
	look := time.NewTicker(withheldLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		if k := n.access.Withheld(); k > 0 {
			n.cfg.Say(count(k, "repo") + " not shared for now: the Hub cannot be asked whether they are public; --share-gated shares all")
			return nil
		}
	}
}

func holdings(h cache.Holdings) manifest.Holdings {
	out := manifest.Holdings{Partials: h.Partials}
	for _, s := range h.Snapshots {
		files := make([]manifest.File, len(s.Files))
		for i, f := range s.Files {
			files[i] = manifest.File(f)
		}
		out.Snapshots = append(out.Snapshots, manifest.Snapshot{Repo: s.Repo, Commit: s.Commit, Files: files})
	}
	for _, r := range h.Refs {
		out.Refs = append(out.Refs, manifest.Ref(r))
	}
	return out
}

// report tells the user where the node listens and when peers come and go,
// remembers them, and has mDNS look closer when one was lost.
func (n *Node) report(ctx context.Context) error {
	if !n.awaitNetwork(ctx) {
		return nil
	}
	members := n.swarm.Members()
	n.cfg.Say(fmt.Sprintf("%s, %s", n.listening(), count(len(members), "peer")))
	for before := len(members); ; {
		n.remember(members)
		select {
		case <-ctx.Done():
			return nil
		case <-n.swarm.Changes():
		}
		members = n.swarm.Members()
		if len(members) != before {
			n.cfg.Say(count(len(members), "peer") + names(members))
		}
		if len(members) < before && n.mdns != nil {
			n.mdns.Nudge()
		}
		before = len(members)
	}
}

// awaitNetwork waits until the swarm has an address to be reached at.
func (n *Node) awaitNetwork(ctx context.Context) bool {
	hint := time.NewTimer(3 * time.Second)
	defer hint.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-hint.C:
			n.cfg.Say("no network yet: waiting for an address (an interface that is up, or --bind)")
		case <-n.swarm.Ready():
			return true
		}
	}
}

func (n *Node) remember(members []gossip.Member) {
	for _, m := range members {
		n.memory.Saw(discovery.Peer{
			Member: m.Member, Node: m.ID, Addrs: []netip.Addr{m.Addr.Addr()},
			Gossip: m.Gossip.Port(), Door: m.Addr.Port(),
		})
	}
}

func names(members []gossip.Member) string {
	const most = 5
	var all []string
	for _, m := range members[:min(len(members), most)] {
		all = append(all, m.Name+" ("+m.Addr.Addr().String()+")")
	}
	switch {
	case len(members) == 0:
		return ""
	case len(members) > most:
		all = append(all, "…")
	}
	return ": " + strings.Join(all, ", ")
}

// forget tells the directory of a holder that does not hold.
func (n *Node) forget(name string, etag ref.ETag) {
	for _, m := range n.swarm.Members() {
		if m.Name == name {
			n.swarm.Forget(m.ID, etag)
		}
	}
}

// store lets the peers' door hand out what the cache holds, and what is on its
// way there.
type store struct {
	cache    *cache.Cache
	engine   *engine
	learning chan struct{} // held while a blob is read for somebody who asks
}

func newStore(c *cache.Cache, e *engine) store { return store{c, e, make(chan struct{}, 1)} }

// Held is a blob that peers may have.
func (s store) Held(etag ref.ETag) (peer.Held, error) {
	if !s.mayHave(etag) {
		return nil, source.ErrGone
	}
	h, err := s.cache.Blob(etag)
	switch {
	case errors.Is(err, cache.ErrChanged):
		return nil, fmt.Errorf("%w: %w", source.ErrChanged, err)
	case errors.Is(err, cache.ErrNotFound):
		return nil, fmt.Errorf("%w: %w", source.ErrGone, err)
	case err != nil:
		return nil, err
	}
	return s.engine.reading.read(h), nil
}

// Part is a blob that is being fetched.
func (s store) Part(etag ref.ETag) (peer.Part, error) {
	if !s.mayHave(etag) {
		return nil, source.ErrGone
	}
	p, err := s.cache.Part(etag)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrGone, err)
	}
	return part{p}, nil
}

// Feed is what fellows are told of a blob that is being fetched.
func (s store) Feed(etag ref.ETag) (peer.Feed, bool) {
	if !s.mayHave(etag) {
		return nil, false
	}
	return s.engine.transfer.News(etag)
}

// Met is told of a node that fetches a blob, whether or not this one does.
func (s store) Met(etag ref.ETag, id, name string, door netip.AddrPort) {
	s.engine.passing.add(directory.Node{ID: id, Name: name, Addr: door}, time.Now())
	s.engine.transfer.Meet(etag, s.engine.dialer.Source(id, name, door))
}

// part is a cache.Part as the door wants it.
type part struct{ *cache.Part }

func (p part) File() *os.File { return p.Part.File }
func (p part) Size() int64    { return p.Blob.Size }

// Map is for whole blobs.
func (p part) Map() (chunk.Map, error) { return chunk.Map{}, source.ErrGone }

// held is a cache.Held as the door wants it.
type held struct {
	*cache.Held
	end func()
}

func (h held) File() *os.File { return h.Held.File }
func (h held) Size() int64    { return h.Blob.Size }

// ContentMap makes the map of a blob that was not looked at yet, one at a time.
func (s store) ContentMap(ctx context.Context, b ref.Blob) (chunk.Map, error) {
	if !s.mayHave(b.ETag) {
		return chunk.Map{}, source.ErrGone
	}
	making, ok := s.engine.transfer.Making(b.ETag) // asked first: it ends once the map is there
	m, err := s.cache.ContentMap(b)
	if !errors.Is(err, cache.ErrNotFound) {
		return m, err
	}
	if ok {
		return m, making
	}
	select {
	case s.learning <- struct{}{}:
		defer func() { <-s.learning }()
	case <-ctx.Done():
		return m, ctx.Err()
	}
	if err := s.cache.Learn(ctx, b); err != nil {
		return m, err
	}
	return s.cache.ContentMap(b)
}

func (s store) HasChunks(hashes []chunk.Hash) []bool {
	has, open := make([]bool, len(hashes)), s.open()
	for i, places := range s.cache.Chunks(hashes) {
		has[i] = len(open(places)) > 0
	}
	return has
}

// ReadChunk reads it from a blob that peers may have.
func (s store) ReadChunk(h chunk.Hash, buf []byte) ([]byte, error) {
	return s.cache.ReadChunkAt(h, s.open()(s.cache.Chunks([]chunk.Hash{h})[0]), buf)
}

// open leaves out the places that peers may not read. It asks once for each blob, of
// which there are few where chunks are many.
func (s store) open() func(cache.Places) cache.Places {
	may := map[ref.ETag]bool{}
	return func(places cache.Places) cache.Places {
		return slices.DeleteFunc(places, func(p index.Place) bool {
			if _, asked := may[p.ETag]; !asked {
				may[p.ETag] = s.mayHave(p.ETag)
			}
			return !may[p.ETag]
		})
	}
}

func (s store) Have(etag ref.ETag) (have, size int64, ok bool) {
	if !s.mayHave(etag) {
		return 0, 0, false
	}
	return s.cache.PartialHave(etag)
}

func (n *Node) countSent(_ ref.ETag, bytes int64) { n.sent.Add(bytes) }

// serve runs an HTTP server until ctx ends; requests under way get a moment.
func serve(ctx context.Context, s *http.Server, l net.Listener) func() error {
	return func() error {
		stop := context.AfterFunc(ctx, func() { _ = s.Close() })
		defer stop()
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	}
}

// server bounds what strangers can make an HTTP server do.
func server(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
