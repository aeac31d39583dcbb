package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// courtesy is how long we wait for the lock that other tools take around a
// download. Some hold it while they wait for our answer, so waiting for good
// would be a deadlock; and since both sides put the same bytes under the same
// name by renames, going on without is harmless.
const courtesy = 2 * time.Second

// withLock runs do under the lock that huggingface_hub takes for a blob of a
// repo, or without it after a while.
func (c *Cache) withLock(ctx context.Context, e ref.Entry, do func() error) error {
	dir := filepath.Join(c.dir, locksDir, e.Repo.Folder())
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return c.diskError(err, 0)
	}
	waiting, cancel := context.WithTimeout(ctx, courtesy)
	defer cancel()
	lock, err := disk.TakeLock(waiting, filepath.Join(dir, string(e.Blob.ETag)+".lock"))
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), lock.Release())
	}
	if err != nil {
		c.log.Debug("going on without the lock of other tools", "blob", e.Blob.ETag, "error", err)
	}
	err = do()
	if unlockErr := lock.Release(); unlockErr != nil {
		c.log.Debug("cannot release a lock", "blob", e.Blob.ETag, "error", unlockErr)
	}
	return err
}

// openRepo opens a repo's folder, made when it is missing, so that no name
// used below it can lead outside. The folder for snapshots comes with it, since
// scanners call a repo without one corrupt.
func (c *Cache) openRepo(repo ref.Repo) (*os.Root, error) {
	dir := c.abs(repo.Folder())
	if err := os.MkdirAll(filepath.Join(dir, snapshotsDir), 0o777); err != nil {
		return nil, c.diskError(err, 0)
	}
	return os.OpenRoot(dir)
}

