package gossip

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/directory"
)

// Passerby asks members of a swarm without becoming one. It announces nothing
// and serves nobody, so nothing has to be cleaned up when it goes.
type Passerby struct {
	// Doors are HTTP doors of members; up to three are asked at once, and others
	// only when those do not answer.
	Doors []netip.AddrPort
	// Swarm is the swarm's name; empty means "default".
	Swarm string
	// HTTP is what to ask with; nil means a client of our own.
	HTTP *http.Client

	once sync.Once
	http *http.Client
}

const doorsAtOnce = 3

// Known is [Swarm.Known] as the members see it, they themselves included.
func (p *Passerby) Known(ctx context.Context, f ref.File) ([]Known, error) {
	var all []Known
	err := p.ask(ctx, fileQuery(f), func(b []byte, door netip.AddrPort) (func(), error) {
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
	err := p.ask(ctx, blobQuery(e), func(b []byte, door netip.AddrPort) (func(), error) {
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

// ask puts a question to three doors at a time until one has answered. read
// checks an answer and returns what takes it over; only one of those runs at a
// time, and none after ask has returned.
func (p *Passerby) ask(ctx context.Context, q url.Values, read func([]byte, netip.AddrPort) (func(), error)) error {
	p.once.Do(func() {
		if p.http = p.HTTP; p.http == nil {
			p.http = newHTTP()
		}
	})
	errs := []error{errors.New("no member of the swarm answers")}
	for doors := range slices.Chunk(p.Doors, doorsAtOnce) {
		answered, err := p.askSome(ctx, doors, q, read)
		if answered {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (p *Passerby) askSome(ctx context.Context, doors []netip.AddrPort, q url.Values, read func([]byte, netip.AddrPort) (func(), error)) (answered bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		take func()
		err  error
	}
	answers := make(chan answer, len(doors))
	for _, addr := range doors {
		go func() {
			b, err := door{p.http, addr, SwarmID(p.Swarm)}.get(ctx, lookupPath, q, maxLookup)
			if err != nil {
				answers <- answer{nil, err}
				return
			}
			take, err := read(b, addr)
			answers <- answer{take, err}
		}()
	}
	var grace <-chan time.Time
	var errs []error
	for range doors {
		select {
		case a := <-answers:
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
			return answered, errors.Join(append(errs, ctx.Err())...)
		}
	}
	return answered, errors.Join(errs...)
}
