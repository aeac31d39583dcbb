package transfer

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/crossing"
	"hffs/transfer/source"
)

// Fellows are nodes that fetch the same blob at the same time. Each tells the
// others what it has and what it is about to draw from the origin (package
// crossing says what that is), and serves what it has: so the blob comes from the
// Hub once, whoever needs it.
//
// Without a proven map, what a fellow sends is held against what it has told
// itself. That proves that it sends what it tells, not that this is right: the
// whole blob's hash does. So each chunk has somebody who answers for it, the one
// who drew it from the Hub, and when the whole turns out wrong these are
// suspected, not those who passed it on.

// fellowNews is what a fellow told; at its end over is set.
type fellowNews struct {
	m    *member
	news []source.News
	over bool
	err  error
}

// told is what a fellow says of a chunk: its hash, and who answers for it.
type told struct {
	sum chunk.Hash
	by  string
}

// toldMost is how many chunks that are missing here a fellow may have told of; what
// goes beyond it is asked for again later. It bounds memory.
const toldMost = 1 << 15

// company is the crowd's part of a fetch.
type company struct {
	grid      crossing.Grid
	cross     *crossing.Crossing
	bulletin  *bulletin
	began     time.Time
	on        bool // there is, or was, a fellow
	me        string
	vouched   []uint16                      // who answers for each chunk, as its place in names
	names     []string                      // the first is this node
	known     map[crossing.ID]source.Fellow // who fetches the blob as well, as far as was heard
	news      chan fellowNews
	met       chan source.Source
	watch     crossing.Watch
	turn      int       // whose turn it is to be asked first
	scattered bool      // it has begun at a place of its own
	still     time.Time // since when nothing is under way
	alone     bool      // the crowd has failed: the Hub is asked for everything
	trial     *trial    // nil: nobody's word is in doubt
}

func newCompany(me string, etag ref.ETag, m chunk.Map, proven bool) *company {
	g := crossing.NewGrid(m)
	return &company{
		grid: g, me: me, began: time.Now(),
		cross:    crossing.New(g.Len(), crossingID(me), uint64(crossingID(string(etag)))),
		bulletin: newBulletin(m, g.Bytes(), proven),
		vouched:  make([]uint16, m.Len()), names: []string{me},
		known: map[crossing.ID]source.Fellow{}, news: make(chan fellowNews), met: make(chan source.Source, 32),
	}
}

// crossingID is a node's identity as a number.
func crossingID(node string) crossing.ID {
	if b, err := hex.DecodeString(node); err == nil && len(b) == 8 {
		return crossing.ID(binary.BigEndian.Uint64(b))
	}
	return crossing.ID(hashed(node)) // identities of another form
}

func hashed(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}

// owes tells whether this node has drawn something that no fellow has yet. It is for
// when the owner has ended.
func (c *company) owes() bool { return c.on && c.cross.Fellows() > 0 && c.cross.Unspread() > 0 }

func (c *company) now() time.Duration { return time.Since(c.began) }

func (c *company) name(by string) uint16 {
	for i, n := range c.names {
		if n == by {
			return uint16(i)
		}
	}
	if len(c.names) == 1<<16-1 {
		return 0
	}
	c.names = append(c.names, by)
	return uint16(len(c.names) - 1)
}

// welcome takes in nodes that fetch the blob as well, and follows those of them
// that are to be followed.
func (f *fetch) welcome(ctx context.Context, found []source.Source) {
	if f.co.trial != nil {
		return
	}
	for _, s := range found {
		if fellow, ok := s.(source.Fellow); ok && fellow.NodeID() != f.co.me {
			f.co.known[crossingID(fellow.NodeID())] = fellow
		}
	}
	if len(f.co.known) <= crossing.MostPartners {
		for _, fellow := range f.co.known {
			f.follow(ctx, fellow)
		}
		return
	}
	for id := range f.co.known {
		f.co.cross.Join(id, true)
	}
	for _, id := range f.co.cross.Partners() {
		f.follow(ctx, f.co.known[id])
	}
}

// followMost bounds how many are followed, partners of earlier choices among them.
const followMost = crossing.MostPartners + 8

