package node

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/discovery"
	"hffs/gossip"
	"hffs/gossip/directory"
)

// asking is the swarm as a passer-by sees it: a few doors of members. They are
// looked for while the Hub is asked what the file is, and for as long as the
// passer-by lives, as others may come.
type asking struct {
	cfg     Config
	mdns    *discovery.MDNS // nil: not by mDNS
	passing *passersby      // who is found and is no member
	doors   *gossip.Passerby
	start   func()         // begins the search, once
	running sync.WaitGroup // the search
	began   time.Time      // set by start

	anybody, member moment
	found           chan struct{} // closed when all that is likely to be found is
	tried           []netip.AddrPort

	mu    sync.Mutex // guards what follows, and has one ask for it
	nodes []directory.Node
	asked time.Time
}

const (
	// searchPatience is how long a passer-by that has found nobody yet keeps a
	// download from going to the Hub. Neighbours on a wire answer within
	// milliseconds, on Wi-Fi within 300; whoever answers later is asked later.
	searchPatience = 500 * time.Millisecond
	// searchMost is when a passer-by that cannot do without members gives up.
	searchMost = time.Second
	// settling is what the others get to answer once the first one has.
	settling = 80 * time.Millisecond
	// doorsMost is how many members that answered by mDNS may be asked, three at a
	// time: one would do, three agree, and some go.
	doorsMost = 16
	// namePatience is how long the names of peers are looked up.
	namePatience = 2 * time.Second
	// nodesFor is how long what members say of who is there counts.
	nodesFor = 10 * time.Second
)

// moment is a little later than something that happened for the first time.
type moment struct {
	once sync.Once
	c    chan struct{}
}

func (m *moment) begin() {
	m.once.Do(func() { time.AfterFunc(settling, func() { close(m.c) }) })
}

// newAsking makes what searches from its start until ctx ends.
func newAsking(ctx context.Context, cfg Config, m *discovery.MDNS, passing *passersby) *asking {
	a := &asking{
		cfg: cfg, mdns: m, passing: passing, doors: &gossip.Passerby{Swarm: cfg.Swarm}, found: make(chan struct{}),
		anybody: moment{c: make(chan struct{})}, member: moment{c: make(chan struct{})},
	}
	a.start = sync.OnceFunc(func() {
		a.began = time.Now()
		a.running.Go(func() { a.search(ctx) })
	})
	return a
}

// search looks for members among those that were named, and by mDNS.
func (a *asking) search(ctx context.Context) {
	var first sync.WaitGroup
	first.Go(func() { a.named(ctx) })
	if a.mdns != nil {
		a.running.Go(func() { _ = a.mdns.Find(ctx, a.hear) })
		first.Go(func() { a.someMember(ctx) })
	}
	first.Wait()
	close(a.found)
}

// someMember waits until a member has answered and others had the time to.
func (a *asking) someMember(ctx context.Context) {
	give := time.NewTimer(searchMost)
	defer give.Stop()
	select {
	case <-ctx.Done():
	case <-give.C:
	case <-a.member.c:
	}
}

// hear takes in who answers by mDNS.
func (a *asking) hear(p discovery.Peer) {
	if len(p.Addrs) == 0 || p.Door == 0 {
		return
	}
	a.anybody.begin()
	if p.Gossip == 0 {
		a.passing.saw(p, time.Now())
		return
	}
	door := netip.AddrPortFrom(p.Addrs[0], p.Door)
	if len(a.tried) < doorsMost && !slices.Contains(a.tried, door) {
		a.tried = append(a.tried, door)
		a.doors.Add(door)
	}
	a.member.begin()
}

// wait waits until all are found that are likely to be.
func (a *asking) wait(ctx context.Context) {
	a.start()
	select {
	case <-ctx.Done():
	case <-a.found:
	}
}

