package transfer

import (
	"context"
	"io"
)

// A reader that has got nothing for long is given a little straight from the Hub, so
// that its client does not give up: where a large file without a Xet hash comes from
// peers, nothing of it is sure until all of it is there. What comes so is what the
// client would have got without us; it goes to nobody else, and not to the disk. When
// the Hub cannot be asked it takes what peers have sent.

const (
	drawMost  = 512 << 10 // bytes at once: a sign of life, not a way to fetch a file
	drawPiece = 64 << 10
)

// draw is such a request under way.
type draw struct {
	pieces chan []byte // good until the next one is taken; closed at the end
	cancel context.CancelFunc
	over   chan struct{}
	some   bool // something has come
}

// starve is what happens when a reader has waited for too long.
func (g *sending) starve(ctx context.Context) {
	g.hunger.Reset(g.s.t.hungry)
	if g.at >= g.most { // at the very end: of what is held back it gets ever smaller parts
		g.most = g.at + (g.s.entry.Blob.Size-1-g.at)/2
	}
	if g.draw == nil && !g.there {
		g.begin(ctx, min(g.end, g.most, g.at+drawMost)-g.at)
	}
}

// begin draws the next n bytes.
func (g *sending) begin(ctx context.Context, n int64) {
	if n <= 0 {
		return
	}
	ctx, cancel := context.WithCancel(g.s.fl.limits(ctx))
	d := &draw{pieces: make(chan []byte), cancel: cancel, over: make(chan struct{})}
	g.draw = d
	at := g.at
	go func() {
		defer close(d.over)
		defer close(d.pieces)
		g.s.drawAll(ctx, at, n, d.pieces)
	}()
}

// drawAll asks one way to the Hub after the other, until one has brought something.
func (s *Stream) drawAll(ctx context.Context, off, n int64, pieces chan<- []byte) {
	for _, src := range s.t.cfg.Hub(s.entry) {
		if !firsthand(src) || ctx.Err() != nil {
			continue
		}
		body, err := src.Open(ctx, s.entry, off, n)
		some := false
		if err == nil {
			some, err = hand(ctx, io.LimitReader(body, n), pieces)
			_ = body.Close()
		}
		if err != nil {
			s.t.cfg.Log.Debug("a reader's bytes were not drawn", "file", s.entry, "source", src.Name(), "err", err)
		}
		if some {
			return
		}
	}
}

// hand gives what is read away piece by piece. While one is written the next is read.
func hand(ctx context.Context, r io.Reader, pieces chan<- []byte) (some bool, err error) {
	var bufs [2][drawPiece]byte
	for k := 0; ; k = 1 - k {
		n, err := r.Read(bufs[k][:])
		if n > 0 {
			select {
			case pieces <- bufs[k][:n]:
				some = true
			case <-ctx.Done():
				return some, ctx.Err()
			}
		}
		if err == io.EOF {
			return some, nil
		}
		if err != nil {
			return some, err
		}
	}
}

// take writes a piece that was drawn; more is false at the end of them.
func (g *sending) take(data []byte, more bool) error {
	if !more {
		if !g.draw.some { // the Hub cannot be asked
			g.s.fl.readers.loosen(g.seat)
		}
		g.undraw()
		return nil
	}
	g.draw.some = true
	g.hunger.Reset(g.s.t.hungry)
	n, err := g.w.Write(data)
	g.at += int64(n)
	return err
}

// undraw ends a request and waits for it.
func (g *sending) undraw() {
	if d := g.draw; d != nil {
		d.cancel()
		for range d.pieces { // what it was about to give away
		}
		<-d.over
		g.draw = nil
	}
}
