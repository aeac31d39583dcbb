package xet

import (
	"context"
	"fmt"
	"maps"
	"sync"

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
// the blob's own will help, and it has no more time than they.
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
	shared = map[place]chunk.Chunk{}
	var mu sync.Mutex // guards shared
	for _, k := range known {
		g.Go(func() error {
			learnt, err := c.learn(short, k)
			if err != nil {
				c.cfg.Log.Debug("known blob is of no use", "file", k.Entry, "err", err)
			}
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(shared, learnt)
			return nil
		})
	}
	err = g.Wait()
	return terms, shared, err
}

// outline is how the whole blob is put together.
func (c *Client) outline(ctx context.Context, e ref.Entry) ([]term, error) {
	if e.Blob.Xet == "" || e.Blob.Size == 0 || e.Blob.Size > maxOutline {
		return nil, ErrNothingShared
	}
	w := newWatch(ctx, c.cfg.StallTimeout)
	defer w.cancel(errClosed)
	r, err := c.recipe(w, e, 0, e.Blob.Size)
	for tries := 1; err != nil; tries++ {
		if err := c.pause(ctx, tries, err); err != nil {
			return nil, fmt.Errorf("outline of %s: %w", e, err)
		}
		r, err = c.recipe(w, e, 0, e.Blob.Size)
	}
	size := int64(0)
	for _, t := range r.terms {
		size += t.size
	}
	if r.skip != 0 || size != e.Blob.Size {
		return nil, fmt.Errorf("outline of %s: %w", e, nonsense("it makes %d bytes of %d", size-r.skip, e.Blob.Size))
	}
	return r.terms, nil
}

// learn tells where in the CAS the chunks of a known blob lie. An outline that
// does not fit its map in all places is believed in none.
func (c *Client) learn(ctx context.Context, k Known) (map[place]chunk.Chunk, error) {
	if k.Map.Size() != k.Entry.Blob.Size || !k.Map.Hashed() {
		return nil, fmt.Errorf("map of %d bytes, not %d, or without hashes", k.Map.Size(), k.Entry.Blob.Size)
	}
	terms, err := c.outline(ctx, k.Entry)
	if err != nil {
		return nil, err
	}
	learnt, i := make(map[place]chunk.Chunk, k.Map.Len()), 0
	for _, t := range terms {
		end := i + t.end - t.start
		if end > k.Map.Len() || k.Map.Offset(end)-k.Map.Offset(i) != t.size {
			return nil, nonsense("terms that are not the known chunks")
		}
		for index := t.start; index < t.end; index++ {
			learnt[place{t.xorb, index}] = k.Map.Chunk(i)
			i++
		}
	}
	return learnt, nil
}
