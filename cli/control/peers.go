package control

import (
	"context"
	"net/http"
)

// Who else there is:
//
//	GET /control/v1/peers  → Peers
//
// Peers are added to and taken off a file of their own, which nodes watch, so that a
// command need not find all of them.

const pathPeers = "/control/v1/peers"

// Peers is who else there is, as `hffs peer ls --json` prints it.
type Peers struct {
	Node  string      `json:"node"` // the running node that was asked; empty when none runs
	Peers []KnownPeer `json:"peers"`
}

// KnownPeer is a node that was found, or a place where the user says there is one.
type KnownPeer struct {
	Node   string   `json:"node"` // empty when nobody answers there
	ID     string   `json:"id"`
	Addr   string   `json:"addr"` // of its gossip, HOST:PORT; as it was added
	Door   string   `json:"door"`
	Alive  bool     `json:"alive"`               // it answers
	Member bool     `json:"member"`              // it is in the swarm of the running node
	Trip   *float64 `json:"round_trip_ms"`       // null when it does not answer
	Ahead  *float64 `json:"clock_ahead_seconds"` // of ours; whole seconds
	Files  int      `json:"files"`
	Bytes  int64    `json:"bytes"`
	// Version is that of its hffs.
	Version string `json:"version"`
	// Found says how: "added" by hffs peer add, "named" by --peer, "mdns",
	// "remembered", or "gossip" when others told of it.
	Found []string `json:"found"`
	// Problem is what keeps it from being asked.
	Problem string `json:"problem,omitempty"`
}

// PeerLister is an [Engine] that knows who else there is.
type PeerLister interface {
	Peers(ctx context.Context) (Peers, error)
}

// Peers asks the node who else there is.
func (c *Client) Peers(ctx context.Context) (p Peers, err error) {
	return p, c.ask(ctx, http.MethodGet, pathPeers, nil, &p)
}

// servePeers answers where the engine knows.
func (s *Server) servePeers() {
	if l, ok := s.engine.(PeerLister); ok {
		s.mux.HandleFunc("GET "+pathPeers, func(w http.ResponseWriter, r *http.Request) { answer(w, s, l.Peers, r) })
	}
}
