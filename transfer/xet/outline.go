package xet

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// place is a chunk's place in the CAS. A xorb is named by its hash, so the same
// place has the same chunk in whatever blob.
type place struct {
	xorb  string
	index int
}

// outlines asks how the blob is put together, and where in the CAS the chunks of
// the known blobs lie. Known blobs are left out for whatever reason, such as that
// their outline is not there in time; where there are none, it is not sure that
// the blob's own will help, and it has no more time than they. Of large blobs that
// have little in common much would be learnt in vain, so what is learnt is limited
// to the blob's own xorbs.
func (c *Client) outlines(ctx context.Context, e ref.Entry, known []Known) (terms []term, shared map[place]chunk.Chunk, err error) {
	g, long := errgroup.WithContext(ctx)
	g.SetLimit(outlineConns)
	short, cancel := context.WithTimeout(long, c.cfg.LearnTimeout)
	defer cancel()
	if len(known) == 0 {
		long = short
	}
	g.Go(func() (err error) {
		terms, err = c.outline(long, e)
		return err
	})
	theirs := make([][]term, len(known))
	for i, k := range known {
		g.Go(func() (err error) {
			if theirs[i], err = c.learn(short, k); err != nil {
				c.cfg.Log.Debug("known blob is of no use", "file", k.Entry, "err", err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	shared = map[place]chunk.Chunk{}
	own := map[string]bool{}
	for _, t := range terms {
		own[t.xorb] = true
	}
	for i, k := range known {
		lies(shared, own, k.Map, theirs[i])
	}
	return terms, shared, nil
}

// outline is how the whole blob is put together. A long one is asked for piece by
// piece: a piece ends with a whole chunk, and there the next one begins.
func (c *Client) outline(ctx context.Context, e ref.Entry) (terms []term, err error) {
	if e.Blob.Xet == "" || e.Blob.Size == 0 || e.Blob.Size > maxOutline {
		return nil, ErrNothingShared
	}
	at := int64(0)
	for at < e.Blob.Size {
		r, err := c.piece(ctx, e, at, min(c.pieceLen, e.Blob.Size-at))
		if err != nil {
			return nil, fmt.Errorf("outline of %s: %w", e, err)
		}
		for _, t := range r.terms {
			t.from = nil // its URLs are long, and not for here
			terms = append(terms, t)
			at += t.size
		}
		if r.skip != 0 {
			return nil, fmt.Errorf("outline of %s: %w", e, nonsense("a chunk begins elsewhere"))
		}
	}
	if at != e.Blob.Size {
		return nil, fmt.Errorf("outline of %s: %w", e, nonsense("it makes %d bytes of %d", at, e.Blob.Size))
	}
	return terms, nil
}

// piece is the recipe of a part of the blob, however often it has to be asked for.
func (c *Client) piece(ctx context.Context, e ref.Entry, off, n int64) (*recipe, error) {
	w := newWatch(ctx, c.cfg.StallTimeout)
	defer w.cancel(errClosed)
	r, err := c.recipe(w, e, off, n)
	for tries := 1; err != nil; tries++ {
		if err := c.pause(ctx, tries, err); err != nil {
			return nil, err
		}
		r, err = c.recipe(w, e, off, n)
	}
	return r, nil
}

// learn tells how a known blob is put together. An outline that does not fit its
// map in all places is believed in none.
func (c *Client) learn(ctx context.Context, k Known) ([]term, error) {
	if k.Map.Size() != k.Entry.Blob.Size || !k.Map.Hashed() {
		return nil, fmt.Errorf("map of %d bytes, not %d, or without hashes", k.Map.Size(), k.Entry.Blob.Size)
	}
	terms, err := c.outline(ctx, k.Entry)
	if err != nil {
		return nil, err
	}
	i := 0
	for _, t := range terms {
		end := i + t.end - t.start
		if end > k.Map.Len() || k.Map.Offset(end)-k.Map.Offset(i) != t.size {
			return nil, nonsense("terms that are not the known chunks")
		}
		i = end
	}
	return terms, nil
}

// lies adds where the chunks of a map lie, as far as that is in these xorbs.
func lies(shared map[place]chunk.Chunk, in map[string]bool, m chunk.Map, terms []term) {
	i := 0
	for _, t := range terms {
		for index := t.start; index < t.end; index++ {
			if in[t.xorb] {
				shared[place{t.xorb, index}] = m.Chunk(i)
			}
			i++
		}
	}
}
