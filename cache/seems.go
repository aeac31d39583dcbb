package cache

import (
	"os"
	"path/filepath"
	"strings"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// Snapshot is the absolute path of a commit's folder, whether or not it is there.
func (c *Cache) Snapshot(repo ref.Repo, commit ref.Commit) string {
	return c.abs(repo.Folder() + "/" + snapshotsDir + "/" + string(commit))
}

// Seems says whether e's bytes seem to be here, without reading or writing anything:
// by what was checked, or a file of the blob's name and size.
func (c *Cache) Seems(e ref.Entry) bool {
	if held, err := c.Blob(e.Blob.ETag); err == nil {
		_ = held.Close()
		return held.Blob.Size == e.Blob.Size
	}
	rel, etag := c.snapshotFile(e.Repo, snapshotPath(e.Commit, e.Path))
	if rel == "" || etag != "" && etag != e.Blob.ETag {
		rel = e.Repo.Folder() + "/" + blobPath(e.Blob.ETag)
	}
	stamp := c.stampOf(rel)
	if r, ok := c.recordOf(rel, stamp); ok && r.bad {
		return false
	}
	return stamp != disk.Stamp{} && stamp.Size == e.Blob.Size
}

// FoldsCase says whether the cache's disk takes names for one that differ only in the
// case of their letters.
func (c *Cache) FoldsCase() bool {
	fi, err := os.Lstat(filepath.Join(c.dir, locksDir))
	other, err2 := os.Lstat(filepath.Join(c.dir, strings.ToUpper(locksDir)))
	return err == nil && err2 == nil && os.SameFile(fi, other)
}
