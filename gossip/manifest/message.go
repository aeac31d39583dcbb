package manifest

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Every message begins with two bytes, the format's version and the kind, and
// goes on with one zstd frame. Numbers are varints; strings and lists come
// behind their length; hashes are raw.
//
//	kind       frame
//	summary    epoch, seq, summary
//	deltas     epoch, seq, then the changes that lead there, oldest first
//	current    epoch, seq: there is nothing newer than what was asked with
//	list       files, by column
//	tree       flags, files, by column
//	news       node id (8 bytes), epoch, one change; sent by UDP, so at most MaxNews bytes
const (
	format = 1

	kindSummary = 1
	kindDeltas  = 2
	kindCurrent = 3
	kindList    = 4
	kindNews    = 5
	kindTree    = 6
)

// MaxNews is the longest news, in bytes: it must fit into one gossip packet
// beside the membership messages.
const MaxNews = 1000

// maxSeq keeps sequence numbers where adding to them cannot overflow.
const maxSeq = 1 << 62

func pack(kind byte, plain []byte) []byte {
	return codecs().enc.EncodeAll(plain, []byte{format, kind})
}

func unpack(b []byte, kinds ...byte) ([]byte, error) {
	kind, err := kindOf(b)
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if k != kind {
			continue
		}
		dec := codecs().dec
		switch k {
		case kindNews:
			dec = codecs().small
		case kindTree:
			dec = codecs().tree
		}
		plain, err := dec.DecodeAll(b[2:], nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("%w: kind %d is not what was asked for", ErrMalformed, kind)
}

func kindOf(b []byte) (byte, error) {
	switch {
	case len(b) < 2 || len(b) > MaxWire:
		return 0, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	case b[0] != format:
		return 0, fmt.Errorf("%w: unknown format %d", ErrMalformed, b[0])
	}
	return b[1], nil
}

// Answer is what a node replies when it is asked for its manifest: the whole
// summary, or the changes since the version asked with, or neither when that is
// the newest.
type Answer struct {
	Version Version
	Summary *Summary
	Deltas  []Delta
}

// Encode writes the answer as of now.
func (a Answer) Encode(now time.Time) []byte { return pack(a.plain(now)) }

func (a Answer) plain(now time.Time) (kind byte, b []byte) {
	w := &writer{}
	w.uint(a.Version.Epoch)
	w.uint(a.Version.Seq)
	switch {
	case a.Summary != nil:
		w.summary(a.Summary, func(t time.Time) { w.age(t, now) })
		return kindSummary, w.b
	case len(a.Deltas) > 0:
		w.count(len(a.Deltas))
		for i := range a.Deltas {
			w.delta(&a.Deltas[i], now)
		}
		return kindDeltas, w.b
	}
	return kindCurrent, w.b
}

// DecodeAnswer reads what [Answer.Encode] wrote, as of now.
func DecodeAnswer(b []byte, now time.Time) (a Answer, err error) {
	plain, err := unpack(b, kindSummary, kindDeltas, kindCurrent)
	if err != nil {
		return a, fmt.Errorf("manifest: %w", err)
	}
	if a, err = decodeAnswer(b[1], plain, now); err != nil {
		return Answer{}, fmt.Errorf("manifest: %w", err)
	}
	return a, nil
}

func decodeAnswer(kind byte, plain []byte, now time.Time) (a Answer, err error) {
	r := &reader{b: plain}
	a.Version = Version{Epoch: r.uint(maxSeq), Seq: r.uint(maxSeq)}
	switch kind {
	case kindSummary:
		a.Summary = r.summary(now)
	case kindDeltas:
		a.Deltas = r.deltas(a.Version.Seq, now)
	}
	return a, r.end()
}

// deltas reads changes that must follow each other without a gap up to seq.
func (r *reader) deltas(seq uint64, now time.Time) (ds []Delta) {
	for range r.count(maxDeltas, 14) {
		ds = append(ds, r.delta(now))
		if n := len(ds); n > 1 && ds[n-2].To != ds[n-1].From {
			r.fail("changes do not follow each other")
		}
		if r.err != nil {
			return nil
		}
	}
	if len(ds) == 0 || ds[len(ds)-1].To != seq {
		r.fail("changes do not lead to %d", seq)
	}
	return ds
}

// News is one small change, told to everybody instead of being asked for.
type News struct {
	Node  string // id, 16 hex digits
	Epoch uint64
	Delta Delta
}

// Version is what the news leads to.
func (n *News) Version() Version { return Version{n.Epoch, n.Delta.To} }

// Encode writes the news as of now; nil when it is too long for a packet.
func (n *News) Encode(now time.Time) []byte {
	plain := n.plain(now)
	if plain == nil || len(plain) > maxNewsPlain {
		return nil
	}
	b := pack(kindNews, plain)
	if len(b) > MaxNews {
		return nil
	}
	return b
}

func (n *News) plain(now time.Time) []byte {
	id, err := hex.DecodeString(n.Node)
	if err != nil || len(id) != 8 {
		return nil
	}
	w := &writer{b: id}
	w.uint(n.Epoch)
	w.delta(&n.Delta, now)
	return w.b
}

// DecodeNews reads what [News.Encode] wrote, as of now.
func DecodeNews(b []byte, now time.Time) (n News, err error) {
	if len(b) > MaxNews {
		return n, fmt.Errorf("news: %w: %d bytes", ErrMalformed, len(b))
	}
	plain, err := unpack(b, kindNews)
	if err != nil {
		return n, fmt.Errorf("news: %w", err)
	}
	if n, err = decodeNews(plain, now); err != nil {
		return News{}, fmt.Errorf("news: %w", err)
	}
	return n, nil
}

func decodeNews(plain []byte, now time.Time) (n News, err error) {
	r := &reader{b: plain}
	n.Node = r.hex(8)
	n.Epoch = r.uint(maxSeq)
	n.Delta = r.delta(now)
	return n, r.end()
}
