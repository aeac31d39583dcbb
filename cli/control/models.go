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
	Repo     string        `json:"repo" doc:"the repo, without its type"`
	RepoType string        `json:"repo_type" doc:"model, dataset or space"`
	Files    []RemovedFile `json:"files" doc:"the files that went, each once for each commit"`
	Refs     []string      `json:"refs" doc:"branches and tags that have no snapshot any more"`
	Blobs    int           `json:"blobs" doc:"how many contents went from the disk"`
	Freed    int64         `json:"freed" doc:"bytes"`
	Whole    bool          `json:"whole" doc:"whether nothing is left of the repo"`
	DryRun   bool          `json:"dry_run" doc:"true: nothing was removed, this is what would be"`
}

// RemovedFile is a file of a commit that has gone.
type RemovedFile struct {
	Commit string `json:"commit" doc:"40 hex digits"`
	File   string `json:"file" doc:"the path in the repo"`
	Size   int64  `json:"size" doc:"bytes"`
	Kept   bool   `json:"kept" doc:"true where the bytes stay, because another revision has them too"`
}

// SearchAsk names a repo, and perhaps a file in it.
type SearchAsk struct {
	Repo     string `json:"repo"`
	RepoType string `json:"repo_type"`
	File     string `json:"file"`
}

// Found is who has something of a repo, as `hffs search --json` prints it.
type Found struct {
	Repo     string       `json:"repo" doc:"the repo, without its type"`
	RepoType string       `json:"repo_type" doc:"model, dataset or space"`
	File     string       `json:"file,omitempty" doc:"the path in the repo; absent where no file was named"`
	Holders  []RepoHolder `json:"holders" doc:"who has something of it, once for each commit; this machine comes first"`
	Near     []NamedRepo  `json:"near" doc:"repos of a similar name, when nobody has any of it"`
}

// RepoHolder is a node, and what it has of a commit, or of a file at it. What the whole
// would be is null where nobody here knows.
type RepoHolder struct {
	Node     string   `json:"node" doc:"the name of the node, or: this machine"`
	Addr     string   `json:"addr" doc:"its door for peers, HOST:PORT; empty for this machine"`
	Here     bool     `json:"here" doc:"true for this machine"`
	Commit   string   `json:"commit" doc:"40 hex digits"`
	Refs     []string `json:"refs" doc:"branches and tags that stand for the commit, as the holder knows them"`
	ETag     string   `json:"etag,omitempty" doc:"the hash of the content, as the Hub states it; only where a file was named"`
	Files    int      `json:"files" doc:"how many files it has of the commit; of a named file 1 for the whole, else 0"`
	Bytes    int64    `json:"bytes" doc:"how many bytes it has of the commit, or of the file"`
	OfFiles  *int     `json:"of_files" doc:"how many files the commit has; null where nobody here knows"`
	OfBytes  *int64   `json:"of_bytes" doc:"bytes of the whole; null where nobody here knows"`
	Complete *bool    `json:"complete" doc:"whether it has the whole; null where nobody here knows"`
}

// NamedRepo is a repo's name and type.
type NamedRepo struct {
	Repo     string `json:"repo" doc:"the repo, without its type"`
	RepoType string `json:"repo_type" doc:"model, dataset or space"`
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
