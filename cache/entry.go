package cache

import (
	"encoding/json"
	"fmt"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// statedBlob is a remembered entry's blob as it lies in the database.
type statedBlob struct {
	ETag ref.ETag    `json:"etag"`
	Size int64       `json:"size"`
	Xet  ref.XetHash `json:"xet,omitempty"`
}

func entryKey(repo ref.Repo, commit ref.Commit, path string) string {
	return repo.Folder() + "/" + string(commit) + "/" + path
}

// Remember keeps an entry that the Hub stated, for when it is out of reach.
func (c *Cache) Remember(e ref.Entry) error {
	if err := checkEntry(e); err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	value, err := json.Marshal(statedBlob(e.Blob))
	if err != nil {
		return fmt.Errorf("remember %s: %w", e, err)
	}
	c.stated.put(c.book, entryKey(e.Repo, e.Commit, e.Path), value)
	return nil
}

func checkEntry(e ref.Entry) error {
	if _, err := ref.ParseRepo(e.Repo.Type, e.Repo.ID); err != nil {
		return err
	}
	if _, err := ref.ParseCommit(string(e.Commit)); err != nil {
		return err
	}
	if _, err := ref.ParseETag(string(e.Blob.ETag)); err != nil {
		return err
	}
	if err := ref.CheckPath(e.Path); err != nil {
		return err
	}
	return ref.CheckSize(e.Blob.Size)
}

// Entry is what the cache knows of a file at a commit: what the Hub stated, else
// what a checked file here shows, else what another tool's file list says, else
// what a link of another tool points to. The last is a hint only.
func (c *Cache) Entry(repo ref.Repo, commit ref.Commit, path string) (ref.Entry, error) {
	e := ref.Entry{Repo: repo, Commit: commit, Path: path}
	if err := ref.CheckPath(path); err != nil {
		return e, err
	}
	if _, err := ref.ParseCommit(string(commit)); err != nil {
		return e, err
	}
	e, linked, ok := c.sureEntry(e)
	if ok {
		return e, nil
	}
	if e.Blob, ok = c.tree(repo, commit)[path]; ok {
		return e, nil
	}
	if e.Blob = linked; linked.ETag != "" {
		return e, nil
	}
	return e, fmt.Errorf("%s: %w", e, ErrNotFound)
}

// SureEntry is [Cache.Entry] without hints: what the Hub stated to us, or what a
// checked file here shows.
func (c *Cache) SureEntry(repo ref.Repo, commit ref.Commit, path string) (ref.Entry, bool) {
	e, _, ok := c.sureEntry(ref.Entry{Repo: repo, Commit: commit, Path: path})
	return e, ok
}

// sureEntry also gives what an unchecked link shows, for who takes hints.
func (c *Cache) sureEntry(e ref.Entry) (_ ref.Entry, linked ref.Blob, ok bool) {
	if e.Blob, ok = c.statedEntry(e.Repo, e.Commit, e.Path); ok {
		return e, linked, true
	}
	linked, checked := c.linkedEntry(e.Repo, e.Commit, e.Path)
	if checked {
		e.Blob = linked
	}
	return e, linked, checked
}

// statedEntry is what the Hub said: of this very file, or in the commit's list.
func (c *Cache) statedEntry(repo ref.Repo, commit ref.Commit, path string) (ref.Blob, bool) {
	value := c.book.get(bucketEntries, entryKey(repo, commit, path))
	var b statedBlob
	if value != nil && json.Unmarshal(value, &b) == nil {
		return ref.Blob(b), true
	}
	return c.listedEntry(repo, commit, path)
}

// linkedEntry reads the blob from the snapshot itself and says whether its
// content was checked. A blob known to be bad gives nothing, since its size
// would mislead.
func (c *Cache) linkedEntry(repo ref.Repo, commit ref.Commit, path string) (b ref.Blob, checked bool) {
	rel, etag := c.snapshotFile(repo, snapshotPath(commit, path))
	if rel == "" {
		return ref.Blob{}, false
	}
	f, stamp, err := disk.OpenFile(c.content(rel))
	if err != nil {
		return ref.Blob{}, false
	}
	defer f.Close()
	r, ok := c.recordOf(rel, stamp)
	switch {
	case ok && !r.bad:
		return ref.Blob{ETag: r.etag, Size: stamp.Size}, true
	case ok || etag == "":
		return ref.Blob{}, false
	}
	return ref.Blob{ETag: etag, Size: stamp.Size}, false
}
