package transfer

import (
	"sync/atomic"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/source"
)

// How many errands a source runs at once. Two keep a neighbour busy over the
// round trip and let two cores hash; a single holder gets more of them, and so
// does the Hub, whose links are long.
const (
	errandsPerPeer = 2
	errandsAlone   = 4
	errandsPerHub  = 4
	errandsInCrowd = 2  // to an origin: what is claimed early is kept from others
	errandsInAll   = 16 // bounds buffers: 16 of half a MiB
)

// When failures are enough. A peer is soon replaced; the Hub is all there is
// behind it, so it gets more patience, and so does whoever is the last one left.
const (
	peerStrikes  = 3
	hubStrikes   = 6
	backoffMin   = 250 * time.Millisecond
	backoffMax   = 8 * time.Second
	lastPatience = 30 * time.Second
)

// member is one source in a download, with what was measured of it. It belongs
// to the owner, except for flowed, which errands add to.
type member struct {
	source.Source
	id      int // in the plan; from 1
	flowed  atomic.Int64
	seen    int64 // of flowed, at the last tick
	now     int64 // of flowed, within the last tick
	rate    float64
	wait    float64 // seconds to the first byte of an errand
	quiet   int     // errands that bring nothing
	coarse  bool    // short requests are not for it
	bytes   int64   // kept in the file
	errands int
	strikes int
	failing time.Time // since when, if there are strikes
	passing bool      // dropped for passing faults: may come back
	rest    time.Time // not asked before
	dropped bool
	why     error
	has     *chunk.Have // nil: the whole blob
	// faltered: the user was told of a failure. wrongBy is the map that it was
	// dropped by, which may turn out to be the lie itself.
	faltered bool
	wrongBy  *group

	// Of a fellow; see fellows.go.
	node      string // its identity; empty: it is none
	following bool   // its news are coming
	heard     bool   // the first of them have come
	again     bool   // it has asked here since it was asked: it has begun
	joined    time.Time
	whole     bool // it has all of the blob by now
	draws     bool // it draws from the origin
	left      bool // nobody is at its door any more: it was here for this download
	told      map[int]told
	covered   ranges // what it has
}

// origin tells whether a member is one that the whole crowd draws from.
func (m *member) origin() bool {
	return m.Kind() == source.Hub || m.node == "" && m.has == nil
}

// strike counts a passing failure and says whether it was one too many. What
// fails together counts once: several errands break with one connection.
func (m *member) strike(now time.Time, err error, wait time.Duration) bool {
	m.why = err
	if now.Before(m.rest) {
		return false
	}
	if m.strikes == 0 {
		m.failing = now
	}
	m.strikes++
	m.rest = now.Add(max(wait, min(backoffMin<<min(m.strikes-1, 6), backoffMax)))
	if m.Kind() == source.Peer {
		return m.strikes >= peerStrikes
	}
	return m.strikes >= hubStrikes
}

// crowd is all sources of one download.
type crowd struct {
	all []*member
}

// add takes in sources that are not known yet and returns them.
func (c *crowd) add(found []source.Source) (fresh []*member) {
	for _, s := range found {
		if c.find(s) == nil {
			m := &member{Source: s, id: len(c.all) + 1}
			c.all = append(c.all, m)
			fresh = append(fresh, m)
		}
	}
	return fresh
}

// find is the member that a source is, nil for a stranger. Names are for people:
// two nodes may have the same.
func (c *crowd) find(s source.Source) *member {
	for _, m := range c.all {
		if identity(m.Source) == identity(s) {
			return m
		}
	}
	return nil
}

func identity(s source.Source) string {
	if i, ok := s.(source.Identified); ok {
		return i.ID()
	}
	return s.Name()
}

// living is how many sources of a kind are not dropped.
func (c *crowd) living(kind source.Kind) (n int) {
	for _, m := range c.all {
		if m.Kind() == kind && !m.dropped {
			n++
		}
	}
	return n
}

// holders is how many peers may have what is missing, fellows aside that still
// fetch it themselves.
func (c *crowd) holders() (n int) {
	for _, m := range c.all {
		if m.Kind() == source.Peer && !m.dropped && (m.node == "" || m.whole) {
			n++
		}
	}
	return n
}

// rate is what all sources of a kind bring together, in bytes per second.
func (c *crowd) rate(kind source.Kind) (sum float64) {
	for _, m := range c.all {
		if m.Kind() == kind && !m.dropped {
			sum += m.rate
		}
	}
	return sum
}

// last tells whether nobody else is left.
func (c *crowd) last(m *member) bool {
	for _, o := range c.all {
		if o != m && !o.dropped {
			return false
		}
	}
	return true
}

// kept is what all sources have brought, in bytes.
func (c *crowd) kept() (sum int64) {
	for _, m := range c.all {
		sum += m.bytes
	}
	return sum
}

// fellows is how many nodes are followed.
func (c *crowd) fellows() (n int) {
	for _, m := range c.all {
		if m.node != "" && !m.dropped && (m.following || m.whole) {
			n++
		}
	}
	return n
}

// room is how many errands a source may run at once. Of many fellows each gets one:
// what is asked for late comes from more places.
func (c *crowd) room(m *member) int {
	fellows := c.fellows()
	switch {
	case m.node != "":
		return min(max(1, 4/max(1, fellows)), 3)
	case fellows > 0:
		return errandsInCrowd
	case m.Kind() == source.Hub:
		return errandsPerHub
	case c.living(source.Peer) == 1:
		return errandsAlone
	}
	return errandsPerPeer
}

// measure updates every rate; it is called each tick of length d. Rates are
// forgotten slowly, so that one quiet moment does not make a source slow.
func (c *crowd) measure(d time.Duration) {
	const weight = 0.3
	for _, m := range c.all {
		n := m.flowed.Load()
		m.now, m.seen = n-m.seen, n
		now := float64(m.now) / d.Seconds()
		switch {
		case m.errands == 0 && now == 0: // it was not asked for anything
		case m.rate == 0:
			m.rate = max(now, 1) // next to nothing is known as well
		default:
			m.rate = max(m.rate+weight*(now-m.rate), 1)
		}
	}
}

// states is what the crowd looks like from outside.
func (c *crowd) states() []SourceState {
	var out []SourceState
	for _, m := range c.all {
		if m.bytes > 0 || m.errands > 0 {
			out = append(out, SourceState{Kind: m.Kind(), Name: m.Name(), Bytes: m.bytes, Rate: m.rate, Active: m.errands > 0})
		}
	}
	return out
}

// answers is why each source that failed did so.
func (c *crowd) answers() (errs []error) {
	for _, m := range c.all {
		if m.why != nil {
			errs = append(errs, m.why)
		}
	}
	return errs
}
