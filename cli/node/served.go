package node

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"hffs/transfer/peer"
)

// tellServed has the log know what was sent to peers, where anybody wants to: the sums
// cost something with each request.
func (e *engine) tellServed(blobs *peer.Server, name func(netip.Addr) string) {
	if !e.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	blobs.Served = func(s peer.Served) {
		what := []any{"blob", s.Blob}
		if s.Blob == "" {
			what = []any{"blob", "chunks of several"}
		} else if repos := e.cache.Owners(s.Blob); len(repos) > 0 {
			what = append(what, "repo", repos[0])
		}
		e.log.Info("served to a peer", append(what, "peer", nameOf(s.To, name), "bytes", s.Bytes, "requests", s.Requests, "took", s.Took.Round(time.Millisecond))...)
	}
}

// nameOf is a node's name with its address, where it has one.
func nameOf(addr string, name func(netip.Addr) string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil || name == nil {
		return addr
	}
	if who := name(ip.Unmap()); who != "" {
		return who + " (" + addr + ")"
	}
	return addr
}

// memberAt is the name of the one member at an address: several share one machine's.
func (n *Node) memberAt(ip netip.Addr) (name string) {
	for _, m := range n.swarm.Members() {
		if m.Addr.Addr().Unmap() != ip {
			continue
		}
		if name != "" {
			return ""
		}
		name = m.Name
	}
	return name
}
