package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/plan"
	"hffs/transfer/source"
	"hffs/transfer/verify"
	"hffs/transfer/xet"
)

// Times the owner goes by.
const (
	tick        = 250 * time.Millisecond
	relocate    = 5 * time.Second  // look for new holders
	relocateNow = 1 * time.Second  // the same while there is none
	busyRest    = 1 * time.Second  // for a source that has its hands full
	quietWait   = 1 * time.Second  // for another process, before the user is told
	stallPeer   = 1 * time.Second  // without a byte: others may take over
	stallHub    = 3 * time.Second  //
	giveUp      = 10 * time.Second // without a byte: the errand is over
	peersAlone  = 1 * time.Second  // what the peers get to bring their first byte
	slowAfter   = 1 * time.Second  // what they get to show their rate
	slowPeers   = 8e6              // bytes per second of all peers together: below it, the Hub helps
	maxRestarts = 5                // times that a whole with the wrong hash is tried again
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
	hearsay *hearsay
	errands map[int]*errand
	origin  []*member // who brought each chunk; nil: there before
	resumed int64     // bytes there before
	began   time.Time
	located bool // the first look for peers has ended
	asking  bool // a look for peers is under way
	asked   time.Time
	first   bool // a peer has brought something

	proven  bool  // m's hashes are the Hub's own word
	reused  int64 // bytes from other files on this disk
	fresh   int64 // bytes that the Hub sent while the map was worked out
	copying int   // chunks still to come from there
	// inquiries are neighbours that were asked for chunks and have not answered.
	inquiries int
	lacking   *chunk.Have // chunks that none of the peers holds; nil: one holds all, or there are none

	reports    chan report
	copies     chan reused
	holders    chan partHolder
	maps       chan toldMap
	found      chan []source.Source
	background sync.WaitGroup
}

// fetch brings the blob of e into the cache.
func (t *Transfer) fetch(ctx context.Context, e ref.Entry, b *board) error {
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
	fresh := t.recut(ctx, part)
	f := newFetch(t, e, part, b)
	f.resumed, f.fresh = max(0, f.resumed-fresh), min(fresh, f.resumed)
	for range maxRestarts {
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
				return err
			}
		case err != nil:
			return err
		default:
			f.settle()
			return nil
		}
	}
	return fmt.Errorf("fetch %s: %w", e, ErrMismatch)
}

// settle does what is left once the file is right: its map is kept, and whoever
// told another one is named.
func (f *fetch) settle() {
	if f.proven {
		if err := f.t.cfg.Cache.KeepMap(f.entry.Blob, f.m); err != nil {
			f.log.Warn("the map of chunks was not kept", "err", err)
		}
	}
	for _, g := range f.hearsay.refuted {
		for _, v := range g.vouchers {
			f.drop(v, fmt.Errorf("%s: told wrong hashes of the file's chunks", v.Name()), true)
		}
	}
}

func newFetch(t *Transfer, e ref.Entry, part *cache.Partial, b *board) *fetch {
	m := part.Map()
	have := part.Have()
	layout := m
	if m.Step() != 0 {
		layout = chunk.Fixed(m.Size(), m.Step(), nil)
	}
	f := &fetch{
		t: t, entry: e, part: part, m: layout, board: b, proven: m.Step() == 0 && m.Len() > 0,
		log:     t.cfg.Log.With("file", e),
		plan:    plan.New(layout, have),
		crowd:   &crowd{},
		hearsay: newHearsay(layout),
		errands: map[int]*errand{},
		origin:  make([]*member, layout.Len()),
		resumed: have.Bytes(layout),
		reports: make(chan report, errandsInAll),
		maps:    make(chan toldMap),
		found:   make(chan []source.Source),
		copies:  make(chan reused),
		holders: make(chan partHolder),
	}
	return f
}

