package plan

import "hffs/cache/chunk"

type sourceState struct {
	has   *chunk.Have // nil: everything
	own   bool        // has belongs to the plan and may be changed
	rate  float64     // bytes per second of one task; 0: unknown
	wait  float64     // seconds until the first byte of a task
	least int64       // bytes of a task, where there are as many

	origin bool   // not one of the crowd; see crowd.go
	held   []int  // how many chunks of each cell it has; nil: everything, or no crowd
	cells  bitset // the cells of which it has some
}

// Add makes a source known; has is nil for one that holds the whole blob. The
// plan reads has and leaves it as it is.
func (p *Plan) Add(source int, has *chunk.Have) {
	p.Remove(source)
	s := &sourceState{has: has}
	p.sources[source] = s
	p.count(s, 1)
}

// Remove forgets a source. Tasks of it go on until they are Ended.
func (p *Plan) Remove(source int) {
	if s := p.sources[source]; s != nil {
		p.count(s, -1)
		delete(p.sources, source)
	}
}

// Limit says anew what a source holds; nil is the whole blob.
func (p *Plan) Limit(source int, has *chunk.Have) {
	if s := p.sources[source]; s != nil {
		p.count(s, -1)
		s.has, s.own = has, false
		p.count(s, 1)
	}
}

// Gain says that a source that holds a part holds this span too.
func (p *Plan) Gain(source int, span chunk.Span) { p.change(source, span, 1) }

// Lose says that a source that holds a part does not hold this span. One that
// holds the whole blob is to be limited first.
func (p *Plan) Lose(source int, span chunk.Span) { p.change(source, span, -1) }

func (p *Plan) change(source int, span chunk.Span, by int) {
	s := p.sources[source]
	if s == nil || s.has == nil {
		return
	}
	if !s.own {
		s.has, s.own = s.has.Clone(), true
	}
	for i := max(span.First, 0); i < min(span.End, s.has.Len()); i++ {
		if s.has.Has(i) == (by > 0) {
			continue
		}
		if by > 0 {
			s.has.Add(i)
		} else {
			s.has.Remove(i)
		}
		p.countChunk(s, i, by)
	}
}

// Rate sets what one task of the source is measured to fetch, in bytes per second.
func (p *Plan) Rate(source int, bytesPerSecond float64) {
	if s := p.sources[source]; s != nil {
		s.rate = bytesPerSecond
	}
}

// Wait sets how long a source takes to the first byte of a task, in seconds.
func (p *Plan) Wait(source int, seconds float64) {
	if s := p.sources[source]; s != nil {
		s.wait = seconds
	}
}

// Least sets how long the tasks of a source should be at least, in bytes: each
// costs something that its length does not change.
func (p *Plan) Least(source int, bytes int64) {
	if s := p.sources[source]; s != nil {
		s.least = bytes
	}
}
