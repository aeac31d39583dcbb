package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/pace"
	"hffs/transfer/plan"
	"hffs/transfer/source"
	"hffs/transfer/verify"
)

// Times the owner goes by.
const (
	tick        = 250 * time.Millisecond
	relocate    = 5 * time.Second // look for new holders
	relocateNow = 1 * time.Second // the same while there is none
	youth       = 3 * time.Second // from the start on others may begin as well
	// relocateYoung is the time between looks by then.
	relocateYoung = 500 * time.Millisecond
	busyRest      = 1 * time.Second  // for a source that has its hands full
	quietWait     = 1 * time.Second  // for another process, before the user is told
	stallPeer     = 1 * time.Second  // without a byte: others may take over
	stallHub      = 3 * time.Second  //
	giveUp        = 10 * time.Second // without a byte: the errand is over
	peersAlone    = 1 * time.Second  // what the peers get to bring their first byte
	inquiry       = 2 * time.Second  // what neighbours get to say which chunks they hold
	slowAfter     = 1 * time.Second  // what they get to show their rate
	slowPeers     = 8e6              // bytes per second of all peers together: below it, the Hub helps
	maxRestarts   = 5                // times that a whole with the wrong hash is tried again
)

// fetch is one download; its run is the owner of everything in it.
type fetch struct {
	t     *Transfer
	entry ref.Entry
	part  *cache.Partial
	m     chunk.Map // the cut; hashes are hearsay's business
	plan  *plan.Plan
	board *board
	log   *slog.Logger

	crowd   *crowd
	co      *company
	hearsay *hearsay
	errands map[int]*errand
	origin  []*member // who brought each chunk; nil: there before
	resumed int64     // bytes there before
	began   time.Time
	located bool // the first look for peers has ended
	asking  bool // a look for peers is under way
	asked   time.Time
	first   bool      // a peer has brought something
	helped  bool      // the log was told that the Hub helps slow peers
	held    time.Time // when a peer was last seen to wait for a limit of ours

	proven  bool  // m's hashes are the Hub's own word
	reused  int64 // bytes from other files on this disk, or from elsewhere in this one
	fresh   int64 // bytes that the Hub sent while the map was worked out
	readers *readers
	mixed   map[int]bool // chunks that more than the Hub has brought
	copying int          // chunks still to come from there
	// twins are chunks that are the same as one that is to come first; came are
	// those that have come and have twins.
	twins map[int][]int
	came  []int
	// inquiries are neighbours that were asked for chunks and have not answered.
	inquiries int
	lacking   *chunk.Have // chunks that none of the peers holds; nil: one holds all, or there are none

	reports    chan report
	copies     chan reused
	around     chan []source.Source
	lies       chan lie
	holders    chan partHolder
	maps       chan toldMap
	found      chan Found
	background sync.WaitGroup
}

// fetch brings the blob of e into the cache.
func (t *Transfer) fetch(ctx context.Context, e ref.Entry, b *board, r *readers) error {
	b.update(func(p *Progress) { *p = Progress{Phase: PhaseLocate, Entry: e, Total: e.Blob.Size} })
	waiting := time.AfterFunc(quietWait, func() {
		b.note(Note{Text: "another hffs on this machine is fetching this file; waiting for it"})
	})
	part, err := t.cfg.Cache.Begin(ctx, e)
	waiting.Stop()
	if errors.Is(err, cache.ErrPresent) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("begin %s: %w", e, err)
	}
	defer part.Close()
	lies := make(chan lie, liesMost)
	fresh := t.recut(ctx, part, b, lies)
	f := newFetch(t, e, part, b)
	f.lies, f.readers = lies, r
	r.begin(part, f.m, f.proven, f.plan.Have(), t.recall(e.Blob.ETag))
	f.resumed, f.fresh = max(0, f.resumed-fresh), min(fresh, f.resumed)
	leave := t.keep(e.Blob.ETag, f.co)
	whole := false
	defer func() { leave(whole) }()
	for restarts := 0; restarts < maxRestarts; restarts++ {
		if err := f.run(ctx); err != nil {
			return err
		}
		b.update(func(p *Progress) { p.Phase = PhaseCheck })
		_, err := part.Commit(ctx)
		switch {
		case errors.Is(err, cache.ErrIncomplete):
			f.recount() // what an earlier run had left was damaged
		case errors.Is(err, cache.ErrMismatch):
			if err := f.blame(); err != nil {
				_ = part.Discard() // nobody knows what of it is right
				return err
			}
			if f.co.trial != nil {
				restarts-- // there are only so many who can be suspected
			}
		case err != nil:
			return err
		default:
			f.verdict()
			f.settle()
			whole = true
			return nil
		}
	}
	return fmt.Errorf("fetch %s: %w", e, ErrMismatch)
}

