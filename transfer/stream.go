package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"hffs/cache"
	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// hungry is how long a reader goes without a byte before what it waits for is also
// drawn from the Hub, past everything else; clients give up after ten seconds.
const hungry = 4 * time.Second

// heldBack is how many of a blob's last bytes wait until the whole has its hash, where
// it is only then that all of it is sure: nobody is to end up with all bytes of a file
// that is wrong.
//
// A short range is not held up: who asks for it wants the end of a file for itself (the
// table of contents of an archive), and has no beginning that it would complete.
const (
	heldBack = 16 << 10
	short    = 4 << 20 // bytes
)

// errSpoilt ends a reading whose beginning turned out wrong.
var errSpoilt = errors.New("what was sent of it turned out wrong; it has to be read anew, from the start")

// A Stream is the content of a file for one reader, who may come before it does. It is
// for one goroutine at a time, and ends with Close. Its file stays readable when the
// blob gets its final name, or is deleted.
type Stream struct {
	t     *Transfer
	entry ref.Entry
	fl    *flight // nil: the blob was here
	leave func()
	file  *os.File    // of the whole blob
	part  *cache.Part // of what is there of it
	buf   []byte      // for one chunk
}

// File is the whole file, once it is there; nil before. It belongs to the Stream.
func (s *Stream) File() *os.File {
	if s.file == nil {
		if over, err := s.fl.landed(); over && err == nil {
			_ = s.openWhole()
		}
	}
	return s.file
}

func (s *Stream) openWhole() (err error) {
	s.file, err = s.t.whole(context.Background(), s.entry)
	return err
}

// Close ends the reading. The fetch goes on for a while, for whoever comes next.
func (s *Stream) Close() error {
	if s.file != nil {
		_ = s.file.Close()
	}
	if s.part != nil {
		_ = s.part.Close()
		s.part = nil
	}
	if s.leave != nil {
		s.leave()
		s.leave = nil
	}
	return nil
}

// Send writes n bytes from offset off, each as soon as it is here and sure to be right.
// It says how many were written; fewer than n come with an error.
func (s *Stream) Send(ctx context.Context, w io.Writer, off, n int64) (int64, error) {
	if off < 0 || n < 0 || off > s.entry.Blob.Size-n {
		return 0, fmt.Errorf("send bytes %d+%d of %s: it has %d", off, n, s.entry, s.entry.Blob.Size)
	}
	g := &sending{s: s, w: w, at: off, end: off + n, most: s.entry.Blob.Size}
	if n > short || off == 0 {
		g.most = max(0, s.entry.Blob.Size-heldBack)
	}
	if off > 0 && g.end == s.entry.Blob.Size && s.t.Spoilt(s.entry.Blob.ETag) {
		return 0, fmt.Errorf("send the rest of %s: %w", s.entry, errSpoilt)
	}
	if s.fl != nil {
		g.seat = s.fl.readers.sit(off, g.end)
		defer s.fl.readers.rise(g.seat)
	}
	g.hunger = time.NewTimer(s.t.hungry)
	defer g.hunger.Stop()
	defer g.undraw()
	err := g.run(ctx)
	if err != nil {
		err = fmt.Errorf("send %s: %w", s.entry, err)
	}
	return g.at - off, err
}

// sending is one Send under way.
type sending struct {
	s       *Stream
	w       io.Writer
	at, end int64
	most    int64 // up to where bytes may be given that are not proven
	there   bool  // what it waits for is on disk and sure, and held back
	seat    *seat
	hunger  *time.Timer
	draw    *draw // nil: nothing is drawn past the fetch
}

func (g *sending) run(ctx context.Context) error {
	for g.at < g.end {
		n, err := g.step(ctx)
		g.at += n
		if n > 0 {
			g.hunger.Reset(g.s.t.hungry)
		}
		if err != nil {
			return err
		}
		if n > 0 {
			g.undraw()
			continue
		}
		if err := g.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// step writes what is there.
func (g *sending) step(ctx context.Context) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if g.seat != nil && g.s.fl.readers.isSpoilt(g.seat) {
		return 0, errSpoilt
	}
	const wholeRun = 64 << 20 // then ctx is looked at
	if f := g.s.File(); f != nil {
		return copyAt(g.w, f, g.at, min(g.end-g.at, wholeRun))
	}
	if over, err := g.s.fl.landed(); over {
		if err == nil {
			err = g.s.openWhole() // it was there, and does not open
		}
		return 0, err
	}
	p := g.s.fl.readers.look(g.seat, g.at)
	if p.proven {
		g.most = g.end
	}
	g.there = p.end > 0
	n := min(p.end, g.end, g.most) - g.at
	if n <= 0 || !g.s.openPart(p.part) {
		return 0, nil
	}
	if p.sum == (chunk.Hash{}) {
		return copyAt(g.w, g.s.part.File, g.at, n)
	}
	data, err := g.s.read(p)
	if err != nil {
		return 0, err
	}
	if data == nil {
		g.s.fl.readers.damage(p.chunk)
		return 0, nil
	}
	g.s.fl.readers.gave(g.seat, p.chunk)
	wrote, err := g.w.Write(data[g.at-p.off:][:n])
	return int64(wrote), err
}

// openPart opens what there is of the blob, a file of the Stream's own. Where that fails
// the fetch is just ending.
func (s *Stream) openPart(p *cache.Partial) bool {
	if s.part == nil {
		part, err := p.Part()
		if err != nil {
			s.t.cfg.Log.Debug("cannot read along", "file", s.entry, "err", err)
			return false
		}
		s.part = part
	}
	return true
}

// read gives the chunk that p begins with, nil if it is not what it should be.
func (s *Stream) read(p piece) ([]byte, error) {
	if n := p.end - p.off; int64(len(s.buf)) < n {
		s.buf = make([]byte, max(n, chunk.FixedLen))
	}
	data := s.buf[:p.end-p.off]
	if _, err := s.part.ReadAt(data, p.off); err != nil {
		return nil, err
	}
	h := hashers.Get().(*chunk.Hasher)
	defer hashers.Put(h)
	if h.Sum(data) != p.sum {
		return nil, nil
	}
	return data, nil
}

// copyAt writes a part of a file. From a file to a connection the system can do that
// by itself, which is why it is not read here.
func copyAt(w io.Writer, f *os.File, off, n int64) (int64, error) {
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := io.CopyN(w, f, n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// wait waits for something to happen.
func (g *sending) wait(ctx context.Context) error {
	var drawn chan []byte
	if g.draw != nil {
		drawn = g.draw.pieces
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-g.seat.wake:
	case <-g.s.fl.done:
	case data, more := <-drawn:
		return g.take(data, more)
	case <-g.hunger.C:
		g.starve(ctx)
	}
	return nil
}
