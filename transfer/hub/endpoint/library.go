// Package endpoint is the Hub's protocol as a node of this machine speaks it: what
// HF_ENDPOINT points at.
package endpoint

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"

	"hffs/cache/ref"
)

// Library is what the endpoint serves from. Contexts carry the caller's token; see
// package caller. Errors are put into the Hub's words by Config.Explain.
type Library interface {
	// Commit says which commit a revision is now.
	Commit(ctx context.Context, repo ref.Repo, revision string) (ref.Commit, error)
	// Entry says what a file is, and sees to it that the caller may read it.
	Entry(ctx context.Context, f ref.File) (ref.Entry, error)
	// List is what files a commit has. Where whole is false there may be more.
	List(ctx context.Context, repo ref.Repo, commit ref.Commit) (files []ref.Listed, whole bool, err error)
	// Info is what the Hub says of a repo at a revision, as JSON, with the commit
	// in it. Query is the caller's.
	Info(ctx context.Context, repo ref.Repo, revision string, query url.Values) (json.RawMessage, error)
	// Place brings a blob into the cache as long as that promises to be done before
	// ctx ends, and says whether it is there. What was begun goes on for a moment
	// after that, for who comes to fetch it.
	Place(ctx context.Context, e ref.Entry) bool
	// Open gives the content of a file, of which much may be still to come.
	Open(ctx context.Context, e ref.Entry) (Content, error)
	// Forward has the Hub answer a request, with the caller's token. Paths of bodies
	// that it sends lead back here.
	Forward(w http.ResponseWriter, r *http.Request)
}

// Content is a file that may be still on its way.
type Content interface {
	io.Closer
	// File is the whole file, once it is there; nil before. It belongs to Content.
	File() *os.File
	// Send writes n bytes from offset off, each as soon as it is here and checked.
	// It says how many were written; fewer than n come with an error.
	Send(ctx context.Context, w io.Writer, off, n int64) (int64, error)
}