// run fetches until every chunk is there. It leaves nothing running behind.
func (f *fetch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer f.windDown(cancel)
	f.began, f.asking, f.hearsay.pending, f.inquiries = time.Now(), false, 0, 0
	f.take(f.t.cfg.Hub(f.entry))
	if f.proven {
		f.reuse(ctx)
		f.neighbours(ctx)
	}
	f.locate(ctx)
	f.background.Go(func() { _ = f.part.HashAlong(ctx) })
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	f.publish()
	for !f.plan.Done() {
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

// nameTheSilent tells of those that others had to step in for at the very end.
func (f *fetch) nameTheSilent() {
	const silence = 250 * time.Millisecond
	for _, e := range f.errands {
		if quiet := time.Since(time.Unix(0, e.alive.Load())); quiet > silence && e.from.Kind() == source.Peer {
			f.falter(e.from, fmt.Sprintf("%s has sent nothing for %v", e.from.Name(), quiet.Round(50*time.Millisecond)))
		}
	}
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
	case h := <-f.holders:
		f.takePart(h)
	case told := <-f.maps:
		f.hearsay.hear(told)
		return f.adopt()
	case found := <-f.found:
		f.asking, f.located, f.asked = false, true, time.Now()
		fresh := f.take(found)
		f.limitHub()
		if !f.proven {
			f.hearsay.ask(ctx, time.Now(), f, fresh)
		}
	case <-ticks:
		f.crowd.measure(tick)
		f.watchdog()
		for _, m := range f.crowd.all {
			f.plan.Rate(m.id, m.rate/float64(max(1, m.errands)))
		}
		if wait := time.Since(f.asked); wait > relocate || wait > relocateNow && f.crowd.living(source.Peer) == 0 {
			f.locate(ctx)
		}
		f.publish()
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
	f.publish()
}

// copied takes in what came of a chunk that this disk has elsewhere.
func (f *fetch) copied(c reused) error {
	f.copying--
	f.plan.Release(c.chunk, c.ok)
	if c.ok {
		f.reused += f.m.Length(c.chunk)
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
		if m != nil && m.has != nil {
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
	}
	return fresh
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

// adopt chooses whose word on the chunks counts, once enough have spoken.
func (f *fetch) adopt() error {
	if f.hearsay.current != nil || (f.hearsay.pending > 0 && time.Now().Before(f.hearsay.until)) {
		return nil
	}
	return f.believe(f.hearsay.best())
}

// believe holds what is here and what comes against g's map.
func (f *fetch) believe(g *group) error {
	if g == nil {
		return nil
	}
	f.hearsay.use(g)
	dropped, err := f.part.Adopt(g.m)
	if err != nil {
		return &storeError{fmt.Errorf("check %s: %w", f.entry, err)}
	}
	if dropped > 0 {
		f.log.Info("chunks do not match what the peers say", "chunks", dropped)
		f.recount()
	}
	return nil
}

// recount makes missing again what the disk turned out not to have.
func (f *fetch) recount() {
	have := f.part.Have()
	for i := range f.m.Len() {
		if f.plan.Have().Has(i) && !have.Has(i) {
			f.forget(i)
		}
	}
}

// forget makes chunk i missing again.
func (f *fetch) forget(i int) {
	f.plan.Lost(i)
	if m := f.origin[i]; m != nil {
		m.bytes -= f.m.Length(i)
		f.origin[i] = nil
	} else {
		f.resumed -= f.m.Length(i)
	}
}

// handOut gives every source that has room something to do, those with fewest
// errands first.
func (f *fetch) handOut(ctx context.Context) {
	for len(f.errands) < errandsInAll {
		m, task, ok := f.nextTask()
		if !ok {
			return
		}
		e := &errand{task: task, from: m}
		e.end.Store(int64(task.Span.End))
		e.began = time.Now()
		e.alive.Store(e.began.UnixNano())
		ectx, cancel := context.WithCancel(ctx)
		e.cancel = cancel
		f.errands[task.ID] = e
		m.errands++
		go f.carry(ectx, e)
	}
}

func (f *fetch) nextTask() (*member, plan.Task, bool) {
	now := time.Now()
	useless := map[*member]bool{}
	for {
		var next *member
		for _, m := range f.crowd.all {
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
		if ok {
			f.shorten(cut)
			return next, task, true
		}
		useless[next] = true
	}
}

func (f *fetch) shorten(c *plan.Cut) {
	if c != nil {
		if e := f.errands[c.Task]; e != nil {
			e.end.Store(int64(c.End))
		}
	}
}

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
	left := f.m.Size() - f.resumed - f.reused - f.fresh - f.crowd.kept()
	return rate < slowPeers && float64(left) > rate
}

// watchdog finds errands that bring nothing.
func (f *fetch) watchdog() {
	now := time.Now()
	for id, e := range f.errands {
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

// hopeless is the error when nobody is left to ask.
func (f *fetch) hopeless() error {
	if !f.located || f.asking || len(f.errands) > 0 || f.copying > 0 {
		return nil
	}
	for _, m := range f.crowd.all {
		if !m.dropped {
			return nil
		}
	}
	if f.hearsay.current != nil && f.acquit(f.hearsay.current) {
		f.refute() // nobody can bring what the map says: better none
		return nil
	}
	return &NoSourceError{Entry: f.entry, Asked: f.crowd.answers()}
}

// hear takes in what an errand reports.
func (f *fetch) hear(r report) error {
	e := r.errand
	if !r.over {
		f.got(e, r.chunk)
		return nil
	}
	delete(f.errands, e.task.ID)
	f.plan.Ended(e.task.ID)
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
	}
}

// judge decides what becomes of a source after an errand; an error returned is
// this machine's own and ends the download.
func (f *fetch) judge(e *errand, err error) error {
	var wrong *verify.Error
	var own *storeError
	var said *hub.Error
	switch m := e.from; {
	case err == nil || f.plan.Done() || f.called(e, err):
	case errors.As(err, &own):
		return own
	case errors.As(err, &wrong):
		f.wrong(m, err)
	case errors.Is(err, source.ErrChanged), errors.Is(err, source.ErrRefused):
		f.drop(m, err, f.matters(m))
	case errors.Is(err, source.ErrGone):
		f.drop(m, err, false)
	case errors.Is(err, source.ErrBusy):
		m.rest = time.Now().Add(busyRest)
	default:
		wait := time.Duration(0)
		var xetSaid *xet.Error
		if errors.As(err, &said) {
			wait = said.RetryAfter
		} else if errors.As(err, &xetSaid) {
			wait = xetSaid.RetryAfter
		}
		f.strike(m, err, wait)
	}
	return nil
}

// strike is what becomes of a source after a passing fault. It comes back when it
// is found again later.
func (f *fetch) strike(m *member, err error, wait time.Duration) {
	now := time.Now()
	f.falter(m, err.Error())
	if m.strike(now, err, wait) && (!f.crowd.last(m) || now.Sub(m.failing) > lastPatience) {
		m.passing = true
		f.drop(m, err, f.matters(m))
	}
}

// matters tells whether the user should hear of a source's fault: not where one
// way to the Hub silently takes the place of another.
func (f *fetch) matters(m *member) bool {
	return m.Kind() != source.Hub || f.crowd.living(source.Hub) <= 1
}

// falter tells the user, once for each source, that it failed or fell silent
// although it may still be of use.
func (f *fetch) falter(m *member, text string) {
	f.log.Debug("source faltered", "source", m.Name(), "why", text)
	if !m.faltered && f.matters(m) {
		m.faltered = true
		f.board.note(Note{Source: m.Name(), Text: text + "; others take over what it was to bring"})
	}
}

// called tells an errand that was called back from one that failed. One that
// was called back for being quiet has failed.
func (f *fetch) called(e *errand, err error) bool { return errors.Is(err, context.Canceled) }

// wrong deals with bytes that do not match what peers say of the chunks. Where
// the Hub or a mirror sent them, it is one word against another: from then on
// nobody's word on chunks counts, and the whole file's hash decides.
func (f *fetch) wrong(m *member, err error) {
	if m.Kind() == source.Hub && !f.proven && f.hearsay.current != nil {
		f.log.Warn("what peers say of the chunks does not match the Hub's bytes", "err", err)
		f.acquit(f.hearsay.current)
		f.refute()
		return
	}
	m.wrongBy = f.hearsay.current
	f.drop(m, err, true)
}

// refute puts the map in use aside.
func (f *fetch) refute() {
	f.hearsay.refuted = append(f.hearsay.refuted, f.hearsay.current)
	f.hearsay.use(nil)
}

// acquit takes back those that were dropped only because a map says so that may
// be a lie. It reports whether there were any.
func (f *fetch) acquit(lie *group) (any bool) {
	for _, m := range f.crowd.all {
		if m.dropped && m.wrongBy == lie {
			m.dropped, m.wrongBy, m.strikes, any = false, nil, 0, true
			f.board.note(Note{Source: m.Name(), Text: m.Name() + " may have been right after all and is asked again"})
		}
	}
	return any
}

// drop takes a source out of this download for good. loud tells the user.
func (f *fetch) drop(m *member, err error, loud bool) {
	if m.dropped {
		return
	}
	m.dropped, m.why = true, err
	f.log.Warn("source dropped", "source", m.Name(), "kind", m.Kind(), "err", err)
	for _, e := range f.errands {
		if e.from == m {
			e.cancel()
		}
	}
	f.limitHub()
	if f.t.cfg.Failed != nil {
		f.t.cfg.Failed(m.Name(), f.entry, err)
	}
	if loud {
		f.board.note(Note{Source: m.Name(), Text: err.Error() + "; not asked again for this file", Dropped: true})
	}
}

// blame finds out who is behind a whole that does not have the Hub's hash, drops
// them and makes their chunks missing again. It fails when only the Hub is left.
func (f *fetch) blame() error {
	var guilty []*member
	if f.hearsay.current != nil {
		guilty = f.hearsay.current.vouchers
		f.acquit(f.hearsay.current)
	} else {
		guilty = f.contributors()
	}
	f.log.Warn("the whole file does not have the Hub's hash", "blamed", len(guilty))
	var names []string
	for _, m := range guilty {
		names = append(names, m.Name())
		f.drop(m, fmt.Errorf("%s: sent, or vouched for, bytes that are not the file's", m.Name()), true)
	}
	f.hearsay.use(nil)
	if f.crowd.living(source.Peer)+f.crowd.living(source.Hub) == 0 {
		return fmt.Errorf("fetch %s from %s: %w", f.entry, strings.Join(names, ", "), ErrMismatch)
	}
	if g := f.hearsay.best(); g != nil {
		return f.believe(g)
	}
	return f.startOver(guilty)
}

// contributors is every source that brought a chunk, peers alone if any did.
func (f *fetch) contributors() (all []*member) {
	peers := false
	for _, m := range f.crowd.all {
		if m.bytes > 0 && !m.dropped {
			all = append(all, m)
			peers = peers || m.Kind() == source.Peer
		}
	}
	if !peers {
		return all
	}
	only := all[:0]
	for _, m := range all {
		if m.Kind() == source.Peer {
			only = append(only, m)
		}
	}
	return only
}

// startOver makes every chunk missing again that the guilty brought, or that was
// there before.
func (f *fetch) startOver(guilty []*member) error {
	bad := map[*member]bool{nil: true}
	for _, m := range guilty {
		bad[m] = true
	}
	var chunks []int
	for i, m := range f.origin {
		if bad[m] || m != nil && m.dropped {
			chunks = append(chunks, i)
		}
	}
	if len(chunks) == 0 {
		for i := range f.origin {
			chunks = append(chunks, i)
		}
	}
	if _, err := f.part.Adopt(f.m); err != nil {
		return &storeError{err}
	}
	if err := f.part.Drop(chunks); err != nil {
		return &storeError{err}
	}
	for _, i := range chunks {
		f.forget(i)
	}
	return nil
}

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
	done := f.resumed + f.reused + f.fresh
	for _, m := range f.crowd.all {
		done += m.bytes
	}
	f.board.update(func(p *Progress) {
		p.Done, p.Sources = done, states
		if p.Phase = PhaseLocate; done > f.resumed || len(f.errands) > 0 {
			p.Phase = PhaseFetch
		}
	})
}
