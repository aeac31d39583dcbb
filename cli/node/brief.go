package node

import (
	"context"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"hffs/transfer/peer"
)

// A node that lives for one command gives its neighbours a moment to be found, so
// that what the command wants first does not come from the Hub for want of somebody
// to ask.
const (
	greetMost = searchMost
	greetLook = 10 * time.Millisecond
)

// RunBriefly runs the node for as long as work goes on, and then until nobody needs
// any more what it has drawn from the Hub. Work returns what ends when the user will
// not wait any longer. When ctx ends, neighbours are not looked for any more before
// work begins; nothing else hangs on ctx.
func (n *Node) RunBriefly(ctx context.Context, work func() (hurry context.Context)) error {
	n.brief = make(chan struct{})
	door := &visits{Handler: n.door.Handler}
	n.door.Handler = blobsThrough(door, n.door.Handler)
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, live := errgroup.WithContext(live)
	g.Go(func() error { return n.Run(live) })
	select {
	case <-n.brief:
		n.awaitNeighbours(ctx, live)
	case <-live.Done():
	}
	hurry := work()
	if n.engine.transfer.Owes() {
		n.cfg.Log.Debug("stayed for the others", "for", door.await(hurry.Done()))
	}
	stop()
	return g.Wait()
}

// blobsThrough has requests for bytes be counted: members also come to ask what is
// held, for as long as the node is there.
func blobsThrough(counted, other http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", other)
	for _, path := range slices.Compact(slices.Sorted(slices.Values(peer.Paths))) {
		mux.Handle(path, counted)
	}
	return mux
}

// awaitNeighbours waits until somebody is found that could be asked, but no longer
// than the moment that they get; where nobody is looked for, until the swarm has its
// port. A program that is started while that port changes hands would keep it, for
// the blink in which it still has all that is open here.
func (n *Node) awaitNeighbours(ctx, live context.Context) {
	alone := n.cfg.NoMDNS && len(n.cfg.Peers) == 0 && len(added(n.cfg)) == 0
	give := time.NewTimer(greetMost)
	defer give.Stop()
	look := time.NewTicker(greetLook)
	defer look.Stop()
	open := n.swarm.Ready()
	for {
		if open == nil && (alone || len(n.swarm.Members()) > 0) {
			return
		}
		select {
		case <-open:
			open = nil
		case <-look.C:
		case <-give.C:
			return
		case <-ctx.Done():
			return
		case <-live.Done():
			return
		}
	}
}

// API is where the local API listens, host:port.
func (n *Node) API() string { return n.doors.api.Addr().String() }

// Endpoints are whom the node asks for the Hub.
func (n *Node) Endpoints() []string { return n.cfg.Hub.Endpoints }
