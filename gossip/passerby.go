package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/directory"
)

// Passerby asks members of a swarm without becoming one. It announces nothing
// and serves nobody, so nothing has to be cleaned up when it goes. It is safe for
// concurrent use.
type Passerby struct {
	// Doors are HTTP doors of members; up to three are asked at once, and others
	// only when those do not answer. Further ones come by [Passerby.Add].
	Doors []netip.AddrPort
	// Swarm is the swarm's name; empty means "default".
	Swarm string
	// HTTP is what to ask with; nil means a client of our own.
	HTTP *http.Client

	once sync.Once
	http *http.Client

	mu   sync.Mutex // guards Doors and shut
	shut map[netip.AddrPort]shutDoor
}

// shutDoor is a door that could not be reached, or at which nobody answered.
type shutDoor struct {
	at  time.Time
	err error
}

// A passer-by puts several questions within a second or two; a machine that is
// not there must cost it time once only.
const (
	doorsAtOnce = 3
	shutTime    = 5 * time.Second
	silence     = 1 * time.Second // without an answer: nobody is there
	passerDial  = 1 * time.Second
)

// Add has further doors asked.
func (p *Passerby) Add(doors ...netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range doors {
		if !slices.Contains(p.Doors, d) {
			p.Doors = append(p.Doors[:len(p.Doors):len(p.Doors)], d)
		}
	}
}

// open are the doors to ask now, and why the others are not.
func (p *Passerby) open(now time.Time) (doors []netip.AddrPort, errs []error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.Doors {
		if s, ok := p.shut[d]; ok && now.Sub(s.at) < shutTime {
			errs = append(errs, s.err)
		} else {
			doors = append(doors, d)
		}
	}
	return doors, errs
}

// unreachable tells whether nobody can have heard the question.
func unreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// door is for who has asked before: the client is made then.
func (p *Passerby) door(addr netip.AddrPort) door { return door{p.http, addr, SwarmID(p.Swarm)} }

// leave takes note of a door that need not be tried again at once.
func (p *Passerby) leave(door netip.AddrPort, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut == nil {
		p.shut = map[netip.AddrPort]shutDoor{}
	}
	p.shut[door] = shutDoor{time.Now(), err}
}

// Known is [Swarm.Known] as the members see it, they themselves included.
func (p *Passerby) Known(ctx context.Context, f ref.File) ([]Known, error) {
	var all []Known
	err := p.ask(ctx, lookupPath, fileQuery(f), func(b []byte, door netip.AddrPort) (func(), error) {
		ks, err := decodeKnown(b, f, door, time.Now())
		return func() { all = append(all, ks...) }, err
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Known) int { return b.Claim.Learnt.Compare(a.Claim.Learnt) })
	return dedupeKnown(all), nil
}

// dedupeKnown keeps one of what several doors said alike; one that comes with an
// entry is worth more.
func dedupeKnown(all []Known) (out []Known) {
	for _, k := range all {
		i := slices.IndexFunc(out, func(o Known) bool {
			return o.Claim.Node.ID == k.Claim.Node.ID && o.Claim.Commit == k.Claim.Commit &&
				(!o.HasEntry || !k.HasEntry || o.Entry.Blob.ETag == k.Entry.Blob.ETag)
		})
		switch {
		case i < 0:
			out = append(out, k)
		case !out[i].HasEntry && k.HasEntry:
			out[i] = k
		case k.HasEntry:
			out[i].Entry.Blob.Xet = cmp.Or(out[i].Entry.Blob.Xet, k.Entry.Blob.Xet)
		}
	}
	return out
}