// inParts runs do while the folder for unfinished things exists. Another fetch
// that ends may remove the empty folder under our feet; then it is made anew.
func inParts(root *os.Root, do func() error) error {
	var err error
	for range 10 {
		if err = root.MkdirAll(partsDir, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err = do(); !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return err
}

// place gives the checked file at from the name that e asks for, and returns
// where the content of that name then lies.
func (c *Cache) place(ctx context.Context, e ref.Entry, from string) (rel string, err error) {
	defer c.naming(e.Repo)()
	if err := c.Writable(); err != nil {
		return "", err
	}
	root, err := c.openRepo(e.Repo)
	if err != nil {
		return "", err
	}
	defer root.Close()
	defer root.Remove(partsDir) // goes only when empty
	if err := c.checkName(root, e); err != nil {
		return "", err
	}
	rel = e.Repo.Folder() + "/" + c.contentPath(e)
	err = c.withLock(ctx, e, func() error {
		if from != rel {
			if err := c.share(ctx, root, e, from, rel); err != nil {
				return err
			}
		}
		if err := c.link(root, e); err != nil {
			return err
		}
		if _, err := os.Stat(c.content(rel)); err != nil { // another process has removed it
			return errors.Join(ErrNotFound, removeIfThere(root, snapshotPath(e.Commit, e.Path)))
		}
		return nil
	})
	return rel, c.diskError(err, e.Blob.Size)
}

// contentPath is where e's bytes belong inside its repo's folder: among the
// blobs, or at the snapshot path itself where links do not work.
func (c *Cache) contentPath(e ref.Entry) string {
	if c.noSymlinks() {
		return snapshotPath(e.Commit, e.Path)
	}
	return blobPath(e.Blob.ETag)
}

// link makes the snapshot path of e point to its blob. Where links do not work
// there is nothing to do: the content is there already.
func (c *Cache) link(root *os.Root, e ref.Entry) error {
	if c.noSymlinks() {
		return nil
	}
	at, target := snapshotPath(e.Commit, e.Path), linkTarget(e.Path, e.Blob.ETag)
	if now, err := root.Readlink(at); err == nil && filepath.ToSlash(now) == target {
		return nil
	}
	if err := root.MkdirAll(path.Dir(at), 0o777); err != nil {
		return err
	}
	return inParts(root, func() error {
		tmp := partsDir + "/" + random() + ".link"
		if err := root.Symlink(filepath.FromSlash(target), tmp); err != nil {
			return err
		}
		if err := disk.Replace(root, tmp, at); err != nil {
			return errors.Join(err, removeIfThere(root, tmp))
		}
		return nil
	})
}

// share puts the content of the checked file at from under the name to as well:
// as a second name of the same file where the disk allows that, else as a copy.
func (c *Cache) share(ctx context.Context, root *os.Root, e ref.Entry, from, to string) error {
	inRepo := to[len(e.Repo.Folder())+1:]
	if err := root.MkdirAll(path.Dir(inRepo), 0o777); err != nil {
		return err
	}
	tmp := partsDir + "/" + random() + ".tmp"
	defer removeIfThere(root, tmp) // also when renaming onto the same file did nothing
	err := inParts(root, func() error { return c.hardLink(from, e.Repo.Folder()+"/"+tmp) })
	if err != nil {
		err = inParts(root, func() error { return c.copyFile(ctx, root, e.Blob, from, tmp) })
	}
	if err != nil {
		return err
	}
	if err := disk.Replace(root, tmp, inRepo); err != nil {
		return err
	}
	return c.recordAs(to, e.Blob.ETag)
}

// hardLink also renews the record of the file that got a second name: the link
// changes its inode's change time, and nothing else.
func (c *Cache) hardLink(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.checked[from]
	if !ok || r.bad || c.stampOf(from) != r.stamp {
		return ErrChanged
	}
	if err := os.Link(c.content(from), c.abs(to)); err != nil {
		return err
	}
	c.restampLocked(r)
	return nil
}

// restampLocked follows the change time of a file with several names, after a
// change of its names by us.
func (c *Cache) restampLocked(old record) {
	for rel := range c.places[old.etag] {
		r, now := c.checked[rel], c.stampOf(rel)
		if r.stamp != old.stamp {
			continue
		}
		now.ChangeNs = r.stamp.ChangeNs
		if now == r.stamp {
			r.stamp = c.stampOf(rel)
			c.setRecordLocked(rel, r)
		}
	}
}

// stampOf is the stamp of the plain file at rel, zero when there is none.
func (c *Cache) stampOf(rel string) disk.Stamp {
	fi, err := os.Lstat(c.content(rel))
	if err != nil || !fi.Mode().IsRegular() {
		return disk.Stamp{}
	}
	return disk.StampOf(fi)
}

// recordAs records that the file at rel, which we just put there, holds etag.
// The rename changed the stamp of the file under its other names too.
func (c *Cache) recordAs(rel string, etag ref.ETag) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := c.stampOf(rel)
	if stamp == (disk.Stamp{}) {
		return ErrChanged
	}
	for other := range c.places[etag] {
		r, now := c.checked[other], c.stampOf(other)
		if now.Inode == stamp.Inode && now.Inode == r.stamp.Inode && now.Size == r.stamp.Size && now.ModNs == r.stamp.ModNs {
			r.stamp = now
			c.setRecordLocked(other, r)
		}
	}
	c.setRecordLocked(rel, record{stamp: stamp, etag: etag, boot: c.boot})
	return nil
}

// copyFile copies and hashes in one go, since what was checked is the other file.
func (c *Cache) copyFile(ctx context.Context, root *os.Root, b ref.Blob, from, to string) error {
	src, _, err := disk.OpenFile(c.content(from))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := root.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	whole := b.ETag.NewHash(b.Size)
	err = copyAll(ctx, io.MultiWriter(dst, whole), src)
	if err == nil && !b.ETag.Matches(whole.Sum(nil)) {
		err = fmt.Errorf("copy %s: %w", c.abs(from), ErrChanged)
	}
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

func copyAll(ctx context.Context, dst io.Writer, src io.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(dst, src, chunk.FixedLen); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
