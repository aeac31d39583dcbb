// Package reach answers what no machine can find out by itself: whether the others get
// through to its ports. One node asks another at its door to connect back:
//
//	GET /v1/reach?port=7766&net=tcp     (or udp: the port is that of a node's gossip)
//	Hffs-Reach: 1
//
// and is told whether that went through, and as whom it was seen. [Server] is that
// door, [Ask] the question.
//
// What it promises: only the asker's own address is dialled, nothing is sent over TCP,
// and few questions are answered at a time. The header keeps web pages away, which
// cannot send it.
package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// What stands on the wire.
const (
	Path   = "/v1/reach"
	header = "Hffs-Reach"

	maxAnswer = 4 << 10
	firstPort = 1024 // below are other people's services

	patience = 2 * time.Second // for one try
	atOnce   = 4
	perSec   = 4
	burst    = 16
)

// How a try ended.
const (
	Open    = "open"
	Refused = "refused" // the machine is reached, and nobody listens there
	Silent  = "silent"  // nothing came back
	Failed  = "failed"  // the try could not be made
)

// Answer is what came of it.
type Answer struct {
	Result string     `json:"result"`
	From   netip.Addr `json:"from"` // the asker, as it was seen
	Reason string     `json:"reason,omitempty"`
}

// Server is the door that dials back.
type Server struct {
	probe  func(context.Context, netip.AddrPort) error
	limit  *rate.Limiter
	places chan struct{}
}

// NewServer makes the door; probe sends a packet of gossip over UDP and waits for the
// answer.
func NewServer(probe func(context.Context, netip.AddrPort) error) *Server {
	return &Server{probe, rate.NewLimiter(perSec, burst), make(chan struct{}, atOnce)}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	try, err := parse(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		http.Error(w, "too many ask at once", http.StatusTooManyRequests)
		return
	}
	if !s.limit.Allow() {
		http.Error(w, "too many have asked", http.StatusTooManyRequests)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	a := answer(s.dial(ctx, try))
	a.From = try.to.Addr()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

// try is what is to be dialled.
type try struct {
	network string
	to      netip.AddrPort
}

func parse(r *http.Request) (try, error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	port, bad := strconv.ParseUint(r.URL.Query().Get("port"), 10, 16)
	network := r.URL.Query().Get("net")
	switch {
	case r.Method != http.MethodGet || r.Header.Get(header) == "":
		return try{}, errors.New("this is for hffs alone")
	case err != nil:
		return try{}, errors.New("who asks is not known")
	case bad != nil || port < firstPort:
		return try{}, errors.New("port is not a number from 1024 to 65535")
	case network != "tcp" && network != "udp":
		return try{}, errors.New("net is neither tcp nor udp")
	}
	return try{network, netip.AddrPortFrom(from.Addr().Unmap(), uint16(port))}, nil
}

func (s *Server) dial(ctx context.Context, t try) error {
	if t.network == "udp" {
		return s.probe(ctx, t.to)
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.to.String())
	if err != nil {
		return err
	}
	return c.Close()
}

// answer says how a try ended.
func answer(err error) Answer {
	slow, isNet := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return Answer{Result: Open}
	case errors.Is(err, syscall.ECONNREFUSED):
		return Answer{Result: Refused}
	case errors.Is(err, context.DeadlineExceeded), isNet && slow.Timeout(), errors.Is(err, ErrSilent):
		return Answer{Result: Silent}
	}
	return Answer{Result: Failed, Reason: err.Error()}
}

// ErrSilent is what a probe says when nothing came back.
var ErrSilent = errors.New("no answer")

// ErrUnable means that the other node cannot be asked: it is of a version that does not
// know how, or too many ask.
var ErrUnable = errors.New("it cannot say")

// Ask has the node behind a door dial back to a port of this machine.
func Ask(ctx context.Context, door netip.AddrPort, network string, port int) (a Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	u := url.URL{
		Scheme: "http", Host: door.String(), Path: Path,
		RawQuery: url.Values{"net": {network}, "port": {strconv.Itoa(port)}}.Encode(),
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return a, err
	}
	req.Header.Set(header, "1")
	client := &http.Client{ // no proxy: it would be asked about a machine of the LAN
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return a, fmt.Errorf("ask %s: %w", door, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return a, fmt.Errorf("ask %s: %w", door, err)
	case resp.StatusCode != http.StatusOK:
		return a, fmt.Errorf("ask %s: %w (it answered %d)", door, ErrUnable, resp.StatusCode)
	}
	return decode(b)
}

// decode reads an answer, which anybody may have written.
func decode(b []byte) (a Answer, err error) {
	if len(b) > maxAnswer {
		return a, errors.New("its answer is too long")
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return Answer{}, fmt.Errorf("read its answer: %w", err)
	}
	switch a.Result {
	case Open, Refused, Silent, Failed:
		return a, nil
	}
	return Answer{}, errors.New("its answer says nothing that is known here")
}
