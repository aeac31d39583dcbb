package plan

import "hffs/cache/chunk"

// What a source does for which nothing is free: points 3 and 4 of the package's list.

// take relieves the task that would end last of its back part, or asks again for
// the one chunk that holds everything up.
func (p *Plan) take(source int, s *sourceState) (Task, *Cut, bool) {
	last, best := p.last(), 0.0
	worst, worstID, left := (*task)(nil), 0, 0.0
	for id, t := range p.tasks {
		if t.next >= t.end || !last && !t.stalled && t.end-t.next == 1 || !p.useful(source, s, t) {
			continue
		}
		if best == 0 {
			best = p.bestRate()
		}
		l := p.timeLeft(t, best)
		if worst == nil || l > left || l == left && before(t, id, worst, worstID) {
			worst, worstID, left = t, id, l
		}
	}
	if worst == nil {
		return Task{}, nil, false
	}
	return p.relieve(source, s, s.rateOr(best), worst, worstID, left)
}

// before says which of two tasks is relieved first that would end at the same time, such
// as never: the one with more to do.
func before(a *task, aID int, b *task, bID int) bool {
	if m, n := a.end-a.next, b.end-b.next; m != n {
		return m > n
	}
	return aID < bID
}

func (p *Plan) relieve(source int, s *sourceState, rate float64, t *task, id int, left float64) (Task, *Cut, bool) {
	mid := p.split(t, rate, left)
	if p.reach(s, mid, mid+1) == mid {
		return Task{}, nil, false
	}
	bytes := p.m.Offset(t.end) - p.m.Offset(mid)
	if !t.stalled && left < worthwhile*float64(bytes)/rate {
		return Task{}, nil, false
	}
	if mid == t.next && !t.stalled && p.grid != nil && left < clearlyMore*float64(bytes)/rate {
		return Task{}, nil, false
	}
	if mid == t.next { // the chunk in flight: a second time
		again := p.begin(source, chunk.Span{First: mid, End: p.reach(s, mid, mid+1)}, true)
		if t.end > mid+1 {
			return p.extend(again, s, t, id)
		}
		return again, nil, true
	}
	end := p.reach(s, mid, t.end)
	if end < t.end {
		return Task{}, nil, false // a partial holder that lacks the tail: leave it
	}
	p.cut(t, mid)
	return p.begin(source, chunk.Span{First: mid, End: end}, false), &Cut{Task: id, End: mid}, true
}

// extend lets a task that asks again for a stalled chunk take the rest behind it.
func (p *Plan) extend(again Task, s *sourceState, t *task, id int) (Task, *Cut, bool) {
	end := p.reach(s, again.Span.End, t.end)
	if end < t.end {
		return again, nil, true
	}
	from := again.Span.End
	p.cut(t, from)
	mine := p.tasks[again.ID]
	for j := from; j < end; j++ {
		p.fly(j)
	}
	mine.end, again.Span.End = end, end
	return again, &Cut{Task: id, End: from}, true
}

// cut ends a task before chunk end.
func (p *Plan) cut(t *task, end int) {
	for j := end; j < t.end; j++ {
		p.land(j)
	}
	t.end = end
}

// split is the chunk from which on a taker with the given rate should take over,
// so that both end at the same time. It is t.next itself only where the chunk in
// flight must be asked for again.
func (p *Plan) split(t *task, rate, left float64) int {
	if t.stalled || t.end-t.next == 1 {
		return t.next
	}
	bytes := float64(p.m.Offset(t.end) - p.m.Offset(t.next))
	mine := bytes * rate / (rate + bytes/max(left, 1e-9))
	mid := p.m.At(p.m.Offset(t.end) - int64(mine))
	return min(max(mid, t.next+1), t.end-1)
}

// useful tells whether a source could help with a task: with a chunk in flight only
// as [Plan.again] says, and with a task of its own only if that is stuck.
func (p *Plan) useful(source int, s *sourceState, t *task) bool {
	if t.source == source && !t.stalled {
		return false
	}
	if t.end-t.next == 1 || t.stalled {
		return p.again(source, t.next) && (s.has == nil || s.has.Has(t.next))
	}
	return s.has == nil || s.has.Has(t.end-1)
}

// again tells whether a source may be asked for a chunk that is in flight: as the
// second one, or when all who are fetching it have fallen silent. Who has been asked
// twice already is not asked again.
func (p *Plan) again(source, i int) bool {
	if p.flying[i] < 2 {
		return true
	}
	times := 0
	for _, t := range p.tasks {
		switch {
		case i < t.next || i >= t.end:
		case !t.stalled:
			return false
		case t.source == source:
			times++
		}
	}
	return times < 2
}

// reach is how far from chunk first on, up to end, the source can serve what is
// missing.
func (p *Plan) reach(s *sourceState, first, end int) int {
	for i := first; i < end; i++ {
		if p.have.Has(i) || s.has != nil && !s.has.Has(i) {
			return i
		}
	}
	return end
}

// timeLeft is how many seconds a task still needs.
func (p *Plan) timeLeft(t *task, best float64) float64 {
	const never = 1e9
	if t.stalled {
		return never
	}
	s := p.sources[t.source]
	if s == nil {
		return never
	}
	return float64(p.m.Offset(t.end)-p.m.Offset(t.next)) / s.rateOr(best)
}

// rateOr is a source's rate; one not measured yet is taken for as good as the
// best, or it would never be tried.
func (s *sourceState) rateOr(best float64) float64 {
	if s.rate > 0 {
		return s.rate
	}
	return best
}

func (p *Plan) bestRate() float64 {
	best := minBytes / Target
	for _, s := range p.sources {
		best = max(best, s.rate)
	}
	return best
}
