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
	Node  string      `json:"node" doc:"the running node that was asked; empty where none runs"`
	Peers []KnownPeer `json:"peers" doc:"the nodes, those of the swarm first"`
}

// KnownPeer is a node that was found, or a place where the user says there is one.
type KnownPeer struct {
	Node    string   `json:"node" doc:"the name of the node; empty where nobody answers"`
	ID      string   `json:"id" doc:"its id, 16 hex digits; empty where nobody answers"`
	Addr    string   `json:"addr" doc:"of its gossip, HOST:PORT; as it was added"`
	Door    string   `json:"door" doc:"for the files that peers fetch, HOST:PORT; empty where the name cannot be looked up"`
	Alive   bool     `json:"alive" doc:"whether it answers"`
	Member  bool     `json:"member" doc:"whether it is in the swarm of the running node"`
	Trip    *float64 `json:"round_trip_ms" doc:"how long a round trip takes, in milliseconds; null where it does not answer"`
	Ahead   *float64 `json:"clock_ahead_seconds" doc:"how far its clock is ahead of ours, in whole seconds; null where that is not known"`
	Files   int      `json:"files" doc:"how many files it offers"`
	Bytes   int64    `json:"bytes" doc:"their bytes"`
	Version string   `json:"version" doc:"of its hffs; empty where that is not known"`
	Found   []string `json:"found" doc:"how: added (by hffs peer add), named (by --peer), mdns, remembered, or gossip where others told of it"`
	Problem string   `json:"problem,omitempty" doc:"what keeps it from being asked, in words for people"`
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
