// Package discovery finds other nodes: it turns "somebody of my swarm is out
// there" into addresses, and leaves it to others to talk to them.
//
// Read it in this order: [Peer] and [Finder] are all that the rest of hffs
// sees. [MDNS] is the finder that needs no set-up; its record stands in
// wire.go, its servers in announce.go, its questions in query.go, and the
// rhythm of asking in mdns.go. [Static], [Added] (its list is in addedlist.go) and
// [Remembered] know peers where multicast does not reach, [Memory] serves tests, and
// [Both] runs several finders as one.
// [WatchAddrs] tells the other half: under which addresses this machine can be
// found. [Interfaces] and [Listen] look at the same things for people who wonder why
// nobody is found, and package reach has others find out who can be reached.
//
// A finder gives candidates, not members. It reports the same one for as long
// as it is not a member, since membership forgets: two halves of a cut network
// find each other again only because somebody keeps on asking. Whoever listens
// decides whom to join, and how many at a time.
package discovery

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
)

// Peer is a node that can perhaps be reached: what somebody said, not what was
// checked.
type Peer struct {
	Member string       // name of its process in the swarm; empty for static peers
	Node   string       // stable node id, 16 hex digits; empty if unknown
	Addrs  []netip.Addr // best first for this machine; never another host's loopback
	Gossip uint16       // port of its gossip, TCP and UDP; 0: it passes by and cannot be joined
	Door   uint16       // port of its HTTP door; 0 if unknown
	From   string       // who found it: "mdns", "static", "added", "remembered" or "memory"
}

// Finder looks for peers until ctx ends, and then returns nil. It calls found
// for each candidate, again and again, never twice at the same time and never
// after it has returned; found must not block long.
type Finder interface {
	Find(ctx context.Context, found func(Peer)) error
}

// Both is one finder made of several. When one of them gives up, the others go
// on, and the error is told at the end.
func Both(finders ...Finder) Finder { return both(finders) }

type both []Finder

func (b both) Find(ctx context.Context, found func(Peer)) error {
	var mu sync.Mutex // one candidate at a time, as Finder promises
	one := func(p Peer) {
		mu.Lock()
		defer mu.Unlock()
		found(p)
	}
	errs := make([]error, len(b))
	var wg sync.WaitGroup
	for i, f := range b {
		wg.Go(func() { errs[i] = f.Find(ctx, one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// orDiscard lets a config go without a log.
func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
