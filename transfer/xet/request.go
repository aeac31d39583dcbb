package xet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hffs/transfer/source"
)

// ErrUnavailable: what was asked for did not come, and that says nothing about
// the blob. Another source, the LFS bridge above all, may well have it.
var ErrUnavailable = errors.New("nothing usable by Xet")

// errStale marks refusals that a new token or a new URL may settle.
var errStale = errors.New("expired")

// An Error is what a CAS, or a host that its recipes name, did instead of what
// was asked of it. It wraps ErrUnavailable, or one of source's errors.
type Error struct {
	Host       string
	Status     int // of the answer; 0 where none came
	Message    string
	RetryAfter time.Duration // how long the host asks us to stay away; 0 where it does not say

	kinds []error
}

func (e *Error) Error() string {
	if e.Status == 0 || e.Status == http.StatusOK || e.Status == http.StatusPartialContent {
		return e.Host + " " + e.Message
	}
	return strings.TrimSuffix(fmt.Sprintf("%s answered %d: %s", e.Host, e.Status, e.Message), ": ")
}

// Unwrap lets errors.Is find what the error means.
func (e *Error) Unwrap() []error { return e.kinds }

func fault(host string, resp *http.Response, format string, args ...any) *Error {
	e := &Error{Host: host, Message: clean(fmt.Sprintf(format, args...)), kinds: []error{ErrUnavailable}}
	if resp != nil {
		e.Status = resp.StatusCode
	}
	return e
}

// refusal reads an answer with an error status; who wrote it says why in the
// body.
func refusal(w *watch, host string, resp *http.Response) *Error {
	text, _ := io.ReadAll(io.LimitReader(watched{resp.Body, w}, maxText))
	e := fault(host, resp, "%s", text)
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		e.kinds = []error{source.ErrRefused, errStale}
	case http.StatusForbidden:
		e.kinds = []error{source.ErrRefused}
	case http.StatusNotFound, http.StatusRequestedRangeNotSatisfiable:
		e.kinds = []error{source.ErrGone}
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(resp.Header.Get("Retry-After")), 10, 32); err == nil && n > 0 {
		e.RetryAfter = time.Duration(n) * time.Second
	}
	return e
}

// span is a Range header for n bytes from off.
func span(off, n int64) string { return fmt.Sprintf("bytes=%d-%d", off, off+n-1) }

// send makes one request; with a token for a recipe, which may come packed, and
// without one for data, which is packed already.
func (c *Client) send(ctx context.Context, u *url.URL, access, span string) (*http.Response, error) {
	req := (&http.Request{
		Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("Range", span)
	req.Header.Set("X-Xet-Session-Id", c.session)
	if access != "" {
		req.Header.Set("Authorization", "Bearer "+access)
		req.Header.Set("Accept-Encoding", "gzip")
	}
	resp, err := c.via.RoundTrip(req)
	if err != nil {
		c.cfg.Log.Debug("xet request", "url", shown(u), "range", span, "err", err)
		return nil, err
	}
	c.cfg.Log.Debug("xet request", "url", shown(u), "range", span, "status", resp.StatusCode)
	return resp, nil
}

// pause waits before something is tried again that has ended with err so many
// times, or says why it is not.
func (c *Client) pause(ctx context.Context, tries int, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if tries >= maxTries || errors.Is(err, source.ErrGone) || errors.Is(err, source.ErrRefused) && !errors.Is(err, errStale) {
		return err
	}
	wait := c.cfg.RetryWait << (tries - 1)
	if said, ok := errors.AsType[*Error](err); ok {
		if said.RetryAfter > maxWait {
			return err
		}
		wait = max(wait, said.RetryAfter)
		if errors.Is(err, errStale) {
			wait = 0 // a new token or URL is all it takes
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// shown is the URL without its query, where signatures stand.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// clean makes foreign text fit for a terminal.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), maxText)], ""))
	return strings.TrimSpace(s)
}

// newTransport makes connections of our own, over HTTP/1.1: spans that are read
// at the same time have a TCP connection each instead of sharing one.
func newTransport(cfg Config) *http.Transport {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: cfg.ConnectTimeout}).DialContext,
		TLSHandshakeTimeout:    cfg.ConnectTimeout,
		ResponseHeaderTimeout:  cfg.HeaderTimeout,
		IdleConnTimeout:        90 * time.Second,
		MaxConnsPerHost:        maxConns,
		MaxIdleConnsPerHost:    maxConns / 4,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}
