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
//     a second time elsewhere, and again only when both have fallen silent.
//
// Where many fetch the same blob at once, [Plan.Crowd] puts rarity in the place of
// file order; see crowd.go. What readers wait for ([Plan.Want]) comes before
// everything; see want.go.
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

// Plan is the state of one download. The zero value is unusable.
type Plan struct {
	m       chunk.Map
	have    *chunk.Have
	flying  []uint8 // how many tasks are fetching each chunk
	cursor  int     // no chunk before it is both missing and free
	start   int     // where to look first, if behind the cursor
	tasks   map[int]*task
	sources map[int]*sourceState
	lastID  int
	wants   []chunk.Span // what readers wait for
	grid    *grid        // nil: no crowd
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

// Start has tasks begin at chunk i instead of the first that is missing; 0 ends that.
// Who begins while others may begin with the same blob need not ask for the same.
func (p *Plan) Start(i int) { p.start = i }

// Hold keeps chunk i from being handed out: it is being brought by other means.
// It reports whether the chunk was missing and free.
func (p *Plan) Hold(i int) bool {
	if p.have.Has(i) || p.flying[i] > 0 {
		return false
	}
	p.fly(i)
	return true
}

// Release ends a Hold; brought says whether the chunk is there now.
func (p *Plan) Release(i int, brought bool) {
	if brought {
		p.arrive(i)
	}
	p.land(i)
	if brought {
		return
	}
	p.cursor = min(p.cursor, i)
}

// Got says that a task has brought chunk i. It reports whether that was news.
func (p *Plan) Got(id, i int) bool {
	if t := p.tasks[id]; t != nil && i >= t.next {
		for j := t.next; j <= i && j < t.end; j++ {
			p.land(j)
		}
		t.next = i + 1
		t.stalled = false
	}
	fresh := p.arrive(i)
	for _, t := range p.tasks {
		p.trim(t)
	}
	return fresh
}

// trim takes chunks that are there by now from the front of a task.
func (p *Plan) trim(t *task) {
	for t.next < t.end && p.have.Has(t.next) {
		p.land(t.next)
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
	p.vanish(i)
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
		p.land(j)
	}
	p.cursor = min(p.cursor, t.next)
}

// Shorten ends a task before chunk end, because its owner is to bring no more; what
// it leaves can be handed out again.
func (p *Plan) Shorten(id, end int) {
	if t := p.tasks[id]; t != nil && end < t.end {
		end = max(end, t.next)
		p.cut(t, end)
		p.cursor = min(p.cursor, end)
	}
}

// Next is the next task for a source, with the cut that it means for another
// task (nil for none); false when there is nothing useful for this source now.
func (p *Plan) Next(source int) (Task, *Cut, bool) {
	s := p.sources[source]
	if s == nil {
		return Task{}, nil, false
	}
	if task, cut, ok := p.hurry(source, s); ok {
		return task, cut, true
	}
	if span, ok := p.urgent(s); ok {
		return p.begin(source, span, false), nil, true
	}
	find := p.free
	if p.grid != nil {
		find = p.rarest
	}
	if span, ok := find(s); ok {
		return p.begin(source, span, false), nil, true
	}
	return p.take(source, s)
}

// run is the run of open chunks from first up to end, of about want bytes.
func (p *Plan) run(s *sourceState, first, end int, want int64) chunk.Span {
	i := first + 1
	for i < end && p.open(s, i) && p.m.Offset(i)-p.m.Offset(first) < want {
		i++
	}
	return chunk.Span{First: first, End: i}
}

func (p *Plan) begin(source int, span chunk.Span, again bool) Task {
	p.lastID++
	p.tasks[p.lastID] = &task{source: source, next: span.First, end: span.End}
	for j := span.First; j < span.End; j++ {
		p.fly(j)
	}
	return Task{ID: p.lastID, Source: source, Span: span, Again: again}
}

// free finds the first run of chunks that are missing, in nobody's hands and
// held by the source.
func (p *Plan) free(s *sourceState) (chunk.Span, bool) {
	for p.cursor < p.have.Len() && (p.have.Has(p.cursor) || p.flying[p.cursor] > 0) {
		p.cursor++
	}
	first := max(p.cursor, p.start)
	for p.start > p.cursor && first < p.have.Len() && !p.open(s, first) {
		first++
	}
	if first == p.have.Len() {
		first = p.cursor
	}
	for first < p.have.Len() && !p.open(s, first) {
		first++
	}
	if first == p.have.Len() {
		return chunk.Span{}, false
	}
	return p.run(s, first, p.have.Len(), p.length(s, first)), true
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
	return max(minBytes, min(max(want, s.least), rest, most))
}
