package discovery

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"
)

// A node is one instance of the DNS-SD service "_hffs._tcp" in "local.":
//
//	_hffs._tcp.local.           PTR  <member>._hffs._tcp.local.
//	<member>._hffs._tcp.local.  SRV  <gossip port, or 0> <member>.hffs.local.
//	<member>._hffs._tcp.local.  TXT  "v=1" "s=<swarm>" "a=<addr>,…" "n=<node>" "p=<door port>"
//	<member>.hffs.local.        A    the first two addresses (or AAAA)
//
// The addresses that count are those of the TXT record: of several A records
// many clients keep only the last, and a host with two networks has to name
// both. Nothing private is in it: no user, path, model or token.
//
// Gossip port 0 is that of a node that is here for one download: it has a door and
// no gossip.
const (
	serviceName = "_hffs._tcp"
	domain      = "local."
	hostDomain  = ".hffs.local."

	keyVersion = "v" // version of this record, now 1; others are left alone
	keySwarm   = "s" // swarm id, 16 hex digits
	keyAddrs   = "a" // addresses, best first
	keyNode    = "n" // node id, 16 hex digits
	keyDoor    = "p" // port of the HTTP door

	version = "1"
)

// Limits on what an answer may hold, and on what we put into one: it stays
// below 400 bytes, so that no network has to cut it in pieces.
const (
	maxPacket  = 9000 // bytes read of an answer
	maxMember  = 63   // bytes, one DNS label
	maxStrings = 32   // strings in a TXT record
	maxAddrs   = 16   // addresses taken from a record
	ownAddrLen = 120  // bytes of addresses that we announce
	ownHosts   = 2    // A and AAAA records that we announce
)

// Self is what a node says of itself.
type Self struct {
	Member string       // instance name: the member name of this process
	Node   string       // stable node id, 16 hex digits
	Swarm  string       // swarm id, 16 hex digits
	Addrs  []netip.Addr // where it can be reached, best first
	Gossip uint16       // port of its gossip; 0: it has a door alone
	Door   uint16       // port of its HTTP door
}

// errVersion marks a record that a later hffs wrote.
var errVersion = errors.New("record of another version")

// errForeign marks an answer that is about some other service.
var errForeign = errors.New("not an answer of this service")

// txt is the TXT record of s.
func (s Self) txt() []string {
	return []string{
		keyVersion + "=" + version,
		keySwarm + "=" + s.Swarm,
		keyAddrs + "=" + joinAddrs(s.Addrs),
		keyNode + "=" + s.Node,
		keyDoor + "=" + strconv.Itoa(int(s.Door)),
	}
}

// joinAddrs writes as many addresses as a record has room for.
func joinAddrs(addrs []netip.Addr) string {
	var b strings.Builder
	for _, a := range addrs {
		text := a.Unmap().WithZone("").String()
		if b.Len()+len(text) >= ownAddrLen {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(text)
	}
	return b.String()
}

// parseTXT reads a TXT record. Unknown keys are for later versions and skipped.
func parseTXT(strs []string) (s Self, err error) {
	if len(strs) > maxStrings {
		return s, fmt.Errorf("%d strings in a TXT record", len(strs))
	}
	keys := map[string]string{}
	for _, str := range strs {
		k, v, _ := strings.Cut(str, "=")
		if _, twice := keys[k]; !twice { // RFC 6763 section 6.4: the first one counts
			keys[k] = v
		}
	}
	if keys[keyVersion] != version {
		return s, errVersion
	}
	s.Swarm, s.Node = keys[keySwarm], keys[keyNode]
	if !isID(s.Swarm) || s.Node != "" && !isID(s.Node) {
		return Self{}, errors.New("bad swarm or node id")
	}
	if door := keys[keyDoor]; door != "" {
		if s.Door, err = parsePort(door); err != nil {
			return Self{}, err
		}
	}
	s.Addrs, err = splitAddrs(keys[keyAddrs])
	return s, err
}

func splitAddrs(list string) (addrs []netip.Addr, err error) {
	for text := range strings.SplitSeq(list, ",") {
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil || len(addrs) == maxAddrs {
			return nil, errors.New("bad or too many addresses")
		}
		addrs = append(addrs, a.Unmap())
	}
	return addrs, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("bad port %q", s)
	}
	return uint16(n), nil
}

func isID(s string) bool {
	return len(s) == 16 && strings.Trim(s, "0123456789abcdef") == ""
}

// isMember tells whether s can be a member name: one plain lower-case label,
// which needs no escaping anywhere.
func isMember(s string) bool {
	return s != "" && len(s) <= maxMember && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyz-") == ""
}

// records answers a question about s, with the library's help. Host name and
// addresses are always given: left to itself it would ask DNS who we are, which
// can block for long and ends in 127.0.1.1.
func (s Self) records(service string, q dns.Question) []dns.RR {
	ips := make([]net.IP, 0, ownHosts)
	for _, a := range s.Addrs[:min(len(s.Addrs), ownHosts)] {
		ips = append(ips, net.IP(a.AsSlice()))
	}
	if !isMember(s.Member) || len(ips) == 0 || s.Gossip == 0 && s.Door == 0 {
		return nil
	}
	const some = 1 // the library takes no port for a mistake
	zone, err := mdns.NewMDNSService(s.Member, service, domain, s.Member+hostDomain, some, ips, s.txt())
	if err != nil {
		return nil
	}
	zone.Port = int(s.Gossip)
	return zone.Records(q)
}

// question is a request for all instances of the service, to be answered
// directly to the asker (the top bit of the class, RFC 6762 section 5.4).
func question(service string, id uint16) ([]byte, error) {
	var m dns.Msg
	m.SetQuestion(service+"."+domain, dns.TypePTR)
	m.Question[0].Qclass |= 1 << 15
	m.Id, m.RecursionDesired = id, false
	return m.Pack()
}

// parseAnswer reads what a node sent in answer to [question].
func parseAnswer(packet []byte, service string, id uint16) (Self, error) {
	var m dns.Msg
	if len(packet) > maxPacket {
		return Self{}, fmt.Errorf("answer of %d bytes", len(packet))
	}
	if err := m.Unpack(packet); err != nil {
		return Self{}, err
	}
	if !m.Response || m.Id != id {
		return Self{}, errForeign
	}
	rrs := append(m.Answer, m.Extra...)
	member, ok := instance(rrs, "."+service+"."+domain)
	if !ok {
		return Self{}, errForeign
	}
	return describe(member, member+"."+service+"."+domain, rrs)
}

// instance finds the member that an answer is about.
func instance(rrs []dns.RR, suffix string) (string, bool) {
	for _, rr := range rrs {
		if ptr, ok := rr.(*dns.PTR); ok && strings.EqualFold("."+ptr.Hdr.Name, suffix) {
			member, ok := strings.CutSuffix(ptr.Ptr, suffix)
			return member, ok && isMember(member)
		}
	}
	return "", false
}

// describe puts together what the records say of one member.
func describe(member, name string, rrs []dns.RR) (s Self, err error) {
	var port uint16
	served := false
	err = errors.New("answer without TXT record")
	for _, rr := range rrs {
		if rr.Header().Name != name {
			continue
		}
		switch rr := rr.(type) {
		case *dns.SRV:
			port, served = rr.Port, true
		case *dns.TXT:
			s, err = parseTXT(rr.Txt)
		}
	}
	if err == nil && (!served || port == 0 && s.Door == 0) {
		err = errors.New("answer without port")
	}
	s.Member, s.Gossip = member, port
	return s, err
}
