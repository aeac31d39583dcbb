package node

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"hffs/cache"
	"hffs/cli/control"
	"hffs/discovery"
	"hffs/gossip"
)

// AddedPeers is the list of peers that the user has added for good: one for all nodes
// and commands that share a state folder.
func AddedPeers(place cache.Place) discovery.AddedList {
	return discovery.AddedList{Path: filepath.Join(place.State, discovery.AddedFile)}
}

// added is that list as it is now, for who does not live long; what cannot be read
// holds nobody up.
func added(cfg Config) []string {
	peers, err := AddedPeers(cfg.Place).Peers()
	if err != nil {
		cfg.Log.Warn("the list of added peers is passed over", "err", err)
	}
	return peers
}

// addedFinder tries the added peers for as long as the node lives.
func (n *Node) addedFinder() discovery.Finder {
	return discovery.NewAdded(discovery.AddedConfig{List: AddedPeers(n.cfg.Place), Joined: n.joined, Log: n.cfg.Log})
}

// joined tells whether a member of the swarm, or this very node, is at an address.
func (n *Node) joined(at netip.AddrPort) bool {
	if p := n.mine.Load(); p != nil && int(at.Port()) == n.doors.gossip && slices.Contains(*p, at.Addr()) {
		return true
	}
	return slices.ContainsFunc(n.swarm.Members(), func(m gossip.Member) bool { return m.Gossip == at })
}

// origins remembers how candidates were found, by their member name, or by the address
// of their gossip where they have none.
type origins struct {
	mu sync.Mutex // guards by
	by map[string][]string
}

// originsMost bounds what strangers can make us remember.
const originsMost = 8192

// over is f, with what it finds noted.
func (o *origins) over(f discovery.Finder) discovery.Finder { return noting{o, f} }

type noting struct {
	*origins
	discovery.Finder
}

func (n noting) Find(ctx context.Context, found func(discovery.Peer)) error {
	return n.Finder.Find(ctx, func(p discovery.Peer) {
		n.note(p)
		found(p)
	})
}

func (o *origins) note(p discovery.Peer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil || len(o.by) > originsMost {
		o.by = map[string][]string{}
	}
	keys := []string{p.Member}
	if p.Member == "" {
		keys = keys[:0]
		for _, a := range p.Addrs {
			keys = append(keys, netip.AddrPortFrom(a, p.Gossip).String())
		}
	}
	for _, k := range keys {
		if how := cmp.Or(originWords[p.From], p.From); !slices.Contains(o.by[k], how) {
			o.by[k] = append(o.by[k], how)
		}
	}
}

// originWords are finders in the words of control.KnownPeer.
var originWords = map[string]string{"static": "named"}

// of is how a member was found; by gossip, if nobody looked for it.
func (o *origins) of(m gossip.Member) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	how := slices.Concat(o.by[m.Member], o.by[m.Gossip.String()])
	slices.Sort(how)
	if how = slices.Compact(how); len(how) == 0 {
		return []string{"gossip"}
	}
	return how
}

// Peers tells who else there is, and asks each of them at its door.
func (n *Node) Peers(ctx context.Context) (control.Peers, error) {
	peers, err := AddedPeers(n.cfg.Place).Peers()
	if err != nil {
		return control.Peers{}, ListError(err)
	}
	c := census{swarm: n.cfg.Swarm, self: n.id, peers: []control.KnownPeer{}}
	var asked sync.WaitGroup
	places := make(chan struct{}, lookAtOnce)
	members := n.swarm.Members()
	for _, m := range members {
		asked.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c.member(ctx, m, n.origins.of(m))
		})
	}
	asked.Wait() // first, so that an added one is known for whom it is
	c.addedAll(ctx, peers)
	return control.Peers{Node: n.name, Peers: c.sorted()}, ctx.Err()
}

// AskAdded is [Node.Peers] where no node runs: the added peers alone.
func AskAdded(ctx context.Context, cfg Config) (control.Peers, error) {
	cfg = cfg.fill()
	peers, err := AddedPeers(cfg.Place).Peers()
	if err != nil {
		return control.Peers{}, ListError(err)
	}
	c := census{swarm: cfg.Swarm, peers: []control.KnownPeer{}}
	c.addedAll(ctx, peers)
	return control.Peers{Peers: c.sorted()}, ctx.Err()
}

// AskPeer asks whoever may be at one place, HOST:PORT.
func AskPeer(ctx context.Context, cfg Config, peer string) control.KnownPeer {
	c := census{swarm: cfg.fill().Swarm}
	c.addedAll(ctx, []string{peer})
	return c.peers[0]
}

// PeerName is how a peer stands on the list.
func PeerName(host string, port int) (string, error) {
	name, err := discovery.Canonical(hostPort(host, port), 0)
	if err != nil {
		return "", badPeer(err)
	}
	return name, nil
}

