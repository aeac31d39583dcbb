package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// Whole is a small blob that has come in one piece, with the name that it is to have.
type Whole struct {
	Entry ref.Entry
	Data  []byte
}

// KeepWhole checks small blobs of a repo against their etags and puts them into the
// cache, each under its name; it returns their paths, and for each what went wrong.
//
// It is [Cache.Begin] to [Partial.Commit] for what needs neither journal nor lock,
// and for many at once: the bytes are on disk for good before they are named, but all
// files are written before the first is waited for, so that a disk has one errand for
// all of them instead of one for each.
func (c *Cache) KeepWhole(ctx context.Context, repo ref.Repo, all []Whole) (paths []string, errs []error) {
	defer c.naming(repo)()
	paths, errs = make([]string, len(all)), make([]error, len(all))
	root, err := c.openRepo(repo)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return paths, errs
	}
	defer root.Close()
	defer root.Remove(partsDir) // goes only when empty
	made := map[string]bool{}   // folders
	files := make([]*wholeFile, len(all))
	for i, w := range all {
		if files[i], errs[i] = c.newWhole(ctx, root, w); errs[i] == nil {
			disk.WriteBehind(files[i].file, 0, w.Entry.Blob.Size)
		}
	}
	for i, f := range files {
		if errs[i] == nil {
			errs[i] = f.file.Sync()
		}
	}
	for i, f := range files {
		if errs[i] == nil {
			errs[i] = f.name(c, made)
			paths[i] = c.snapshotAbs(all[i].Entry)
		}
		if f != nil {
			_ = f.file.Close()
			if errs[i] != nil {
				_ = removeIfThere(root, f.tmp)
			}
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("keep %s: %w", all[i].Entry, c.diskError(errs[i], all[i].Entry.Blob.Size))
		}
	}
	return paths, errs
}

// wholeFile is a blob on its way to its name.
type wholeFile struct {
	root *os.Root
	e    ref.Entry
	file *os.File
	tmp  string
	sums []chunk.Hash
}

// newWhole writes a blob that was found right under a name of its own.
func (c *Cache) newWhole(ctx context.Context, root *os.Root, w Whole) (f *wholeFile, err error) {
	if err := errors.Join(ctx.Err(), checkEntry(w.Entry)); err != nil {
		return nil, err
	}
	if err := CheckWhole(w.Entry.Blob, w.Data); err != nil {
		return nil, err
	}
	if err := c.checkName(root, w.Entry); err != nil {
		return nil, err
	}
	f = &wholeFile{root: root, e: w.Entry, tmp: partsDir + "/" + random() + ".tmp"}
	create := func() (err error) {
		f.file, err = root.OpenFile(f.tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		return err
	}
	if err = create(); errors.Is(err, os.ErrNotExist) {
		err = inParts(root, create)
	}
	if err != nil {
		return nil, err
	}
	if _, err := f.file.Write(w.Data); err != nil {
		return nil, errors.Join(err, f.file.Close(), removeIfThere(root, f.tmp))
	}
	m, each := chunk.Fixed(w.Entry.Blob.Size, chunk.FixedLen, nil), chunk.NewHasher()
	for i := range m.Len() {
		f.sums = append(f.sums, each.Sum(w.Data[m.Offset(i):m.Offset(i)+m.Length(i)]))
	}
	return f, nil
}

// CheckWhole says whether data is what a blob's etag and size say.
func CheckWhole(b ref.Blob, data []byte) error {
	if int64(len(data)) != b.Size {
		return fmt.Errorf("%w: got %d bytes instead of %d", ErrMismatch, len(data), b.Size)
	}
	whole := b.ETag.NewHash(b.Size)
	_, _ = whole.Write(data)
	if sum := whole.Sum(nil); !b.ETag.Matches(sum) {
		return fmt.Errorf("%w: got %s", ErrMismatch, hex.EncodeToString(sum))
	}
	return nil
}

// name gives a blob that is on disk for good its names, and records it as checked.
// The stamp is that of the open file, as in [Partial.rename].
func (f *wholeFile) name(c *Cache, made map[string]bool) error {
	final := c.contentPath(f.e)
	if err := f.folder(final, made); err != nil {
		return err
	}
	if err := disk.Replace(f.root, f.tmp, final); err != nil {
		return err
	}
	fi, err := f.file.Stat()
	if err != nil {
		return err
	}
	rel := f.e.Repo.Folder() + "/" + final
	c.keep(rel, record{stamp: disk.StampOf(fi), etag: f.e.Blob.ETag}, f.sums)
	if err := f.link(c, made); err != nil {
		return err
	}
	c.noteFile(f.e, rel)
	return nil
}

// folder makes the one that a name lies in, once for all that lie there.
func (f *wholeFile) folder(name string, made map[string]bool) error {
	dir := path.Dir(name)
	if made[dir] {
		return nil
	}
	made[dir] = true
	return f.root.MkdirAll(dir, 0o777)
}

// link is [Cache.link] for a name that most likely is not there.
func (f *wholeFile) link(c *Cache, made map[string]bool) error {
	if c.noSymlinks() {
		return nil
	}
	at := snapshotPath(f.e.Commit, f.e.Path)
	if err := f.folder(at, made); err != nil {
		return err
	}
	if f.root.Symlink(filepath.FromSlash(linkTarget(f.e.Path, f.e.Blob.ETag)), at) == nil {
		return nil
	}
	return c.link(f.root, f.e)
}
