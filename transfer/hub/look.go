package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// whoamiPath is where the Hub tells who a token is; without one it says 401, which is
// an answer as well.
const whoamiPath = "/api/whoami-v2"

// Why nobody was asked whose the token is.
var (
	ErrNoToken = errors.New("no token")
	ErrUnsafe  = errors.New("the token is not shown to this Hub")
)

// A Look is how an endpoint answers.
type Look struct {
	Endpoint string
	Hub      bool // its word is the last
	Took     time.Duration
	Clock    time.Time // what it takes the time for; zero where it does not say
	Err      error
}

// Look asks every endpoint for a sign of life, all at once and without a token.
// Nobody is asked offline.
func (c *Client) Look(ctx context.Context) []Look {
	if c.cfg.Offline {
		return nil
	}
	all := make([]Look, len(c.endpoints))
	var wait sync.WaitGroup
	for i, ep := range c.endpoints {
		wait.Go(func() { all[i] = c.lookAt(ctx, ep) })
	}
	wait.Wait()
	return all
}

func (c *Client) lookAt(ctx context.Context, ep *endpoint) Look {
	l := Look{Endpoint: ep.name, Hub: ep.hub}
	u, err := url.Parse(ep.base.String() + whoamiPath)
	if err != nil {
		l.Err = err
		return l
	}
	began := time.Now()
	resp, err := c.send(ctx, c.heads, http.MethodGet, hop{url: u}, "")
	l.Took = time.Since(began)
	switch {
	case err != nil && ctx.Err() != nil:
		l.Err = ep.fault(nil, "does not answer")
		return l
	case err != nil:
		l.Err = ep.fault(nil, "%v", err)
		return l
	}
	defer discard(resp)
	l.Clock, _ = http.ParseTime(resp.Header.Get("Date"))
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		l.Err = ep.refusal(resp, false, false)
	case isPage(resp) && resp.StatusCode < 400:
		l.Err = ep.fault(resp, "served a web page (does this network want you to log in?)")
	}
	return l
}

// Whoami asks the Hub whose the user's token is. It may be refused: ErrUnauthorized.
func (c *Client) Whoami(ctx context.Context) (name string, err error) {
	switch token, err := c.token(ctx); {
	case err != nil:
		return "", err
	case token == "":
		return "", ErrNoToken
	case !c.trusts(hubAmong(c.endpoints)):
		return "", ErrUnsafe
	}
	err = c.askHub(ctx, "whoami", func(ctx context.Context, ep *endpoint) error {
		u, err := url.Parse(ep.base.String() + whoamiPath)
		if err != nil {
			return err
		}
		r, err := c.get(ctx, ep, u, maxShortAnswer)
		if err != nil {
			return err
		}
		var said struct{ Name string }
		if json.Unmarshal(r.body, &said) != nil || said.Name == "" {
			return ep.fault(r.resp, "does not tell whose the token is")
		}
		name = clean(said.Name)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("whose the token is: %w", err)
	}
	return name, nil
}
