// Package gossip is the swarm: who is there, and what each node holds.
//
// hashicorp/memberlist tells who is there. The version of every node's manifest
// travels in its memberlist meta (meta.go), and whoever sees a newer version
// pulls it from its owner over HTTP (pull.go, server.go). A change that is small
// also goes out as a broadcast (news.go, queue.go), which saves most nodes the pull.
// What is pulled ends up in a directory, from which [Swarm.Known] and
// [Swarm.Holders] answer (lookup.go); file lists are fetched when such a
// question needs them (lists.go). [Swarm.List] asks the nodes themselves what files
// a commit has, held or not (tree.go, poll.go), and settles what they told (told.go);
// shared.go is what this node keeps to itself.
//
// Read [Swarm.Run] first: it waits for an address, opens a membership (session.go),
// turns what memberlist calls back into changes of the roster (roster.go, apply.go), and
// opens the next membership when the machine's address has changed.
//
// memberlist never reconnects: whoever finds nodes has to keep calling
// [Swarm.Join] for those that are not members.
//
// A [Passerby] is for a program that only wants to ask: it joins nothing and
// puts the same questions to members over HTTP. [Look] asks one node who it is, and
// [Swarm.Probe] whether its gossip is reached (look.go).
package gossip

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"regexp"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

// Config says who this node is. All but NodeID and DoorPort may be left zero.
type Config struct {
	// NodeID is 16 hex digits, kept for as long as the node's state is.
	NodeID string
	// Name is what people read, up to 32 bytes; empty means a part of NodeID.
	Name string
	// Swarm is the swarm's name; empty means "default".
	Swarm string
	// Bind is the address to listen on; empty means all.
	Bind string
	// Port is the gossip port, TCP and UDP; 0 means any that is free.
	Port int
	// DoorPort is where this node serves [Swarm.Handler] and its blobs.
	DoorPort int
	// Loopback lets members have loopback addresses: several nodes on one host.
	Loopback bool
	// Version is the program's, shown to others; it may be empty.
	Version string
	// Shared says of which repos this node may speak; nil means of all. Asked about
	// another one it answers as if it had nothing of it. What [Swarm.Hold] is given is
	// announced as it is, and what other nodes announced is passed on. Shared must not
	// wait; it and Trees are called from several goroutines.
	Shared func(ref.Repo) bool
	// Trees is what this node knows of a commit's files, and whether those are all;
	// nil means that it knows what it holds. It should give what the Hub said: a list
	// that came from a node and is told again sounds as if two had said it.
	Trees func(ref.Repo, ref.Commit) (files []ref.Listed, whole bool)
	// Log is where to report; nil means nowhere.
	Log *slog.Logger
	// Tune changes memberlist's settings, for tests; nil leaves them.
	Tune func(*memberlist.Config)
	// HTTP is what manifests are pulled with; nil means a client of our own.
	HTTP *http.Client
}

// Member is another node that is alive, with what it says of itself.
type Member struct {
	directory.Node
	Member  string // its process: node id and boot
	Gossip  netip.AddrPort
	Files   int
	Bytes   int64
	Version string
	Since   time.Time
	Behind  bool // its newest manifest has not been pulled yet
}

// Known is what somebody says of a file. For a branch or tag, Claim says what it
// stands for; for a commit only Claim's Commit and Node are set. Entry is there
// where a file list has the file.
type Known struct {
	Claim    directory.Claim
	Entry    ref.Entry
	HasEntry bool
}

// ErrPortInUse means that another program has the gossip port.
var ErrPortInUse = errors.New("port in use")

// Swarm is this node's view of the others. Make one with [New].
type Swarm struct {
	cfg     Config
	log     *slog.Logger
	quiet   quiet
	swarmID string
	http    *http.Client
	now     func() time.Time

	table  directory.Table
	lists  lists
	roster roster
	pub    publisher

	life    context.Context // ends with Run; what outlives the call that began it hangs on this
	stop    context.CancelFunc
	work    sync.WaitGroup
	ready   chan struct{}
	joins   chan struct{} // a slot for each join under way
	pulls   chan struct{} // likewise for pulls
	trees   chan struct{} // and for lists of a commit's files that are being told
	changes chan struct{}
	moved   chan struct{} // the address to advertise has changed

	mu      sync.Mutex // guards the fields below
	addr    netip.Addr // to advertise
	session *session   // nil while there is no membership
	name    string     // member name of the latest session
	port    int        // its gossip port
	lives   uint8      // how many sessions this process has had
	joining map[string]bool

	// wrap lets tests cut and count what the transport carries.
	wrap func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport
}

