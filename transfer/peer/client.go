package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/pace"
	"hffs/transfer/source"
)

// Time limits toward a neighbour: a LAN answers in milliseconds, so whoever
// takes this long is better replaced than waited for.
const (
	dialTimeout   = 1 * time.Second
	headerTimeout = 5 * time.Second
	// connsPerPeer is for as many files as are fetched at once and the requests of each:
	// whoever waits for a connection looks like a peer that sends nothing.
	connsPerPeer = 32
)

// Dialer makes sources over other nodes. One is shared by all downloads, so
// that connections are; it never uses a proxy, since peers are neighbours.
type Dialer struct {
	// Self is how this node presents itself to those it follows; nil: not at all.
	Self func() Introduction
	// Log is told of each request at debug; nil: discard. It is for before the first use.
	Log *slog.Logger

	http, feeds *http.Client
	paced       *pace.Transport
}

// NewDialer makes a dialer with limits fit for a LAN.
func NewDialer() *Dialer {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	paced := &pace.Transport{Next: &http.Transport{
		DialContext:            d.DialContext,
		ResponseHeaderTimeout:  headerTimeout,
		MaxConnsPerHost:        connsPerPeer,
		MaxIdleConnsPerHost:    connsPerPeer,
		MaxIdleConns:           128,
		IdleConnTimeout:        60 * time.Second,
		DisableCompression:     true,
		ReadBufferSize:         64 << 10,
		MaxResponseHeaderBytes: 16 << 10,
	}}
	x := &Dialer{feeds: newFeedClient(), paced: paced}
	x.http = &http.Client{Transport: noted{x, paced}, CheckRedirect: noRedirect}
	return x
}

// noted is a transport that tells the log of requests.
type noted struct {
	dialer *Dialer
	next   http.RoundTripper
}

func (n noted) RoundTrip(req *http.Request) (*http.Response, error) {
	log := n.dialer.Log
	if log == nil || !log.Enabled(req.Context(), slog.LevelDebug) {
		return n.next.RoundTrip(req)
	}
	resp, err := n.next.RoundTrip(req)
	span, at := req.Header.Get("Range"), req.URL.Host+req.URL.Path
	if err != nil {
		log.Debug("peer request", "method", req.Method, "to", at, "range", span, "err", err)
	} else {
		log.Debug("peer request", "method", req.Method, "to", at, "range", span, "status", resp.StatusCode)
	}
	return resp, err
}

func noRedirect(*http.Request, []*http.Request) error {
	return fmt.Errorf("%w: a peer may not redirect", source.ErrRefused)
}

// Limit bounds all that comes through the dialer, news aside. It is for before the
// first use.
func (d *Dialer) Limit(l pace.Limits) { d.paced.Node = l }

// Close drops idle connections.
func (d *Dialer) Close() {
	d.http.CloseIdleConnections()
	d.feeds.CloseIdleConnections()
}

func (d *Dialer) self() Introduction {
	if d.Self == nil {
		return Introduction{}
	}
	return d.Self()
}

// Source is the node with an identity and a name, whose door is at addr.
func (d *Dialer) Source(id, name string, addr netip.AddrPort) *Source {
	origin := "http://" + addr.String()
	return &Source{id: id, name: name, origin: origin, base: origin + PathBlobs, http: d.http, feeds: d.feeds, self: d.self}
}

// Source is another node.
type Source struct {
	id     string // empty where nobody said
	name   string
	origin string
	base   string // of blobs
	http   *http.Client
	feeds  *http.Client
	self   func() Introduction
}

// Name is the node's name.
func (s *Source) Name() string { return s.name }

// ID tells the node from another of the same name.
func (s *Source) ID() string {
	if s.id != "" {
		return s.id
	}
	return s.name + " " + s.origin
}

// NodeID is the node's identity, or else what tells it from others.
func (s *Source) NodeID() string { return s.ID() }

// Kind is source.Peer.
func (s *Source) Kind() source.Kind { return source.Peer }

