package xet

import (
	"slices"
	"sort"

	"hffs/cache/chunk"
	"hffs/transfer/xorb"
)

// minAsked is how many bytes a known run between new ones needs to have: to find its
// place costs a round trip.
const minAsked = 256 << 10

// A layout is a term in the blob and what is known of where its chunks begin. A
// recipe tells where a term begins and ends, but not how long each of its chunks
// is. So a known run at an end of it has its place by that alone, and so has a
// new run between two of them; with more new runs, the known ones between them
// have to be found first.
type layout struct {
	term
	off  int64
	runs []*run // of known chunks, in order; off is -1 until it is found
	pins []pin  // in order; the first and the last are the term's ends
}

// A pin is an offset in the blob where a chunk of the term begins, or the term
// ends.
type pin struct {
	chunk int
	off   int64
}

// lay gives each term its place in the blob.
func lay(terms []term, shared map[place]chunk.Chunk) (all []*layout) {
	off := int64(0)
	for _, t := range terms {
		l := &layout{term: t, off: off, runs: t.knownRuns(shared)}
		off += t.size
		l.pins = []pin{{t.start, l.off}, {t.end, off}}
		l.place()
		all = append(all, l)
	}
	return all
}

// knownRuns are the runs of the term that are known and worth it.
func (t term) knownRuns(shared map[place]chunk.Chunk) (runs []*run) {
	var r *run
	for i := t.start; i < t.end; i++ {
		ch, ok := shared[place{t.xorb, i}]
		if !ok {
			r = nil
			continue
		}
		if r == nil {
			r = &run{xorb: t.xorb, first: i, off: -1, known: true}
			runs = append(runs, r)
		}
		r.chunks = append(r.chunks, ch)
		r.length += ch.Length
		r.last = i + 1
	}
	return slices.DeleteFunc(runs, func(r *run) bool {
		return r.length < minAsked && r.first > t.start && r.last < t.end
	})
}

// pin takes an offset, unless the chunks on either side could not be so long or so
// short. It says whether that was news.
func (l *layout) pin(p pin) bool {
	i, found := slices.BinarySearchFunc(l.pins, p.chunk, func(q pin, chunk int) int { return q.chunk - chunk })
	if found || i == 0 || i == len(l.pins) || !possible(l.pins[i-1], p) || !possible(p, l.pins[i]) {
		return false
	}
	l.pins = slices.Insert(l.pins, i, p)
	return true
}

func possible(a, b pin) bool {
	count := int64(b.chunk - a.chunk)
	return count <= b.off-a.off && b.off-a.off <= count*xorb.MaxChunk
}

// place finds runs in or at which there is a pin; their ends are pins as well.
func (l *layout) place() {
	for _, r := range l.runs {
		p := l.pins[l.next(r)]
		if r.off >= 0 || p.chunk > r.last {
			continue
		}
		r.off = p.off
		for _, ch := range r.chunks[:p.chunk-r.first] {
			r.off -= ch.Length
		}
		l.pin(pin{r.first, r.off})
		l.pin(pin{r.last, r.end()})
	}
}

// next is the first pin that is not in front of the run.
func (l *layout) next(r *run) int {
	return sort.Search(len(l.pins), func(i int) bool { return l.pins[i].chunk >= r.first })
}

// guess is where the middle of a run is that has not been found, if new chunks
// between the nearest pins are all as long as their mean.
func (l *layout) guess(r *run) int64 {
	i := l.next(r)
	a, b := l.pins[i-1], l.pins[i]
	fresh, count := b.off-a.off, int64(b.chunk-a.chunk) // of what is new between the pins
	known, before := int64(0), int64(r.first-a.chunk)   // bytes that are known in front of the run; new chunks there
	for _, k := range l.runs {
		if k.first < a.chunk || k.last > b.chunk {
			continue
		}
		fresh -= k.length
		count -= k.count()
		if k.first < r.first {
			known += k.length
			before -= k.count()
		}
	}
	at := a.off + known + fresh*before/max(1, count) + r.length/2
	return min(max(at, a.off), b.off-1)
}

// lost are the runs that have not been found.
func (l *layout) lost() (list []*run) {
	for _, r := range l.runs {
		if r.off < 0 {
			list = append(list, r)
		}
	}
	return list
}

// split cuts the term into known and new runs. Known ones that have not been found
// count as new.
func (l *layout) split() (runs []*run, err error) {
	from := l.pins[0]
	fresh := func(to pin) error {
		r := &run{xorb: l.xorb, first: from.chunk, last: to.chunk, off: from.off, length: to.off - from.off}
		if !possible(from, to) {
			return nonsense("%d bytes in %d chunks", r.length, r.count())
		}
		if r.count() > 0 {
			runs = append(runs, r)
		}
		return nil
	}
	for _, r := range l.runs {
		if r.off < 0 {
			continue
		}
		if err := fresh(pin{r.first, r.off}); err != nil {
			return nil, err
		}
		runs = append(runs, r)
		from = pin{r.last, r.end()}
	}
	return runs, fresh(l.pins[len(l.pins)-1])
}

// split cuts a whole blob into known and new runs.
func split(all []*layout) (runs []*run, err error) {
	for _, l := range all {
		some, err := l.split()
		if err != nil {
			return nil, err
		}
		runs = append(runs, some...)
	}
	return runs, nil
}

// leastNew is about how many bytes are new once all known runs are found: where a
// chunk is in several terms it counts once, with the mean length of a new one.
func leastNew(all []*layout) (n int64) {
	seen := map[place]bool{}
	for _, l := range all {
		fresh, count := l.size, int64(l.end-l.start)
		for _, r := range l.runs {
			fresh -= r.length
			count -= r.count()
		}
		i := l.start
		for _, r := range append(slices.Clone(l.runs), &run{first: l.end}) {
			for ; i < r.first; i++ {
				if at := (place{l.xorb, i}); !seen[at] {
					seen[at] = true
					n += fresh / count
				}
			}
			i = r.last
		}
	}
	return n
}
