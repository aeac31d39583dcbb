package transfer

import (
	"errors"
	"slices"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// What the owner of a fetch does for those who read meanwhile.

// How far ahead of a reader is fetched before anything else: what all sources bring in
// a few seconds, within bounds. Where others fetch the blob as well it is no more than
// the reader needs next, since what all of them want first is drawn by all of them.
const (
	aheadFor    = 4 // seconds
	aheadLeast  = 16 << 20
	aheadMost   = 64 << 20
	aheadAmong  = 2 << 20
	aheadCells  = 2
	recallBlobs = 8 // blobs of which is remembered what the Hub has sent
)

func (f *fetch) ahead() int64 {
	switch {
	case f.co.on:
		return aheadCells * f.co.grid.Bytes()
	case f.co.scattered:
		return aheadAmong
	}
	rate := f.crowd.rate(source.Hub) + f.crowd.rate(source.Peer)
	return min(max(int64(rate*aheadFor), aheadLeast), aheadMost)
}

// attend has come first what readers wait for, and mends what they found damaged.
func (f *fetch) attend() error {
	if broken := f.readers.damaged(); len(broken) > 0 {
		f.log.Warn("chunks of an earlier fetch are damaged; they are fetched again", "chunks", len(broken))
		if err := f.part.Drop(broken); err != nil {
			return &storeError{err}
		}
		f.recount()
	}
	wanted := f.readers.wanted(f.ahead())
	slices.SortFunc(wanted, func(a, b chunk.Span) int { return a.First - b.First })
	f.plan.Want(wanted...)
	if f.co.on {
		for _, s := range wanted {
			f.drawFor(s)
		}
	}
	return nil
}

// drawFor claims the cell that a reader in a crowd needs next, where it is nobody's:
// the order in which the crowd divides the blob knows nothing of readers. A cell that a
// fellow draws or has comes from there.
func (f *fetch) drawFor(s chunk.Span) {
	i := f.plan.Have().NextMissing(s.First)
	if i >= s.End || !f.plan.Free(i) || f.fellowHas(i) || f.listening(time.Now()) {
		return
	}
	if cell := f.co.grid.Of(i); f.co.cross.Take(cell, f.co.now()) {
		f.claimed(cell)
	}
}

func (f *fetch) fellowHas(i int) bool {
	for _, m := range f.crowd.all {
		if m.node != "" && !m.dropped && m.has != nil && m.has.Has(i) {
			return true
		}
	}
	return false
}

// offer lets readers have a chunk that has come, if it is sure.
func (f *fetch) offer(i int) {
	if f.proven {
		f.readers.check(i, chunk.Hash{})
	} else if f.byHub(i) {
		f.readers.check(i, f.part.Sum(i))
	} else {
		f.readers.came(i)
	}
}

// firsthand tells the Hub itself from everybody else.
func firsthand(s source.Source) bool {
	m, ok := s.(source.Secondhand)
	return s.Kind() == source.Hub && !(ok && m.Secondhand())
}

// byHub tells whether the bytes of a chunk on disk are sure to be those that the Hub has
// sent. Where a peer was asked for it as well, either may have written it: who reports
// first need not have written first. So as long as an errand to a peer goes on that
// may have come by, or if one has, it is not sure.
func (f *fetch) byHub(i int) bool {
	if m := f.origin[i]; m == nil || !firsthand(m.Source) || f.mixed[i] {
		return false
	}
	for _, e := range f.errands {
		if s := e.task.Span; !firsthand(e.from.Source) && s.First <= i && i < s.End {
			return false
		}
	}
	return true
}

// twice notes that a chunk was brought that had come before.
func (f *fetch) twice(e *errand, i int) {
	if !firsthand(e.from.Source) {
		f.mixed[i] = true
	}
}

// offerLate looks again at what an errand to a peer might have brought, and did not.
func (f *fetch) offerLate(e *errand) {
	if f.proven || firsthand(e.from.Source) {
		return
	}
	for i := e.task.Span.First; i < e.task.Span.End; i++ {
		if f.byHub(i) {
			f.offer(i)
		}
	}
}

// recall is what the Hub is known to have sent of a blob whose fetch was broken off.
func (t *Transfer) recall(etag ref.ETag) map[int]chunk.Hash {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sent {
		if s.etag == etag {
			return s.sums
		}
	}
	return nil
}

// sent is what the Hub has sent of a blob, as the hashes of its chunks.
type sent struct {
	etag ref.ETag
	sums map[int]chunk.Hash
}

// retainLocked keeps that for the next fetch, which could not tell it from what peers
// have sent; it is forgotten when the blob is here.
func (t *Transfer) retainLocked(etag ref.ETag, fl *flight) {
	sums, begun := fl.readers.sent()
	if fl.err == nil || errors.Is(fl.err, ErrMismatch) {
		sums = nil
	} else if !begun {
		return
	}
	t.sent = slices.DeleteFunc(t.sent, func(s sent) bool { return s.etag == etag })
	if len(sums) > 0 {
		t.sent = append(t.sent, sent{etag, sums})
		t.sent = t.sent[max(0, len(t.sent)-recallBlobs):]
	}
}
