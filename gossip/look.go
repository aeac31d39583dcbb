package gossip

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"time"

	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

// Looked is what a node says of itself at its door, and how it is to speak with it.
type Looked struct {
	directory.Node
	Version   string
	Files     int
	Bytes     int64
	RoundTrip time.Duration // of one packet there and back
	Clock     time.Time     // what it takes the time for; zero where it does not say
}

// ErrStranger means that a node belongs to another swarm.
var ErrStranger = errStranger

// lookTime is how long a door gets to answer.
const lookTime = 2 * time.Second

// Look asks the node behind a door who it is, over a connection of its own: the time
// that takes to be made is one round trip.
func Look(ctx context.Context, addr netip.AddrPort, swarm string) (l Looked, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var began time.Time
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectStart: func(string, string) { began = time.Now() },
		ConnectDone:  func(string, string, error) { l.RoundTrip = time.Since(began) },
	})
	var said http.Header
	client := &http.Client{
		Transport:     &clocked{&http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext, MaxResponseHeaderBytes: 16 << 10}, &said},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	b, err := door{client, addr, SwarmID(swarm)}.get(ctx, membersPath, url.Values{"most": {"0"}}, maxLookup)
	l.Clock, _ = http.ParseTime(said.Get("Date"))
	if err != nil {
		return l, err
	}
	return l, l.read(b, addr)
}

// clocked keeps the headers of the answer.
type clocked struct {
	http.RoundTripper
	said *http.Header
}

func (c *clocked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		*c.said = resp.Header
	}
	return resp, err
}

// read takes in what the node says of itself; what it says of others is not asked for.
func (l *Looked) read(b []byte, door netip.AddrPort) error {
	var w wireMembers
	if err := decodeJSON(b, &w); err != nil {
		return err
	}
	for _, m := range w.Members[:min(len(w.Members), maxAnswers)] {
		n, err := m.wireNode.parse(door)
		switch {
		case !m.Self:
			continue
		case err != nil:
			return err
		case m.Files < 0 || m.Bytes < 0:
			return fmt.Errorf("%w: it holds less than nothing", manifest.ErrMalformed)
		}
		l.Node, l.Files, l.Bytes, l.Version = n, m.Files, m.Bytes, clip(m.Version)
		return nil
	}
	return fmt.Errorf("%w: it does not say who it is", manifest.ErrMalformed)
}

// Probe sends a member one packet of gossip to an address of its, over UDP, and waits
// for the answer.
func (s *Swarm) Probe(ctx context.Context, member string, addr netip.AddrPort) (time.Duration, error) {
	s.mu.Lock()
	se := s.session
	s.mu.Unlock()
	if se == nil {
		return 0, fmt.Errorf("probe %s: between two memberships", addr)
	}
	type answer struct {
		took time.Duration
		err  error
	}
	done := make(chan answer, 1)
	go func() { // memberlist knows no context; its own patience is half a second
		took, err := se.ml.Ping(member, net.UDPAddrFromAddrPort(addr))
		done <- answer{took, err}
	}()
	select {
	case a := <-done:
		return a.took, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
