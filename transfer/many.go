package transfer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"hffs/cache/ref"
	"hffs/transfer/pace"
	"hffs/transfer/source"
)

// Many files at once: [Transfer.GetAll]. Small ones come first, so that a program can
// begin to load a model while its weights are under way, and go by small.go, which
// asks a neighbour for hundreds of them in one request. The others are brought as
// [Transfer.Get] does, several at a time within one budget.

// budget is how much is fetched at the same time, in shares: a file takes more of
// them the larger it is, so that it is eight middling ones, or two large ones.
const (
	budget    = 8
	largeMin  = 256 << 20 // bytes: takes half of the budget
	middleMin = 32 << 20  // takes a quarter
)

// lookEvery is how often those who watch are told.
const lookEvery = 100 * time.Millisecond

// Many is one look at files that are being brought.
type Many struct {
	Files, FilesDone int // done also means failed
	Done, Total      int64
	Active           []Progress // the larger files under way
	Sources          []SourceState
	Notes            []Note // all so far; only ever appended to
}

// Outcome is what became of one of many files.
type Outcome struct {
	Result
	Err error
}

// GetAll brings the blobs of entries into the cache, each under its name. One that
// fails does not stop the others. The outcomes are in the order of the entries. watch,
// which may be nil, is called now and then from GetAll's own goroutine.
func (t *Transfer) GetAll(ctx context.Context, entries []ref.Entry, watch func(Many)) []Outcome {
	ctx = pace.Together(ctx, pace.New(pace.Asked(ctx)))
	m := newMany(t, entries)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.run(ctx)
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-done:
			tick.Stop()
		}
		if watch != nil {
			watch(m.look())
		}
		select {
		case <-done:
			return m.outcomes
		default:
		}
	}
}

// many is files that are being brought.
type many struct {
	t     *Transfer
	items []*item
	total int64
	now   func() time.Time

	mu       sync.Mutex // guards what follows
	outcomes []Outcome
	active   map[*item]Progress
	over     int   // files that are done with
	bytes    int64 // of those that are here
	sources  []SourceState
	notes    []Note
	rates    map[sourceName]*rated
}

type sourceName struct {
	kind source.Kind
	name string
}

// item is one of the files; at is its place among them.
type item struct {
	ref.Entry
	at      int
	refused map[string]bool // names of neighbours that could not give it
}

func newMany(t *Transfer, entries []ref.Entry) *many {
	m := &many{t: t, outcomes: make([]Outcome, len(entries)), active: map[*item]Progress{}, rates: map[sourceName]*rated{}, now: time.Now}
	for i, e := range entries {
		m.items = append(m.items, &item{Entry: e, at: i})
		m.total += e.Blob.Size
	}
	return m
}

func (m *many) run(ctx context.Context) {
	bySize := slices.Clone(m.items)
	slices.SortStableFunc(bySize, func(a, b *item) int { return cmp.Compare(a.Blob.Size, b.Blob.Size) })
	first := slices.IndexFunc(bySize, func(i *item) bool { return i.Blob.Size > source.BatchBlobMost })
	if first < 0 {
		first = len(bySize)
	}
	rest := m.small(ctx, bySize[:first])
	m.oneByOne(ctx, append(rest, bySize[first:]...))
}

// oneByOne brings files as Get does, the first ones first.
func (m *many) oneByOne(ctx context.Context, items []*item) {
	room := semaphore.NewWeighted(budget)
	var wait sync.WaitGroup
	for _, i := range items {
		share := shareOf(i.Blob.Size)
		if err := room.Acquire(ctx, share); err != nil {
			m.failed(i, ctx.Err())
			continue
		}
		wait.Go(func() {
			defer room.Release(share)
			m.one(ctx, i)
		})
	}
	wait.Wait()
}

func shareOf(size int64) int64 {
	switch {
	case size >= largeMin:
		return budget / 2
	case size >= middleMin:
		return budget / 4
	}
	return 1
}

func (m *many) one(ctx context.Context, i *item) {
	r, err := m.t.bring(ctx, i.Entry, nil, func(p Progress) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.active[i] = p
	})
	if err != nil {
		m.failed(i, err)
		return
	}
	r.Entry = i.Entry
	m.done(i, r)
}

func (m *many) done(i *item, r Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.active, i)
	m.outcomes[i.at] = Outcome{Result: r}
	m.over++
	m.bytes += i.Blob.Size
	m.sources = addSources(m.sources, r.Sources)
	m.notes = append(m.notes[:len(m.notes):len(m.notes)], r.Notes...)
}

func (m *many) failed(i *item, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.active, i)
	m.outcomes[i.at] = Outcome{Result: Result{Entry: i.Entry}, Err: err}
	m.over++
}

func (m *many) note(n Note) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notes = append(m.notes[:len(m.notes):len(m.notes)], n)
}

// look is how things stand.
func (m *many) look() Many {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := Many{Files: len(m.items), FilesDone: m.over, Done: m.bytes, Total: m.total, Notes: m.notes, Sources: slices.Clone(m.sources)}
	for _, i := range m.items {
		if p, ok := m.active[i]; ok {
			l.Active = append(l.Active, p)
			l.Done += p.Done
			l.Sources = addSources(l.Sources, p.Sources)
		}
	}
	m.rate(l.Sources)
	return l
}

// addSources sums up who brought how much.
func addSources(all, more []SourceState) []SourceState {
	for _, s := range more {
		i := slices.IndexFunc(all, func(o SourceState) bool { return o.Kind == s.Kind && o.Name == s.Name })
		if i < 0 {
			all = append(all, SourceState{Kind: s.Kind, Name: s.Name})
			i = len(all) - 1
		}
		all[i].Bytes += s.Bytes
		all[i].Active = all[i].Active || s.Active
	}
	return all
}

// rated is what a source had brought when its rate was last worked out.
type rated struct {
	at    time.Time
	bytes int64
	rate  float64
}

// rate tells how fast each source is, over the last second or so; one that brings
// something is active, also where it does so a file at a time.
func (m *many) rate(all []SourceState) {
	now := m.now()
	for i := range all {
		s := &all[i]
		r := m.rates[sourceName{s.Kind, s.Name}]
		if r == nil {
			r = &rated{at: now, bytes: 0}
			m.rates[sourceName{s.Kind, s.Name}] = r
		}
		if since := now.Sub(r.at); since >= time.Second {
			r.rate = float64(max(0, s.Bytes-r.bytes)) / since.Seconds()
			r.at, r.bytes = now, s.Bytes
		}
		if s.Kind == source.Peer || s.Kind == source.Hub {
			s.Rate, s.Active = r.rate, s.Active || r.rate > 0
		}
	}
}