// follow listens to a fellow, unless it is listened to already or has to rest.
func (f *fetch) follow(ctx context.Context, fellow source.Fellow) {
	if fellow == nil || f.following() >= followMost {
		return
	}
	m := f.crowd.find(fellow)
	switch {
	case m == nil:
		m = f.crowd.add([]source.Source{fellow})[0]
		m.has = chunk.NewHave(f.m.Len())
		f.plan.Add(m.id, chunk.NewHave(f.m.Len()))
	case m.following || m.whole || m.dropped || m.has == nil || m.node != "" && time.Now().Before(m.rest):
		return
	}
	m.node, m.following, m.draws, m.told, m.covered = fellow.NodeID(), true, true, map[int]told{}, nil
	m.heard, m.joined = false, time.Now()
	f.crowdOn()
	f.co.cross.Join(crossingID(m.node), true)
	for _, cell := range f.co.cross.Recall() {
		f.yield(cell)
	}
	f.background.Go(func() {
		tell := func(n fellowNews) {
			select {
			case f.co.news <- n:
			case <-ctx.Done():
			}
		}
		err := fellow.Follow(ctx, f.entry.Blob, func(news []source.News) { tell(fellowNews{m: m, news: news}) })
		tell(fellowNews{m: m, over: true, err: err})
	})
}

// greeted takes in a node that has asked here about the blob: so it fetches it, even
// where it said otherwise a moment ago.
func (f *fetch) greeted(ctx context.Context, s source.Source) {
	if m := f.crowd.find(s); m != nil && m.node != "" {
		m.again = m.following && !m.heard
		if !m.following {
			m.rest = time.Time{}
		}
	}
	f.welcome(ctx, []source.Source{s})
}

func (f *fetch) following() (n int) {
	for _, m := range f.crowd.all {
		if m.following {
			n++
		}
	}
	return n
}

// crowdOn begins to divide the work: from now on the origin is only asked for what
// this node has claimed.
func (f *fetch) crowdOn() {
	if f.co.on {
		return
	}
	f.co.on = true
	f.plan.Crowd(f.co.grid.Bytes(), rand.Uint64())
	f.eachOrigin(f.makeOrigin)
	for _, e := range f.errands {
		if e.from.origin() {
			f.claimErrand(e)
		}
	}
	for i := range f.m.Len() {
		if f.plan.Have().Has(i) {
			f.mine(i)
		}
	}
}

// claimErrand claims what an errand to the origin was sent for before there was a
// crowd: the cell that it is in, and leaves the rest to be divided.
func (f *fetch) claimErrand(e *errand) {
	first, ok := f.plan.At(e.task.ID)
	if !ok {
		return
	}
	cell := f.co.grid.Of(first)
	f.cutShort(e, max(f.co.grid.Chunks(cell).End, first+1))
	if f.co.cross.Take(cell, f.co.now()) {
		f.claimed(cell)
	}
}

// cutShort has an errand end before a chunk.
func (f *fetch) cutShort(e *errand, end int) {
	f.plan.Shorten(e.task.ID, end)
	e.end.Store(min(e.end.Load(), int64(end)))
}

func (f *fetch) makeOrigin(m *member) {
	f.plan.Limit(m.id, chunk.NewHave(f.m.Len()))
	f.plan.Origin(m.id)
	for _, cell := range f.co.cross.Claims() {
		f.open(m, f.co.grid.Chunks(cell))
	}
}

// hearing is how long a node that has just found fellows waits to hear what they
// have and draw before it draws itself.
const hearing = 300 * time.Millisecond

// listening tells whether a fellow may be about to tell what need not be drawn.
func (f *fetch) listening(now time.Time) bool {
	for _, m := range f.crowd.all {
		if m.following && !m.heard && now.Sub(m.joined) < hearing {
			return true
		}
	}
	return false
}

// claim takes cells to draw for an origin that has room for an errand: one, or as
// many as keep a distant one busy. Where none is left it may be one that a fellow
// has and does not give.
func (f *fetch) claim(m *member) bool {
	any := false
	want := f.co.grid.Run(m.rate/float64(max(1, m.errands)), m.wait)
	for ; want > 0; want -= f.co.grid.Bytes() {
		cell, ok := f.co.cross.Next(f.co.now())
		if !ok && !any && f.co.watch.Short() {
			cell, ok = f.co.cross.Rescue(f.co.now())
		}
		if !ok {
			break
		}
		f.claimed(cell)
		any = true
	}
	return any
}

