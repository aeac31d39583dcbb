package cache

import (
	"context"
	"os"
	"path"
	"strings"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// What one call of [Cache.Relatives] gives and costs at most, besides what its
// caller says.
const (
	maxVersions = 3    // versions of the same file among them
	maxLooks    = 2000 // names and files on disk that are looked at to choose
)

// Relatives are entries of other blobs here, checked and right, that may have
// chunks in common with e, at most count of them, each blob once, the likely ones
// first:
//
//   - the same path at other commits, the latest first;
//   - other paths of the repo with the same extension and at least half and at most
//     twice the size, the closest name first; among shards that is the same number;
//   - files of other repos with the same name and nearly the same size, or with the
//     same extension and hardly another size, the closest size first.
//
// What was not checked yet is checked now, as long as that takes no more than most
// bytes in all. It knows what Run saw; before Run has looked through the whole
// cache, and without Run, it looks at what is named most like e.
func (c *Cache) Relatives(ctx context.Context, e ref.Entry, count int, most int64) (all []ref.Entry) {
	shelves, ok := c.allShelves()
	if !ok {
		shelves = c.glance(ctx, e)
	}
	seen := map[ref.ETag]bool{e.Blob.ETag: true}
	versions := 0
	for _, r := range c.relatives(shelves, e) {
		switch {
		case len(all) >= count || ctx.Err() != nil:
			return all
		case seen[r.entry.Blob.ETag] || r.kin == version && versions == maxVersions:
			continue
		}
		b, ok := c.makeSure(ctx, r, &most)
		if !ok || seen[b.ETag] {
			continue
		}
		seen[b.ETag] = true
		r.entry.Blob = b
		all = append(all, r.entry)
		if r.kin == version {
			versions++
		}
	}
	return all
}

// allShelves is what Run saw, once it has seen all.
func (c *Cache) allShelves() (all []*shelf, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.shelves {
		all = append(all, s)
	}
	return all, c.looked
}

// relatives picks what is related to e by its name and size, and sorts it.
func (c *Cache) relatives(shelves []*shelf, e ref.Entry) []*relative {
	f := family{e: e, ext: path.Ext(e.Path), of: map[ref.ETag]*relative{}}
	c.mu.Lock()
	for _, s := range shelves {
		for commit, spots := range s.snapshots {
			for name, at := range spots {
				if strings.HasSuffix(name, f.ext) && path.Ext(name) == f.ext {
					rec, ok := c.checked[at.rel]
					f.add(ref.Entry{Repo: s.repo, Commit: commit, Path: name}, at, rec, ok)
				}
			}
		}
	}
	c.mu.Unlock()
	for _, r := range f.toMeasure() {
		f.measured(r, c.stampOf(r.rel).Size)
	}
	c.rankVersions(f.known)
	return f.sort()
}

// rankVersions asks the disk when the commits of versions came.
func (c *Cache) rankVersions(all []*relative) {
	for _, r := range all {
		if r.kin != version {
			continue
		}
		if dir, err := os.Stat(c.abs(r.entry.Repo.Folder() + "/" + snapshotPath(r.entry.Commit, ""))); err == nil {
			r.rank[0] = -dir.ModTime().UnixNano()
		}
	}
}

// makeSure gives the blob of a relative when its file is right. It takes off most
// what has to be read for that.
func (c *Cache) makeSure(ctx context.Context, r *relative, most *int64) (ref.Blob, bool) {
	stamp, said := c.stampOf(r.rel), r.entry.Blob
	if stamp == (disk.Stamp{}) {
		return ref.Blob{}, false
	}
	rec, ok := c.recordOf(r.rel, stamp)
	if !ok || said.ETag != "" && said.ETag != rec.etag {
		if stamp.Size > *most {
			return ref.Blob{}, false
		}
		*most -= stamp.Size
		if err := c.check(ctx, r.rel, said.ETag, stamp.Size); err != nil {
			return ref.Blob{}, false
		}
		rec, ok = c.recordOf(r.rel, stamp)
	}
	b := ref.Blob{ETag: rec.etag, Size: stamp.Size, Xet: said.Xet}
	if b.Xet == "" {
		b.Xet = c.xetHash(r.entry, b.ETag)
	}
	return b, ok && !rec.bad
}

// xetHash is what was said of the Xet hash of an entry's blob.
func (c *Cache) xetHash(e ref.Entry, etag ref.ETag) ref.XetHash {
	if b, ok := c.statedEntry(e.Repo, e.Commit, e.Path); ok && b.ETag == etag {
		return b.Xet
	}
	if b := c.tree(e.Repo, e.Commit)[e.Path]; b.ETag == etag {
		return b.Xet
	}
	return ""
}
