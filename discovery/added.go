package discovery

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// How an added peer is tried: soon again at first, then ever more seldom, but for
// ever. One that is a member is looked at now and then, in case it is lost.
const (
	addedLook  = 500 * time.Millisecond // between two looks at the list
	addedFirst = time.Second
	addedMost  = time.Minute
	addedCalm  = 15 * time.Second
)

// AddedConfig says which list counts. List.Path is required.
type AddedConfig struct {
	List AddedList
	// Joined tells whether a member of the swarm is at that address, by its gossip
	// port: such a one is no candidate. nil means that nobody is.
	Joined func(netip.AddrPort) bool
	// Log is where trouble goes; nil means nowhere.
	Log *slog.Logger
}

// Added finds the peers that the user has added for good: on other subnets, behind
// VPNs, where nobody hears multicast. Its list may change at any time.
type Added struct {
	cfg    AddedConfig
	static *Static // for its way to resolve names
}

// NewAdded makes the finder; the list is read by Find.
func NewAdded(cfg AddedConfig) *Added {
	cfg.Log = orDiscard(cfg.Log)
	if cfg.Joined == nil {
		cfg.Joined = func(netip.AddrPort) bool { return false }
	}
	return &Added{cfg, &Static{log: cfg.Log, lookup: net.DefaultResolver.LookupNetIP}}
}

// Find tries every peer of the list, each at its own pace, until ctx ends. Those that
// are put on the list meanwhile are tried at once, those that are taken off no more.
func (a *Added) Find(ctx context.Context, found func(Peer)) error {
	var mu sync.Mutex // one candidate at a time, as Finder promises
	var tries sync.WaitGroup
	defer tries.Wait()
	tried := map[string]context.CancelFunc{}
	a.follow(ctx, func(peers []string) {
		wanted := map[string]bool{}
		for _, p := range peers {
			if wanted[p] = true; tried[p] != nil {
				continue
			}
			one, stop := context.WithCancel(ctx)
			tried[p] = stop
			tries.Go(func() {
				a.try(one, p, func(p Peer) {
					mu.Lock()
					defer mu.Unlock()
					if one.Err() == nil {
						found(p)
					}
				})
			})
		}
		for p, stop := range tried {
			if !wanted[p] {
				stop()
				delete(tried, p)
			}
		}
	})
	for _, stop := range tried {
		stop()
	}
	return nil
}

// follow gives the list, and again whenever it has changed. It is looked at by its
// stamp: a watch of the system's would not hear of another machine that has the same
// home on a network disk. A list that cannot be read stays what it was.
func (a *Added) follow(ctx context.Context, changed func([]string)) {
	tick := time.NewTicker(addedLook)
	defer tick.Stop()
	for last := (stamp{}); ; {
		now := stampOf(a.cfg.List.Path)
		if !now.same(last) {
			last = now
			peers, err := a.cfg.List.Peers()
			if err == nil {
				changed(peers)
			} else {
				a.cfg.Log.Warn("the list of added peers is passed over", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stamp tells one state of a file from the next: each is a file of its own.
type stamp struct{ info fs.FileInfo }

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == o.info
	}
	return os.SameFile(s.info, o.info) && s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size()
}

// try reports one peer for as long as it is not a member.
func (a *Added) try(ctx context.Context, peer string, found func(Peer)) {
	h, err := parseHost(peer, 0)
	if err != nil {
		return // such a one is not on a list
	}
	failed := false
	for pause := addedFirst; ; {
		p, err := a.static.peer(ctx, h)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			a.cfg.Log.Warn("an added peer is passed over for now", "peer", peer, "err", err)
		case err == nil && a.joined(p):
			pause = addedFirst
			if !sleep(ctx, jittered(addedCalm)) {
				return
			}
			continue
		case err == nil:
			p.From = "added"
			found(p)
		}
		failed = err != nil
		if !sleep(ctx, jittered(pause)) {
			return
		}
		pause = min(2*pause, addedMost)
	}
}

func (a *Added) joined(p Peer) bool {
	for _, addr := range p.Addrs {
		if a.cfg.Joined(netip.AddrPortFrom(addr, p.Gossip)) {
			return true
		}
	}
	return false
}

// jittered is d, give or take a quarter, so that not all are tried at once.
func jittered(d time.Duration) time.Duration {
	return time.Duration((0.75 + 0.5*rand.Float64()) * float64(d))
}

// Resolve gives the addresses of a peer that is written HOST:PORT, best first, and
// its port.
func Resolve(ctx context.Context, peer string) (Peer, error) {
	h, err := parseHost(peer, 0)
	if err != nil {
		return Peer{}, fmt.Errorf("bad peer %q: %w", peer, err)
	}
	return (&Static{log: orDiscard(nil), lookup: net.DefaultResolver.LookupNetIP}).peer(ctx, h)
}