// claimed tells everybody of a claim and opens the cell to the origin.
func (f *fetch) claimed(cell int) {
	f.co.bulletin.claimed(cell, true)
	f.eachOrigin(func(m *member) { f.open(m, f.co.grid.Chunks(cell)) })
}

// open lets an origin be asked for chunks; the Hub only for those that no neighbour
// has in another file.
func (f *fetch) open(m *member, s chunk.Span) {
	if f.lacking == nil || m.Kind() != source.Hub {
		f.plan.Gain(m.id, s)
		return
	}
	for i := s.First; i < s.End; i++ {
		if f.lacking.Has(i) {
			f.plan.Gain(m.id, chunk.Span{First: i, End: i + 1})
		}
	}
}

// unclaim takes a claim back; that of crossing is gone by now.
func (f *fetch) unclaim(cell int) {
	f.co.bulletin.claimed(cell, false)
	f.eachOrigin(func(m *member) { f.plan.Lose(m.id, f.co.grid.Chunks(cell)) })
}

func (f *fetch) eachOrigin(do func(*member)) {
	for _, m := range f.crowd.all {
		if m.origin() {
			do(m)
		}
	}
}

// yield leaves a cell to the fellow that draws it, or has it.
func (f *fetch) yield(cell int) {
	f.unclaim(cell)
	s := f.co.grid.Chunks(cell)
	for _, e := range f.errands {
		if !e.from.origin() {
			continue
		}
		at, ok := f.plan.At(e.task.ID)
		switch {
		case !ok || at >= s.End || int(e.end.Load()) <= s.First:
		case at >= s.First:
			e.cancel()
		default:
			f.cutShort(e, s.First)
		}
	}
}

// released gives up the claims of an errand that failed: others may do better.
func (f *fetch) released(e *errand) {
	if !f.co.on || !e.from.origin() {
		return
	}
	for i := e.task.Span.First; i < int(e.end.Load()); i++ {
		if cell := f.co.grid.Of(i); !f.plan.Have().Has(i) {
			f.co.cross.Drop(cell)
			f.unclaim(cell)
		}
	}
}

// mine takes in that chunk i is here, and tells of it.
func (f *fetch) mine(i int) {
	f.co.bulletin.got(i, f.part.Sum(i), f.voucher(i))
	cell := f.co.grid.Of(i)
	if !f.co.on || !f.co.grid.Whole(f.plan.Have(), cell) {
		return
	}
	f.co.cross.Mine(cell, f.co.now())
	f.unclaim(cell)
}

// voucher is who answers for a chunk, empty for this node.
func (f *fetch) voucher(i int) string {
	if v := f.co.vouched[i]; v > 0 {
		return f.co.names[v]
	}
	return ""
}

// hearFellow takes in what a fellow told.
func (f *fetch) hearFellow(ctx context.Context, n fellowNews) {
	m := n.m
	m.heard = m.heard || !n.over
	for _, news := range n.news {
		if !m.dropped { // a liar goes on telling
			f.hearNews(m, news)
		}
	}
	if !n.over {
		return
	}
	m.following = false
	if m.whole {
		return
	}
	f.log.Debug("a fellow is gone", "source", m.Name(), "err", n.err)
	delete(f.co.known, crossingID(m.node)) // until it is found again
	f.bereave(m)
	if m.again {
		m.again = false
		if fellow, ok := m.Source.(source.Fellow); ok {
			f.follow(ctx, fellow)
			return
		}
	}
	m.rest = time.Now().Add(busyRest)
}

// bereave forgets what a fellow had and claimed.
func (f *fetch) bereave(m *member) {
	f.co.cross.Leave(crossingID(m.node))
	f.plan.Lose(m.id, chunk.Span{End: f.m.Len()})
	m.has, m.told, m.covered = chunk.NewHave(f.m.Len()), map[int]told{}, nil
}

