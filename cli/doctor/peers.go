package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// node: does one run here?
func node(ctx context.Context, w World) []Line {
	n, runs := w.Node(ctx)
	if !runs {
		return []Line{warn("no node is running here: this machine shares nothing, and others find it only while it fetches", "start one with \"hffs up\"")}
	}
	lines := []Line{ok("%s, hffs %s, swarm %q, %s", n.Name, n.Version, n.Swarm, count(n.Peers, "peer"))}
	if n.Gossip == "" {
		lines = append(lines, warn("it has no address yet that others could reach", "see interfaces below"))
	}
	if n.OtherVersion {
		lines = append(lines, warn("it is of another version than this command", "start it anew: \"hffs down\", then \"hffs up\""))
	}
	return lines
}

// peers: who is there, and who should be?
func peers(ctx context.Context, w World) (lines []Line) {
	var there []string
	_, runs := w.Node(ctx)
	for _, p := range w.Peers(ctx) {
		switch {
		case runs && p.Alive && !p.Member && p.Problem == "":
			lines = append(lines, warn(fmt.Sprintf("%s (%s) answers, but is not in this node's swarm", p.Name, p.Addr),
				"if that lasts: both need the TCP port of their gossip open; see reach above, and run \"hffs doctor\" there"))
		case p.Alive && p.Problem == "":
			there = append(there, cmp.Or(p.Name, p.Addr))
		case p.Member:
			lines = append(lines, warn(fmt.Sprintf("%s (%s): %s", p.Name, p.Addr, p.Problem), "open the TCP port of its door, "+p.Door+", in the firewall there"))
		case p.Added:
			lines = append(lines, warn(fmt.Sprintf("%s, which was named: %s", p.Addr, p.Problem), "does \"hffs up\" run there? one that was added and is gone for good: hffs peer rm "+p.Addr))
		default:
			lines = append(lines, warn(fmt.Sprintf("%s has answered, but cannot be asked: %s", cmp.Or(p.Name, p.Addr), p.Problem), "open the TCP port of its door, "+p.Door+", in the firewall there"))
		}
	}
	if len(there) > 0 {
		return append([]Line{ok("%s: %s", count(len(there), "node"), list(there))}, lines...)
	}
	return append(lines, warn("no other node answers", "does \"hffs up\" run on another machine, with the same --swarm? one that multicast does not reach is named by \"hffs peer add HOST\""))
}

// versions: do all speak the same?
func versions(ctx context.Context, w World) []Line {
	by := map[string][]string{}
	for _, p := range w.Peers(ctx) {
		if p.Alive && p.Version != "" {
			by[p.Version] = append(by[p.Version], p.Name)
		}
	}
	if n, runs := w.Node(ctx); runs {
		by[n.Version] = append(by[n.Version], "this node")
	}
	var all []string
	for v, who := range by {
		slices.Sort(who)
		all = append(all, fmt.Sprintf("%s: %s", v, list(who)))
	}
	slices.Sort(all)
	switch len(all) {
	case 0:
		return []Line{ok("no node to compare")}
	case 1:
		return []Line{ok("all nodes have %s", firstKey(by))}
	}
	return []Line{warn("nodes are of several versions: "+list(all), "they understand each other as far as they can; bring all to the same one")}
}

func firstKey(m map[string][]string) string {
	for k := range m {
		return k
	}
	return ""
}
