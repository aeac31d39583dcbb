package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
)

// Where a program asks for a file, rather than a person, it reads while the file comes
// ([Transfer.Open]), or asks first and comes back for it ([Transfer.Place]). All of
// them join the fetch that is under way, or begin it.

const (
	// grace is how long a fetch goes on when its last reader has left. Clients whose
	// connection broke come back after a second, and one that has asked what a file
	// is asks for it next; both should find it further on, not begun anew.
	grace = 5 * time.Second
	// namesMost bounds the names that a blob gets when it has come.
	namesMost = 256
)

// A name is what a blob is to be called in the cache once it is there; revision is
// what led to it, and empty where nobody has said.
type name struct {
	entry    ref.Entry
	revision string
}

// Open gives the content of a file, of which much may be still to come. Many who open
// one blob cause one fetch; who comes back just after one that was in vain is told why.
// It waits for nothing: even a file that lies here, and has yet to be hashed, is looked
// for by the fetch.
func (t *Transfer) Open(ctx context.Context, e ref.Entry) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	held, err := t.cfg.Cache.Blob(e.Blob.ETag)
	if err == nil && held.Blob.Size == e.Blob.Size {
		t.call(ctx, name{entry: e})
		return &Stream{t: t, entry: e, file: held.File}, nil
	}
	if err == nil {
		_ = held.Close()
	}
	if err := t.failedLately(e.Blob.ETag); err != nil {
		return nil, err
	}
	fl, leave := t.enter(ctx, e)
	return &Stream{t: t, entry: e, fl: fl, leave: leave}, nil
}

// whole opens a blob that is in the cache. One that changes on disk in the very moment
// is found elsewhere, or not at all.
func (t *Transfer) whole(ctx context.Context, e ref.Entry) (*os.File, error) {
	const tries = 3
	var err error
	for range tries {
		if _, err = t.cfg.Cache.Find(ctx, e); err != nil && !nameless(err) {
			return nil, err
		}
		held, openErr := t.cfg.Cache.Blob(e.Blob.ETag)
		if openErr == nil {
			return held.File, nil
		}
		err = openErr
	}
	return nil, fmt.Errorf("open %s: %w", e, err)
}

// nameless tells that the bytes are here, and only a name for them cannot be written.
func nameless(err error) bool {
	_, is := errors.AsType[*cache.NotWritableError](err)
	return is
}

// enter joins the fetch of e's blob, starting it if nobody has. Who leaves lets it go
// on for a while.
func (t *Transfer) enter(ctx context.Context, e ref.Entry) (fl *flight, leave func()) {
	fl, giveBack := t.board(ctx, e)
	return fl, func() {
		giveBack()
		t.linger(e, fl)
	}
}

// linger leaves a fetch in a while.
func (t *Transfer) linger(e ref.Entry, fl *flight) {
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.lingering.Go(func() {
			t.idle(fl)
			t.leave(e, fl)
		})
	}
	t.mu.Unlock()
	if closed {
		t.leave(e, fl)
	}
}

// idle waits for the end of the grace. A blob that is all here by then is checked and
// kept, however long that takes.
func (t *Transfer) idle(fl *flight) {
	select {
	case <-time.After(t.grace):
	case <-fl.done:
	case <-t.quit:
		return
	}
	for {
		p, newer := fl.board.look()
		if p.Phase != PhaseCheck {
			return
		}
		select {
		case <-newer:
		case <-fl.done:
			return
		case <-t.quit:
			return
		}
	}
}

// Close ends the fetches that nobody waits for any more, and waits for them. Those who
// still wait for one are not disturbed, but nobody lingers from now on.
func (t *Transfer) Close() error {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.quit)
	}
	t.mu.Unlock()
	t.lingering.Wait()
	return nil
}

// Named has the name of f's revision written down as Get does: at once where the blob
// is here, or when the fetch of it that is under way has ended well. It is for those
// who have asked for the blob by Open or Place.
func (t *Transfer) Named(ctx context.Context, f ref.File, r Resolved) {
	if ref.IsCommit(f.Revision) || r.Stale {
		return
	}
	n := name{r.Entry, f.Revision}
	t.mu.Lock()
	fl := t.flights[r.Entry.Blob.ETag]
	if fl != nil {
		fl.nameLocked(n)
	}
	t.mu.Unlock()
	if fl == nil {
		t.call(ctx, n)
	}
}

