package gossip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Join contacts a node that discovery found, trying its addresses in order.
// Nothing is done when member is alive already; it may be empty for an address
// that was configured. No more than three joins run at once.
func (s *Swarm) Join(ctx context.Context, member string, addrs []netip.AddrPort) error {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !s.beginJoin(member) {
		return nil
	}
	defer s.endJoin(member)
	select {
	case s.joins <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() { // memberlist knows no context; its own timeouts end it
		defer func() { <-s.joins }()
		done <- s.join(ctx, member, addrs)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Swarm) beginJoin(member string) bool {
	if member == "" {
		return true
	}
	if s.IsMember(member) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if member == s.name || s.joining[member] {
		return false
	}
	s.joining[member] = true
	return true
}

func (s *Swarm) endJoin(member string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.joining, member)
}

func (s *Swarm) join(ctx context.Context, member string, addrs []netip.AddrPort) error {
	errs := []error{fmt.Errorf("no address of %q answers", clip(member))}
	for _, a := range addrs {
		s.mu.Lock()
		se := s.session
		s.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case se == nil:
			return errors.New("join: between two memberships")
		case a.Addr() == se.addr && int(a.Port()) == se.port:
			continue // ourselves
		}
		target := a.String()
		if member != "" {
			target = member + "/" + target
		}
		_, err := se.ml.Join([]string{target})
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("join %s: %w (TCP and UDP port %d must be open there)", a, err, a.Port()))
	}
	return errors.Join(errs...)
}
