package cache

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// A running node gives a file its name as soon as its bytes are right, while the system
// may still keep them in memory: whoever waits for the file need not wait for the disk,
// which may be far slower than the neighbours. That is safe but for a power cut, after
// which the disk may have the name and not the bytes. So the record of such a file names
// the start of the machine (its boot) and holds for that only; a first one, without a
// time, is written when the fetch begins, since a name may reach the disk before the
// record does. Run has the file written out and makes the record one for good; where the
// machine went down before, the file is read again, and removed if it is torn. (A disk
// that is pulled out of a running machine is not seen.) Where nobody runs the cache, or
// starts have no name, the disk is waited for.

// syncAfter is how long the disk is left to those who read what has just come, before it
// is asked to write it: they have waited for it, and with the files of a repo many come
// at once. The system itself begins to write after half a minute or so.
const syncAfter = 3 * time.Second

// syncStep is how much is written out between looks at whether to stop, in bytes.
const syncStep = 32 << 20

// expect says that this fetch may put a file under its name, before it does.
func (p *Partial) expect() error {
	if p.c.boot == "" {
		return nil
	}
	fi, err := p.file.Stat()
	if err != nil {
		return err
	}
	at := disk.StampOf(fi)
	r := record{stamp: disk.Stamp{Size: at.Size, Inode: at.Inode}, etag: p.entry.Blob.ETag, boot: p.c.boot}
	p.c.book.put(bucketChecked, p.rel(), r.encode())
	return nil
}

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
			c.sync(ctx, rel)
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

// sync puts the file at rel on the disk, and makes its record one for good. What cannot be
// written is not tried again, since the system tells of a failure only once: the record
// stays one for this start.
func (c *Cache) sync(ctx context.Context, rel string) {
	c.mu.Lock()
	r := c.checked[rel]
	c.mu.Unlock()
	err := c.writeOut(ctx, rel, r.stamp)
	if ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checked[rel] != r {
		return
	}
	delete(c.volatile, rel)
	if err != nil {
		c.log.Warn("cannot write a file out to the disk", "path", c.abs(rel), "error", err)
		return
	}
	r.boot = ""
	c.checked[rel] = r // what is held stays the same
	c.book.put(bucketChecked, rel, r.encode())
}

// writeOut waits until the disk has the file at rel, with this stamp.
func (c *Cache) writeOut(ctx context.Context, rel string, stamp disk.Stamp) error {
	f, now, err := disk.OpenFile(c.content(rel))
	if err != nil {
		return err
	}
	defer f.Close()
	if now != stamp {
		return ErrChanged // the next scan finds that out
	}
	for off := int64(0); off < stamp.Size && ctx.Err() == nil; off += syncStep {
		disk.WriteBehind(f, off, min(syncStep, stamp.Size-off))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.Sync()
}

// recoverTorn reads the files that may have been torn when the machine went down, and
// removes those that are: their names promise what they do not hold.
func (c *Cache) recoverTorn(ctx context.Context) error {
	defer c.notify()
	for rel, r := range c.tornFiles() {
		err := c.check(ctx, rel, r.etag, anySize)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrMismatch):
			err = c.removeTorn(rel, r.stamp)
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		}
		if err != nil {
			c.log.Warn("a file may have been torn when the machine went down; it cannot be seen to", "path", c.abs(rel), "error", err)
			continue
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

// removeTorn removes the links to a file, then the file, if it is still the one that we
// put there: a link that leads nowhere makes other tools complain of the whole repo.
func (c *Cache) removeTorn(rel string, was disk.Stamp) error {
	folder, _, _ := strings.Cut(rel, "/")
	repo, err := ref.ParseFolder(folder)
	if err != nil {
		return err
	}
	names := c.namesOf(repo)
	names.Lock()
	defer names.Unlock()
	fi, err := os.Lstat(c.abs(rel))
	if err != nil || !fi.Mode().IsRegular() {
		return nil
	}
	if now := disk.StampOf(fi); now.Inode != was.Inode || was.ModNs != 0 && now.ModNs != was.ModNs {
		return nil // somebody else's
	}
	c.log.Warn("a file was torn when the machine went down; it is removed", "path", c.abs(rel))
	for _, rev := range c.stored(repo).Revisions {
		for _, f := range rev.Files {
			if folder+"/"+blobPath(ref.ETag(f.Blob)) != rel {
				continue
			}
			if err := os.Remove(c.abs(folder + "/" + snapshotPath(rev.Commit, f.Path))); err != nil {
				return err
			}
		}
	}
	return c.unlink(rel, func() error { return os.Remove(c.abs(rel)) })
}

func (c *Cache) tornFiles() map[string]record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.torn)
}