func (fl *flight) nameLocked(n name) {
	if len(fl.names) < namesMost && !slices.Contains(fl.names, n) {
		fl.names = append(fl.names, n)
	}
}

// call gives a blob a name, if it is here.
func (t *Transfer) call(ctx context.Context, n name) {
	_, err := t.cfg.Cache.Find(ctx, n.entry)
	if err == nil && n.revision != "" {
		err = t.cfg.Cache.SetRef(n.entry.Repo, n.revision, n.entry.Commit)
	}
	if err != nil && !errors.Is(err, cache.ErrNotFound) && !nameless(err) {
		t.cfg.Log.Warn("a name was not given", "file", n.entry, "revision", n.revision, "err", err)
	}
}

// spoiltFor is how long nobody gets the rest of a blob whose beginning was wrong for
// somebody: clients that come back for it do so within seconds, a few times.
const spoiltFor = 2 * time.Minute

// spoil notes that readers have had something of a blob that is doubted.
func (t *Transfer) spoil(etag ref.ETag) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(t.spoilt, func(_ ref.ETag, at time.Time) bool { return now.Sub(at) > spoiltFor })
	t.spoilt[etag] = now
}

// Spoilt says whether wrong bytes of a blob may have been handed out lately, so that who
// has got some of it must begin anew.
func (t *Transfer) Spoilt(etag ref.ETag) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.spoilt[etag]
	return ok && time.Since(at) < spoiltFor
}

// landed tells whether a fetch has ended, and with what error.
func (fl *flight) landed() (bool, error) {
	select {
	case <-fl.done:
		return true, fl.err
	default:
		return false, nil
	}
}

// When Place gives up.
const (
	placeLook  = time.Second     // before that there is nothing to judge by
	placeQuiet = 3 * time.Second // without a byte
	placeSmall = 4 << 20         // bytes: so few are waited for without looking
	placeShare = 0.8             // of the time that is left: how much the rest may take
)

// Place brings a blob into the cache as long as that promises to be done before ctx's
// deadline, and says whether it is there. What was begun goes on for a moment, for who
// comes to read it.
func (t *Transfer) Place(ctx context.Context, e ref.Entry) bool {
	if _, err := t.cfg.Cache.Find(ctx, e); err == nil {
		return true
	} else if !errors.Is(err, cache.ErrNotFound) {
		return false
	}
	fl, leave := t.enter(ctx, e)
	defer leave()
	deadline, bounded := ctx.Deadline()
	looks := time.NewTicker(tick)
	defer looks.Stop()
	o := outlook{began: time.Now(), deadline: deadline}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-fl.done:
			_, err := t.cfg.Cache.Find(ctx, e)
			return err == nil
		case now := <-looks.C:
			if p, _ := fl.board.look(); bounded && !o.good(p, now) {
				return false
			}
		}
	}
}

// outlook is what a fetch promises.
type outlook struct {
	began, deadline time.Time
	from            int64 // bytes that were there when the first had come
	moved           time.Time
}

// good tells whether the rest may still come in time.
func (o *outlook) good(p Progress, now time.Time) bool {
	if p.Done > 0 && o.moved.IsZero() {
		o.from, o.moved = p.Done, now
	}
	switch since := now.Sub(o.began); {
	case since < placeLook || p.Phase == PhaseCheck || p.Total <= placeSmall:
		return true
	case o.moved.IsZero() || p.Done == o.from:
		return since < placeQuiet
	}
	rate := float64(p.Done-o.from) / now.Sub(o.moved).Seconds()
	return float64(p.Total-p.Done)/rate < placeShare*o.deadline.Sub(now).Seconds()
}

// limits are what a fetch keeps to, for requests beside it.
func (fl *flight) limits(ctx context.Context) context.Context { return fl.pace.On(ctx) }
