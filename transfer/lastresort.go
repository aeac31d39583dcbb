package transfer

import (
	"time"

	"hffs/transfer/source"
)

// may tells whether a source may get an errand now.
func (f *fetch) may(m *member, now time.Time) bool {
	if m.dropped || now.Before(m.rest) || m.errands >= f.crowd.room(m) {
		return false
	}
	if m.Kind() == source.Hub {
		return f.mayHub(m, now)
	}
	return f.hearsay.settled(now)
}

// mayHub lets the Hub bring everything when it is wanted, and what nobody else
// has in any case.
func (f *fetch) mayHub(m *member, now time.Time) bool {
	if !f.firstHub(m) {
		return false
	}
	wanted := f.hubWanted(now)
	if wanted {
		f.plan.Limit(m.id, nil)
	} else {
		f.plan.Limit(m.id, f.lacking)
	}
	return wanted || f.lacking != nil
}

// firstHub tells whether an endpoint is the one to ask: of several, only the
// first that lives is.
func (f *fetch) firstHub(m *member) bool {
	for _, o := range f.crowd.all {
		if o == m {
			return true
		}
		if o.Kind() == source.Hub && !o.dropped && o.strikes <= m.strikes && o.quiet <= m.quiet {
			return false
		}
	}
	return true
}

// hubWanted keeps the Hub the last resort without ever being slower for it: the
// Hub helps when nobody else is there, when the peers bring nothing or too
// little, and rests again once they do well.
func (f *fetch) hubWanted(now time.Time) bool {
	since := now.Sub(f.began)
	peers := f.crowd.living(source.Peer)
	switch {
	case peers == 0:
		return f.located && f.inquiries == 0 || since > peersAlone
	case !f.first:
		return since > peersAlone
	case since < slowAfter:
		return false
	}
	// The last second is not worth another source.
	rate := f.crowd.rate(source.Peer)
	left := f.m.Size() - f.done()
	return rate < slowPeers && float64(left) > rate
}
