package transfer

import (
	"time"

	"hffs/transfer/source"
)

// may tells whether a source may get an errand now.
func (f *fetch) may(m *member, now time.Time) bool {
	if m.dropped || now.Before(m.rest) || m.errands >= f.room(m) {
		return false
	}
	if m.Kind() == source.Hub {
		return f.mayHub(m, now)
	}
	return f.hearsay.settled(now)
}

// room is how many errands a source may run at once now.
func (f *fetch) room(m *member) int {
	room := f.crowd.room(m)
	if f.alert() && m.Kind() == source.Peer {
		room = min(room, errandsPerPeer)
	}
	return room
}

// mayHub lets the Hub bring everything when it is wanted, and what nobody else
// has in any case.
func (f *fetch) mayHub(m *member, now time.Time) bool {
	if !f.firstHub(m) {
		return false
	}
	wanted := f.hubWanted(now)
	if f.co.on { // for what this node has claimed
		return wanted || f.lacking != nil
	}
	if wanted {
		f.plan.Limit(m.id, nil)
	} else {
		f.plan.Limit(m.id, f.lacking)
	}
	return wanted || f.lacking != nil
}

// firstHub tells whether an endpoint is the one to ask: of several, only the
// first that lives is. In a crowd, where requests are short, those come first that
// are made for it.
func (f *fetch) firstHub(m *member) bool {
	before := true
	for _, o := range f.crowd.all {
		if o == m {
			before = false
			continue
		}
		if f.co.on && m.coarse != o.coarse {
			if o.coarse {
				continue
			}
		} else if !before {
			continue
		}
		if o.Kind() == source.Hub && !o.dropped && o.strikes <= m.strikes && o.quiet <= m.quiet {
			return false
		}
	}
	return true
}

// heldLately is how long it counts that a limit, and not the peers, was what made
// a download slow.
const heldLately = time.Second

// excuse sees to it that nobody is blamed for bytes that have come and wait for a
// limit of ours.
func (f *fetch) excuse(e *errand, now time.Time) {
	if e.held.Load() == 0 {
		return
	}
	e.alive.Store(now.UnixNano())
	if e.from.Kind() == source.Peer {
		f.held = now
	}
}

// hubBegan tells whether the Hub was asked for anything.
func (f *fetch) hubBegan() bool {
	for _, m := range f.crowd.all {
		if m.Kind() == source.Hub && (m.errands > 0 || m.flowed.Load() > 0) {
			return true
		}
	}
	return false
}

// hubWanted keeps the Hub the last resort without ever being slower for it: the
// Hub helps when nobody else is there, when the peers bring nothing or too
// little, and rests again once they do well.
func (f *fetch) hubWanted(now time.Time) bool {
	if f.co.trial != nil || f.co.alone {
		return true
	}
	since := now.Sub(f.began)
	peers := f.crowd.holders()
	switch {
	case peers == 0 && f.inquiries > 0:
		return since > inquiry
	case peers == 0:
		return f.located || since > peersAlone
	case now.Sub(f.held) < heldLately:
		return false // more sources would bring no more
	case !f.first:
		return since > peersAlone
	case since < slowAfter:
		return false
	}
	// The last second is not worth another source.
	rate := f.crowd.rate(source.Peer)
	left := f.m.Size() - f.done()
	if rate >= slowPeers || float64(left) <= rate {
		return false
	}
	if !f.helped {
		f.helped = true
		f.log.Info("the peers are slow, so the Hub helps", "peers", peers, "bytes_per_second", int64(rate))
	}
	return true
}
