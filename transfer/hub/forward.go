package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Forward has the Hub answer a request, whatever it is: a call of the API that
// nobody here can answer, an upload. It goes out with the caller's own
// Authorization and with no other, the node's least of all; mirrors are not asked.
// Addresses in the answer that lead to the Hub are made to lead to back, such as
// http://127.0.0.1:7768, and nothing in it tells of Xet.
//
// An answer that breaks off ends the caller's connection: Forward panics with
// http.ErrAbortHandler then, which servers know.
func (c *Client) Forward(w http.ResponseWriter, r *http.Request, back string) {
	f := &forward{c: c, ep: hubAmong(c.endpoints), back: strings.TrimRight(back, "/"), in: r}
	if status, why := f.aim(); status != 0 {
		f.fail(w, status, why)
		return
	}
	f.waiting = newWatch(r.Context(), f.patience())
	defer f.waiting.end()
	f.reading = newWatch(f.waiting.ctx, c.cfg.StallTimeout)
	defer f.reading.end()
	proxy := httputil.ReverseProxy{
		Rewrite: f.rewrite, Transport: f, ModifyResponse: f.answer, ErrorHandler: f.excuse,
		ErrorLog: slog.NewLogLogger(c.cfg.Log.Handler(), slog.LevelDebug),
	}
	proxy.ServeHTTP(w, r.WithContext(f.reading.ctx))
}

// A forward is one request on its way to the Hub.
type forward struct {
	c    *Client
	ep   *endpoint
	back string
	in   *http.Request

	to      *url.URL
	waiting *watch // for the answer's headers, or for the Hub to take an upload
	reading *watch // for the next bytes of the answer
}

// via is how a node of ours signs what it passes on.
const via = "1.1 hffs"

// aim finds out where the request goes, or why it goes nowhere.
func (f *forward) aim() (status int, why string) {
	switch {
	case cameThroughUs(f.in.Header):
		return http.StatusLoopDetected, "this request goes round in circles: " + f.ep.name +
			" is a hffs node itself, or leads to one; HF_ENDPOINT of \"hffs up\" must be the Hub"
	case f.c.cfg.Offline:
		return http.StatusServiceUnavailable, "only the Hub can answer this, and hffs is offline by the user's wish (HF_HUB_OFFLINE)"
	case f.in.Method == http.MethodConnect || f.in.Method == http.MethodTrace:
		return http.StatusMethodNotAllowed, "that is nothing to ask the Hub"
	}
	to, err := f.ep.forwardURL(f.in.URL)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	f.to = to
	return 0, ""
}

// forwardURL is the same path and query at the endpoint. Paths that climb would
// leave the endpoint's own.
func (ep *endpoint) forwardURL(asked *url.URL) (*url.URL, error) {
	path := asked.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("the path does not begin with \"/\"")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if plain, err := url.PathUnescape(segment); err != nil || plain == "." || plain == ".." {
			return nil, errors.New("\".\" and \"..\" are not allowed in a path")
		}
	}
	u, err := url.Parse(ep.base.String() + path)
	if err != nil {
		return nil, errors.New("the path is malformed")
	}
	u.RawQuery = asked.RawQuery
	return u, nil
}

func cameThroughUs(h http.Header) bool {
	for _, v := range h.Values("Via") {
		for hop := range strings.SplitSeq(v, ",") {
			if words := strings.Fields(hop); len(words) >= 2 && words[1] == "hffs" {
				return true
			}
		}
	}
	return false
}

// patience is how long the Hub may be silent: a little less than clients wait, so
// that they hear why, and not that long for each call while the Hub is known to be
// away.
func (f *forward) patience() time.Duration {
	switch {
	case f.writes():
		return writeTime
	case f.ep.resting(f.c.now()):
		return min(lookPatience, f.c.cfg.HeaderTimeout)
	}
	return f.c.cfg.HeaderTimeout * 9 / 10
}

func (f *forward) writes() bool {
	return f.in.Method != http.MethodGet && f.in.Method != http.MethodHead && f.in.Method != http.MethodOptions
}

// isAPI: what is answered is JSON about repos, not a file.
func (f *forward) isAPI() bool {
	path := f.in.URL.Path
	return strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/api/resolve-cache/")
}

