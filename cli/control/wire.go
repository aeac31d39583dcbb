// Package control is how a command talks to a running node of the same user: a
// small JSON API on loopback. wire.go has what is said, server.go and client.go
// are the two doors, place.go is how a command finds the node.
//
// The node writes its address and a random key to a file that only its user can
// read; every request shows the key, and names this machine as its Host, so
// that neither another user nor a web page can give orders.
//
//	POST /control/v1/get     Ask → a line of JSON for each [Event], the last with Got or Error
//	POST /control/v1/where   Ask → Where
//	GET  /control/v1/status  → Status
//	GET  /control/v1/peers   → Peers; see [PeerLister]
//	POST /control/v1/remove  and search, shared: see [Models]
//	POST /control/v1/names   NamesAsk → Names; see [Namer]
//	POST /control/v1/stop    → nothing; see [Stopper]
package control

import (
	"context"
)

// Paths and bounds of the API, in bytes.
const (
	pathGet    = "/control/v1/get"
	pathWhere  = "/control/v1/where"
	pathStatus = "/control/v1/status"

	maxRequest = 64 << 10
	maxAnswer  = 64 << 20
	maxLine    = 4 << 20
)

// Ask names a file the way a person does.
type Ask struct {
	Repo     string `json:"repo"`
	RepoType string `json:"repo_type"`
	File     string `json:"file"`
	Revision string `json:"revision"`
	// LimitDown and LimitHub bound this download alone, beside what bounds the node,
	// in bytes per second; 0 is no bound.
	LimitDown int64 `json:"limit_down,omitempty"`
	LimitHub  int64 `json:"limit_hub,omitempty"`
}

// Engine is what a node can do for its user: a running one through [Client], or
// a short-lived one in the command's own process.
type Engine interface {
	Get(ctx context.Context, ask Ask, watch func(Progress)) (Got, error)
	Where(ctx context.Context, ask Ask) (Where, error)
	Status(ctx context.Context) (Status, error)
}

// Source is what one source has brought.
type Source struct {
	Kind   string  `json:"kind"` // "peer", "hub" or "local"
	Name   string  `json:"name"`
	Bytes  int64   `json:"bytes"`
	Rate   float64 `json:"rate,omitempty"` // bytes per second
	Active bool    `json:"active,omitempty"`
}

// Note is something the user should know although the work goes on.
type Note struct {
	Source  string `json:"source,omitempty"`
	Text    string `json:"text"`
	Dropped bool   `json:"dropped,omitempty"`
}

// Progress is one look at a running download; sizes in bytes.
type Progress struct {
	Phase   string   `json:"phase"`
	Repo    string   `json:"repo"`
	File    string   `json:"file"`
	Done    int64    `json:"done"`
	Total   int64    `json:"total"`
	Sources []Source `json:"sources"`
	Notes   []Note   `json:"notes,omitempty"` // all so far; only ever appended to
	// Limits are those of this download alone; in a node's status only.
	Limits Limits `json:"limits,omitzero"`
}

// Got is the outcome of a get, as `hffs get --json` prints it.
type Got struct {
	Path     string   `json:"path"`
	Repo     string   `json:"repo"`
	RepoType string   `json:"repo_type"`
	Revision string   `json:"revision"`
	Commit   string   `json:"commit"`
	File     string   `json:"file"`
	Size     int64    `json:"size"`
	ETag     string   `json:"etag"`
	Seconds  float64  `json:"seconds"`
	Sources  []Source `json:"sources"`
	// Dropped are the sources that failed or sent wrong bytes and were given up.
	Dropped  []Note   `json:"dropped"`
	Warnings []string `json:"warnings"`
}

// Where is who holds a file, as `hffs where --json` prints it.
type Where struct {
	Repo     string   `json:"repo"`
	RepoType string   `json:"repo_type"`
	Revision string   `json:"revision"`
	Commit   string   `json:"commit"`
	File     string   `json:"file"`
	Size     int64    `json:"size"`
	ETag     string   `json:"etag"`
	Local    *string  `json:"local"` // path, null when it is not here
	Holders  []Holder `json:"holders"`
	Hub      bool     `json:"hub"`
	Warnings []string `json:"warnings"`
}

// Holder is a peer that has the file, or part of it.
type Holder struct {
	Node     string `json:"node"`
	Addr     string `json:"addr"`
	Bytes    int64  `json:"bytes"`
	Complete bool   `json:"complete"`
}

// Status is what a node says of itself, as `hffs status --json` prints it.
type Status struct {
	Node      string     `json:"node"`
	ID        string     `json:"id"`
	Version   string     `json:"version"`
	PID       int        `json:"pid"`
	Swarm     string     `json:"swarm"`
	Listen    Listen     `json:"listen"`
	Cache     string     `json:"cache"`
	Seconds   float64    `json:"uptime_seconds"`
	Peers     []Peer     `json:"peers"`
	Shares    Shares     `json:"shares"`
	Limits    Limits     `json:"limits"`
	Transfers []Progress `json:"transfers"`
	// Dropped are the sources that sent wrong bytes or failed since the start,
	// the latest last.
	Dropped []Note `json:"dropped"`
}

// Listen is where a node's doors are; empty when not open yet.
type Listen struct {
	Gossip string `json:"gossip"`
	Door   string `json:"door"`
	API    string `json:"api"`
}

// Peer is another node of the swarm, alive as far as is known.
type Peer struct {
	Node  string `json:"node"`
	ID    string `json:"id"`
	Addr  string `json:"addr"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Limits are rates that are kept to, in bytes per second; 0 is none.
type Limits struct {
	Down int64 `json:"down"` // all that downloads receive
	Up   int64 `json:"up"`   // what is sent to peers
	Hub  int64 `json:"hub"`  // what downloads receive from the Hub
}

// Shares is what a node offers to others: checked, unchanged files.
type Shares struct {
	Repos int   `json:"repos"`
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"` // of distinct blobs
	Sent  int64 `json:"sent"`  // bytes sent to peers since the start
}

// Event is one line of the answer to a get.
type Event struct {
	Progress *Progress `json:"progress,omitempty"`
	Got      *Got      `json:"got,omitempty"`
	Error    *Error    `json:"error,omitempty"`
}

// Code is a kind of failure; each has an exit code of its own at the command
// line.
type Code string

// The kinds of failure.
const (
	CodeInternal Code = "internal"
	CodeUsage    Code = "usage"     // the input is wrong
	CodeNotFound Code = "not_found" // no such repo, revision or file; nobody has it
	CodeAccess   Code = "access"    // gated, private, or the token is refused
	CodeNoSource Code = "no_source" // nobody who has it can be reached
	CodeStorage  Code = "storage"   // disk full, cache not writable
	CodePort     Code = "port"      // a port is taken
	CodeMismatch Code = "mismatch"  // only wrong bytes could be had
	CodeNoNode   Code = "no_node"   // no node is running
	CodeStopped  Code = "stopped"   // the user stopped it
)

// Error is a failure in words for people: what happened, then what to try.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.Message }
