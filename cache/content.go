package cache

import (
	"context"
	"errors"
	"fmt"

	"hffs/cache/chunk"
	"hffs/cache/index"
	"hffs/cache/ref"
)

// ContentMap is what a blob is made of, cut by its content. Where b has a Xet hash
// the map is the one that proves it, also of a blob on its way; where not, it is that
// of today's rule, as far as anybody here knows. What was not learnt yet gives
// ErrNotFound.
func (c *Cache) ContentMap(b ref.Blob) (chunk.Map, error) {
	var m chunk.Map
	var err error
	if b.Xet != "" {
		m, err = c.index.MapOf(b.Xet)
	} else {
		m, err = c.index.Map(b.ETag)
	}
	if errors.Is(err, index.ErrUnknown) && b.Xet != "" {
		if m, ok := c.mapOnItsWay(b); ok {
			return m, nil
		}
	}
	if errors.Is(err, index.ErrUnknown) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return m, err
}

// mapOnItsWay is the map by which a blob is being fetched.
func (c *Cache) mapOnItsWay(b ref.Blob) (chunk.Map, bool) {
	c.mu.Lock()
	var parts []*Partial
	for p := range c.partials {
		if p.entry.Blob.Xet == b.Xet && p.entry.Blob.ETag == b.ETag {
			parts = append(parts, p)
		}
	}
	c.mu.Unlock()
	for _, p := range parts {
		p.mu.Lock()
		m := p.cut
		p.mu.Unlock()
		if m.ByContent() {
			return m, true
		}
	}
	return chunk.Map{}, false
}

// KeepMap takes down a map of a blob that is here, so that it need not be read
// again to learn it. Whoever calls it has made sure that it is true.
func (c *Cache) KeepMap(b ref.Blob, m chunk.Map) error {
	if b.Size < index.MinSize {
		return nil
	}
	if m.Size() != b.Size {
		return fmt.Errorf("keep map of blob %s: %w", b.ETag, ErrMismatch)
	}
	return c.index.Put(b.ETag, m)
}

// Learn finds out what a blob that is here is made of, for somebody who cannot
// wait until Run gets to it. What is known already costs nothing.
func (c *Cache) Learn(ctx context.Context, b ref.Blob) error {
	c.mu.Lock()
	held, ok := c.heldBlobLocked(b.ETag)
	c.mu.Unlock()
	if !ok {
		return fmt.Errorf("learn blob %s: %w", b.ETag, ErrNotFound)
	}
	held.Xet = b.Xet
	if !c.index.Lacks(held) {
		return nil
	}
	err := c.index.BuildNow(ctx, held)
	if errors.Is(err, index.ErrChanged) {
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}

// Places are where a chunk should lie in the blobs here: hints, best first.
type Places = []index.Place

// Chunks tells for each chunk where in the blobs here it should lie, nil where
// nowhere. Asking for all chunks of a blob at once is much cheaper than one by
// one. The places are hints; see ReadChunkAt.
func (c *Cache) Chunks(hashes []chunk.Hash) []Places {
	found := c.index.Find(hashes)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, places := range found {
		var here Places
		for _, p := range places {
			if len(c.places[p.ETag]) > 0 {
				here = append(here, p)
			}
		}
		found[i] = here
	}
	return found
}

// ReadChunk gives the bytes of a chunk, from any blob that has it. They are in
// buf where they fit. A chunk that is nowhere, or not any more, is ErrNotFound.
func (c *Cache) ReadChunk(h chunk.Hash, buf []byte) ([]byte, error) {
	return c.ReadChunkAt(h, c.index.Find([]chunk.Hash{h})[0], buf)
}

// ReadChunkAt is ReadChunk for a caller who knows places. A blob that changed
// since it was checked is not read, and bytes with another hash are not given.
func (c *Cache) ReadChunkAt(h chunk.Hash, places Places, buf []byte) ([]byte, error) {
	var errs []error
	for _, p := range places {
		data, err := c.readPlace(p, buf)
		if err == nil && hashOf(data) == h {
			return data, nil
		}
		if err == nil {
			err = fmt.Errorf("blob %s at %d: %w", p.ETag, p.Off, ErrMismatch)
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("chunk %s: %w", h, ErrNotFound)
	}
	return nil, fmt.Errorf("chunk %s: %w: %w", h, ErrNotFound, errors.Join(errs...))
}

func (c *Cache) readPlace(p index.Place, buf []byte) ([]byte, error) {
	if p.Len < 1 || p.Len > chunk.MaxLen {
		return nil, ErrMismatch
	}
	held, err := c.Blob(p.ETag)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	if cap(buf) < p.Len {
		buf = make([]byte, p.Len)
	}
	buf = buf[:p.Len]
	return buf, readAt(held, buf, p.Off)
}

func hashOf(data []byte) chunk.Hash {
	h := hashers.Get().(*chunk.Hasher)
	defer hashers.Put(h)
	return h.Sum(data)
}