// Open asks for one range of the blob.
func (s *Source) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	if n == 0 && 0 <= off && off <= e.Blob.Size {
		return http.NoBody, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+string(e.Blob.ETag), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.name, plain(err))
	}
	want := fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, e.Blob.Size)
	if resp.StatusCode != http.StatusPartialContent || resp.Header.Get("Content-Range") != want {
		defer drain(resp.Body)
		if resp.StatusCode == http.StatusPartialContent {
			return nil, fmt.Errorf("%s sent range %q instead of %q: %w", s.name, resp.Header.Get("Content-Range"), want, source.ErrRefused)
		}
		return nil, s.refusal(resp)
	}
	return &body{Reader: io.LimitReader(resp.Body, n), Closer: resp.Body}, nil
}

// Map asks for the hashes of the blob's chunks.
func (s *Source) Map(ctx context.Context, b ref.Blob) (chunk.Map, error) {
	return s.getMap(ctx, PathBlobs+string(b.ETag)+"/map", b.Size)
}

func (s *Source) getMap(ctx context.Context, path string, size int64) (chunk.Map, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.origin+path, nil)
	if err != nil {
		return chunk.Map{}, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return chunk.Map{}, fmt.Errorf("ask %s: %w", s.name, plain(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return chunk.Map{}, s.refusal(resp)
	}
	body := &heard{from: resp.Body}
	m, err := chunk.DecodeMap(body, size)
	if err != nil && body.err != nil { // the line's fault, or ours, and not what was sent
		return chunk.Map{}, fmt.Errorf("ask %s for a map: %w", s.name, plain(body.err))
	}
	if err != nil {
		return chunk.Map{}, fmt.Errorf("%s: %w: %w: %w", s.name, source.ErrRefused, source.ErrWrong, err)
	}
	return m, nil
}

// heard remembers how reading broke off.
type heard struct {
	from io.Reader
	err  error
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	if err != nil && err != io.EOF {
		h.err = err
	}
	return n, err
}

// Having is how much of a blob a node has.
type Having struct {
	Bytes    int64
	Whole    bool
	Fetching bool
}

// Have asks how much of a blob the node has.
func (s *Source) Have(ctx context.Context, b ref.Blob) (Having, error) { return s.have(ctx, b, "") }

// Greet is Have for somebody who fetches the blob: a node that does as well follows
// whoever greets it, and one that soon will can find it.
func (s *Source) Greet(ctx context.Context, b ref.Blob) (Having, error) {
	return s.have(ctx, b, "?"+s.self().query())
}

func (s *Source) have(ctx context.Context, b ref.Blob, query string) (Having, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, s.base+string(b.ETag)+query, nil)
	if err != nil {
		return Having{}, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return Having{}, fmt.Errorf("ask %s: %w", s.name, plain(err))
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK && resp.ContentLength == b.Size:
		return Having{Bytes: b.Size, Whole: true}, nil
	case resp.StatusCode == http.StatusNotFound:
		word, _, _ := strings.Cut(resp.Header.Get(HeaderHave), " ")
		n, err := strconv.ParseInt(word, 10, 64)
		if err == nil && 0 <= n && n <= b.Size {
			return Having{Bytes: n, Fetching: true}, nil
		}
		return Having{}, nil
	}
	return Having{}, s.refusal(resp)
}

func (s *Source) refusal(resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%s: %w", s.name, source.ErrGone)
	case http.StatusGone:
		return fmt.Errorf("%s: %w", s.name, source.ErrChanged)
	case http.StatusServiceUnavailable:
		if making, ok := parseMaking(resp.Header.Get(HeaderMaking)); ok {
			return fmt.Errorf("%s %w", s.name, making)
		}
		return fmt.Errorf("%s: %w", s.name, source.ErrBusy)
	case http.StatusInternalServerError:
		return fmt.Errorf("%s: %s", s.name, resp.Status)
	}
	return fmt.Errorf("%s: %w: %s", s.name, source.ErrRefused, resp.Status)
}

// plain leaves out the URL, which says nothing more than the name.
func plain(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

type body struct {
	io.Reader
	io.Closer
}

// drain reads the rest of a short error text so that the connection can be used
// again.
func drain(b io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, b, 4<<10)
	b.Close()
}
