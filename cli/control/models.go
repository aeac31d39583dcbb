package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// What lies in the cache, here and in the swarm:
//
//	POST /control/v1/remove  RemoveAsk → Removed
//	POST /control/v1/search  SearchAsk → Found
//	GET  /control/v1/shared  → SharedRepos

const (
	pathRemove = "/control/v1/remove"
	pathSearch = "/control/v1/search"
	pathShared = "/control/v1/shared"
)

// CodeBusy: it is being read or fetched just now.
const CodeBusy Code = "busy"

// RemoveAsk says what is to go from the cache.
type RemoveAsk struct {
	Repo     string `json:"repo"`
	RepoType string `json:"repo_type"`
	File     string `json:"file"`     // empty: all files
	Revision string `json:"revision"` // empty: all that are here
	DryRun   bool   `json:"dry_run"`
	// Wait waits for as long as it takes for those who read or fetch it.
	Wait bool `json:"wait"`
}

// Removed is what has gone, as `hffs rm --json` prints it; sizes in bytes.
type Removed struct {
	Repo     string        `json:"repo"`
	RepoType string        `json:"repo_type"`
	Files    []RemovedFile `json:"files"`
	Refs     []string      `json:"refs"`  // branches and tags that have no snapshot any more
	Blobs    int           `json:"blobs"` // how many
	Freed    int64         `json:"freed"`
	Whole    bool          `json:"whole"` // nothing is left of the repo
	DryRun   bool          `json:"dry_run"`
}

// RemovedFile is a file of a commit that has gone.
type RemovedFile struct {
	Commit string `json:"commit"`
	File   string `json:"file"`
	Size   int64  `json:"size"`
	Kept   bool   `json:"kept"` // its bytes stay: another revision has them too
}

// SearchAsk names a repo, and perhaps a file in it.
type SearchAsk struct {
	Repo     string `json:"repo"`
	RepoType string `json:"repo_type"`
	File     string `json:"file"`
}

// Found is who has something of a repo, as `hffs search --json` prints it.
type Found struct {
	Repo     string       `json:"repo"`
	RepoType string       `json:"repo_type"`
	File     string       `json:"file,omitempty"`
	Holders  []RepoHolder `json:"holders"`
	Near     []NamedRepo  `json:"near"` // when nobody has any of it: repos of a similar name
}

// RepoHolder is a node, and what it has of a commit, or of a file at it. What the whole
// would be is null where nobody here knows.
type RepoHolder struct {
	Node     string   `json:"node"`
	Addr     string   `json:"addr"`
	Here     bool     `json:"here"` // it is this machine
	Commit   string   `json:"commit"`
	Refs     []string `json:"refs"`
	ETag     string   `json:"etag,omitempty"` // of the file
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"`
	OfFiles  *int     `json:"of_files"`
	OfBytes  *int64   `json:"of_bytes"`
	Complete *bool    `json:"complete"`
}

// NamedRepo is a repo's name and type.
type NamedRepo struct {
	Repo     string `json:"repo"`
	RepoType string `json:"repo_type"`
}

// SharedRepos is what a node offers to others.
type SharedRepos struct {
	Repos []NamedRepo `json:"repos"`
}

// Models is an [Engine] that looks after what lies in its cache.
type Models interface {
	Engine
	Remove(ctx context.Context, ask RemoveAsk) (Removed, error)
	Search(ctx context.Context, ask SearchAsk) (Found, error)
	Shared(ctx context.Context) (SharedRepos, error)
}

var _ Models = (*Client)(nil)

// Remove asks the node to take something out of its cache.
func (c *Client) Remove(ctx context.Context, ask RemoveAsk) (r Removed, err error) {
	return r, c.ask(ctx, http.MethodPost, pathRemove, ask, &r)
}

// Search asks the node who has something of a repo.
func (c *Client) Search(ctx context.Context, ask SearchAsk) (f Found, err error) {
	return f, c.ask(ctx, http.MethodPost, pathSearch, ask, &f)
}

// Shared asks the node what it offers to others.
func (c *Client) Shared(ctx context.Context) (s SharedRepos, err error) {
	return s, c.ask(ctx, http.MethodGet, pathShared, nil, &s)
}

// serveModels answers where the engine looks after a cache.
func (s *Server) serveModels() {
	m, ok := s.engine.(Models)
	if !ok {
		return
	}
	serveAsk(s, pathRemove, m.Remove)
	serveAsk(s, pathSearch, m.Search)
	s.mux.HandleFunc("GET "+pathShared, func(w http.ResponseWriter, r *http.Request) { answer(w, s, m.Shared, r) })
}

// serveAsk reads a question of its own kind and answers it.
func serveAsk[Q, A any](s *Server, path string, do func(context.Context, Q) (A, error)) {
	s.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var ask Q
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(&ask); err != nil {
			status := http.StatusBadRequest
			if errors.As(err, new(*http.MaxBytesError)) {
				status = http.StatusRequestEntityTooLarge
			}
			refuse(w, status, &Error{CodeUsage, "the request is not the JSON that is expected here", "is this command of the same version as the node?"})
			return
		}
		answer(w, s, func(ctx context.Context) (A, error) { return do(ctx, ask) }, r)
	})
}
