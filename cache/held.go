package cache

import (
	"context"
	"errors"
	"fmt"
	"os"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// Held is an open blob. It stays readable when its file is deleted or replaced.
type Held struct {
	*os.File
	Blob ref.Blob

	cache *Cache
}

// Blob opens a blob for reading by others: one that was checked, and whose file
// has not changed since. When it has, that is ErrChanged; the file is then not
// shared any more and is hashed again in the background.
func (c *Cache) Blob(etag ref.ETag) (*Held, error) {
	err := ErrNotFound
	for _, rel := range c.placesOf(etag) {
		f, stamp, openErr := disk.OpenFile(c.content(rel))
		if openErr != nil {
			c.vanished(rel)
			continue
		}
		if c.unchanged(rel, f) {
			return &Held{File: f, Blob: ref.Blob{ETag: etag, Size: stamp.Size}, cache: c}, nil
		}
		_ = f.Close()
		err = ErrChanged
	}
	return nil, fmt.Errorf("blob %s: %w", etag, err)
}

// unchanged compares an open file to its record, and drops the record of one
// that changed. The file is asked again under the lock, since a link that we
// make ourselves changes the stamp and the record in one go.
func (c *Cache) unchanged(rel string, f *os.File) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.checked[rel]
	if !ok {
		return false
	}
	if fi, err := f.Stat(); err == nil && disk.StampOf(fi) == r.stamp {
		return !r.bad
	}
	c.log.Warn("a file changed on disk; it is not shared until it was checked again", "path", c.abs(rel))
	c.dropRecordLocked(rel)
	c.enqueueLocked(job{rel, r.etag})
	c.notify()
	return false
}

// vanished forgets a file that is not there any more.
func (c *Cache) vanished(rel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := os.Lstat(c.content(rel)); errors.Is(err, os.ErrNotExist) {
		c.dropRecordLocked(rel)
		c.notify()
	}
}

// Map is what the blob is made of, with the hash of each chunk, as computed
// when it was checked.
func (h *Held) Map() (chunk.Map, error) {
	value := h.cache.book.get(bucketMaps, string(h.Blob.ETag))
	if m, ok := decodeHashes(value, h.Blob.Size); ok {
		return m, nil
	}
	sum, hashes, err := hashFile(context.Background(), h.File, h.Blob.Size, h.Blob.ETag)
	if err == nil && sum != h.Blob.ETag {
		err = ErrChanged
	}
	if err != nil {
		return chunk.Map{}, fmt.Errorf("map of blob %s: %w", h.Blob.ETag, err)
	}
	h.cache.book.put(bucketMaps, string(h.Blob.ETag), encodeHashes(hashes))
	return chunk.Fixed(h.Blob.Size, chunk.FixedLen, hashes), nil
}
