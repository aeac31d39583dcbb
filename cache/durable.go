package cache

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// A file gets its name as soon as its bytes are right, while the system may still keep
// them in memory: whoever waits for the file need not wait for the disk, which may be far
// slower than the neighbours. That is safe but for a power cut, after which the disk may
// have the name and not the bytes. So the record of such a file names the start of the
// machine (its boot) and holds for that only. Run has the file written out and makes
// the record one for good; where the machine went down before, the file is read again,
// and removed if it is torn. Where starts have no name, the disk is waited for.

// syncAfter is how long the disk is left to those who read what has just come, before it
// is asked to write it: they have waited for it, and with the files of a repo many come
// at once. The system itself begins to write after half a minute or so.
const syncAfter = 3 * time.Second

// syncFirst puts a file on the disk before it is named, where it cannot be done later.
func (c *Cache) syncFirst(f *os.File) error {
	if c.boot != "" {
		return nil
	}
	return f.Sync()
}

// syncAll writes out what was named.
func (c *Cache) syncAll(ctx context.Context) error {
	for {
		select {
		case <-time.After(syncAfter):
		case <-ctx.Done():
			return nil
		}
		for _, rel := range c.volatileFiles() {
			if ctx.Err() != nil {
				return nil
			}
			c.sync(rel)
		}
		select {
		case <-c.named:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Cache) volatileFiles() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.volatile))
}

// sync puts the file at rel on the disk, and makes its record one for good. A file that
// is no longer the one that was checked is none of ours.
func (c *Cache) sync(rel string) {
	r, ok := c.volatileRecord(rel)
	f, stamp, err := disk.OpenFile(c.content(rel))
	if err != nil {
		return // the next scan forgets it
	}
	defer f.Close()
	if !ok || stamp != r.stamp {
		return
	}
	if err := f.Sync(); err != nil {
		c.log.Warn("cannot write a file out to the disk", "path", c.abs(rel), "error", err)
		return
	}
	c.mu.Lock()
	if c.checked[rel] == r {
		r.boot = ""
		c.setRecordLocked(rel, r)
	}
	c.mu.Unlock()
	c.notify()
}

func (c *Cache) volatileRecord(rel string) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.checked[rel]
	return r, ok && r.boot != ""
}

// recover reads the files that may have been torn when the machine went down, and removes
// those that are: their names promise what they do not hold.
func (c *Cache) recover(ctx context.Context) error {
	defer c.notify()
	for rel, r := range c.tornFiles() {
		err := c.check(ctx, rel, r.etag, anySize)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrMismatch) && c.stampOf(rel).Inode == r.stamp.Inode:
			c.log.Warn("a file was torn when the machine went down; it is removed", "path", c.abs(rel))
			if err := c.removeTorn(rel); err != nil {
				c.log.Warn("cannot remove it", "path", c.abs(rel), "error", err)
			}
		}
		c.mu.Lock()
		delete(c.torn, rel)
		if _, ok := c.checked[rel]; !ok {
			c.book.put(bucketChecked, rel, nil)
		}
		c.mu.Unlock()
	}
	return nil
}

// removeTorn removes the links to a file, then the file: a link that leads nowhere makes
// other tools complain of the whole repo.
func (c *Cache) removeTorn(rel string) error {
	folder, _, _ := strings.Cut(rel, "/")
	repo, err := ref.ParseFolder(folder)
	if err != nil {
		return err
	}
	top := c.abs(folder)
	err = filepath.WalkDir(filepath.Join(top, snapshotsDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		at, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if to, _ := c.snapshotFile(repo, filepath.ToSlash(at)); to != rel {
			return nil
		}
		return os.Remove(path)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.unlink(rel, func() error { return os.Remove(c.content(rel)) })
}

func (c *Cache) tornFiles() map[string]record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.torn)
}
