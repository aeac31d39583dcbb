package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"

	"hffs/discovery/reach"
)

// reach has other nodes find out here whether they can be reached.
func (n *Node) reach() http.Handler {
	return reach.NewServer(func(ctx context.Context, to netip.AddrPort) error {
		const anybody = "" // whoever is there: the asker may be about to start
		_, err := n.swarm.Probe(ctx, anybody, to)
		if _, failed := errors.AsType[*net.OpError](err); err == nil || failed {
			return err
		}
		return reach.ErrSilent
	})
}
