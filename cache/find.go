package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"

	"hffs/cache/ref"
)

// Find gives the absolute path of the file that e names, when its bytes are
// here and are what they should be. Bytes that were not checked yet are checked
// now, which takes a moment for large files. Bytes that are here under another
// name, or in another repo, get this name too. Otherwise it is ErrNotFound, also
// when a file of this name is here with the wrong content: that one stays as it
// is until a Commit replaces it. Where a name cannot be given, since the cache can only
// be read, it is a *NotWritableError, and Blob opens the bytes.
func (c *Cache) Find(ctx context.Context, e ref.Entry) (path string, err error) {
	if err := checkEntry(e); err != nil {
		return "", fmt.Errorf("find: %w", err)
	}
	rel, err := c.locate(ctx, e, slog.LevelWarn)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", e, err)
	}
	if named, _ := c.snapshotFile(e.Repo, snapshotPath(e.Commit, e.Path)); named != rel {
		if rel, err = c.place(ctx, e, rel); err != nil {
			return "", fmt.Errorf("link %s: %w", e, err)
		}
	}
	c.noteFile(e, rel)
	return c.snapshotAbs(e), nil
}

// Lacks says that no file here could hold e's blob: there is none of its names and size.
// Nothing is read for that.
func (c *Cache) Lacks(e ref.Entry) bool {
	for rel := range c.candidates(e) {
		if c.stampOf(rel).Size == e.Blob.Size {
			return false
		}
	}
	return true
}

func (c *Cache) snapshotAbs(e ref.Entry) string {
	return c.abs(e.Repo.Folder() + "/" + snapshotPath(e.Commit, e.Path))
}

// locate gives the path, relative to the cache, of a file that was checked to
// hold e's blob: under e's own name, as a blob of the same repo, or anywhere.
// Wrong files on the way are logged at the level given.
func (c *Cache) locate(ctx context.Context, e ref.Entry, level slog.Level) (rel string, err error) {
	tried := map[string]bool{}
	for rel := range c.candidates(e) {
		if tried[rel] {
			continue
		}
		tried[rel] = true
		err := c.check(ctx, rel, e.Blob.ETag, e.Blob.Size)
		switch {
		case err == nil:
			return rel, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case !errors.Is(err, ErrNotFound):
			c.log.Log(ctx, level, "a file here is not what its name says; it is not used", "path", c.abs(rel), "error", err)
		}
	}
	return "", ErrNotFound
}

// candidates are the files that could hold e's blob, likely ones first. Those
// that cost a look at every repo are only found out when it comes to that.
func (c *Cache) candidates(e ref.Entry) iter.Seq[string] {
	return func(yield func(string) bool) {
		named, etag := c.snapshotFile(e.Repo, snapshotPath(e.Commit, e.Path))
		if named != "" && (etag == "" || etag == e.Blob.ETag) && !yield(named) {
			return
		}
		if !yield(e.Repo.Folder() + "/" + blobPath(e.Blob.ETag)) {
			return
		}
		for _, rel := range c.placesOf(e.Blob.ETag) {
			if !yield(rel) {
				return
			}
		}
		for _, folder := range c.repoFolders() {
			rel := folder + "/" + blobPath(e.Blob.ETag)
			if c.stampOf(rel).Size == e.Blob.Size && !yield(rel) {
				return
			}
		}
	}
}

// placesOf are the files that were found to hold the blob.
func (c *Cache) placesOf(etag ref.ETag) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rels []string
	for rel := range c.places[etag] {
		rels = append(rels, rel)
	}
	return rels
}

// snapshotFile follows the name at, inside the repo's folder, to the file that
// holds its content: a blob when it is a link (then etag is the blob's name),
// or itself when it is a plain file. Anything else gives "".
func (c *Cache) snapshotFile(repo ref.Repo, at string) (rel string, etag ref.ETag) {
	folder := repo.Folder()
	path := c.abs(folder + "/" + at)
	target, err := os.Readlink(path)
	if err != nil {
		if fi, err := os.Lstat(path); err == nil && fi.Mode().IsRegular() {
			return folder + "/" + at, ""
		}
		return "", ""
	}
	etag, ok := blobName(linkedBlob(c.abs(folder), at, target))
	if !ok {
		return "", ""
	}
	return folder + "/" + blobPath(etag), etag
}

// blobName accepts the names that the Hub's ids have on disk.
func blobName(name string) (ref.ETag, bool) {
	etag, err := ref.ParseETag(name)
	return etag, err == nil && string(etag) == name
}
