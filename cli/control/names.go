package control

import (
	"context"
	"net/http"
)

// What there is to be named, for who types a name:
//
//	POST /control/v1/names  NamesAsk → Names

const pathNames = "/control/v1/names"

// NamesAsk asks for the files of a repo, or, with none, for repos.
type NamesAsk struct {
	Repo     string `json:"repo"`
	RepoType string `json:"repo_type"`
}

// Names are repos of which others have something, or files that others have.
type Names struct {
	Repos []NamedRepo `json:"repos"`
	Files []string    `json:"files"`
}

// Namer is an [Engine] that knows what others have.
type Namer interface {
	Names(ctx context.Context, ask NamesAsk) (Names, error)
}

// Names asks the node what others have.
func (c *Client) Names(ctx context.Context, ask NamesAsk) (n Names, err error) {
	return n, c.ask(ctx, http.MethodPost, pathNames, ask, &n)
}

// serveNames answers where the engine knows.
func (s *Server) serveNames() {
	if n, ok := s.engine.(Namer); ok {
		serveAsk(s, pathNames, n.Names)
	}
}
