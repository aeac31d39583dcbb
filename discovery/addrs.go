package discovery

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// How often the interfaces are looked at, and how long an address may be away
// before it counts as gone: a cable that is plugged over takes less.
const (
	rescan = 2 * time.Second
	grace  = 3 * time.Second
)

// WatchConfig says which addresses of this machine count. The zero value takes
// all interfaces that look like a LAN.
type WatchConfig struct {
	// Interfaces names the interfaces to use; empty means all usable ones.
	Interfaces []string
	// Loopback takes loopback alone, for nodes that share one machine.
	Loopback bool
	// Prefer gives the interface whose addresses come first, such as
	// [MDNS.Heard]; nil or an empty name prefers none.
	Prefer func() string
	// Log is where trouble goes; nil means nowhere.
	Log *slog.Logger
}

// Addrs lists the addresses under which other machines may reach this one, best
// first: those of the preferred interface; then IPv4 before IPv6 before what
// IPv4 makes up when nobody gives it an address; then the interface with the
// default route; then private before public. Empty when there is no network.
// Link-local IPv6 is never among them: gossip carries no zone.
func Addrs(cfg WatchConfig) []netip.Addr {
	all, err := links(cfg.Interfaces, cfg.Loopback)
	if err != nil {
		orDiscard(cfg.Log).Debug("list interfaces", "err", err)
	}
	var prefer string
	if cfg.Prefer != nil {
		prefer = cfg.Prefer()
	}
	return ownAddrs(all, defaultRoutes(), prefer)
}

// candidate is an address of ours with what its rank hangs on.
type candidate struct {
	addr              netip.Addr
	preferred, routed bool // its interface is preferred, has the default route
	index             int
}

func ownAddrs(all []link, routes []netip.Addr, prefer string) []netip.Addr {
	var cs []candidate
	for _, l := range all {
		for _, p := range l.prefixes {
			if reachable(p.Addr(), l.loopback()) {
				cs = append(cs, candidate{p.Addr(), l.Name == prefer, l.hasAny(routes), l.Index})
			}
		}
	}
	slices.SortStableFunc(cs, func(a, b candidate) int {
		return cmp.Or(
			first(a.preferred, b.preferred),
			cmp.Compare(family(a.addr), family(b.addr)),
			first(a.routed, b.routed),
			first(a.addr.IsPrivate(), b.addr.IsPrivate()),
			cmp.Compare(a.index, b.index),
		)
	})
	addrs := make([]netip.Addr, len(cs))
	for i, c := range cs {
		addrs[i] = c.addr
	}
	return addrs
}

// first sorts what has a property before what has not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func family(a netip.Addr) int {
	switch {
	case a.IsLinkLocalUnicast():
		return 2
	case a.Is6():
		return 1
	}
	return 0
}

// reachable tells whether a may be somebody's address at all.
func reachable(a netip.Addr, loopback bool) bool {
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a.Zone() != "":
		return false
	case a.IsLoopback():
		return loopback
	case a.Is6():
		return !a.Is4In6() && !a.IsLinkLocalUnicast()
	}
	b := a.As4()
	return b[0] != 0 && b[0] < 240 // "this network", and what was never given out
}

// bestFirst sorts a peer's addresses for this machine: those it answered from,
// then those in a subnet we share, then the rest as they come. Loopback passes
// only for a peer that spoke to us over loopback, hence lives here.
func bestFirst(addrs, sources []netip.Addr, here []link) []netip.Addr {
	local := slices.ContainsFunc(sources, netip.Addr.IsLoopback)
	rank := func(a netip.Addr) int {
		switch {
		case slices.Contains(sources, a):
			return family(a) // 0 to 2: gossip runs over IPv4 where it can
		case shared(a, here):
			return 3
		}
		return 4
	}
	var out []netip.Addr
	for _, a := range addrs {
		if reachable(a, local) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

func shared(a netip.Addr, here []link) bool {
	return slices.ContainsFunc(here, func(l link) bool {
		return slices.ContainsFunc(l.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
	})
}

// WatchAddrs keeps an eye on [Addrs] until ctx ends. It calls changed at once
// if there is an address, and whenever addresses or their order change; with
// an empty list when the last one has gone. A new address shows within 2
// seconds, one that vanishes is dropped after 3 seconds without it. A node that
// advertises one of them need act only when that one is no longer listed.
func WatchAddrs(ctx context.Context, cfg WatchConfig, changed func([]netip.Addr)) error {
	return watchAddrs(ctx, func() []netip.Addr { return Addrs(cfg) }, changed)
}

func watchAddrs(ctx context.Context, scan func() []netip.Addr, changed func([]netip.Addr)) error {
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	var k keeper
	for ctx.Err() == nil {
		if k.update(time.Now(), scan()) {
			changed(slices.Clone(k.list))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// keeper holds the addresses that count now.
type keeper struct {
	list []netip.Addr
	seen map[netip.Addr]time.Time
}

// update takes a fresh scan and tells whether the list is another one now.
// While an address of the list is away but not yet given up, the order stands:
// the second best must not come first for the sake of a loose cable.
func (k *keeper) update(now time.Time, fresh []netip.Addr) bool {
	if k.seen == nil {
		k.seen = map[netip.Addr]time.Time{}
	}
	for _, a := range fresh {
		k.seen[a] = now
	}
	next, away := []netip.Addr{}, false
	for _, a := range k.list {
		if now.Sub(k.seen[a]) < grace {
			next = append(next, a)
			away = away || !slices.Contains(fresh, a)
		}
	}
	if !away {
		next = next[:0]
	}
	for _, a := range fresh {
		if !slices.Contains(next, a) {
			next = append(next, a)
		}
	}
	changed := !slices.Equal(next, k.list)
	k.list = next
	k.forget()
	return changed
}

// forget keeps the map as short as the list.
func (k *keeper) forget() {
	for a := range k.seen {
		if !slices.Contains(k.list, a) {
			delete(k.seen, a)
		}
	}
}