const (
	maxJoins = 3
	maxPulls = 4
)

var nodeIDForm = regexp.MustCompile(`^[0-9a-f]{16}$`)

// SwarmID is the swarm's public name: what nodes show each other to tell swarms
// apart.
func SwarmID(name string) string {
	if name == "" {
		name = "default"
	}
	sum := sha256.Sum256([]byte("hffs swarm v1" + name))
	return hex.EncodeToString(sum[:8])
}

// New makes a Swarm. It starts nothing.
func New(cfg Config) (*Swarm, error) {
	if !nodeIDForm.MatchString(cfg.NodeID) {
		return nil, fmt.Errorf("node id %q: it is not 16 hex digits", cfg.NodeID)
	}
	if cfg.DoorPort <= 0 || cfg.DoorPort > 65535 || cfg.Port < 0 || cfg.Port > 65535 {
		return nil, fmt.Errorf("ports %d and %d: out of range", cfg.Port, cfg.DoorPort)
	}
	if cfg.Name = cleanName(cfg.Name); cfg.Name == "" {
		cfg.Name = "node-" + cfg.NodeID[:4]
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = newHTTP(2 * time.Second)
	}
	s := &Swarm{
		cfg: cfg, log: cfg.Log, http: cfg.HTTP, now: time.Now,
		swarmID: SwarmID(cfg.Swarm),
		ready:   make(chan struct{}),
		joins:   make(chan struct{}, maxJoins),
		pulls:   make(chan struct{}, maxPulls),
		trees:   make(chan struct{}, maxTrees),
		changes: make(chan struct{}, 1),
		moved:   make(chan struct{}, 1),
		joining: map[string]bool{},
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.lists.init()
	s.roster.init()
	s.pub.init(uint64(s.now().UnixMicro()))
	return s, nil
}

// Ready is closed when this node can be joined and can join others.
func (s *Swarm) Ready() <-chan struct{} { return s.ready }

// Changes tells that members came, went or moved. It holds one event.
func (s *Swarm) Changes() <-chan struct{} { return s.changes }

// Member is this node's current member name; it is another one after every
// restart and every change of address.
func (s *Swarm) Member() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name
}

// Port is the gossip port that is really in use, after [Swarm.Ready].
func (s *Swarm) Port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port
}

// IsMember reports whether a member of that name is alive.
func (s *Swarm) IsMember(member string) bool { return s.roster.has(member) }

// Members are the others that are alive, by name.
func (s *Swarm) Members() []Member { return s.roster.list() }

// Nodes are up to most of the others that are alive, any of them.
func (s *Swarm) Nodes(_ context.Context, most int) (all []directory.Node, err error) {
	for _, m := range some(s.Members(), most) {
		all = append(all, m.Node)
	}
	return all, nil
}

// some are up to most of all, any of them; all is not kept in order.
func some[T any](all []T, most int) []T {
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:max(0, min(len(all), most))]
}

// Hold replaces what this node says it holds. Calls in quick succession are told
// to the others as one. The slices in h must not be changed afterwards.
func (s *Swarm) Hold(h manifest.Holdings) { s.pub.hold(h) }

// SetAddr sets the address that others reach this node at. The first call lets
// [Swarm.Run] begin; a later one with another address makes it leave and come
// back under a new member name.
func (s *Swarm) SetAddr(addr netip.Addr) {
	addr = addr.Unmap()
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLinkLocalUnicast() && addr.Is6() {
		return // memberlist carries no zone, so a link-local address reaches nobody
	}
	s.mu.Lock()
	changed := s.addr != addr.WithZone("")
	s.addr = addr.WithZone("")
	s.mu.Unlock()
	if changed {
		poke(s.moved)
	}
}

// self is this node as the others see it.
func (s *Swarm) self() directory.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return directory.Node{ID: s.cfg.NodeID, Name: s.cfg.Name, Addr: netip.AddrPortFrom(s.addr, uint16(s.cfg.DoorPort))}
}

// poke puts an event on a channel of capacity 1, unless one is waiting there.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep waits for d; it reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