// Known waits for members: it is asked only when there is no Hub.
func (a *asking) Known(ctx context.Context, f ref.File) ([]gossip.Known, error) {
	a.wait(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return a.doors.Known(ctx, f)
}

// Revision and List wait as Known does.
func (a *asking) Revision(ctx context.Context, repo ref.Repo, revision string) ([]directory.Claim, error) {
	a.wait(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return a.doors.Revision(ctx, repo, revision)
}

// List is the list of a commit's files as members know it.
func (a *asking) List(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]gossip.Told, error) {
	a.wait(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return a.doors.List(ctx, repo, commit)
}

// someFound waits until somebody is found, but not for long: afterwards whoever was
// found by then is asked. The transfer looks for holders again in a while.
func (a *asking) someFound(ctx context.Context) {
	a.start()
	ctx, cancel := context.WithDeadline(ctx, a.began.Add(searchPatience))
	defer cancel()
	select {
	case <-ctx.Done():
	case <-a.found:
	case <-a.anybody.c:
	}
}

// Holdings and Near wait as Known does.
func (a *asking) Holdings(ctx context.Context, repo ref.Repo) ([]directory.Holding, error) {
	a.wait(ctx)
	return a.doors.Holdings(ctx, repo)
}

// Near are repos of a similar name that somebody has.
func (a *asking) Near(ctx context.Context, repo ref.Repo) ([]ref.Repo, error) {
	a.wait(ctx)
	return a.doors.Near(ctx, repo)
}

func (a *asking) Holders(ctx context.Context, e ref.Entry) ([]directory.Holder, error) {
	a.someFound(ctx)
	return a.doors.Holders(ctx, e)
}

func (a *asking) Versions(ctx context.Context, repo ref.Repo, path string) ([]ref.Entry, error) {
	a.someFound(ctx)
	return a.doors.Versions(ctx, repo, path)
}

// Nodes are the members that were found and those whom they know, asked for once
// in a while.
func (a *asking) Nodes(ctx context.Context, most int) (_ []directory.Node, err error) {
	a.someFound(ctx)
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.nodes) == 0 || time.Since(a.asked) > nodesFor {
		var nodes []directory.Node
		if nodes, err = a.doors.Nodes(ctx, most); err == nil {
			a.nodes, a.asked = nodes, time.Now()
		}
	}
	return slices.Clone(a.nodes[:min(len(a.nodes), most)]), err
}

// named adds the doors of the peers that the user gave: a node's door is the port above
// its gossip port. A name that cannot be looked up at once is done without. Of those
// that were added for good some may be off for weeks: they are asked for a sign of life
// first, so that no question waits for them.
func (a *asking) named(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, namePatience)
	defer cancel()
	var wait sync.WaitGroup
	for i, name := range slices.Concat(a.cfg.Peers, a.cfg.added) {
		wait.Go(func() {
			for _, door := range a.doorsOf(ctx, name) {
				if i < len(a.cfg.Peers) || a.answers(ctx, door) {
					a.doors.Add(door)
				}
			}
		})
	}
	wait.Wait()
}

// answers asks for a sign of life.
func (a *asking) answers(ctx context.Context, door netip.AddrPort) bool {
	_, err := gossip.Look(ctx, door, a.cfg.Swarm)
	if err != nil {
		a.cfg.Log.Debug("added peer does not answer", "door", door, "err", err)
	}
	return err == nil
}

// doorsOf are the doors that a peer may have, best first.
func (a *asking) doorsOf(ctx context.Context, name string) (doors []netip.AddrPort) {
	peer, err := discovery.Canonical(name, DefaultPort)
	var at discovery.Peer
	if err == nil {
		at, err = discovery.Resolve(ctx, peer)
	}
	if err != nil || at.Door == 0 {
		a.cfg.Log.Debug("peer cannot be asked", "peer", name, "err", err)
		return nil
	}
	for _, ip := range at.Addrs {
		doors = append(doors, netip.AddrPortFrom(ip, at.Door))
	}
	return doors
}
