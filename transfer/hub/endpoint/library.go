// Package endpoint is the Hub's protocol as a node of this machine speaks it: what
// HF_ENDPOINT points at. Tools that know nothing of hffs download through it.
//
// Read it in this order: library.go says what is served from; endpoint.go has the
// handler and which request goes where; route.go takes addresses apart; resolve.go,
// with span.go, place.go and send.go, is how a file goes out; info.go, tree.go,
// paths.go, refs.go and manifest.go answer what is asked about repos; forward.go has
// the Hub answer the rest; fail.go puts trouble into words that clients understand.
//
// It promises four things. A file comes straight from here: no redirect, no word of
// Xet, an ETag that is the Hub's content id, and sizes that agree in all places; only
// where there is no place to put it does the Hub answer in our stead (ErrForward). A
// body that cannot be finished is broken off, never ended short. What a client keeps
// for good ("this commit has no such file", the list of a commit) is said only when
// it is certain. And trouble of our own is a 502, 503 or 504: never one of the
// answers that clients take for the Hub's last word.
package endpoint

import (
	"context"
	"encoding/json"
	"errors"
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
	// List is what files a commit has. Where whole is false there may be more. The
	// list is shared: nobody changes it.
	List(ctx context.Context, repo ref.Repo, commit ref.Commit) (files []ref.Listed, whole bool, err error)
	// Info is what the Hub says of a repo at a revision, as JSON, with the commit
	// in it. Query is the caller's.
	Info(ctx context.Context, repo ref.Repo, revision string, query url.Values) (json.RawMessage, error)
	// May says whether the caller may read the files of a repo: nil, or why not.
	May(ctx context.Context, repo ref.Repo) error
	// Place brings a blob into the cache as long as that promises to be done before
	// ctx ends, and says whether it is there. What was begun goes on for a moment
	// after that, for who comes to fetch it.
	Place(ctx context.Context, e ref.Entry) bool
	// Open gives the content of a file, of which much may be still to come. It does
	// not wait for bytes. Where it cannot, and the Hub can, it is ErrForward.
	Open(ctx context.Context, e ref.Entry) (Content, error)
	// Forward has the Hub answer a request, with the caller's token. Paths of bodies
	// that it sends lead back here: to the name in r.Host. Where the Hub is out of
	// reach it answers 502, 503 or 504 itself.
	Forward(w http.ResponseWriter, r *http.Request)
}

// ErrForward says that a file cannot come through here, for want of a place to put it:
// the caller gets it from the Hub.
var ErrForward = errors.New("only the Hub can give it")

// A Doubter is a Library that hands out bytes before it is sure of them, and may find
// out later that they were wrong. A client that was cut off then must not go on from
// where it is: it would have a wrong file, and not know it.
type Doubter interface {
	// Spoilt says whether wrong bytes of the blob may have been handed out.
	Spoilt(etag ref.ETag) bool
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
