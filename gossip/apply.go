package gossip

import (
	"errors"
	"fmt"
	"slices"

	"hffs/gossip/manifest"
)

// errStale: the owner's answer is older than what it told everybody.
var errStale = errors.New("its answer is older than its announcement")

// applyLocked takes over an answer about p's manifest. It returns the changes that it
// brought, for the lists that they patch.
func (p *peer) applyLocked(a manifest.Answer) ([]manifest.Delta, error) {
	v, s, c := a.Version, p.summary, p.check
	var used []manifest.Delta
	switch {
	case a.Summary != nil:
		s, c = a.Summary, a.Summary.Check()
	case v != p.have && !p.have.After(v) && (v.Epoch != p.have.Epoch || len(a.Deltas) == 0):
		return nil, manifest.ErrGap
	default:
		var err error
		if s, c, used, err = applyDeltas(s, c, p.have.Seq, a.Deltas); err != nil {
			return nil, err
		}
	}
	if p.have.After(v) {
		v, s, c = p.have, p.summary, p.check // news overtook the answer
	}
	if err := p.believableLocked(v, c); err != nil {
		return nil, err
	}
	p.again = false
	p.setLocked(v, s, c)
	return used, nil
}

// applyDeltas replays those changes that come after seq.
func applyDeltas(s *manifest.Summary, c manifest.Check, seq uint64, ds []manifest.Delta) (*manifest.Summary, manifest.Check, []manifest.Delta, error) {
	ds = slices.Clone(ds)
	for len(ds) > 0 && ds[0].To <= seq {
		ds = ds[1:]
	}
	for i := range ds {
		if ds[i].From != seq {
			return nil, c, nil, manifest.ErrGap
		}
		next, err := ds[i].Apply(s)
		if err != nil {
			return nil, c, nil, err
		}
		s, c, seq = next, ds[i].Check, ds[i].To
	}
	return s, c, ds, nil
}

// believableLocked compares an answer with what the owner announced.
func (p *peer) believableLocked(v manifest.Version, c manifest.Check) error {
	if p.current == nil {
		return nil
	}
	told := p.current.meta
	switch {
	case v.Epoch != told.version.Epoch || told.version.After(v):
		return errStale
	case v == told.version && c != told.check:
		return fmt.Errorf("%w: it differs from what was announced", manifest.ErrMalformed)
	}
	return nil
}
