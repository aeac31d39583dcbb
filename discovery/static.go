package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	again          = 30 * time.Second // until known peers are tried again
	resolveTimeout = 5 * time.Second
	maxHosts       = 256
	maxHostName    = 253 // bytes, as in DNS
)

// Static finds peers that the user has named, where multicast does not reach.
type Static struct {
	hosts  []host
	log    *slog.Logger
	lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)
}

type host struct {
	name string // a host name or an address
	port uint16
}

func (h host) String() string { return net.JoinHostPort(h.name, strconv.Itoa(int(h.port))) }

// NewStatic reads HOST or HOST:PORT, where HOST is a name or an address; an
// IPv6 address with a port stands in brackets. The port is that of gossip. Bad
// ones are refused here; a name that does not resolve is tried again for ever.
func NewStatic(hosts []string, defaultPort int, log *slog.Logger) (*Static, error) {
	if len(hosts) > maxHosts {
		return nil, fmt.Errorf("%d peers given, at most %d are taken", len(hosts), maxHosts)
	}
	s := &Static{log: orDiscard(log), lookup: net.DefaultResolver.LookupNetIP}
	seen := map[host]bool{}
	for _, text := range hosts {
		h, err := parseHost(text, defaultPort)
		if err != nil {
			return nil, fmt.Errorf("bad peer %q: %w", text, err)
		}
		if !seen[h] {
			seen[h] = true
			s.hosts = append(s.hosts, h)
		}
	}
	return s, nil
}

func parseHost(text string, defaultPort int) (host, error) {
	name, port := text, strconv.Itoa(defaultPort)
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		name = strings.TrimSuffix(inner, "]")
	} else if strings.HasPrefix(text, "[") || strings.Count(text, ":") == 1 {
		var err error
		if name, port, err = net.SplitHostPort(text); err != nil {
			return host{}, errors.New("it is not HOST or HOST:PORT")
		}
	}
	n, err := parsePort(port)
	if err != nil {
		return host{}, errors.New("its port is not a number from 1 to 65535")
	}
	return host{name, n}, checkHost(name)
}

func checkHost(name string) error {
	if a, err := netip.ParseAddr(name); err == nil {
		if !reachable(a.Unmap(), true) {
			return errors.New("that address cannot be reached by gossip")
		}
		return nil
	}
	if name == "" || len(name) > maxHostName {
		return errors.New("its host name is empty or too long")
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._", r) {
			return errors.New("a host name has letters, digits, dots and hyphens only")
		}
	}
	return nil
}

// Find reports all peers at once and every 30 seconds; names are resolved anew
// each time. It cannot tell who of them is a member already.
func (s *Static) Find(ctx context.Context, found func(Peer)) error {
	var each []Finder // so that a slow name keeps nobody waiting
	for _, h := range s.hosts {
		each = append(each, oneHost{s, h})
	}
	err := Both(each...).Find(ctx, found)
	<-ctx.Done() // also when nobody was named
	return err
}

// oneHost finds one of the hosts.
type oneHost struct {
	*Static
	host
}

func (n oneHost) Find(ctx context.Context, found func(Peer)) error {
	tick := time.NewTicker(again)
	defer tick.Stop()
	for failed := false; ; {
		p, err := n.peer(ctx, n.host)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			found(p)
		case !failed: // the first of several in a row
			n.log.Warn("a named peer is passed over for now", "peer", n.host.String(), "err", err)
		}
		failed = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// peer says where h is now. Its door is the next port up, the way nodes choose
// theirs; who joins it learns better.
func (s *Static) peer(ctx context.Context, h host) (Peer, error) {
	addrs, err := s.resolve(ctx, h.name)
	if err != nil {
		return Peer{}, fmt.Errorf("resolve %s: %w", h.name, err)
	}
	here, _ := lanLinks() // only for the order
	p := Peer{Gossip: h.port, From: "static"}
	if h.port < 65535 {
		p.Door = h.port + 1
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	// Loopback was the user's own word, unless a name has something better.
	p.Addrs = bestFirst(addrs, nil, here)
	if len(p.Addrs) == 0 {
		p.Addrs = bestFirst(addrs, addrs, here)
	}
	if len(p.Addrs) == 0 {
		return p, fmt.Errorf("resolve %s: no usable address", h.name)
	}
	return p, nil
}

func (s *Static) resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	return s.lookup(ctx, "ip", name)
}