func newFetch(t *Transfer, e ref.Entry, part *cache.Partial, b *board) *fetch {
	m := part.Map()
	have := part.Have()
	layout := m
	if m.Step() != 0 {
		layout = chunk.Fixed(m.Size(), m.Step(), nil)
	}
	f := &fetch{
		t: t, entry: e, part: part, m: layout, board: b, proven: m.ByContent(),
		log:     t.cfg.Log.With("file", e),
		plan:    plan.New(layout, have),
		crowd:   &crowd{},
		hearsay: newHearsay(layout),
		errands: map[int]*errand{},
		mixed:   map[int]bool{},
		origin:  make([]*member, layout.Len()),
		resumed: have.Bytes(layout),
		reports: make(chan report, errandsInAll),
		maps:    make(chan toldMap),
		found:   make(chan Found),
		copies:  make(chan reused),
		holders: make(chan partHolder),
		around:  make(chan []source.Source),
	}
	f.co = newCompany(t.cfg.Node, e.Blob.ETag, layout, f.proven)
	for i := range layout.Len() {
		if have.Has(i) {
			f.mine(i)
		}
	}
	return f
}

// run fetches until every chunk is there. It leaves nothing running behind.
func (f *fetch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer f.windDown(cancel)
	f.began, f.asking, f.hearsay.pending, f.inquiries = time.Now(), false, 0, 0
	f.take(f.t.cfg.Hub(f.entry))
	f.keepCompany(f.began)
	if f.proven {
		f.reuse(ctx)
		f.neighbours(ctx)
	}
	f.locate(ctx)
	f.background.Go(func() { _ = f.part.HashAlong(ctx) })
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	f.publish()
	if err := f.attend(); err != nil {
		return err
	}
	for !f.plan.Done() {
		f.copyTwins(ctx)
		f.handOut(ctx)
		if err := f.hopeless(); err != nil {
			return err
		}
		if err := f.listen(ctx, ticker.C); err != nil {
			return err
		}
	}
	f.nameTheSilent()
	return nil
}

// listen waits for one thing to happen and takes it in.
func (f *fetch) listen(ctx context.Context, ticks <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r := <-f.reports:
		return f.hear(r)
	case c := <-f.copies:
		return f.copied(c)
	case <-f.readers.poke:
		return f.attend()
	case l := <-f.lies:
		f.condemn(l)
	case found := <-f.around:
		f.inquire(ctx, found)
	case h := <-f.holders:
		f.takePart(h)
	case told := <-f.maps:
		f.hearsay.hear(told)
		return f.adopt()
	case n := <-f.co.news:
		f.hearFellow(ctx, n)
	case s := <-f.co.met:
		f.greeted(ctx, s)
	case found := <-f.found:
		f.scatter(found)
		f.asking, f.located, f.asked = false, true, time.Now()
		fresh := f.take(found.Holders)
		f.welcome(ctx, found.Fellows)
		f.limitHub()
		if !f.proven {
			f.hearsay.ask(ctx, time.Now(), f, fresh)
		}
	case <-ticks:
		f.crowd.measure(tick)
		f.watchdog()
		f.keepCompany(time.Now())
		if f.co.scattered && time.Since(f.began) > scattered {
			f.co.scattered = false
			f.plan.Start(0)
		}
		for _, m := range f.crowd.all {
			f.plan.Rate(m.id, m.rate/float64(max(1, m.errands)))
		}
		if time.Since(f.asked) > f.lookAgain() {
			f.locate(ctx)
		}
		f.publish()
		return f.attend()
	}
	return nil
}

// windDown ends all errands and waits for them, reading what they still report.
func (f *fetch) windDown(cancel context.CancelFunc) {
	cancel()
	for len(f.errands) > 0 {
		_ = f.hear(<-f.reports)
	}
	f.background.Wait()
	for _, m := range f.crowd.all {
		m.following = false
	}
	f.publish()
}

// copied takes in what came of a chunk that this disk has elsewhere.
func (f *fetch) copied(c reused) error {
	f.copying--
	f.plan.Release(c.chunk, c.ok)
	if c.ok {
		f.reused += f.m.Length(c.chunk)
		f.arrived(c.chunk)
	}
	if c.err != nil {
		return &storeError{c.err}
	}
	return nil
}

