package cache

import (
	"context"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"hffs/cache/ref"
)

// How much of what a hasty look may cost goes where, in names.
const (
	glanceProbes = maxLooks / 2 // commits that are tried for e's own path
	glanceRepo   = maxLooks / 4 // names in e's own repo
	glanceOther  = maxLooks / 20
)

// glance looks at the part of the cache where relatives of e are likely, for those
// who have no Run, or cannot wait for it: e's own path in all repos, then whatever
// is named like it in its own repo and in those of a similar name. It looks at
// some maxLooks names at most.
func (c *Cache) glance(ctx context.Context, e ref.Entry) (shelves []*shelf) {
	left := glanceProbes
	var scans []*scan
	for _, repo := range c.reposLike(e.Repo) {
		if left <= 0 || ctx.Err() != nil {
			break
		}
		s := &scan{c: c, folder: repo.Folder(), shelf: newShelf(repo), visit: func(string) {}, left: &left, ext: path.Ext(e.Path)}
		for _, commit := range s.commits() {
			s.enter(commit)
			s.file(e.Path)
		}
		scans = append(scans, s)
		shelves = append(shelves, s.shelf)
	}
	left += maxLooks - glanceProbes
	share := glanceRepo
	for _, s := range scans {
		if left <= 0 || ctx.Err() != nil {
			break
		}
		share = min(share, left)
		left -= share
		s.left = &share
		for _, commit := range s.seen {
			s.enter(commit)
			s.walk("", 0)
		}
		left += share
		share = glanceOther
	}
	return shelves
}

// reposLike are the repos in the cache, r itself first, then those whose names begin
// as its does.
func (c *Cache) reposLike(r ref.Repo) []ref.Repo {
	var repos []ref.Repo
	for _, folder := range c.repoFolders() {
		if repo, err := ref.ParseFolder(folder); err == nil && repo != r {
			repos = append(repos, repo)
		}
	}
	slices.SortStableFunc(repos, func(a, b ref.Repo) int { return commonPrefix(b.ID, r.ID) - commonPrefix(a.ID, r.ID) })
	return append([]ref.Repo{r}, repos...)
}

// commits are those with a snapshot, the latest first.
func (s *scan) commits() []ref.Commit {
	s.seen = nil
	for _, d := range latest(s.list(s.c.abs(s.folder + "/" + snapshotsDir))) {
		commit, err := ref.ParseCommit(d.Name())
		if err == nil && string(commit) == d.Name() && d.IsDir() {
			s.seen = append(s.seen, commit)
		}
	}
	return s.seen
}

// latest sorts folders by when they last changed.
func latest(list []fs.DirEntry) []fs.DirEntry {
	changed := map[string]time.Time{}
	for _, d := range list {
		if fi, err := d.Info(); err == nil {
			changed[d.Name()] = fi.ModTime()
		}
	}
	slices.SortStableFunc(list, func(a, b fs.DirEntry) int { return changed[b.Name()].Compare(changed[a.Name()]) })
	return list
}

// list is a folder's content, as much of it as may still be looked at.
func (s *scan) list(path string) []fs.DirEntry {
	if s.left == nil {
		return readDir(path)
	}
	if *s.left <= 0 {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	list, _ := f.ReadDir(*s.left)
	*s.left -= len(list)
	return list
}