func (f *fetch) hearNews(m *member, n source.News) {
	id, now := crossingID(m.node), f.co.now()
	switch n.Kind {
	case source.NewsHave:
		f.hearHave(m, n)
	case source.NewsLost:
		f.hearLost(m, n)
	case source.NewsWhole:
		m.whole = true
		f.hearHave(m, source.News{Kind: source.NewsHave, Len: f.m.Size()})
	case source.NewsDraws:
		m.draws = n.Len > 0
		f.co.cross.Draws(id, m.draws)
	case source.NewsClaim:
		f.eachCell(n, func(cell int) {
			if f.co.cross.Claimed(id, cell, now) {
				f.yield(cell)
			}
		})
	case source.NewsRelease:
		f.eachCell(n, func(cell int) { f.co.cross.Released(id, cell) })
	}
}

// eachCell visits the cells that a claim is about.
func (f *fetch) eachCell(n source.News, do func(cell int)) {
	b := f.co.grid.Bytes()
	for off := n.Off; off < n.Off+n.Len; off += b {
		do(int(off / b))
	}
}

// hearHave takes in chunks that a fellow has.
func (f *fetch) hearHave(m *member, n source.News) {
	m.covered = m.covered.add(n.Off, n.Off+n.Len)
	at := m.covered.around(n.Off)
	first := f.m.At(max(n.Off-chunk.MaxLen, at.from))
	if f.m.Offset(first) < at.from {
		first++
	}
	span := chunk.Span{First: first, End: first}
	for i := first; i < f.m.Len() && f.m.Offset(i) < n.Off+n.Len && f.m.Offset(i+1) <= at.to; i++ {
		if !f.note(m, n, i) {
			break
		}
		m.has.Add(i)
		span.End = i + 1
	}
	f.plan.Gain(m.id, span)
	f.cellsOf(span, func(cell int) {
		if f.co.grid.Whole(m.has, cell) && f.co.cross.Has(crossingID(m.node), cell, f.co.now()) {
			f.yield(cell)
		}
	})
}

// note keeps what a fellow says of chunk i, as long as it is missing here. false:
// there is no more room for that.
func (f *fetch) note(m *member, n source.News, i int) bool {
	k := int((f.m.Offset(i) - n.Off) / chunk.FixedLen)
	if f.proven || k < 0 || k >= len(n.Sums) || f.plan.Have().Has(i) {
		return true
	}
	if len(m.told) >= toldMost {
		return false
	}
	by := n.By
	if by == "" {
		by = m.node
	}
	m.told[i] = told{n.Sums[k], by}
	return true
}

// toldOf is what a fellow told of the chunks of a span; nil where other means
// prove them.
func (f *fetch) toldOf(m *member, s chunk.Span) []chunk.Hash {
	if m.node == "" || f.proven || f.hearsay.current != nil {
		return nil
	}
	sums := make([]chunk.Hash, s.Len())
	for i := range sums {
		sums[i] = m.told[s.First+i].sum
	}
	return sums
}

// vouch notes who answers for a chunk that was brought.
func (f *fetch) vouch(from *member, i int) {
	f.co.vouched[i] = 0
	if from.node != "" && !f.proven {
		by := from.node
		if t, ok := from.told[i]; ok {
			by = t.by
		}
		f.co.vouched[i] = f.co.name(by)
	}
	for _, m := range f.crowd.all {
		delete(m.told, i)
	}
}

// hopeful tells whether something may still come of a source.
func (f *fetch) hopeful(m *member) bool {
	if m.node == "" || m.whole {
		return true
	}
	if !m.following {
		return false
	}
	have := f.plan.Have()
	for i := have.NextMissing(0); i < f.m.Len(); i = have.NextMissing(i + 1) {
		if m.has.Has(i) {
			return true
		}
	}
	return m.draws
}

func (f *fetch) hearLost(m *member, n source.News) {
	m.covered = m.covered.cut(n.Off, n.Off+n.Len)
	for i := f.m.At(n.Off); i < f.m.Len() && f.m.Offset(i) < n.Off+n.Len; i++ {
		m.has.Remove(i)
		delete(m.told, i)
		f.plan.Lose(m.id, chunk.Span{First: i, End: i + 1})
		f.co.cross.Lacks(crossingID(m.node), f.co.grid.Of(i))
	}
}

func (f *fetch) cellsOf(s chunk.Span, do func(cell int)) {
	if s.First >= s.End {
		return
	}
	for cell := f.co.grid.Of(s.First); cell <= f.co.grid.Of(s.End-1); cell++ {
		do(cell)
	}
}