// take adds new sources to crowd and plan.
func (f *fetch) take(found []source.Source) []*member {
	for _, s := range found {
		m := f.crowd.find(s)
		switch {
		case m == nil:
		case m.node != "" && !m.following && !m.whole:
			m.whole = true // it was fetching it, now it has it
			f.hearHave(m, source.News{Kind: source.NewsHave, Len: f.m.Size()})
		case m.node == "" && m.has != nil:
			m.Source, m.has = s, nil // it held some chunks, now it holds all
			f.plan.Limit(m.id, nil)
		}
		if m != nil && m.dropped && m.passing {
			m.dropped, m.passing, m.strikes = false, false, 0 // it is back
		}
	}
	fresh := f.crowd.add(found)
	for _, m := range fresh {
		f.plan.Add(m.id, nil)
		if c, ok := m.Source.(source.Coarse); ok && !f.proven {
			m.coarse = true
			f.plan.Least(m.id, c.Grain())
		}
		if f.co.on {
			f.makeOrigin(m)
		}
	}
	f.mayDraw(time.Now())
	return fresh
}

// scattered is how long a download begins at a place of its own, where others may
// begin with the same blob: they are known by then.
const scattered = time.Second

// scatter chooses that place with the first look for peers.
func (f *fetch) scatter(found Found) {
	if found.Others && !f.located && f.co.grid.Len() > 8 {
		f.plan.Start(f.co.grid.Chunks(rand.IntN(f.co.grid.Len())).First)
		f.co.scattered = true
	}
}

// alert tells whether others may turn out to have begun as well.
func (f *fetch) alert() bool { return f.co.scattered && !f.co.on }

// brief shortens a task to one cell for as long: by these the blob will be divided, and
// then what was asked for beyond the one that is coming is on its way for nothing.
func (f *fetch) brief(m *member, task plan.Task) plan.Task {
	if f.alert() && !m.coarse {
		cell := f.co.grid.Chunks(f.co.grid.Of(task.Span.First))
		task.Span.End = min(task.Span.End, max(cell.End, task.Span.First+1))
		f.plan.Shorten(task.ID, task.Span.End)
	}
	return task
}

// lookAgain is how long to wait before the next look for peers: a short while as
// long as others may be beginning as well.
func (f *fetch) lookAgain() time.Duration {
	switch {
	case time.Since(f.began) < youth:
		return relocateYoung
	case f.crowd.living(source.Peer) == 0:
		return relocateNow
	}
	return relocate
}

// locate looks for peers without holding anything up.
func (f *fetch) locate(ctx context.Context) {
	if f.asking || f.t.cfg.Peers == nil {
		f.located = f.located || f.t.cfg.Peers == nil
		return
	}
	f.asking = true
	f.background.Go(func() {
		found, err := f.t.cfg.Peers(ctx, f.entry)
		if err != nil {
			f.log.Debug("looked for peers", "err", err)
		}
		select {
		case f.found <- found:
		case <-ctx.Done():
		}
	})
}

// handOut gives every source that has room something to do, those with fewest
// errands first.
func (f *fetch) handOut(ctx context.Context) {
	for len(f.errands) < errandsInAll {
		m, task, ok := f.nextTask()
		if !ok {
			return
		}
		task = f.brief(m, task)
		e := &errand{task: task, from: m, source: m.Source, sums: f.toldOf(m, task.Span)}
		e.end.Store(int64(task.Span.End))
		e.began = time.Now()
		e.alive.Store(e.began.UnixNano())
		ectx, cancel := context.WithCancel(pace.Tell(ctx, &e.held))
		e.cancel = cancel
		f.errands[task.ID] = e
		m.errands++
		go f.carry(ectx, e)
	}
}

func (f *fetch) nextTask() (*member, plan.Task, bool) {
	now := time.Now()
	useless := map[*member]bool{}
	all := f.turns()
	for {
		var next *member
		for _, m := range all {
			if !useless[m] && f.may(m, now) && (next == nil || m.errands < next.errands) {
				next = m
			}
		}
		if next == nil {
			return nil, plan.Task{}, false
		}
		f.plan.Rate(next.id, next.rate/float64(max(1, next.errands)))
		f.plan.Wait(next.id, next.wait)
		task, cut, ok := f.plan.Next(next.id)
		if !ok && f.co.on && next.origin() && !f.listening(now) && f.claim(next) {
			task, cut, ok = f.plan.Next(next.id)
		}
		if ok {
			f.shorten(cut)
			return next, task, true
		}
		useless[next] = true
	}
}

