package xet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"

	"golang.org/x/sync/errgroup"

	"hffs/cache/chunk"
)

// fill finds out the chunks of the new runs.
func (d *derivation) fill(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deriveConns)
	d.usedAhead.Store(false)
	d.usedData.Store(false)
	for _, r := range d.fresh {
		r.chunks, r.legacy = nil, nil
		g.Go(func() error { return (&walk{d, r, r.off}).all(ctx) })
	}
	return g.Wait()
}

// ahead is the first chunk that is there already and lies between two offsets.
func (d *derivation) ahead(off, end int64) (Piece, bool) {
	i := sort.Search(len(d.Ahead), func(i int) bool { return d.Ahead[i].Off >= off })
	for ; i < len(d.Ahead) && d.Ahead[i].Off < end; i++ {
		if p := d.Ahead[i]; p.Length > 0 && p.Length <= end-p.Off {
			return p, true
		}
	}
	return Piece{}, false
}

// A walk goes along a new run. Wherever it stands a chunk begins.
type walk struct {
	*derivation
	run *run
	pos int64 // in the blob
}

// all takes what is ahead, and fetches what lies between. A chunk that is fetched
// may reach into one that is ahead: then that was cut elsewhere, and is passed
// over.
func (w *walk) all(ctx context.Context) error {
	for w.pos < w.run.end() {
		p, ok := w.ahead(w.pos, w.run.end())
		if ok && p.Off == w.pos {
			w.usedAhead.Store(true)
			w.run.add(p.Chunk)
			w.pos += p.Length
			continue
		}
		stop := w.run.end()
		if ok {
			stop = p.Off
		}
		if err := w.fetch(ctx, stop); err != nil {
			return err
		}
	}
	return nil
}

// fetch goes on to the first end of a chunk at or behind stop. Once a xorb's data
// could not be had no other is waited for.
func (w *walk) fetch(ctx context.Context, stop int64) error {
	if w.Bridge == nil {
		return errors.Join(w.byXet(ctx, stop))
	}
	if w.data.Err() == nil {
		broken, err := w.byXet(ctx, stop)
		if broken == nil || ctx.Err() != nil {
			return errors.Join(broken, err)
		}
		w.c.cfg.Log.Debug("no data by Xet", "file", w.Entry, "err", broken)
		w.noData(broken)
	}
	return w.byBridge(ctx, stop)
}

// byXet says what is wrong with the CAS apart from what is wrong otherwise.
func (w *walk) byXet(ctx context.Context, stop int64) (broken, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(w.data, func() { cancel(context.Cause(w.data)) })()
	st, err := w.c.stream(ctx, w.Entry, w.pos, stop-w.pos)
	if err != nil {
		return err, nil
	}
	if w.Bridge != nil {
		st.watch.limit, st.watch.hasty = min(w.c.cfg.StallTimeout, dataSilent), true
		st.blame = func(err error) {
			if ctx.Err() == nil { // or else it is our doing
				w.blame(err)
			}
		}
	}
	for ch, err := range st.all() {
		if err != nil {
			return err, nil
		}
		w.usedData.Store(true)
		if ch.Off != w.pos || ch.Length > w.run.end()-w.pos {
			return nil, fmt.Errorf("%w: %w", errUnproven, nonsense("a chunk of %d bytes at %d", ch.Length, ch.Off))
		}
		if err := w.Keep(ch.Off, ch.Data); err != nil {
			return nil, err
		}
		w.run.add(ch.Chunk)
		w.pos += ch.Length
	}
	return nil, nil
}

// blame counts how often the host of the data falls silent or breaks off. A
// stream begins again whenever that happens, and would do so without end as long
// as each time a few chunks come first. Refusals come at once, and are left to it.
func (d *derivation) blame(err error) {
	if said, ok := errors.AsType[*Error](err); ok && said.Status >= http.StatusBadRequest {
		return
	}
	if d.faults.Add(1) >= maxFaults {
		d.noData(err)
	}
}

// byBridge cuts plain bytes. The run's end is the end of a chunk, and so is every
// place where it stands; hence the cutter, which begins anew with each chunk, cuts
// as it did for the one who uploaded them, if it has the same rule.
func (w *walk) byBridge(ctx context.Context, stop int64) error {
	if w.run.legacy == nil {
		w.run.legacy = append([]chunk.Chunk{}, w.run.chunks...)
	}
	to := &knife{walk: w}
	to.cutter = chunk.NewCutter(to.cut, chunk.Current, chunk.Legacy)
	at := w.pos
	for tries := 1; at < stop; tries++ {
		n, err := w.cross(ctx, at, stop-at, to)
		at += n
		switch {
		case to.err != nil:
			return to.err
		case err == nil:
			continue
		case n >= chunk.MaxLen:
			tries = 1 // it does come, bit by bit
		}
		if err := w.c.pause(ctx, tries, err); err != nil {
			return fmt.Errorf("by the bridge: %w", err)
		}
	}
	_ = to.cutter.Close()
	return to.err
}

// cross reads from the bridge once, and says how far it came.
func (w *walk) cross(ctx context.Context, off, n int64, to io.Writer) (int64, error) {
	body, err := w.Bridge(ctx, off, n)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	got, err := io.Copy(to, io.LimitReader(body, n))
	if err == nil && got < n {
		err = io.ErrUnexpectedEOF
	}
	return got, err
}

// A knife cuts a walk's bytes by both rules. It holds a chunk at most; those of
// the current rule are kept, and under the other rule the same bytes are there.
type knife struct {
	*walk
	cutter  *chunk.Cutter
	pending bytes.Buffer // from pos on
	err     error
}

func (k *knife) Write(p []byte) (int, error) {
	_, _ = k.pending.Write(p)
	_, _ = k.cutter.Write(p)
	return len(p), k.err
}

func (k *knife) cut(rule chunk.Rule, c chunk.Chunk) {
	if rule == chunk.Legacy {
		k.run.legacy = append(k.run.legacy, c)
		return
	}
	data := k.pending.Next(int(c.Length))
	if k.err == nil {
		k.err = k.Keep(k.pos, data)
	}
	k.run.chunks = append(k.run.chunks, c)
	k.pos += c.Length
}