// Holders is [Swarm.Holders] as the members see it, they themselves included.
func (p *Passerby) Holders(ctx context.Context, e ref.Entry) ([]directory.Holder, error) {
	var all []directory.Holder
	err := p.ask(ctx, lookupPath, blobQuery(e), func(b []byte, door netip.AddrPort) (func(), error) {
		hs, err := decodeHolders(b, e, door)
		return func() { all = append(all, hs...) }, err
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b directory.Holder) int { return btoi(b.Complete) - btoi(a.Complete) })
	var out []directory.Holder
	for _, h := range all {
		if !named(out, h.Node) {
			out = append(out, h)
		}
	}
	return out, nil
}

// Versions is [Swarm.Versions] as the members see it, they themselves included.
func (p *Passerby) Versions(ctx context.Context, repo ref.Repo, path string) (all []ref.Entry, err error) {
	err = p.ask(ctx, lookupPath, versionsQuery(repo, path), func(b []byte, _ netip.AddrPort) (func(), error) {
		es, err := decodeVersions(b, repo, path)
		return func() {
			for _, e := range es {
				all = addVersion(all, e)
			}
		}, err
	})
	return all, err
}

// Nodes is [Swarm.Nodes] as the members see it, those who were asked first.
func (p *Passerby) Nodes(ctx context.Context, most int) ([]directory.Node, error) {
	var asked, told []directory.Node
	err := p.ask(ctx, membersPath, url.Values{"most": {strconv.Itoa(most)}}, func(b []byte, door netip.AddrPort) (func(), error) {
		self, others, err := decodeMembers(b, door)
		return func() { asked, told = append(asked, self...), append(told, others...) }, err
	})
	if err != nil {
		return nil, err
	}
	var all []directory.Node
	for _, n := range append(asked, some(told, len(told))...) {
		if !slices.ContainsFunc(all, func(o directory.Node) bool { return o.ID == n.ID }) {
			all = append(all, n)
		}
	}
	return all[:min(len(all), most)], nil
}

// ask puts a question to three doors at a time until one has answered. read
// checks an answer and returns what takes it over; only one of those runs at a
// time, and none after ask has returned.
func (p *Passerby) ask(ctx context.Context, path string, q url.Values, read func([]byte, netip.AddrPort) (func(), error)) error {
	p.once.Do(func() {
		if p.http = p.HTTP; p.http == nil {
			p.http = newHTTP(passerDial)
		}
	})
	open, errs := p.open(time.Now())
	errs = append([]error{errors.New("no member of the swarm answers")}, errs...)
	for doors := range slices.Chunk(open, doorsAtOnce) {
		answered, err := p.askSome(ctx, doors, path, q, read)
		if answered {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Passerby) askSome(ctx context.Context, doors []netip.AddrPort, path string, q url.Values, read func([]byte, netip.AddrPort) (func(), error)) (answered bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		door netip.AddrPort
		take func()
		err  error
	}
	answers := make(chan answer, len(doors))
	asked, waiting := time.Now(), slices.Clone(doors)
	for _, addr := range doors {
		go func() {
			b, err := p.door(addr).get(ctx, path, q, maxLookup)
			if err != nil {
				answers <- answer{addr, nil, err}
				return
			}
			take, err := read(b, addr)
			answers <- answer{addr, take, err}
		}()
	}
	var grace <-chan time.Time
	var errs []error
	for range doors {
		select {
		case a := <-answers:
			waiting = slices.DeleteFunc(waiting, func(d netip.AddrPort) bool { return d == a.door })
			if unreachable(a.err) && ctx.Err() == nil {
				p.leave(a.door, a.err)
			}
			if a.err != nil {
				errs = append(errs, a.err)
				continue
			}
			a.take()
			answered = true
			grace = time.After(enoughGrace) // who answers later than that is not waited for
		case <-grace:
			return true, nil
		case <-ctx.Done():
			if time.Since(asked) >= silence {
				for _, d := range waiting {
					p.leave(d, fmt.Errorf("ask %s: %w", d, ctx.Err()))
				}
			}
			return answered, errors.Join(append(errs, ctx.Err())...)
		}
	}
	return answered, errors.Join(errs...)
}