// turns is the order in which sources are asked, other things being equal. In a
// crowd the origin goes first, which all wait for, and then each fellow as often as
// the others: who always comes first has to give more than others.
func (f *fetch) turns() []*member {
	if !f.co.on {
		return f.crowd.all
	}
	f.co.turn++
	n := len(f.crowd.all)
	all := make([]*member, 0, n)
	for _, m := range f.crowd.all {
		if m.origin() {
			all = append(all, m)
		}
	}
	for i := range n {
		if m := f.crowd.all[(i+f.co.turn)%n]; !m.origin() {
			all = append(all, m)
		}
	}
	return all
}

func (f *fetch) shorten(c *plan.Cut) {
	if c != nil {
		if e := f.errands[c.Task]; e != nil {
			e.end.Store(int64(c.End))
		}
	}
}

// watchdog finds errands that bring nothing.
func (f *fetch) watchdog() {
	now := time.Now()
	for id, e := range f.errands {
		f.excuse(e, now)
		quiet := now.Sub(time.Unix(0, e.alive.Load()))
		limit := stallPeer
		if e.from.Kind() == source.Hub {
			limit = stallHub
		}
		if stalled := quiet > limit; stalled != e.quiet {
			e.quiet = stalled
			if stalled {
				e.from.quiet++
			} else {
				e.from.quiet--
			}
			f.plan.Stalled(id, stalled)
			if stalled {
				f.falter(e.from, fmt.Sprintf("%s has sent nothing for %v", e.from.Name(), limit))
			}
		}
		if quiet > giveUp || !f.plan.Needed(id) {
			e.cancel()
		}
	}
}

// hear takes in what an errand reports.
func (f *fetch) hear(r report) error {
	e := r.errand
	if !r.over {
		for i := r.chunks.First; i < r.chunks.End; i++ {
			f.got(e, i)
		}
		return nil
	}
	delete(f.errands, e.task.ID)
	e.at, _ = f.plan.At(e.task.ID)
	f.plan.Ended(e.task.ID)
	f.offerLate(e)
	f.released(e)
	e.cancel()
	e.from.errands--
	if e.quiet {
		e.from.quiet--
		if errors.Is(r.err, context.Canceled) {
			r.err = fmt.Errorf("%s has sent nothing for %v", e.from.Name(), giveUp)
		}
	}
	if w := time.Duration(e.waited.Load()).Seconds(); w > 0 {
		e.from.wait += 0.3 * (w - e.from.wait)
	}
	if wrong := (*verify.Error)(nil); errors.As(r.err, &wrong) && r.under != f.hearsay.chosen() {
		return nil // it was held against a map that has gone since
	}
	return f.judge(e, r.err)
}

func (f *fetch) got(e *errand, i int) {
	e.from.strikes = 0
	f.first = f.first || e.from.Kind() == source.Peer
	if f.plan.Got(e.task.ID, i) {
		f.origin[i] = e.from
		e.from.bytes += f.m.Length(i)
		f.vouch(e.from, i)
		f.arrived(i)
	} else {
		f.twice(e, i)
	}
}

// arrived is for every chunk that has come, from wherever.
func (f *fetch) arrived(i int) {
	f.mine(i)
	f.offer(i)
	if len(f.twins[i]) > 0 {
		f.came = append(f.came, i)
	}
}

// done is how much of the blob is here, in bytes.
func (f *fetch) done() int64 { return f.resumed + f.reused + f.fresh + f.crowd.kept() }

// publish shows the progress to whoever watches.
func (f *fetch) publish() {
	states := f.crowd.states()
	if f.resumed > 0 {
		states = append([]SourceState{{Kind: source.Local, Name: "resumed", Bytes: f.resumed}}, states...)
	}
	if f.reused > 0 {
		states = append([]SourceState{{Kind: source.Reuse, Name: "this machine", Bytes: f.reused}}, states...)
	}
	if f.fresh > 0 {
		states = append(states, SourceState{Kind: source.Hub, Name: "xet, new chunks", Bytes: f.fresh})
	}
	done := f.done()
	f.board.update(func(p *Progress) {
		p.Done, p.Sources = done, states
		if p.Phase = PhaseLocate; done > f.resumed || len(f.errands) > 0 {
			p.Phase = PhaseFetch
		}
	})
}
