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
// It speaks Xet as well, on a third origin: a client uploads into it (upload.go
// and cas.go), and what it then serves by that protocol is the client's own data.
//
// Read it in this order: standin.go starts and stops it; content.go and repo.go
// are what it holds; route.go finds out what is asked for, resolve.go and cdn.go
// serve files, api.go serves JSON, access.go says who may; xet.go has Xet's
// tokens, cas.go and recipe.go its storage, upload.go takes commits; answer.go has headers and
// error bodies; fault.go breaks things on request; log.go and control.go tell what
// was asked; main.go runs it as a process.
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
	"hffs/transfer/hub/standin/cas"
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
	// XetTokenLife is how long a token for the CAS is good for; 0 means one hour.
	XetTokenLife time.Duration
	// AddrCAS is where the CAS listens; empty means any free port beside the CDN.
	AddrCAS string

	store *cas.Store

	mu      sync.Mutex // guards all below
	repos   map[ref.Repo]*repo
	aliases map[ref.Repo]ref.Repo
	objects map[string]object // by their path on the CDN
	tokens  map[string]map[ref.Repo]bool
	writers map[string]bool
	xetAge  int            // tokens for the CAS of an earlier age are void
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
		writers: map[string]bool{},
		store:   cas.New(),
	}
}

// Running is a Hub that serves.
type Running struct {
	servers []*http.Server
	urls    map[string]string // origins, by onHub and so on
	caPEM   []byte
	done    sync.WaitGroup
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
	r := &Running{urls: map[string]string{}, caPEM: ca}
	var open []net.Listener
	for host, addr := range map[string]string{onHub: addrHub, onCDN: addrCDN, onCAS: h.addrCAS(addrCDN)} {
		ln, err := listen(addr, cert)
		if err != nil {
			for _, ln := range open {
				_ = ln.Close()
			}
			return nil, err
		}
		open = append(open, ln)
		r.urls[host] = scheme + "://" + ln.Addr().String()
		r.servers = append(r.servers, newServer(h.handler(host, r)))
	}
	for i, s := range r.servers { // the handlers read urls, which is complete now
		r.done.Go(func() { _ = s.Serve(open[i]) })
	}
	return r, nil
}

func (h *Hub) addrCAS(addrCDN string) string {
	if h.AddrCAS != "" {
		return h.AddrCAS
	}
	host, _, err := net.SplitHostPort(addrCDN)
	if err != nil {
		return addrCDN // listening there will say what is wrong with it
	}
	return net.JoinHostPort(host, "0")
}

func listen(addr string, cert *tls.Certificate) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil || cert == nil {
		return ln, err
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"h2", "http/1.1"}}), nil
}

func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
}

// URL is the Hub's origin, to be used as HF_ENDPOINT.
func (r *Running) URL() string { return r.urls[onHub] }

// CDNURL is the origin that large files come from, and the data of xorbs.
func (r *Running) CDNURL() string { return r.urls[onCDN] }

// CASURL is the origin that answers for Xet.
func (r *Running) CASURL() string { return r.urls[onCAS] }

// CA is the certificate to trust, in PEM; nil without TLS.
func (r *Running) CA() []byte { return r.caPEM }

// Close stops the servers, and what they are sending, at once.
func (r *Running) Close() error {
	var errs []error
	for _, s := range r.servers {
		errs = append(errs, s.Close())
	}
	r.done.Wait()
	return errors.Join(errs...)
}

// Wait serves until ctx ends.
func (r *Running) Wait(ctx context.Context) error {
	<-ctx.Done()
	if err := r.Close(); err != nil {
		return fmt.Errorf("stop the stand-in Hub: %w", err)
	}
	return nil
}