// keepCompany is what the owner does for the crowd each tick.
func (f *fetch) keepCompany(now time.Time) {
	drawing := false
	var fellows, origins int64
	for _, m := range f.crowd.all {
		if !m.origin() {
			fellows += m.now
			continue
		}
		origins += m.now
		drawing = drawing || m.errands > 0
	}
	f.mayDraw(now)
	f.co.watch.Tick(fellows, origins, drawing, f.m.Size()-f.done())
	f.impasse(now)
}

// mayDraw tells everybody whether there is an origin that this node can ask.
func (f *fetch) mayDraw(now time.Time) {
	draws := false
	f.eachOrigin(func(m *member) { draws = draws || !m.dropped && !now.Before(m.rest) })
	f.co.cross.Draws(crossingID(f.co.me), draws)
	f.co.bulletin.draw(draws)
}

// standstill is how long nothing at all may be under way before the crowd's rules
// are put aside: a download must not hang on what others promised.
const standstill = 5 * time.Second

// impasse opens everything to the origin where nobody does anything any more.
func (f *fetch) impasse(now time.Time) {
	if !f.co.on || len(f.errands) > 0 || f.copying > 0 {
		f.co.still = time.Time{}
		return
	}
	if f.co.still.IsZero() {
		f.co.still = now
	}
	if now.Sub(f.co.still) > standstill {
		f.log.Warn("the crowd has come to a standstill; the rest is drawn from the Hub")
		f.co.still, f.co.alone = time.Time{}, true
		f.eachOrigin(func(m *member) { f.plan.Gain(m.id, chunk.Span{End: f.m.Len()}) })
	}
}

// errSuspect says why a fellow is dropped whose word turned out wrong.
var errSuspect = errors.New("answered for bytes that are not the file's")

// trial is what a node answered for, while it is fetched again from the Hub: then
// it shows whether its word was good.
type trial struct {
	node   string
	chunks []int
	sums   []chunk.Hash // as they were
}

// retry puts the next suspect on trial; false: there is none. Those who answer for
// least come first, as that costs least.
func (f *fetch) retry() bool {
	f.verdict()
	suspects := map[uint16][]int{}
	for i, v := range f.co.vouched {
		if v > 0 && f.plan.Have().Has(i) {
			suspects[v] = append(suspects[v], i)
		}
	}
	who := uint16(0)
	for v, chunks := range suspects {
		if who == 0 || len(chunks) < len(suspects[who]) || len(chunks) == len(suspects[who]) && v < who {
			who = v
		}
	}
	if who == 0 {
		return false
	}
	t := &trial{node: f.co.names[who], chunks: suspects[who]}
	for _, i := range t.chunks {
		t.sums = append(t.sums, f.part.Sum(i))
	}
	if f.part.Drop(t.chunks) != nil {
		return false
	}
	f.co.trial = t
	for _, i := range t.chunks {
		f.forget(i)
	}
	f.redraw(t.chunks)
	return true
}

// redraw has chunks that are on trial come from the Hub, and from nobody else.
func (f *fetch) redraw(chunks []int) {
	for _, i := range chunks {
		for _, m := range f.crowd.all {
			if m.Kind() == source.Peer {
				f.plan.Lose(m.id, chunk.Span{First: i, End: i + 1})
			}
		}
		f.co.cross.Take(f.co.grid.Of(i), f.co.now())
		f.claimed(f.co.grid.Of(i))
	}
}

// verdict ends a trial: a chunk that came otherwise from the Hub convicts.
func (f *fetch) verdict() {
	t := f.co.trial
	f.co.trial = nil
	if t == nil {
		return
	}
	for k, i := range t.chunks {
		if f.plan.Have().Has(i) && f.part.Sum(i) != t.sums[k] {
			f.convict(t.node)
			return
		}
	}
}

// convict names a node whose word on a chunk was wrong.
func (f *fetch) convict(node string) {
	for _, m := range f.crowd.all {
		if m.node == node {
			f.drop(m, fmt.Errorf("%s %w", m.Name(), errSuspect), true)
			return
		}
	}
	f.board.note(Note{Source: node, Text: "node " + node + " " + errSuspect.Error()})
}
