package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"hffs/cache/ref"
)

// A reply is what the API answered, and where.
type reply struct {
	at   hop
	resp *http.Response // its body is closed
	body []byte
}

// get asks an endpoint's API. Renamed repos redirect, inside the endpoint's own
// origin; other redirects lead to nobody whose word counts.
func (c *Client) get(ctx context.Context, ep *endpoint, u *url.URL, limit int64) (reply, error) {
	at, err := c.start(ctx, ep, u)
	if err != nil {
		return reply{}, err
	}
	w := newWatch(ctx, c.cfg.StallTimeout)
	defer w.end()
	for range maxHops {
		resp, err := c.send(w.ctx, c.heads, http.MethodGet, at, "")
		if err != nil {
			return reply{}, w.why(ep, ep.fault(nil, "%v", err))
		}
		if !isRedirect(resp) {
			body, err := readReply(w, ep, at, resp, limit)
			return reply{at, resp, body}, err
		}
		w.during(func() { discard(resp) })
		if at, err = at.follow(resp); err != nil {
			return reply{}, ep.fault(resp, "%v", err)
		}
		if at.away {
			return reply{}, ep.fault(resp, "redirects to somebody else")
		}
	}
	return reply{}, ep.fault(nil, "redirects without end")
}

func readReply(w *watch, ep *endpoint, at hop, resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 400:
		return nil, ep.refusal(resp, at.away, at.token)
	case isPage(resp):
		return nil, ep.fault(resp, "served a web page")
	case resp.StatusCode != http.StatusOK || isEncoded(resp):
		return nil, ep.fault(resp, "that is no answer to this question")
	}
	body, err := io.ReadAll(io.LimitReader(watched{resp.Body, w}, limit+1))
	switch {
	case err != nil:
		return nil, w.why(ep, ep.fault(resp, "broke off: %v", err))
	case int64(len(body)) > limit:
		return nil, ep.tooLarge()
	}
	return body, nil
}

// Refs is the list of a repo's branches and tags, with its pull requests where
// they are wanted, as the Hub words it.
func (c *Client) Refs(ctx context.Context, repo ref.Repo, prs bool) (list json.RawMessage, err error) {
	err = c.ask(ctx, repo.String(), c.endpoints, func(ctx context.Context, ep *endpoint) (err error) {
		list, err = c.refsAt(ctx, ep, repo, prs)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("refs of %s: %w", repo, err)
	}
	return list, nil
}

func (c *Client) refsAt(ctx context.Context, ep *endpoint, repo ref.Repo, prs bool) (json.RawMessage, error) {
	u, err := ep.apiURL(repo, "refs")
	if err != nil {
		return nil, err
	}
	if prs {
		u.RawQuery = "include_prs=1"
	}
	r, err := c.get(ctx, ep, u, maxAnswer)
	if err != nil {
		return nil, err
	}
	var said struct{ Branches []json.RawMessage }
	if json.Unmarshal(r.body, &said) != nil || said.Branches == nil {
		return nil, ep.fault(r.resp, "its answer is no list of branches")
	}
	return r.body, nil
}
