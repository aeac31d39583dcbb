package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// Way is how a file was put outside of the cache.
type Way string

// The ways, the best first: a reflink is a copy that shares its bytes with the
// cache's file until one of them is written to; a hard link is the same file under
// another name.
const (
	ByReflink  Way = "reflink"
	ByHardLink Way = "hardlink"
	ByCopy     Way = "copy"
)

// linkMin is the size in bytes from which a file may become a hard link: weights. A
// text that somebody edits must not change what the cache has.
const linkMin = 16 << 20

// Export puts the content of e at dst, outside of the cache, over whatever file is
// there; tmp is a name on the same disk that it may use. With links, a large file that
// cannot be a reflink may become a hard link: who writes into it where it lies then
// writes into the cache, so that is for the user to choose. It gives ErrNotFound as Find does.
func (c *Cache) Export(ctx context.Context, e ref.Entry, dst, tmp string, links bool) (Way, error) {
	rel, err := c.locate(ctx, e, slog.LevelWarn)
	if err != nil {
		return "", fmt.Errorf("export %s: %w", e, err)
	}
	defer os.Remove(tmp) // it is there only when something went wrong, or both were one file
	if disk.Reflink(c.content(rel), tmp) == nil {
		return ByReflink, wrap(os.Rename(tmp, dst), "export %s", e)
	}
	if links && e.Blob.Size >= linkMin && c.linkOut(rel, dst, tmp) == nil {
		return ByHardLink, nil
	}
	err = c.copyOut(ctx, e.Blob, rel, tmp)
	if err == nil {
		err = os.Rename(tmp, dst)
	}
	if err != nil {
		return "", fmt.Errorf("export %s: %w", e, noSpace(err, e.Blob.Size, dst))
	}
	return ByCopy, nil
}

// linkOut is hardLink to a name outside. Both steps change the file's change time, and
// its record with it.
func (c *Cache) linkOut(rel, dst, tmp string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.checked[rel]
	if !ok || r.bad || c.stampOf(rel) != r.stamp {
		return ErrChanged
	}
	if err := os.Link(c.content(rel), tmp); err != nil {
		return err
	}
	err := os.Rename(tmp, dst)
	if err != nil {
		err = errors.Join(err, os.Remove(tmp))
	}
	c.restampLocked(r)
	return err
}

// copyOut copies and hashes in one go, as copyFile does.
func (c *Cache) copyOut(ctx context.Context, b ref.Blob, rel, to string) error {
	src, _, err := disk.OpenFile(c.content(rel))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	whole := b.ETag.NewHash(b.Size)
	err = copyAll(ctx, io.MultiWriter(dst, whole), src)
	if err == nil && !b.ETag.Matches(whole.Sum(nil)) {
		err = fmt.Errorf("copy %s: %w", c.abs(rel), ErrChanged)
	}
	return errors.Join(err, dst.Close())
}
