package cache

import (
	"cmp"
	"context"
	"slices"
	"time"

	"hffs/cache/index"
	"hffs/cache/ref"
)

// indexDir is the index's folder in our state folder.
const indexDir = "index"

const (
	// tidyBytes is how much is indexed between two times of tidying up.
	tidyBytes = 4 << 30
	// learnPause spaces looks at what is to be indexed; where they take long
	// they are longer apart.
	learnPause = 50 * time.Millisecond
	// fetchPause keeps indexing from a processor that fetches need, here and on the
	// machines that fetch the same file from us; but not for longer than fetchMost.
	fetchPause = 2 * time.Second
	fetchLook  = 250 * time.Millisecond
	fetchMost  = time.Minute
)

// indexAll keeps the index true to what is here. Hashing goes first: what was not
// checked is not worth knowing more of.
func (c *Cache) indexAll(ctx context.Context) error {
	for {
		select {
		case <-c.learn:
		case <-ctx.Done():
			return nil
		}
		if !c.awaitFetches(ctx) {
			return nil
		}
		start := time.Now()
		todo, ok := c.toIndex()
		took := time.Since(start)
		if ok {
			c.indexSome(ctx, todo)
		}
		select {
		case <-time.After(max(learnPause, 20*took)):
		case <-ctx.Done():
			return nil
		}
	}
}

// awaitFetches waits until no fetch is under way, nor has ended a moment ago.
func (c *Cache) awaitFetches(ctx context.Context) bool {
	for end := time.Now().Add(fetchMost); c.fetching() && time.Now().Before(end); {
		select {
		case <-time.After(fetchLook):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (c *Cache) fetching() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.partials) > 0 || time.Since(c.fetched) < fetchPause
}

// toIndex forgets what is gone and says what is to be indexed, small blobs first.
// It is not ok while there is something to be hashed; then the end of that calls.
func (c *Cache) toIndex() (todo []index.Blob, ok bool) {
	if c.hashing() {
		return nil, false
	}
	todo = c.index.Reconcile(c.heldBlobs())
	slices.SortFunc(todo, func(a, b index.Blob) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.ETag, b.ETag))
	})
	return todo, true
}

// hashing reports whether there is more to hash, or may be.
func (c *Cache) hashing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.looked || len(c.queue.jobs) > 0
}

func (c *Cache) indexSome(ctx context.Context, todo []index.Blob) {
	var bytes int64
	for _, b := range todo {
		if ctx.Err() != nil || c.hashing() {
			return
		}
		if err := c.index.Build(ctx, b); err != nil && ctx.Err() == nil {
			c.log.Debug("cannot index a blob; another time", "error", err)
		}
		if bytes += b.Size; bytes >= tidyBytes {
			bytes = 0
			c.tidyIndex(ctx)
		}
	}
	c.tidyIndex(ctx)
}

func (c *Cache) tidyIndex(ctx context.Context) {
	if err := c.index.Tidy(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn("cannot write the index of chunks", "error", err)
	}
}

// heldBlobs is every checked blob, each with one of its files.
func (c *Cache) heldBlobs() []index.Blob {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := c.xetHashesLocked()
	blobs := make([]index.Blob, 0, len(c.places))
	for etag := range c.places {
		if b, ok := c.heldBlobLocked(etag); ok {
			b.Xet = said[etag]
			blobs = append(blobs, b)
		}
	}
	return blobs
}

func (c *Cache) heldBlobLocked(etag ref.ETag) (index.Blob, bool) {
	for rel := range c.places[etag] {
		stamp := c.checked[rel].stamp
		return index.Blob{ETag: etag, Size: stamp.Size, Path: c.content(rel), Stamp: stamp}, true
	}
	return index.Blob{}, false
}

// xetHashesLocked is what was said of blobs' Xet hashes. Where that differs, it
// is at least the same each time.
func (c *Cache) xetHashesLocked() map[ref.ETag]ref.XetHash {
	said := map[ref.ETag]ref.XetHash{}
	for _, s := range c.shelves {
		for _, spots := range s.snapshots {
			for _, at := range spots {
				if at.xet > said[at.etag] {
					said[at.etag] = at.xet
				}
			}
		}
	}
	return said
}