// kept are prefixes of headers that stay on this machine: what a browser tells of
// its user, and what proxies tell of each other.
var kept = []string{"Cookie", "Origin", "Referer", "X-Forwarded-", "X-Real-Ip", "Sec-", "Upgrade", "Connection", "Access-Control-"}

// rewrite makes the request that goes to the Hub.
func (f *forward) rewrite(p *httputil.ProxyRequest) {
	out := p.Out
	out.URL, out.Host = f.to, f.to.Host
	removeHeaders(out.Header, kept)
	if out.Header.Get("Authorization") != "" && !f.c.trusts(f.ep) {
		out.Header.Del("Authorization")
	}
	out.Header.Set("Accept-Encoding", "identity") // the answer is read on its way
	out.Header.Add("Via", via)
	if strings.Contains(out.Header.Get("Accept"), "xet-fileinfo") {
		out.Header.Set("Accept", "*/*") // huggingface.js asks for Xet by it
	}
	if f.isAPI() {
		out.Header.Del("Range") // a piece of JSON cannot be read
	}
}

func removeHeaders(h http.Header, prefixes []string) {
	for name := range h {
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) {
				delete(h, name)
			}
		}
	}
}

// RoundTrip waits for the Hub, but no longer than it has patience.
func (f *forward) RoundTrip(req *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
		trace.Got1xxResponse = nil // it would pass on headers before they are looked at
	}
	up := &upload{from: req.Body, waiting: f.waiting}
	if req.Body != nil {
		req.Body = up
	}
	f.waiting.timer.Reset(f.waiting.limit)
	resp, err := f.c.passed.RoundTrip(req)
	up.answered()
	if err != nil {
		f.c.cfg.Log.Debug("forwarded", "method", req.Method, "url", shown(req.URL), "err", err)
		return nil, err
	}
	f.c.cfg.Log.Debug("forwarded", "method", req.Method, "url", shown(req.URL), "status", resp.StatusCode)
	return resp, nil
}

// An upload is the body of a request. While it is the caller who keeps us waiting,
// the Hub's time stands still.
type upload struct {
	from    io.ReadCloser
	waiting *watch

	mu   sync.Mutex // guards over: a body may be read on after the answer has begun
	over bool
}

func (u *upload) Read(p []byte) (int, error) {
	u.run(false)
	n, err := u.from.Read(p)
	u.run(true)
	return n, err
}

func (u *upload) Close() error { return u.from.Close() }

func (u *upload) run(on bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting.timer.Stop()
	if on && !u.over {
		u.waiting.timer.Reset(u.waiting.limit)
	}
}

func (u *upload) answered() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	u.waiting.timer.Stop()
}

// excuse answers in the Hub's place: 502 to 504, which clients take as a passing
// trouble, where a 404 would be final to them.
func (f *forward) excuse(w http.ResponseWriter, r *http.Request, err error) {
	if f.in.Context().Err() != nil {
		return // nobody is there to hear it
	}
	status := http.StatusBadGateway
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		status = http.StatusGatewayTimeout
	}
	if errors.Is(context.Cause(r.Context()), errStalled) {
		status, err = http.StatusGatewayTimeout, fmt.Errorf("sent nothing for %s", f.waiting.limit)
	}
	if r.Body == nil || r.Body == http.NoBody { // else it may be the caller's own fault
		f.c.passOver(r.Context(), f.ep, f.ep.fault(nil, "%v", err))
	}
	f.fail(w, status, fmt.Sprintf("%s gives no usable answer (%s), and only it can answer this; "+
		"try again when the network is back, or set HF_HUB_OFFLINE=1 to work with what is here", f.ep.name, clean(err.Error())))
}

// fail says it twice: clients show the header, people read the body.
func (f *forward) fail(w http.ResponseWriter, status int, why string) {
	body, err := json.Marshal(map[string]string{"error": why})
	if err != nil {
		panic(err) // only for what cannot be JSON
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set(headerErrorMessage, ascii(why))
	w.WriteHeader(status)
	if f.in.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// ascii keeps to what a header may hold.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
