package cache

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"hffs/cache/ref"
)

// Holdings is what this cache may hand out: the files whose content was checked
// and has not changed since, and what it knows of branches. It is a snapshot,
// sorted by repo, commit and path; parts of it are shared between callers and
// must not be changed.
type Holdings struct {
	Snapshots []Snapshot
	Refs      []KnownRef
	Partials  []ref.Entry // fetches of this process under way
}

// Snapshot is the files of a commit that are here.
type Snapshot struct {
	Repo   ref.Repo
	Commit ref.Commit
	Files  []File
}

// File is a path and the blob behind it.
type File struct {
	Path string
	Blob ref.Blob
}

// shelf is what the last scan saw of one repo, and what we added since.
type shelf struct {
	repo      ref.Repo
	snapshots map[ref.Commit]map[string]spot
	refs      map[string]KnownRef
	shown     []Snapshot // the checked ones among them; nil when to be built anew
}

// spot is where the content of a path lies, and what it should be.
type spot struct {
	rel  string
	etag ref.ETag // empty where nobody said; then it is the file's sha256
	xet  ref.XetHash
}

func newShelf(repo ref.Repo) *shelf {
	return &shelf{repo: repo, snapshots: map[ref.Commit]map[string]spot{}, refs: map[string]KnownRef{}}
}

func (c *Cache) shelfLocked(repo ref.Repo) *shelf {
	folder := repo.Folder()
	if c.shelves[folder] == nil {
		c.shelves[folder] = newShelf(repo)
	}
	return c.shelves[folder]
}

// noteLocked is the shelf for a name that we just added ourselves.
func (c *Cache) noteLocked(repo ref.Repo) *shelf {
	c.notes[repo.Folder()]++
	return c.shelfLocked(repo)
}

// Holdings returns what is here now. It costs next to nothing when nothing has
// changed since it was last asked.
func (c *Cache) Holdings() Holdings {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shown == nil {
		h := c.buildLocked()
		c.shown = &h
	}
	return *c.shown
}

func (c *Cache) buildLocked() Holdings {
	var h Holdings
	for _, folder := range slices.Sorted(maps.Keys(c.shelves)) {
		s := c.shelves[folder]
		if s.shown == nil {
			s.shown = c.showLocked(s)
		}
		h.Snapshots = append(h.Snapshots, s.shown...)
		for _, name := range slices.Sorted(maps.Keys(s.refs)) {
			h.Refs = append(h.Refs, s.refs[name])
		}
	}
	for p := range c.partials {
		h.Partials = append(h.Partials, p.entry)
	}
	slices.SortFunc(h.Partials, func(a, b ref.Entry) int {
		return cmp.Or(cmp.Compare(a.Repo.Folder(), b.Repo.Folder()), strings.Compare(a.Path, b.Path), cmp.Compare(a.Commit, b.Commit))
	})
	return h
}

// showLocked picks the checked files of a repo.
func (c *Cache) showLocked(s *shelf) []Snapshot {
	shown := []Snapshot{}
	for _, commit := range slices.Sorted(maps.Keys(s.snapshots)) {
		spots := s.snapshots[commit]
		var files []File
		for _, path := range slices.Sorted(maps.Keys(spots)) {
			at := spots[path]
			r, ok := c.checked[at.rel]
			if !ok || r.bad || at.etag != "" && at.etag != r.etag {
				continue
			}
			files = append(files, File{path, ref.Blob{ETag: r.etag, Size: r.stamp.Size, Xet: at.xet}})
		}
		if len(files) > 0 {
			shown = append(shown, Snapshot{s.repo, commit, files})
		}
	}
	return shown
}

// noteFile puts a file into the holdings at once, without waiting for a scan.
func (c *Cache) noteFile(e ref.Entry, rel string) {
	at := spot{rel, e.Blob.ETag, e.Blob.Xet}
	c.mu.Lock()
	s := c.noteLocked(e.Repo)
	if s.snapshots[e.Commit] == nil {
		s.snapshots[e.Commit] = map[string]spot{}
	}
	news := s.snapshots[e.Commit][e.Path] != at
	if news {
		s.snapshots[e.Commit][e.Path] = at
		s.shown = nil
	}
	news = news || s.shown == nil // its record is new
	if news {
		c.shown = nil
	}
	c.mu.Unlock()
	if news {
		c.notify()
	}
}
