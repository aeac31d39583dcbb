package node

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"hffs/discovery"
	"hffs/gossip/directory"
)

// passersby are nodes that were heard of lately in other ways than by gossip. They
// are here for one download and in no directory: whoever wants to know what one of
// them fetches asks it. Members that have asked here about what they fetch count as
// well: of two that begin at the same time the first to ask hears that the other one
// does not fetch the blob, and that one has to know whom to ask in turn.
type passersby struct {
	mu  sync.Mutex // guards all
	all []passer   // the one heard of last comes last
}

type passer struct {
	directory.Node
	seen time.Time
}

// Who passes by is not announced for long, and comes in crowds.
const (
	passersMost = 32
	passersFor  = 30 * time.Second // longer than the pause between two questions by mDNS
)

// saw takes in one that was found by mDNS.
func (p *passersby) saw(found discovery.Peer, now time.Time) {
	if !validID(found.Node) || found.Door == 0 || len(found.Addrs) == 0 {
		return
	}
	p.add(directory.Node{
		ID: found.Node, Name: passerName(found.Member, found.Node), Addr: netip.AddrPortFrom(found.Addrs[0], found.Door),
	}, now)
}

func (p *passersby) add(n directory.Node, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = slices.DeleteFunc(p.all, func(o passer) bool { return o.ID == n.ID })
	p.all = append(p.all, passer{n, now})
	p.all = p.all[max(0, len(p.all)-passersMost):]
}

// lately are those that may still be there.
func (p *passersby) lately(now time.Time) (nodes []directory.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = slices.DeleteFunc(p.all, func(o passer) bool { return now.Sub(o.seen) > passersFor })
	for _, o := range p.all {
		nodes = append(nodes, o.Node)
	}
	return nodes
}

// passerMember is the member name that a passer-by is announced under. What people
// call it can be read from that, since its record has no other name.
func passerMember(name, id string) string { return name + "-" + id[4:] }

func passerName(member, id string) string { return strings.TrimSuffix(member, "-"+id[4:]) }

// passerLabel is a label that can be part of a member name.
func passerLabel(name, id string) string {
	return strings.ReplaceAll(strings.ToLower(label(name, id)), "_", "-")
}
