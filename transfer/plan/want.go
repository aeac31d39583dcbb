package plan

import "hffs/cache/chunk"

// Readers may follow a blob while it comes: each waits at some place, and goes on from
// there. What they need next is handed out first, in this order:
//
//  1. A task that holds a reader up, because it has stalled or is very slow, is
//     relieved before anything else is begun.
//  2. Of the spans that readers wait for, that one is begun of which least is there or
//     under way: who has something ahead can wait. Within a span, in file order.
//
// Nothing else changes: what nobody waits for comes as it would without readers, and a
// source is only ever asked for what it has and may be asked for.
const (
	// shares is among how many tasks a span is divided: the sources at work on it are
	// to bring what the reader needs next, not each the whole of it.
	shares = 4
	// late is how many seconds the task that a reader waits for may still take
	// before somebody else steps in.
	late = 2
)

// Want says for which chunks readers wait, each from its own place on: as long as some
// of them are free they are handed out before all others. None ends that.
func (p *Plan) Want(spans ...chunk.Span) {
	p.wants = p.wants[:0]
	for _, s := range spans {
		s = chunk.Span{First: max(s.First, 0), End: min(s.End, p.have.Len())}
		if s.First < s.End {
			p.wants = append(p.wants, s)
		}
	}
}

// Free reports whether chunk i is missing and in nobody's hands.
func (p *Plan) Free(i int) bool { return !p.have.Has(i) && p.flying[i] == 0 }

// urgent finds what to begin for a reader: the run that is closest to where one waits.
func (p *Plan) urgent(s *sourceState) (best chunk.Span, found bool) {
	ahead := int64(0)
	for _, w := range p.wants {
		i := w.First
		for i < w.End && !p.open(s, i) {
			i++
		}
		if i == w.End {
			continue
		}
		if d := p.m.Offset(i) - p.m.Offset(w.First); !found || d < ahead {
			_, n := p.m.Bytes(w)
			best, ahead, found = p.run(s, i, w.End, min(p.length(s, i), max(minBytes, n/shares))), d, true
		}
	}
	return best, found
}

// hurry relieves a task that a reader waits for, of another source: who is silent on one
// connection is so on the next. In a crowd, where everybody's rate swings, it is only
// done for one that has stalled.
func (p *Plan) hurry(source int, s *sourceState) (Task, *Cut, bool) {
	for _, w := range p.wants {
		i := p.have.NextMissing(w.First)
		if i >= w.End || p.flying[i] != 1 {
			continue
		}
		id, t := p.holder(i)
		if t == nil || t.source == source || !p.useful(source, s, t) {
			continue
		}
		best := p.bestRate()
		left := p.timeLeft(t, best)
		if !t.stalled && (p.grid != nil || left <= late) {
			continue
		}
		if task, cut, ok := p.relieve(source, s, s.rateOr(best), t, id, left); ok {
			return task, cut, true
		}
	}
	return Task{}, nil, false
}

// holder is the task that is to bring chunk i, nil where it comes by other means.
func (p *Plan) holder(i int) (int, *task) {
	for id, t := range p.tasks {
		if t.next <= i && i < t.end {
			return id, t
		}
	}
	return 0, nil
}
