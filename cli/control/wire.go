// Package control is how a command talks to a running node of the same user: a
// small JSON API on loopback. wire.go has what is said, server.go and client.go
// are the two doors, place.go is how a command finds the node.
//
// The node writes its address and a random key to a file that only its user can
// read; every request shows the key, and names this machine as its Host, so
// that neither another user nor a web page can give orders.
//
// Commands print much of it with --json, where scripts rely on it: keys are only ever
// added. The tag doc beside a key says what it is; the manual page shows that.
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
	Kind   string  `json:"kind" doc:"peer, hub, local (the file or part of it was here) or reuse (chunks of other files on this disk)"`
	Name   string  `json:"name" doc:"the name of the node or of the host; a word such as cache or resumed for what was here"`
	Bytes  int64   `json:"bytes" doc:"how many bytes it has brought"`
	Rate   float64 `json:"rate,omitempty" doc:"bytes per second; only while it is fetched"`
	Active bool    `json:"active,omitempty" doc:"true for one that brings bytes just now; only while it is fetched"`
}

// Note is something the user should know although the work goes on.
type Note struct {
	Source  string `json:"source,omitempty" doc:"the name of the source that it is about"`
	Text    string `json:"text" doc:"what happened, in words for people"`
	Dropped bool   `json:"dropped,omitempty" doc:"true where the source was given up"`
}

// Progress is one look at a running download; sizes in bytes.
type Progress struct {
	Phase   string   `json:"phase" doc:"what is being done, in words for people"`
	Repo    string   `json:"repo" doc:"the repo, without its type"`
	File    string   `json:"file" doc:"the path in the repo"`
	Done    int64    `json:"done" doc:"bytes that are here and checked"`
	Total   int64    `json:"total" doc:"bytes of the whole file; 0 while that is not known"`
	Sources []Source `json:"sources" doc:"who has brought how much so far"`
	Notes   []Note   `json:"notes,omitempty" doc:"what is worth knowing so far"`
	// Limits are in a node's status only.
	Limits Limits `json:"limits,omitzero" doc:"the limits of this download alone"`
}

// Got is the outcome of a get, as `hffs get --json` prints it.
type Got struct {
	Path     string   `json:"path" doc:"where the file lies: an absolute path into the snapshot"`
	Repo     string   `json:"repo" doc:"the repo, without its type"`
	RepoType string   `json:"repo_type" doc:"model, dataset or space"`
	Revision string   `json:"revision" doc:"the branch, tag or commit that was asked for"`
	Commit   string   `json:"commit" doc:"the commit that it stands for, 40 hex digits"`
	File     string   `json:"file" doc:"the path in the repo"`
	Size     int64    `json:"size" doc:"bytes"`
	ETag     string   `json:"etag" doc:"the hash of the content, as the Hub states it: SHA-256 of a large file, else the SHA-1 of git"`
	Seconds  float64  `json:"seconds" doc:"how long it took, in seconds"`
	Sources  []Source `json:"sources" doc:"who brought how much"`
	Dropped  []Note   `json:"dropped" doc:"the sources that failed or sent wrong bytes and were given up"`
	Warnings []string `json:"warnings" doc:"what went to stderr as well, in words for people"`
}

// Where is who holds a file, as `hffs where --json` prints it.
type Where struct {
	Repo     string   `json:"repo" doc:"the repo, without its type"`
	RepoType string   `json:"repo_type" doc:"model, dataset or space"`
	Revision string   `json:"revision" doc:"the branch, tag or commit that was asked for"`
	Commit   string   `json:"commit" doc:"the commit that it stands for, 40 hex digits"`
	File     string   `json:"file" doc:"the path in the repo"`
	Size     int64    `json:"size" doc:"bytes of the whole file"`
	ETag     string   `json:"etag" doc:"the hash of the content, as the Hub states it"`
	Local    *string  `json:"local" doc:"the absolute path of the file here; null where it is not here"`
	Holders  []Holder `json:"holders" doc:"the peers that have it, or part of it"`
	Hub      bool     `json:"hub" doc:"whether the Hub answers for it"`
	Warnings []string `json:"warnings" doc:"what went to stderr as well, in words for people"`
}

// Holder is a peer that has the file, or part of it.
type Holder struct {
	Node     string `json:"node" doc:"the name of the node"`
	Addr     string `json:"addr" doc:"its door for peers, HOST:PORT"`
	Bytes    int64  `json:"bytes" doc:"how many bytes of the file it has"`
	Complete bool   `json:"complete" doc:"whether it has the whole"`
}

// Status is what a node says of itself, as `hffs status --json` prints it.
type Status struct {
	Node      string     `json:"node" doc:"the name of the node"`
	ID        string     `json:"id" doc:"its id, which stays the same, 16 hex digits"`
	Version   string     `json:"version" doc:"of its hffs"`
	PID       int        `json:"pid" doc:"its process"`
	Swarm     string     `json:"swarm" doc:"the name of its swarm"`
	Listen    Listen     `json:"listen" doc:"where its doors are"`
	Cache     string     `json:"cache" doc:"the folder of the Hugging Face cache"`
	Seconds   float64    `json:"uptime_seconds" doc:"since it was started, in seconds"`
	Peers     []Peer     `json:"peers" doc:"the other nodes of the swarm, alive as far as is known"`
	Shares    Shares     `json:"shares" doc:"what it offers to others"`
	Limits    Limits     `json:"limits" doc:"the rates that it keeps to"`
	Transfers []Progress `json:"transfers" doc:"the files that are fetched just now"`
	Dropped   []Note     `json:"dropped" doc:"the sources that sent wrong bytes or failed since the start, the latest last"`
}

// Listen is where a node's doors are; empty when not open yet.
type Listen struct {
	Gossip string `json:"gossip" doc:"HOST:PORT, TCP and UDP; empty where it is not open yet"`
	Door   string `json:"door" doc:"HOST:PORT, for the files that peers fetch; empty where it is not open yet"`
	API    string `json:"api" doc:"HOST:PORT on loopback; what HF_ENDPOINT can point at"`
}

// Peer is another node of the swarm, alive as far as is known.
type Peer struct {
	Node  string `json:"node" doc:"the name of the node"`
	ID    string `json:"id" doc:"its id, 16 hex digits"`
	Addr  string `json:"addr" doc:"its door for peers, HOST:PORT"`
	Files int    `json:"files" doc:"how many files it offers"`
	Bytes int64  `json:"bytes" doc:"their bytes"`
}

// Limits are rates that are kept to, in bytes per second; 0 is none.
type Limits struct {
	Down int64 `json:"down" doc:"of all that downloads receive, in bytes per second; 0 is no limit"`
	Up   int64 `json:"up" doc:"of what is sent to peers, in bytes per second; 0 is no limit"`
	Hub  int64 `json:"hub" doc:"of what downloads receive from the Hub, in bytes per second; 0 is no limit"`
}

// Shares is what a node offers to others: checked, unchanged files.
type Shares struct {
	Repos int   `json:"repos" doc:"how many repos"`
	Files int   `json:"files" doc:"how many files"`
	Bytes int64 `json:"bytes" doc:"their bytes, each content once"`
	Sent  int64 `json:"sent" doc:"bytes sent to peers since the start"`
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
	Code    Code   `json:"code" doc:"usage, not_found, access, no_source, storage, port, mismatch, no_node, busy, stopped or internal; see the exit codes"`
	Message string `json:"message" doc:"what happened, in words for people"`
	Hint    string `json:"hint,omitempty" doc:"what to try"`
}

func (e *Error) Error() string { return e.Message }
