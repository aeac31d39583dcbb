// Package standin is a Hub in small: enough of huggingface.co, on two ports of
// this machine, that every client of the Hub works against it. Tests of all
// rooms use it, the lab and the demo run it as a process.
//
// It keeps to what the real Hub was seen to answer: two origins (the Hub itself
// and the CDN that it redirects to for large files, with signed URLs that
// expire), relative redirects for small files and renamed repos, the error codes
// and bodies byte for byte, and the traps: an ETag on the CDN that is not the
// file's, an ETag on error answers that is the error text's, 401 for a repo that
// an anonymous caller may not know of.
//
// Read it in this order: standin.go starts and stops it; content.go and repo.go
// are what it holds; route.go finds out what is asked for, resolve.go and cdn.go
// serve files, api.go serves JSON, access.go says who may; answer.go has headers
// and error bodies; fault.go breaks things on request; log.go and control.go tell
// what was asked; main.go runs it as a process.
package standin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"hffs/cache/ref"
)

// Hub holds repos and serves them once started. It is safe for concurrent use.
type Hub struct {
	// Shape307 says what the redirect for a small file tells. Set it before the
	// start.
	Shape307 Shape
	// PageSize splits tree listings into pages of so many entries, chained by
	// Link headers; 0 gives the whole tree at once.
	PageSize int
	// LinkLife is how long a URL of the CDN is good for; 0 means one hour.
	LinkLife time.Duration

	mu      sync.Mutex // guards all below
	repos   map[ref.Repo]*repo
	aliases map[ref.Repo]ref.Repo
	objects map[string]object // by their path on the CDN
	tokens  map[string]map[ref.Repo]bool
	quota   map[string]int // requests so far, by rate limit bucket
	faults  []*armedFault
	log     requestLog
}

// Shape is the form of the Hub's 307 for a small file.
type Shape int

// The two forms that the Hub has had.
const (
	WithETag    Shape = iota // X-Linked-Etag is there, as since 2026
	WithoutETag              // only the commit is
)

// New is an empty Hub.
func New() *Hub {
	return &Hub{
		repos:   map[ref.Repo]*repo{},
		aliases: map[ref.Repo]ref.Repo{},
		objects: map[string]object{},
		tokens:  map[string]map[ref.Repo]bool{},
		quota:   map[string]int{},
	}
}

// Running is a Hub that serves.
type Running struct {
	hub, cdn *http.Server
	hubURL   string
	cdnURL   string
	caPEM    []byte
	done     sync.WaitGroup
}

// Start serves the Hub and its CDN on two addresses; port 0 takes a free one.
func (h *Hub) Start(addrHub, addrCDN string) (*Running, error) {
	return h.start("http", addrHub, addrCDN, nil, nil)
}

// StartTLS is Start over https, with a certificate made for the occasion:
// [Running.CA] is what a client must trust.
func (h *Hub) StartTLS(addrHub, addrCDN string) (*Running, error) {
	cert, ca, err := selfSigned(addrHub, addrCDN)
	if err != nil {
		return nil, err
	}
	return h.start("https", addrHub, addrCDN, &cert, ca)
}

func (h *Hub) start(scheme, addrHub, addrCDN string, cert *tls.Certificate, ca []byte) (*Running, error) {
	hub, err := listen(addrHub, cert)
	if err != nil {
		return nil, err
	}
	cdn, err := listen(addrCDN, cert)
	if err != nil {
		return nil, errors.Join(err, hub.Close())
	}
	r := &Running{
		hubURL: scheme + "://" + hub.Addr().String(),
		cdnURL: scheme + "://" + cdn.Addr().String(),
		caPEM:  ca,
	}
	r.hub = r.serve(hub, h.handler(onHub, r))
	r.cdn = r.serve(cdn, h.handler(onCDN, r))
	return r, nil
}

func listen(addr string, cert *tls.Certificate) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil || cert == nil {
		return ln, err
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h2", "http/1.1"}}), nil
}

func (r *Running) serve(ln net.Listener, handler http.Handler) *http.Server {
	s := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	r.done.Go(func() { _ = s.Serve(ln) })
	return s
}

// URL is the Hub's origin, to be used as HF_ENDPOINT.
func (r *Running) URL() string { return r.hubURL }

// CDNURL is the origin that large files come from.
func (r *Running) CDNURL() string { return r.cdnURL }

// CA is the certificate to trust, in PEM; nil without TLS.
func (r *Running) CA() []byte { return r.caPEM }

// Close stops both servers, and what they are sending, at once.
func (r *Running) Close() error {
	err := errors.Join(r.hub.Close(), r.cdn.Close())
	r.done.Wait()
	return err
}

// Wait serves until ctx ends.
func (r *Running) Wait(ctx context.Context) error {
	<-ctx.Done()
	if err := r.Close(); err != nil {
		return fmt.Errorf("stop the stand-in Hub: %w", err)
	}
	return nil
}
