// Package hub speaks the Hugging Face Hub's own protocol: it asks what a file
// is (Resolve) and fetches spans of it (Sources), from the Hub itself or from
// mirrors of it; it asks what there is to know of a repo (Info, Tree, Refs) and
// who may read it (Public, May); and it has the Hub answer what others ask
// (Forward).
//
// Read it in this order: client.go has the configuration, token.go says whose
// token a call is made with, turns.go is the way through several endpoints;
// endpoint.go says what an endpoint is and which of them may see the token; hop.go
// is one request and the step to the next; resolve.go puts the answers of all hops
// together; source.go and body.go fetch bytes; api.go asks about repos, with info.go
// and tree.go, and access.go about who may; look.go asks whether anybody is there and
// whose the token is; forward.go passes on what a caller
// asks, answer.go makes the Hub's answer fit to be passed back, link.go and
// member.go are the two formats that takes; errors.go says what an answer means;
// wire.go has the headers and the limits.
//
// It promises three things. A token, the user's or a caller's, goes to the Hub's
// host over verified TLS (or to this machine itself) and nowhere else: not to
// mirrors, not to where the Hub redirects, not into URLs, errors or logs; and what
// was learnt with one token serves no call with another. Commit, etag and size come
// from answers of the Hub, never from the CDN behind it or from error pages. And a
// reader gives the bytes of the span that was asked for or ends with an error;
// whether they are the right bytes is for the reader's owner to hash.
package hub

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/transfer/pace"
)

// Config says how to reach the Hub. The zero value is the public Hub without a
// token.
type Config struct {
	// Endpoints are origins as [ParseEndpoints] gives them, tried in this order;
	// empty means https://huggingface.co.
	Endpoints []string
	// Token is the user's; empty means that requests are anonymous. A call whose
	// context has a token of its own is made with that one; see package caller.
	Token string
	// Offline makes every call answer ErrOffline at once (HF_HUB_OFFLINE).
	Offline bool
	// UserAgent is sent with every request; empty means "hffs".
	UserAgent string
	// Log gets one debug line per request; nil discards them.
	Log *slog.Logger
	// ConnectTimeout bounds dialling and the TLS handshake, each; 0 means 5 s,
	// or 3 s where another endpoint is waiting for its turn.
	ConnectTimeout time.Duration
	// HeaderTimeout bounds the wait for an answer's headers; 0 means 10 s.
	HeaderTimeout time.Duration
	// StallTimeout bounds the wait for the next byte of a body; 0 means 10 s.
	StallTimeout time.Duration
	// Notice is told, once for each endpoint, what the user should know about it;
	// nil tells nobody. It may be called from several goroutines at a time.
	Notice func(string)
	// Limits bound what file bytes come at; the zero value does not.
	Limits pace.Limits
	// Transport replaces the client's own, for tests; nil means its own.
	Transport http.RoundTripper
}

// Client asks the Hub and its mirrors. It is safe for concurrent use.
type Client struct {
	cfg       Config
	endpoints []*endpoint
	heads     http.RoundTripper // short answers
	bodies    http.RoundTripper // file bytes
	passed    http.RoundTripper // what callers ask
	links     *links
	now       func() time.Time
	warnToken sync.Once
}

// New checks the configuration and makes a client; it connects to nothing yet.
func New(cfg Config) (*Client, error) {
	endpoints, err := newEndpoints(cfg.Endpoints)
	if err != nil {
		return nil, err
	}
	if cfg.Token, err = cleanToken(cfg.Token); err != nil {
		return nil, err
	}
	cfg.setDefaults(len(endpoints))
	c := &Client{cfg: cfg, endpoints: endpoints, links: newLinks(), now: time.Now}
	c.heads, c.bodies, c.passed = cfg.Transport, cfg.Transport, cfg.Transport
	if cfg.Transport == nil {
		c.heads, c.bodies = newTransport(cfg, true), newTransport(cfg, false)
		cfg.HeaderTimeout = 0 // an upload's answer takes its time: Forward watches over it
		c.passed = newTransport(cfg, true)
	}
	c.bodies = &pace.Transport{Next: c.bodies, Node: cfg.Limits, Hub: true}
	c.passed = &pace.Transport{Next: c.passed, Node: cfg.Limits, Hub: true}
	return c, nil
}

func (cfg *Config) setDefaults(endpoints int) {
	connect := 5 * time.Second
	if endpoints > 1 {
		connect = 3 * time.Second
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&cfg.ConnectTimeout, connect}, {&cfg.HeaderTimeout, 10 * time.Second}, {&cfg.StallTimeout, 10 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "hffs"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Notice == nil {
		cfg.Notice = func(string) {}
	}
}

// Endpoints are the names of the endpoints, in the order they are tried.
func (c *Client) Endpoints() []string {
	var names []string
	for _, ep := range c.endpoints {
		names = append(names, ep.name)
	}
	return names
}

// Close ends idle connections.
func (c *Client) Close() error {
	for _, rt := range []http.RoundTripper{c.heads, c.bodies, c.passed} {
		if t, ok := rt.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
	return nil
}

// Resolve asks which commit, etag and size the file has now. The endpoints are
// asked in turn: the first good answer counts, a definite no counts when it is
// the Hub's own, and what cannot answer is passed over for a while.
func (c *Client) Resolve(ctx context.Context, f ref.File) (e ref.Entry, err error) {
	err = c.ask(ctx, f.String(), c.endpoints, func(ctx context.Context, ep *endpoint) (err error) {
		e, err = c.resolveAt(ctx, ep, f)
		return err
	})
	if err != nil {
		return ref.Entry{}, fmt.Errorf("resolve %s: %w", f, err)
	}
	return e, nil
}

// Answers reports whether some endpoint has this entry, with this content, now.
func (c *Client) Answers(ctx context.Context, e ref.Entry) bool {
	got, err := c.Resolve(ctx, ref.File{Repo: e.Repo, Revision: string(e.Commit), Path: e.Path})
	return err == nil && got.Blob.ETag == e.Blob.ETag
}
