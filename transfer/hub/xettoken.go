package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"hffs/cache/ref"
)

// An XetToken opens a repo's files at one revision to the Xet CAS. The Hub makes
// it for an hour or so; it is worth nothing at the Hub itself.
type XetToken struct {
	CAS     string // the CAS's origin, without a closing slash
	Access  string
	Expires time.Time
}

// String keeps the token out of logs and errors.
func (t XetToken) String() string { return "token for " + t.CAS }

// GoString keeps it out of %#v as well.
func (t XetToken) GoString() string { return t.String() }

const (
	maxTokenAnswer = 64 << 10
	maxTokenLen    = 16 << 10
)

// XetToken asks the Hub for a token that opens the entry's repo at its commit to
// the CAS. Only the endpoint that counts as the Hub is asked: a mirror has no
// tokens to give, and must not see ours.
func (c *Client) XetToken(ctx context.Context, e ref.Entry) (XetToken, error) {
	t, err := c.xetToken(ctx, e)
	if err != nil {
		return XetToken{}, fmt.Errorf("xet token for %s: %w", e.Repo, err)
	}
	return t, nil
}

func (c *Client) xetToken(ctx context.Context, e ref.Entry) (XetToken, error) {
	if c.cfg.Offline {
		return XetToken{}, ErrOffline
	}
	ep := hubAmong(c.endpoints)
	u, err := ep.apiURL(e.Repo, "xet-read-token", string(e.Commit))
	if err != nil {
		return XetToken{}, err
	}
	// The endpoint itself is believed and nobody that it redirects to, as with all
	// of its API: who gives the token names the host that data comes from.
	r, err := c.get(ctx, ep, u, maxTokenAnswer)
	if err != nil {
		return XetToken{}, err
	}
	t, err := parseXetToken(r.body, r.at.url.Scheme)
	if err != nil {
		return XetToken{}, ep.fault(r.resp, "%v", err)
	}
	return t, nil
}

// parseXetToken reads {"casUrl","accessToken","exp"}. The CAS must be as safe to
// talk to as who named it.
func parseXetToken(body []byte, scheme string) (XetToken, error) {
	var said struct {
		CASURL      string `json:"casUrl"`
		AccessToken string `json:"accessToken"`
		Exp         int64  `json:"exp"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return XetToken{}, errors.New("its answer is no JSON") // the parser would quote from it
	}
	access, err := cleanToken(said.AccessToken)
	u, urlErr := url.Parse(said.CASURL)
	switch {
	case err != nil || access == "" || len(access) > maxTokenLen:
		return XetToken{}, errors.New("its answer holds no token")
	case urlErr != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return XetToken{}, errors.New("its answer names no CAS")
	case u.Scheme != "https" && (u.Scheme != "http" || scheme == "https" && !isLoopback(u.Hostname())):
		return XetToken{}, errors.New("its answer names a CAS without TLS")
	}
	return XetToken{CAS: strings.TrimRight(u.String(), "/"), Access: access, Expires: time.Unix(said.Exp, 0)}, nil
}
