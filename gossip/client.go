package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"hffs/gossip/manifest"
)

// door is another node's HTTP door, as we ask at it.
type door struct {
	http  *http.Client
	addr  netip.AddrPort
	swarm string
}

func (s *Swarm) door(addr netip.AddrPort) door { return door{s.http, addr, s.swarmID} }

// newHTTP is the client for doors: no proxy, which would be asked for machines
// of the LAN, no redirects, which no node sends, and short patience.
func newHTTP(dial time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dial}).DialContext,
			ResponseHeaderTimeout:  5 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

var (
	errNotHere  = errors.New("it does not have that")
	errStranger = errors.New("it belongs to another swarm")
)

// get asks for one thing and reads at most limit bytes of it.
func (d door) get(ctx context.Context, path string, query url.Values, limit int64) ([]byte, error) {
	u := url.URL{Scheme: "http", Host: d.addr.String(), Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", d.addr, err)
	}
	req.Header.Set(swarmHeader, d.swarm)
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", d.addr, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode == http.StatusMisdirectedRequest:
		return nil, fmt.Errorf("ask %s: %w", d.addr, errStranger)
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("ask %s: %w", d.addr, errNotHere)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask %s: status %d", d.addr, resp.StatusCode)
	case err != nil:
		return nil, fmt.Errorf("ask %s: %w", d.addr, err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("ask %s: %w: more than %d bytes", d.addr, manifest.ErrMalformed, limit)
	}
	return b, nil
}