// ListError is trouble with the list in words.
func ListError(err error) error {
	e := explainStorage(err)
	switch {
	case errors.Is(err, discovery.ErrFull):
		return &control.Error{Code: control.CodeUsage, Message: err.Error(), Hint: "\"hffs peer rm\" takes one off; of each other network one member is enough"}
	case e != nil:
		return e
	}
	return &control.Error{Code: control.CodeStorage, Message: err.Error(), Hint: "mend the file or remove it; \"hffs peer add\" makes a new one"}
}

// lookAtOnce is how many doors are asked at a time.
const lookAtOnce = 32

// census gathers who there is.
type census struct {
	swarm, self string

	mu    sync.Mutex // guards peers
	peers []control.KnownPeer
}

// member asks a member, which is alive as far as the swarm knows.
func (c *census) member(ctx context.Context, m gossip.Member, found []string) {
	p := control.KnownPeer{
		Node: m.Name, ID: m.ID, Addr: m.Gossip.String(), Door: m.Addr.String(), Member: true, Found: found,
		Files: m.Files, Bytes: m.Bytes, Version: m.Version,
	}
	if l, err := gossip.Look(ctx, m.Addr, c.swarm); err != nil {
		p.Problem = "its door does not answer: " + why(err)
	} else {
		takeOver(&p, l)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers = append(c.peers, p)
}

// addedAll asks at all places where the user says there are peers.
func (c *census) addedAll(ctx context.Context, peers []string) {
	var asked sync.WaitGroup
	places := make(chan struct{}, lookAtOnce)
	for _, peer := range peers {
		asked.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c.added(lookUp(ctx, peer, c.swarm))
		})
	}
	asked.Wait()
}

// added puts one that was asked where it belongs: beside the member that it is.
func (c *census) added(p control.KnownPeer) {
	if p.ID != "" && p.ID == c.self {
		p.Problem = "that is this node itself"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.peers, func(o control.KnownPeer) bool { return o.Member && (o.ID == p.ID || o.Addr == p.Addr) })
	if i < 0 {
		c.peers = append(c.peers, p)
		return
	}
	if o := &c.peers[i]; !slices.Contains(o.Found, "added") {
		o.Found = append([]string{"added"}, o.Found...)
	}
}

// lookUp asks at the addresses of an added peer until one answers. Its door is the port
// above that of its gossip.
func lookUp(ctx context.Context, peer, swarm string) control.KnownPeer {
	p := control.KnownPeer{Addr: peer, Found: []string{"added"}}
	ctx, cancel := context.WithTimeout(ctx, lookMost)
	defer cancel()
	at, err := discovery.Resolve(ctx, peer)
	switch {
	case err != nil:
		p.Problem = why(err)
		return p
	case at.Door == 0:
		p.Problem = "there is no port above its own for its door"
		return p
	}
	var problems []string
	for _, a := range at.Addrs[:min(len(at.Addrs), lookAddrs)] {
		door := netip.AddrPortFrom(a, at.Door)
		p.Door = door.String()
		l, err := gossip.Look(ctx, door, swarm)
		if err == nil {
			takeOver(&p, l)
			return p
		}
		if text := why(err); !slices.Contains(problems, text) {
			problems = append(problems, text)
		}
	}
	p.Problem = strings.Join(problems, "; ")
	return p
}

// A place may have several addresses, and each gets its time.
const (
	lookAddrs = 4
	lookMost  = 5 * time.Second
)

func takeOver(p *control.KnownPeer, l gossip.Looked) {
	p.Alive, p.Node, p.ID = true, l.Name, l.ID
	p.Files, p.Bytes, p.Version = l.Files, l.Bytes, l.Version
	trip := float64(l.RoundTrip.Microseconds()) / 1000
	p.Trip = &trip
	if !l.Clock.IsZero() {
		ahead := l.Clock.Sub(time.Now().Truncate(time.Second)).Seconds()
		p.Ahead = &ahead
	}
}

// sorted puts those first who answer.
func (c *census) sorted() []control.KnownPeer {
	rank := func(p control.KnownPeer) int {
		switch {
		case p.Member:
			return 0
		case p.Alive:
			return 1
		}
		return 2
	}
	slices.SortFunc(c.peers, func(a, b control.KnownPeer) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Addr, b.Addr))
	})
	return c.peers
}

// why is in few words what kept somebody from answering.
func why(err error) string {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	slow, isNet := errors.AsType[net.Error](err)
	switch {
	case isDNS && dns.IsNotFound:
		return "there is no machine called " + strconv.Quote(dns.Name)
	case isDNS:
		return "the name " + strconv.Quote(dns.Name) + " cannot be looked up now"
	case errors.Is(err, gossip.ErrStranger):
		return "it belongs to another swarm"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the machine is there, and no node on that port"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to that address"
	case errors.Is(err, context.DeadlineExceeded), isNet && slow.Timeout():
		return "nothing comes back: it is off, or a firewall is in between"
	}
	return rootCause(err).Error()
}
