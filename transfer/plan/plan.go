// Package plan decides who fetches which span next. It is pure: no I/O, no
// clock, no goroutine and no lock; one owner asks it, tells it what became of
// each task, and feeds it what it measured. So every decision can be tested
// without a network.
//
// What the picker weighs, in this order:
//
//  1. Chunks that nobody is fetching come first, in file order, so that the
//     whole-file hash can follow and readers can begin.
//  2. A task is as long as its source fetches in about [Target] seconds: few
//     requests for the fast, little at stake with the slow. Toward the end
//     tasks get shorter, so that all sources finish together.
//  3. When nothing is left to hand out, a free source takes over the back part
//     of the task that would end last, in proportion to both rates; its owner
//     goes on in front and stops earlier. No byte is asked for twice by that.
//  4. The one chunk that a stalled or very slow task is busy with is asked for
//     a second time elsewhere, never a third.
package plan

import (
	"hffs/cache/chunk"
)

// Lengths of tasks. Target is in seconds of the source's own rate, the bounds
// are in bytes: below the lower one requests cost more than they carry, above
// the upper one too much hangs on one of them.
const (
	Target   = 0.5
	minBytes = 1 << 20
	maxBytes = 16 << 20
	// Where the first byte is long in coming, a task is so many times longer than
	// that wait, up to farBytes, so that waiting is a small part of it.
	patience = 8
	farBytes = 128 << 20
	// firstBytes is a source's first task, before its rate is known.
	firstBytes = 2 << 20
	// worthwhile is how many times longer the owner of a task must need for the
	// rest than a taker would, before anything is taken or asked for again.
	worthwhile = 2
)

// A Task is one errand: fetch Span from Source, in order.
type Task struct {
	ID     int
	Source int
	Span   chunk.Span
	// Again says that the span's first chunk is in flight elsewhere too.
	Again bool
}

// A Cut tells that a task handed out earlier now ends before chunk End.
type Cut struct {
	Task int
	End  int
}

type task struct {
	source  int
	next    int // first chunk not fetched yet
	end     int
	stalled bool
}

type sourceState struct {
	has  *chunk.Have // nil: everything
	rate float64     // bytes per second of one task; 0: unknown
	wait float64     // seconds until the first byte of a task
}

// Plan is the state of one download. The zero value is unusable.
type Plan struct {
	m       chunk.Map
	have    *chunk.Have
	flying  []uint8 // how many tasks are fetching each chunk
	cursor  int     // no chunk before it is both missing and free
	tasks   map[int]*task
	sources map[int]*sourceState
	lastID  int
}

// New plans the chunks of m that are not in have. The plan keeps have as its own.
func New(m chunk.Map, have *chunk.Have) *Plan {
	return &Plan{
		m: m, have: have,
		flying:  make([]uint8, m.Len()),
		tasks:   map[int]*task{},
		sources: map[int]*sourceState{},
	}
}

// Add makes a source known; has is nil for one that holds the whole blob.
func (p *Plan) Add(source int, has *chunk.Have) { p.sources[source] = &sourceState{has: has} }

