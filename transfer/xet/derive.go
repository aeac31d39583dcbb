package xet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// Known is a blob of which every chunk is known, such as an older revision.
type Known struct {
	Entry ref.Entry
	Map   chunk.Map
}

// ErrNothingShared says that too little of a blob is in the known ones for its
// map to be worked out from them.
var ErrNothingShared = errors.New("too little in common with what is known")

// Bounds of working out a map. What is new is fetched on the way; where it is
// more than a part of the blob, an ordinary download of all sources is faster.
// And what was fetched so is lost when the process is killed before the map is
// whole, so it must not be more than any download may lose: one span.
const (
	maxOutline  = 8 << 30  // bytes of a blob that one recipe is asked for
	newShare    = 8        // new chunks may be one in so many bytes
	newMost     = 16 << 20 // bytes of new chunks
	deriveConns = 4
	outlineTry  = 3
)

// place is a chunk's place in the CAS.
type place struct {
	xorb  string
	index int
}

// Derive works out a blob's map although nobody has it. The Hub tells of which
// pieces of which xorbs the blob is made, and the same of known blobs; pieces
// that they share have known chunks. What is left is fetched, and given to keep
// with its offset, by several goroutines at once. The map is proven by the blob's
// Xet hash before it is given away.
func (c *Client) Derive(ctx context.Context, e ref.Entry, known []Known, keep func(off int64, data []byte) error) (chunk.Map, error) {
	if e.Blob.Size > maxOutline || len(known) == 0 {
		return chunk.Map{}, ErrNothingShared
	}
	shared := map[place]chunk.Chunk{}
	for _, k := range known {
		if err := c.learn(ctx, k, shared); err != nil {
			c.cfg.Log.Debug("known blob is of no use", "file", k.Entry, "err", err)
		}
	}
	terms, err := c.outline(ctx, e)
	if err != nil {
		return chunk.Map{}, err
	}
	pieces, fresh := split(terms, shared)
	if fresh > min(e.Blob.Size/newShare, newMost) {
		return chunk.Map{}, ErrNothingShared
	}
	if err := c.fill(ctx, e, pieces, keep); err != nil {
		return chunk.Map{}, err
	}
	return join(e, pieces)
}

// outline is how the whole blob is put together.
func (c *Client) outline(ctx context.Context, e ref.Entry) ([]term, error) {
	if e.Blob.Xet == "" || e.Blob.Size == 0 || e.Blob.Size > maxOutline {
		return nil, ErrNothingShared
	}
	w := newWatch(ctx, c.cfg.StallTimeout)
	defer w.cancel(errClosed)
	r, err := c.recipe(w, e, 0, e.Blob.Size)
	for try := 1; err != nil && try < outlineTry; try++ {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(c.cfg.RetryWait << (try - 1)):
		}
		r, err = c.recipe(w, e, 0, e.Blob.Size)
	}
	if err != nil {
		return nil, err
	}
	size := int64(0)
	for _, t := range r.terms {
		size += t.size
	}
	if r.skip != 0 || size != e.Blob.Size {
		return nil, fmt.Errorf("outline of %s: %w", e, errRecipe)
	}
	return r.terms, nil
}

// learn notes where in the CAS the chunks of a known blob lie.
func (c *Client) learn(ctx context.Context, k Known, shared map[place]chunk.Chunk) error {
	terms, err := c.outline(ctx, k.Entry)
	if err != nil {
		return err
	}
	i := 0
	for _, t := range terms {
		for index := t.start; index < t.end; index++ {
			if i == k.Map.Len() {
				return fmt.Errorf("outline of %s: %w", k.Entry, errRecipe)
			}
			shared[place{t.xorb, index}] = k.Map.Chunk(i)
			i++
		}
	}
	return nil
}

// A piece is a run of chunks: known ones, or new ones that lie at off.
type piece struct {
	off    int64
	length int64
	chunks []chunk.Chunk // nil while they are new
}

// split cuts the terms into known and new pieces, and counts the bytes of the
// new. In a term with several new runs all between them counts as new, since
// only the term's length is known.
func split(terms []term, shared map[place]chunk.Chunk) (pieces []*piece, fresh int64) {
	off := int64(0)
	for _, t := range terms {
		front, n := knownRun(t, shared, t.start, 1)
		back, m := knownRun(t, shared, t.end-1, -1)
		if len(front) == t.end-t.start {
			pieces = append(pieces, &piece{off: off, length: n, chunks: front})
		} else {
			rest := t.size - n - m
			pieces = append(pieces, &piece{off, n, front}, &piece{off: off + n, length: rest}, &piece{off + n + rest, m, back})
			fresh += rest
		}
		off += t.size
	}
	return pieces, fresh
}

// knownRun is the run of known chunks at an end of a term, in file order.
func knownRun(t term, shared map[place]chunk.Chunk, from, step int) (run []chunk.Chunk, length int64) {
	run = []chunk.Chunk{}
	for i := from; t.start <= i && i < t.end; i += step {
		ch, ok := shared[place{t.xorb, i}]
		if !ok {
			break
		}
		length += ch.Length
		if step > 0 {
			run = append(run, ch)
		} else {
			run = append([]chunk.Chunk{ch}, run...)
		}
	}
	return run, length
}

// fill fetches the new pieces.
func (c *Client) fill(ctx context.Context, e ref.Entry, pieces []*piece, keep func(int64, []byte) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deriveConns)
	for _, p := range pieces {
		if p.chunks != nil {
			continue
		}
		if p.length <= 0 {
			return fmt.Errorf("outline of %s: %w", e, errRecipe)
		}
		g.Go(func() error {
			for ch, err := range c.Chunks(ctx, e, p.off, p.length) {
				if err != nil {
					return err
				}
				if err := keep(ch.Off, ch.Data); err != nil {
					return err
				}
				p.chunks = append(p.chunks, ch.Chunk)
			}
			return nil
		})
	}
	return g.Wait()
}

func join(e ref.Entry, pieces []*piece) (chunk.Map, error) {
	var all []chunk.Chunk
	for _, p := range pieces {
		all = append(all, p.chunks...)
	}
	m, err := chunk.Content(all)
	if err != nil {
		return chunk.Map{}, fmt.Errorf("derive the map of %s: %w", e, err)
	}
	if err := m.Verify(e.Blob.Xet, e.Blob.Size); err != nil {
		return chunk.Map{}, fmt.Errorf("derive the map of %s: %w", e, err)
	}
	return m, nil
}
