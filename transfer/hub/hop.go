package hub

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"hffs/transfer/source"
)

// A hop is where the next request goes. Redirects are followed by hand, hop by
// hop, because each answers a question of its own (the Hub's hop says what the
// file is, the CDN's hop has the bytes) and because Go's client would carry the
// token on to subdomains and other ports.
type hop struct {
	url   *url.URL
	token bool // every hop so far was at the Hub's own origin
	away  bool // some hop has left the endpoint's origin
}

// start is the first hop for a question to an endpoint, made with the token that
// the context says, if the endpoint may see it.
func (c *Client) start(ctx context.Context, ep *endpoint, u *url.URL) (hop, error) {
	if !ep.hub {
		return hop{url: u}, nil
	}
	token, err := c.token(ctx)
	if err != nil {
		return hop{}, &Error{Endpoint: ep.name, Message: err.Error(), kinds: []error{ErrUnauthorized, source.ErrRefused}}
	}
	return hop{url: u, token: token != "" && c.trusts(ep)}, nil
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// follow is the hop that a redirect leads to; relative ones count from the
// request's own URL.
func (h hop) follow(resp *http.Response) (hop, error) {
	u, err := h.url.Parse(resp.Header.Get("Location"))
	switch {
	case err != nil || resp.Header.Get("Location") == "":
		return hop{}, errors.New("redirects to no address")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return hop{}, errors.New("redirects to something that is no web address")
	case h.url.Scheme == "https" && u.Scheme == "http":
		return hop{}, errors.New("redirects from https to plain http")
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	same := sameOrigin(h.url, u)
	return hop{url: u, token: h.token && same, away: h.away || !same}, nil
}

// send makes one request. span is the Range header, or empty.
func (c *Client) send(ctx context.Context, via http.RoundTripper, method string, h hop, span string) (*http.Response, error) {
	req := (&http.Request{
		Method: method, URL: h.url, Host: h.url.Host, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity")
	if span != "" {
		req.Header.Set("Range", span)
	}
	if token, err := c.token(ctx); h.token && err == nil {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		c.cfg.Log.Debug("hub request", "method", method, "url", shown(h.url), "err", err)
		return nil, err
	}
	c.cfg.Log.Debug("hub request", "method", method, "url", shown(h.url), "range", span, "status", resp.StatusCode)
	return resp, nil
}

// shown is the URL without its query, where signatures stand.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// isPage tells web pages (of captive portals, of proxies, of mirrors that are
// down) from files and from the Hub's plain-text errors.
func isPage(resp *http.Response) bool {
	t, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(t), "text/html")
}

func isEncoded(resp *http.Response) bool {
	enc := resp.Header.Get("Content-Encoding")
	return enc != "" && !strings.EqualFold(enc, "identity")
}

// discard reads a short body to its end, so that its connection serves again,
// and gives up on a long one.
func discard(resp *http.Response) {
	if resp.ContentLength >= 0 && resp.ContentLength <= maxDiscard {
		_, _ = io.CopyN(io.Discard, resp.Body, maxDiscard)
	}
	_ = resp.Body.Close()
}

// newTransport makes connections of our own. Bodies go over HTTP/1.1, so that
// spans fetched at once have a TCP connection each instead of sharing one.
func newTransport(cfg Config, http2 bool) *http.Transport {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: cfg.ConnectTimeout}).DialContext,
		TLSHandshakeTimeout:    cfg.ConnectTimeout,
		ResponseHeaderTimeout:  cfg.HeaderTimeout,
		IdleConnTimeout:        90 * time.Second,
		MaxConnsPerHost:        maxConns,
		MaxIdleConnsPerHost:    maxConns / 4,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	t.Protocols.SetHTTP2(http2)
	return t
}