// Limit says anew what a source holds; nil is the whole blob.
func (p *Plan) Limit(source int, has *chunk.Have) {
	if s := p.sources[source]; s != nil {
		s.has = has
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

// Stalled says whether a task has stopped making progress.
func (p *Plan) Stalled(id int, is bool) {
	if t := p.tasks[id]; t != nil {
		t.stalled = is
	}
}

// Done reports whether every chunk is there.
func (p *Plan) Done() bool { return p.have.Full() }

// Have is the set of chunks that are there; the plan's own, to be read only.
func (p *Plan) Have() *chunk.Have { return p.have }

// Hold keeps chunk i from being handed out: it is being brought by other means.
// It reports whether the chunk was missing and free.
func (p *Plan) Hold(i int) bool {
	if p.have.Has(i) || p.flying[i] > 0 {
		return false
	}
	p.flying[i]++
	return true
}

// Release ends a Hold; brought says whether the chunk is there now.
func (p *Plan) Release(i int, brought bool) {
	p.flying[i]--
	if brought {
		p.have.Add(i)
		return
	}
	p.cursor = min(p.cursor, i)
}

// Got says that a task has brought chunk i. It reports whether that was news.
func (p *Plan) Got(id, i int) bool {
	if t := p.tasks[id]; t != nil && i >= t.next {
		for j := t.next; j <= i && j < t.end; j++ {
			p.flying[j]--
		}
		t.next = i + 1
		t.stalled = false
	}
	fresh := p.have.Add(i)
	for _, t := range p.tasks {
		p.trim(t)
	}
	return fresh
}

// trim takes chunks that are there by now from the front of a task.
func (p *Plan) trim(t *task) {
	for t.next < t.end && p.have.Has(t.next) {
		p.flying[t.next]--
		t.next++
	}
}

// Needed reports whether a task can still bring anything: false once others
// brought all of it.
func (p *Plan) Needed(id int) bool {
	t := p.tasks[id]
	return t != nil && t.next < t.end
}

// Lost says that chunk i turned out to be wrong or is gone.
func (p *Plan) Lost(i int) {
	p.have.Remove(i)
	p.cursor = min(p.cursor, i)
}

// Ended says that a task is over, however it ended; what it did not bring can
// be handed out again.
func (p *Plan) Ended(id int) {
	t := p.tasks[id]
	if t == nil {
		return
	}
	delete(p.tasks, id)
	for j := t.next; j < t.end; j++ {
		p.flying[j]--
	}
	p.cursor = min(p.cursor, t.next)
}

// Next is the next task for a source, with the cut that it means for another
// task (nil for none); false when there is nothing useful for this source now.
func (p *Plan) Next(source int) (Task, *Cut, bool) {
	s := p.sources[source]
	if s == nil {
		return Task{}, nil, false
	}
	if span, ok := p.free(s); ok {
		return p.begin(source, span, false), nil, true
	}
	return p.take(source, s)
}

func (p *Plan) begin(source int, span chunk.Span, again bool) Task {
	p.lastID++
	p.tasks[p.lastID] = &task{source: source, next: span.First, end: span.End}
	for j := span.First; j < span.End; j++ {
		p.flying[j]++
	}
	return Task{ID: p.lastID, Source: source, Span: span, Again: again}
}

// free finds the first run of chunks that are missing, in nobody's hands and
// held by the source.
func (p *Plan) free(s *sourceState) (chunk.Span, bool) {
	for p.cursor < p.have.Len() && (p.have.Has(p.cursor) || p.flying[p.cursor] > 0) {
		p.cursor++
	}
	first := p.cursor
	for first < p.have.Len() && !p.open(s, first) {
		first++
	}
	if first == p.have.Len() {
		return chunk.Span{}, false
	}
	want := p.length(s, first)
	end := first + 1
	for end < p.have.Len() && p.open(s, end) && p.m.Offset(end)-p.m.Offset(first) < want {
		end++
	}
	return chunk.Span{First: first, End: end}, true
}

func (p *Plan) open(s *sourceState, i int) bool {
	return !p.have.Has(i) && p.flying[i] == 0 && (s.has == nil || s.has.Has(i))
}

// length is how many bytes a task that begins at chunk first should have.
func (p *Plan) length(s *sourceState, first int) int64 {
	want, most := int64(s.rate*Target), int64(maxBytes)
	if far := int64(s.rate * s.wait * patience); far > want {
		want, most = far, farBytes
	}
	if s.rate == 0 {
		want = firstBytes
	}
	// What is left is shared among those at work and as many again: the last
	// tasks are short.
	rest := (p.m.Size() - p.m.Offset(first)) / int64(2*max(1, len(p.tasks)))
	return max(minBytes, min(want, rest, most))
}

// take relieves the task that would end last of its back part, or asks again for
// the one chunk that holds everything up.
func (p *Plan) take(source int, s *sourceState) (Task, *Cut, bool) {
	rate := p.rateOf(s)
	worst, worstID, left := (*task)(nil), 0, 0.0
	for id, t := range p.tasks {
		if t.next >= t.end || !p.useful(source, s, t) {
			continue
		}
		l := p.timeLeft(t)
		if worst == nil || l > left || l == left && id < worstID {
			worst, worstID, left = t, id, l
		}
	}
	if worst == nil {
		return Task{}, nil, false
	}
	return p.relieve(source, s, rate, worst, worstID, left)
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
		p.flying[j]++
	}
	mine.end, again.Span.End = end, end
	return again, &Cut{Task: id, End: from}, true
}

// cut ends a task before chunk end.
func (p *Plan) cut(t *task, end int) {
	for j := end; j < t.end; j++ {
		p.flying[j]--
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

// useful tells whether a source could help with a task: not with a chunk that
// two are fetching already, and with a task of its own only if that is stuck.
func (p *Plan) useful(source int, s *sourceState, t *task) bool {
	if t.source == source && !t.stalled {
		return false
	}
	if t.end-t.next == 1 || t.stalled {
		return p.flying[t.next] < 2 && (s.has == nil || s.has.Has(t.next))
	}
	return s.has == nil || s.has.Has(t.end-1)
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
func (p *Plan) timeLeft(t *task) float64 {
	const never = 1e9
	if t.stalled {
		return never
	}
	s := p.sources[t.source]
	if s == nil {
		return never
	}
	return float64(p.m.Offset(t.end)-p.m.Offset(t.next)) / p.rateOf(s)
}

// rateOf is a source's rate; one not measured yet is taken for as good as the
// best, or it would never be tried.
func (p *Plan) rateOf(s *sourceState) float64 {
	if s.rate > 0 {
		return s.rate
	}
	best := minBytes / Target
	for _, o := range p.sources {
		best = max(best, o.rate)
	}
	return best
}
