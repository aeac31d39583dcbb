package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ports: are they this machine's to use?
func ports(ctx context.Context, w World) (lines []Line) {
	p := w.Ports(ctx)
	for _, what := range slices.Sorted(maps.Keys(p.Taken)) {
		lines = append(lines, warn(fmt.Sprintf("%s cannot be opened: %v", what, p.Taken[what]),
			"another program has it; \"hffs up\" takes the next free ports and says which, or choose them with --port"))
	}
	switch {
	case p.Running:
		lines = append(lines, ok("the node has port %d (gossip, TCP and UDP) and %d (its door, TCP)", p.Gossip, p.Door))
	case len(lines) == 0:
		lines = append(lines, ok("%d (gossip, TCP and UDP) and %d (the door, TCP) are free", p.Gossip, p.Door))
	}
	return lines
}

// asked is how many peers are asked to dial back: the second is for when the first is
// itself in trouble.
const asked = 2

// reach: do others get through to the ports?
func reach(ctx context.Context, w World) []Line {
	p := w.Ports(ctx)
	if len(p.Taken) > 0 {
		return []Line{warn("not tried, since the ports are not ours", "start a node with \"hffs up\" and try again")}
	}
	var willing []Peer
	for _, peer := range w.Peers(ctx) {
		if peer.Alive && len(willing) < asked {
			willing = append(willing, peer)
		}
	}
	if len(willing) == 0 {
		return []Line{warn("nobody to ask: no other node answers", "start a node on another machine with \"hffs up\" and try again")}
	}
	var lines []Line
	for _, way := range ways(p) {
		lines = append(lines, way.line(each(willing, func(peer Peer) error { return w.Reach(ctx, peer, way.network, way.port) })))
	}
	return lines
}

// way is one by which others come.
type way struct {
	what, network string
	port          int
	needed        bool // nothing goes without it
}

func ways(p Ports) []way {
	return []way{
		{"gossip", "tcp", p.Gossip, true},
		{"gossip", "udp", p.Gossip, false},
		{"the door", "tcp", p.Door, true},
	}
}

func (y way) String() string {
	return fmt.Sprintf("%s port %d (%s)", strings.ToUpper(y.network), y.port, y.what)
}

// line is what peers say of a way; one that gets through is enough.
func (y way) line(said []result[Peer]) Line {
	var unable, words []string
	for _, r := range said {
		switch {
		case r.err == nil:
			return ok("%s gets through to %s", r.of.Name, y)
		case errors.Is(r.err, ErrSilent), errors.Is(r.err, ErrRefused):
			words = append(words, fmt.Sprintf("%s: %v", r.of.Name, r.err))
		default:
			unable = append(unable, fmt.Sprintf("%s: %v", r.of.Name, r.err))
		}
	}
	open := fmt.Sprintf("open %s port %d in this machine's firewall", strings.ToUpper(y.network), y.port)
	switch {
	case len(words) == 0:
		return warn(fmt.Sprintf("whether others get through to %s is not known (%s)", y, strings.Join(unable, "; ")), "is hffs of the same version there?")
	case !y.needed:
		return warn(fmt.Sprintf("nobody gets through to %s (%s)", y, strings.Join(words, "; ")), open+"; without it a node works over TCP, but is noticed later")
	}
	return fail(fmt.Sprintf("nobody gets through to %s (%s)", y, strings.Join(words, "; ")), open+"; guest Wi-Fi may keep machines from each other")
}

// firewall: is there one that hffs must be let through?
func firewall(ctx context.Context, w World) (lines []Line) {
	all := w.Firewalls(ctx)
	if len(all) == 0 {
		return []Line{ok("none was found on this machine")}
	}
	through := passes(reach(ctx, w))
	p := w.Ports(ctx)
	for _, f := range all {
		how := "may be on"
		if f.Sure {
			how = "is on"
		}
		if through {
			lines = append(lines, ok("%s %s, and lets others through", f.Name, how))
			continue
		}
		text := fmt.Sprintf("%s %s; UDP 5353, TCP and UDP %d and TCP %d must come in", f.Name, how, p.Gossip, p.Door)
		lines = append(lines, warn(text, strings.Join(f.Allow, "; ")))
	}
	return lines
}

func passes(lines []Line) bool {
	return !slices.ContainsFunc(lines, func(l Line) bool { return l.State != OK })
}
