package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/hub"
	"hffs/transfer/source"
	"hffs/transfer/verify"
	"hffs/transfer/xet"
)

// What becomes of sources: who faltered, who lied, who is asked again, and whose
// word on chunks counts.

// condemn drops whoever told a map that is none.
func (f *fetch) condemn(l lie) {
	f.take([]source.Source{l.by})
	f.drop(f.crowd.find(l.by), l.err, true)
}

// settle does what is left once the file is right: its map is kept, and whoever
// told another one is named.
func (f *fetch) settle() {
	for len(f.lies) > 0 {
		f.condemn(<-f.lies)
	}
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

// nameTheSilent tells of those that others had to step in for at the very end.
func (f *fetch) nameTheSilent() {
	const silence = 250 * time.Millisecond
	for _, e := range f.errands {
		f.excuse(e, time.Now())
		if quiet := time.Since(time.Unix(0, e.alive.Load())); quiet > silence && e.from.Kind() == source.Peer {
			f.falter(e.from, fmt.Sprintf("%s has sent nothing for %v", e.from.Name(), quiet.Round(50*time.Millisecond)))
		}
	}
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
	f.readers.doubt(i)
	delete(f.mixed, i)
	f.co.bulletin.lost(i)
	f.co.cross.Lost(f.co.grid.Of(i))
	f.co.vouched[i] = 0
	if m := f.origin[i]; m != nil {
		m.bytes -= f.m.Length(i)
		f.origin[i] = nil
	} else {
		f.resumed -= f.m.Length(i)
	}
}

// hopeless is the error when nobody is left to ask.
func (f *fetch) hopeless() error {
	if !f.located || f.asking || len(f.errands) > 0 || f.copying > 0 {
		return nil
	}
	for _, m := range f.crowd.all {
		if !m.dropped && f.hopeful(m) {
			return nil
		}
	}
	if f.hearsay.current != nil && f.acquit(f.hearsay.current) {
		f.refute() // nobody can bring what the map says: better none
		return nil
	}
	return &NoSourceError{Entry: f.entry, Asked: f.crowd.answers()}
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
	case errors.Is(err, source.ErrGone) && m.node != "":
		f.strike(m, err, 0) // it is on its way there, or was
	case errors.Is(err, source.ErrGone) && m.has != nil && m.has.Has(e.at):
		f.misses(m, e.at)
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

// misses takes a chunk off what a holder of some chunks was thought to have.
func (f *fetch) misses(m *member, i int) {
	f.log.Debug("a chunk is not there after all", "source", m.Name(), "chunk", i)
	f.plan.Lose(m.id, chunk.Span{First: i, End: i + 1})
	m.has.Remove(i)
	f.limitHub()
}

// strike is what becomes of a source after a passing fault. It comes back when it
// is found again later.
func (f *fetch) strike(m *member, err error, wait time.Duration) {
	now := time.Now()
	m.left = m.node != "" && absent(err)
	f.falter(m, err.Error())
	if m.strike(now, err, wait) && (!f.crowd.last(m) || now.Sub(m.failing) > lastPatience) {
		m.passing = true
		f.drop(m, err, f.matters(m))
	}
}

// matters tells whether the user should hear of a source's fault: not where one
// way to the Hub silently takes the place of another.
func (f *fetch) matters(m *member) bool {
	return !m.left && (m.Kind() != source.Hub || f.crowd.living(source.Hub) <= 1)
}

// absent tells whether nobody was at the door.
func absent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
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
	if m.node != "" {
		f.bereave(m)
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
	if f.hearsay.current == nil && f.crowd.living(source.Hub) > 0 && f.retry() {
		return nil
	}
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
		if m.passing {
			m.dropped, m.passing = false, false // it does not come back
		}
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

// contributors is every source that brought a chunk, peers alone if any did: also those
// that are gone by now.
func (f *fetch) contributors() (all []*member) {
	peers := false
	for _, m := range f.crowd.all {
		if m.bytes > 0 && (!m.dropped || m.Kind() == source.Peer) {
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

// startOver makes every chunk missing again that the guilty brought, or may have
// brought, or that was there before.
func (f *fetch) startOver(guilty []*member) error {
	bad := map[*member]bool{nil: true}
	for _, m := range guilty {
		bad[m] = true
	}
	var chunks []int
	for i, m := range f.origin {
		if bad[m] || m != nil && m.dropped || f.mixed[i] {
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
