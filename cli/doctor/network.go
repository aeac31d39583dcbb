package doctor

import (
	"context"
	"fmt"
	"strings"
)

// interfaces: is there a network on which others can be?
func interfaces(_ context.Context, w World) (lines []Line) {
	all, err := w.Interfaces()
	if err != nil {
		return []Line{fail("the network interfaces cannot be listed: "+err.Error(), "does this system keep them from programs (a sandbox)?")}
	}
	var used, unused []string
	for _, i := range all {
		switch {
		case i.Unfit == "" && i.SelfMade:
			used = append(used, i.Name)
			lines = append(lines, warn(i.Name+" has only an address that the system has given itself: "+i.Subnets, "machines with proper addresses may have no way back: is there a DHCP server, is the cable in?"))
		case i.Unfit == "":
			used = append(used, i.Name)
			lines = append(lines, ok("%s: %s", i.Name, i.Subnets))
		case !i.Loopback && i.Up && strings.Contains(i.Unfit, "multicast"):
			lines = append(lines, warn(i.Name+" is not used: "+i.Unfit, fmt.Sprintf("\"sudo ip link set %s multicast on\", or name the others by \"hffs peer add HOST\"", i.Name)))
		case !i.Loopback && i.Up:
			unused = append(unused, i.Name+" ("+i.Unfit+")")
		}
	}
	if len(unused) > 0 {
		lines = append(lines, ok("not used: %s", list(unused)))
	}
	if len(used) == 0 {
		lines = append(lines, fail("no network that others could be on", "is the cable in, the Wi-Fi on? over a VPN name the others by \"hffs peer add HOST\""))
	}
	return append(lines, boxed(w)...)
}

// boxed: some boxes have a network of their own.
func boxed(w World) []Line {
	box := w.Foreign()
	switch {
	case box == "":
		return nil
	case box == "WSL2":
		return []Line{warn("this is WSL2, which stands behind an address translation unless it mirrors the network of Windows",
			"set networkingMode=mirrored in .wslconfig, or \"hffs peer add HOST\" here: one direction is enough")}
	}
	return []Line{warn("this is "+box+", which may have a network of its own", "run it with the host's network, or \"hffs peer add HOST\" here")}
}

// multicast: does a question go out, and come back in?
func multicast(ctx context.Context, w World) (lines []Line) {
	if w.NoMulticast {
		return []Line{ok("not used, by --no-mdns")}
	}
	echoes := w.Echoes(ctx)
	for _, e := range echoes {
		lines = append(lines, echo(w.System, e))
	}
	if len(echoes) == 0 {
		return []Line{warn("there is no interface to ask on", "name the others by \"hffs peer add HOST\"")}
	}
	return lines
}

func echo(system string, e Echo) Line {
	const byHand = "or name the others by \"hffs peer add HOST\""
	switch {
	case e.Sending != nil && e.Denied:
		return fail(e.Interface+": this machine's firewall keeps multicast from going out ("+e.Sending.Error()+")", "allow UDP port 5353 to 224.0.0.251, "+byHand)
	case e.Sending != nil:
		return fail(e.Interface+": multicast does not go out: "+e.Sending.Error(), "is the interface all right? "+byHand)
	case e.Listening != nil && e.Busy:
		return warn(e.Interface+": another program has UDP port 5353 for itself, so others cannot find this machine",
			"avahi does so by disallow-other-stacks=yes in avahi-daemon.conf; "+byHand)
	case e.Listening != nil:
		return warn(e.Interface+": UDP port 5353 cannot be listened on: "+e.Listening.Error(), byHand[3:])
	case !e.Heard && system == "darwin":
		return fail(e.Interface+": what is sent by multicast is not heard, not even here", "allow hffs in System Settings, Privacy & Security, Local Network; "+byHand)
	case !e.Heard:
		return fail(e.Interface+": what is sent by multicast is not heard, not even here", "allow UDP port 5353 in this machine's firewall, "+byHand)
	}
	who := count(e.Answers, "other node") + " answered"
	if e.Strangers > 0 {
		who += fmt.Sprintf(", and %d of other swarms (see --swarm)", e.Strangers)
	}
	return ok("%s: goes out and is heard here; %s", e.Interface, who)
}

// names: are the names that matter known?
func names(ctx context.Context, w World) (lines []Line) {
	var good []string
	for _, r := range each(w.Hosts, func(h Host) error { return w.Lookup(ctx, h.Name) }) {
		if r.err == nil {
			good = append(good, r.of.Name)
			continue
		}
		hint := "is a name server set, and does it answer? a peer can be added by its address as well"
		if w.Offline && r.of.For != "peer" {
			lines = append(lines, warn(fmt.Sprintf("%s (%s) is not known: %v", r.of.Name, r.of.For, r.err), hint))
		} else {
			lines = append(lines, fail(fmt.Sprintf("%s (%s) is not known: %v", r.of.Name, r.of.For, r.err), hint))
		}
	}
	switch {
	case len(good) > 0:
		lines = append([]Line{ok("known: %s", list(good))}, lines...)
	case len(lines) == 0:
		lines = []Line{ok("no name needs to be looked up")}
	}
	return lines
}
