// Package hub speaks the Hugging Face Hub's own protocol: it asks what a file
// is (Resolve) and fetches spans of it (Sources), from the Hub itself or from
// mirrors of it.
//
// Read it in this order: client.go has the configuration and the way through
// several endpoints; endpoint.go says what an endpoint is and which of them may
// see the token; hop.go is one request and the step to the next; resolve.go
// puts the answers of all hops together; source.go and body.go fetch bytes;
// errors.go says what an answer means; wire.go has the headers and the limits.
//
// It promises three things. The token goes to the Hub's host over verified TLS
// (or to this machine itself) and nowhere else: not to mirrors, not to where the
// Hub redirects, not into URLs, errors or logs. Commit, etag and size come from
// answers of the Hub, never from the CDN behind it or from error pages. And a
// reader gives the bytes of the span that was asked for or ends with an error;
// whether they are the right bytes is for the reader's owner to hash.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
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
	// Token is the user's; empty means that every request is anonymous.
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
	c.heads, c.bodies = cfg.Transport, cfg.Transport
	if cfg.Transport == nil {
		c.heads, c.bodies = newTransport(cfg, true), newTransport(cfg, false)
	}
	c.bodies = &pace.Transport{Next: c.bodies, Node: cfg.Limits, Hub: true}
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

// cleanToken refuses what cannot stand in a header, without repeating it.
func cleanToken(token string) (string, error) {
	token = strings.TrimSpace(token)
	for i := range len(token) {
		if token[i] <= ' ' || token[i] >= 0x7f {
			return "", errors.New("the token has a character that no token has (a blank, a line break?)")
		}
	}
	return token, nil
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
	for _, rt := range []http.RoundTripper{c.heads, c.bodies} {
		if t, ok := rt.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
	return nil
}

// Resolve asks which commit, etag and size the file has now. The endpoints are
// asked in turn: the first good answer counts, a definite no counts when it is
// the Hub's own, and what cannot answer is passed over for a while.
func (c *Client) Resolve(ctx context.Context, f ref.File) (ref.Entry, error) {
	e, err := c.resolve(ctx, f)
	if err != nil {
		return ref.Entry{}, fmt.Errorf("resolve %s: %w", f, err)
	}
	return e, nil
}

// lookPatience is what an endpoint gets that was out of reach a moment ago, when
// there is no other: not every file waits the full time for it anew.
const lookPatience = 1500 * time.Millisecond

// listener is the context's key for who wants to hear which endpoints a call
// passed over.
type listener struct{}

// Listen has calls under the context tell which endpoints they passed over, and
// why.
func Listen(ctx context.Context, say func(string)) context.Context {
	return context.WithValue(ctx, listener{}, say)
}

func (c *Client) resolve(ctx context.Context, f ref.File) (ref.Entry, error) {
	if c.cfg.Offline {
		return ref.Entry{}, ErrOffline
	}
	for try := 0; ; try++ {
		e, err := c.round(ctx, f)
		wait := hiccup(err, try)
		if wait == 0 {
			return e, err
		}
		c.cfg.Log.Debug("asked again after a hiccup", "file", f, "wait", wait, "err", err)
		select {
		case <-ctx.Done():
			return ref.Entry{}, context.Cause(ctx)
		case <-time.After(wait):
		}
		for _, ep := range c.endpoints {
			ep.rest(time.Time{})
		}
	}
}

// hiccup is how long to wait before a Hub that answered, but could not help just
// now, is asked again; 0 for not at all. One that does not answer is another
// matter: then the swarm is asked instead.
func hiccup(err error, try int) time.Duration {
	const tries, longest = 3, 5 * time.Second
	u, ok := errors.AsType[*unreachable](err)
	if !ok || try+1 >= tries {
		return 0
	}
	wait := time.Duration(0)
	for _, said := range u.said {
		e, ok := errors.AsType[*Error](said)
		if ok && (e.Status == http.StatusTooManyRequests || e.Status >= 500) {
			wait = max(wait, e.RetryAfter, 500*time.Millisecond<<try)
		}
	}
	if wait > longest {
		return 0
	}
	return wait
}

// round asks every endpoint once.
func (c *Client) round(ctx context.Context, f ref.File) (ref.Entry, error) {
	turns := c.turns()
	if turns[0].resting(c.now()) {
		short, cancel := context.WithTimeoutCause(ctx, lookPatience*time.Duration(len(turns)), errStillAway)
		defer cancel()
		e, err := c.tryAll(short, turns, f)
		if err != nil && ctx.Err() == nil && short.Err() != nil {
			err = verdict([]error{&Error{Endpoint: turns[0].name, Message: errStillAway.Error(), kinds: []error{ErrUnreachable}}})
		}
		return e, err
	}
	return c.tryAll(ctx, turns, f)
}

var errStillAway = errors.New("it did not answer a moment ago, and does not now")

func (c *Client) tryAll(ctx context.Context, turns []*endpoint, f ref.File) (ref.Entry, error) {
	var said []error
	for _, ep := range turns {
		if ep.resting(c.now()) && mirrorsWord(said) != nil {
			break // it was out of reach a moment ago: a mirror's word will do
		}
		e, err := c.resolveAt(ctx, ep, f)
		switch {
		case err == nil:
			return e, nil
		case ctx.Err() != nil:
			return ref.Entry{}, context.Cause(ctx)
		case ep.hub && isDefinite(err):
			return ref.Entry{}, err
		}
		c.passOver(ep, err)
		if say, ok := ctx.Value(listener{}).(func(string)); ok && len(c.endpoints) > 1 {
			say(fmt.Sprintf("%s was passed over (%s)", ep.name, reason(err)))
		}
		said = append(said, err)
	}
	return ref.Entry{}, verdict(said)
}

// turns lists the endpoints in the order to try them: those at rest last.
func (c *Client) turns() []*endpoint {
	var awake, resting []*endpoint
	for _, ep := range c.endpoints {
		if ep.resting(c.now()) {
			resting = append(resting, ep)
		} else {
			awake = append(awake, ep)
		}
	}
	return append(awake, resting...)
}

// passOver lets an endpoint that could not answer rest, so that not every file
// waits for it anew. A definite no is an answer.
func (c *Client) passOver(ep *endpoint, err error) {
	if isDefinite(err) {
		return
	}
	c.cfg.Log.Debug("endpoint passed over", "endpoint", ep.name, "err", err)
	first := ep.rest(c.now().Add(max(restTime, min(retryAfter(err), maxRest))))
	if first && len(c.endpoints) > 1 {
		c.cfg.Notice(fmt.Sprintf("%s was passed over (%s)", ep.name, reason(err)))
	}
}

// Answers reports whether some endpoint has this entry, with this content, now.
func (c *Client) Answers(ctx context.Context, e ref.Entry) bool {
	got, err := c.Resolve(ctx, ref.File{Repo: e.Repo, Revision: string(e.Commit), Path: e.Path})
	return err == nil && got.Blob.ETag == e.Blob.ETag
}
