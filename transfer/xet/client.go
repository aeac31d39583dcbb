// Package xet fetches spans of a blob by the Xet protocol: it asks the CAS of
// which runs of chunks, in which xorbs, a span is made, fetches exactly these and
// unpacks them.
//
// Read it in this order: client.go has the configuration, source.go what is
// offered; token.go keeps the tokens that the Hub gives out for the CAS; recipe.go
// asks the CAS how a span is put together and checks the answer; stream.go walks
// along a recipe, chunk by chunk, and begins again where it broke off; download.go
// is one request for data; request.go and watch.go are what all requests share;
// wire.go has the protocol's words and the limits. derive.go works out the map of
// a blob that nobody has: outline.go asks how blobs are put together, layout.go
// and locate.go find what is known in that, run.go what is new, fill.go fetches it.
//
// It promises three things. A token of the CAS goes to the CAS that the Hub named
// with it and nowhere else: not to where the data is, not into errors or logs; the
// Hub's own token is never seen here. Memory stays at a few chunks for each span
// that is being read, however long it is. And a reader gives exactly the bytes of
// the span or ends with an error; whether they are the right ones is for their
// owner to hash. Whatever the error, the LFS bridge has the same bytes.
package xet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/transfer/pace"
)

// Config says how to reach the CAS. Token is needed; the rest is good as it is.
type Config struct {
	// Token asks the Hub for a token that opens the entry's repo at its commit.
	Token func(context.Context, ref.Entry) (Token, error)
	// UserAgent is sent with every request; empty means "hffs".
	UserAgent string
	// Log gets one debug line per request; nil discards them.
	Log *slog.Logger
	// ConnectTimeout bounds dialling and the TLS handshake, each; 0 means 5 s.
	ConnectTimeout time.Duration
	// HeaderTimeout bounds the wait for an answer's headers; 0 means 10 s.
	HeaderTimeout time.Duration
	// StallTimeout bounds the wait for the next byte of a body; 0 means 10 s.
	StallTimeout time.Duration
	// RetryWait is the pause before the second try, and twice that before the
	// third; 0 means 300 ms.
	RetryWait time.Duration
	// LearnTimeout bounds the wait for the outlines of known blobs, all together,
	// and after it that for the places of what they share; 0 means 5 s.
	LearnTimeout time.Duration
	// Limits bound what answers come at, packed as they are; the zero value does not.
	Limits pace.Limits
	// Transport replaces the client's own, for tests; nil means its own.
	Transport http.RoundTripper
}

// Client reads blobs by the Xet protocol. It is safe for concurrent use.
type Client struct {
	cfg      Config
	tokens   *tokens
	via      http.RoundTripper
	session  string
	pieceLen int64 // of outlines

	mu    sync.Mutex        // guards forms
	forms map[string]string // by host of a CAS: the form of answers that it was seen to give
}

// New makes a client; it connects to nothing yet.
func New(cfg Config) *Client {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&cfg.ConnectTimeout, 5 * time.Second}, {&cfg.HeaderTimeout, 10 * time.Second},
		{&cfg.StallTimeout, 10 * time.Second}, {&cfg.RetryWait, 300 * time.Millisecond},
		{&cfg.LearnTimeout, 5 * time.Second},
	} {
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
	if cfg.Token == nil {
		cfg.Token = func(context.Context, ref.Entry) (Token, error) {
			return Token{}, errors.New("no way to ask for tokens")
		}
	}
	c := &Client{cfg: cfg, tokens: newTokens(cfg.Token), via: cfg.Transport, session: newSession(), pieceLen: pieceLen, forms: map[string]string{}}
	if c.via == nil {
		c.via = newTransport(cfg)
	}
	c.via = &pace.Transport{Next: c.via, Node: cfg.Limits, Hub: true}
	return c
}

// newSession is what the CAS can group this client's requests by.
func newSession() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// Close ends idle connections.
func (c *Client) Close() error {
	if t, ok := c.via.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

// ErrNoXet: the Hub has not offered this blob by the Xet protocol.
var ErrNoXet = errors.New("not offered by Xet")
