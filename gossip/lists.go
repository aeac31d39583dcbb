package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

// lists keeps file lists that were fetched or heard of. A list is named by its
// content, so it is the same whoever gave it and never grows old.
type lists struct {
	flight singleflight.Group

	mu     sync.Mutex // guards all below
	cached *simplelru.LRU[manifest.Digest, *manifest.List]
	cost   int
	limit  int // of cost; maxListBytes
	failed map[manifest.Digest]time.Time
}

const (
	maxListBytes  = 64 << 20 // of memory
	maxListCount  = 1 << 16
	maxFetches    = 256 // of lists, for one question
	atOnce        = 8
	listTime      = 10 * time.Second
	failedTime    = 2 * time.Second
	maxFailed     = 4096
	enoughGrace   = 250 * time.Millisecond
	ownersPerList = 3
)

func (l *lists) init() {
	l.cached, _ = simplelru.NewLRU(maxListCount, func(_ manifest.Digest, old *manifest.List) { l.cost -= old.Cost() })
	l.failed = map[manifest.Digest]time.Time{}
	l.limit = maxListBytes
}

func (l *lists) get(d manifest.Digest) *manifest.List {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, _ := l.cached.Get(d)
	return list
}

func (l *lists) add(list *manifest.List) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cached.Contains(list.Digest) {
		return
	}
	l.cached.Add(list.Digest, list)
	l.cost += list.Cost()
	for l.cost > l.limit && l.cached.Len() > 1 {
		l.cached.RemoveOldest()
	}
}

// holding are the cached lists that have a blob.
func (l *lists) holding(etag ref.ETag, size int64) map[manifest.Digest]bool {
	l.mu.Lock()
	all := l.cached.Values()
	l.mu.Unlock()
	found := map[manifest.Digest]bool{}
	for _, list := range all {
		if list.Holds(etag, size) {
			found[list.Digest] = true
		}
	}
	return found
}

// patch makes the lists that changes lead to, where the ones before are here.
func (l *lists) patch(changes []manifest.Change, find func(manifest.Digest) *manifest.List) {
	for i := range changes {
		c := &changes[i]
		var old *manifest.List
		if c.Was != (manifest.Digest{}) {
			if old = find(c.Was); old == nil {
				continue
			}
		}
		if list := c.Patch(old); list != nil {
			l.add(list)
		}
	}
}

// fail notes that a list could not be had: for a moment no question waits again
// for an owner that is not there.
func (l *lists) fail(d manifest.Digest, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failed) >= maxFailed {
		clear(l.failed)
	}
	l.failed[d] = now
}

func (l *lists) failedJustNow(d manifest.Digest, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.failed[d]
	return ok && now.Sub(at) < failedTime
}

// ownList is a list that is here, ours or cached.
func (s *Swarm) ownList(d manifest.Digest) *manifest.List {
	if list := s.pub.manifest().Lists[d]; list != nil {
		return list
	}
	return s.lists.get(d)
}

// load fetches the lists of offers that are not here, the first first. It
// returns when all have come or failed, or soon after enough says that what is
// here will do: one machine that has just been switched off must not hold up
// the answer of all others.
func (s *Swarm) load(ctx context.Context, offers []directory.Offer, enough func() bool) {
	missing, owners := s.missing(offers)
	if len(missing) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	todo := make(chan manifest.Digest, len(missing))
	done := make(chan struct{}, len(missing))
	for _, d := range missing {
		todo <- d
	}
	close(todo)
	for range min(atOnce, len(missing)) {
		go func() {
			for d := range todo {
				s.fetchList(ctx, d, owners[d])
				done <- struct{}{}
			}
		}()
	}
	var grace <-chan time.Time
	for range missing {
		if grace == nil && enough() {
			grace = time.After(enoughGrace)
		}
		select {
		case <-done:
		case <-grace:
			return
		case <-ctx.Done():
			return
		}
	}
}

// missing are the lists of offers that have to be fetched, and from whom.
func (s *Swarm) missing(offers []directory.Offer) (ds []manifest.Digest, owners map[manifest.Digest][]directory.Node) {
	owners = map[manifest.Digest][]directory.Node{}
	now := s.now()
	for _, o := range offers {
		_, seen := owners[o.List]
		switch {
		case seen:
		case len(ds) >= maxFetches || s.ownList(o.List) != nil || s.lists.failedJustNow(o.List, now):
			continue
		default:
			ds = append(ds, o.List)
		}
		owners[o.List] = append(owners[o.List], o.Node)
	}
	return ds, owners
}

// fetchList gets a list from one of its owners into the cache. It is fetched
// once however many ask, and to its end even when all of them have gone.
func (s *Swarm) fetchList(ctx context.Context, d manifest.Digest, owners []directory.Node) {
	if ctx.Err() != nil {
		return
	}
	c := s.lists.flight.DoChan(d.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(s.life, listTime)
		defer cancel()
		list, err := s.fetchListFrom(ctx, d, owners)
		if err != nil {
			s.lists.fail(d, s.now())
			s.log.Debug("file list", "err", err)
			return nil, err
		}
		s.lists.add(list)
		return nil, nil
	})
	select {
	case <-c:
	case <-ctx.Done():
	}
}

// fetchListFrom asks some owners, any of which will do, and when none of them
// answers a few others: they may have the list since they asked for it before.
func (s *Swarm) fetchListFrom(ctx context.Context, d manifest.Digest, owners []directory.Node) (*manifest.List, error) {
	errs := []error{fmt.Errorf("fetch file list %s", d)}
	owners = slices.Clone(owners)
	rand.Shuffle(len(owners), func(i, j int) { owners[i], owners[j] = owners[j], owners[i] })
	owners = owners[:min(len(owners), ownersPerList)]
	for _, n := range append(owners, s.others(owners, askOthers)...) {
		list, err := s.askList(ctx, n, d)
		if err == nil {
			return list, nil
		}
		if errors.Is(err, errNotHere) && slices.Contains(owners, n) {
			s.ask(n.ID) // its manifest has moved on
		}
		errs = append(errs, fmt.Errorf("%s: %w", n.Name, err))
	}
	return nil, errors.Join(errs...)
}

func (s *Swarm) askList(ctx context.Context, n directory.Node, d manifest.Digest) (*manifest.List, error) {
	b, err := s.door(n.Addr).get(ctx, listPath+d.String(), nil, manifest.MaxWire)
	if err != nil {
		return nil, err
	}
	list, err := manifest.DecodeList(b)
	if err == nil && list.Digest != d {
		err = fmt.Errorf("%w: it is another list", manifest.ErrMalformed)
	}
	return list, err
}
