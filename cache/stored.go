package cache

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// StoredRepo is what lies on disk of a repo, whoever put it there and whether or not
// it was checked. To look needs no open cache: nothing is locked, and nothing written.
type StoredRepo struct {
	Repo      ref.Repo
	Revisions []StoredRevision // the one that changed last comes first
	Bytes     int64            // of all its blobs, each once, and of unfinished ones
	Changed   time.Time        // when the last of its files came
}

// StoredRevision is a snapshot on disk.
type StoredRevision struct {
	Commit  ref.Commit   // the name of its folder
	Refs    []string     // branches and tags that stand for it
	Files   []StoredFile // by path
	Changed time.Time
}

// StoredFile is a file of a snapshot.
type StoredFile struct {
	Path    string
	Size    int64
	Blob    string // the name of the blob it is a link to; empty where it is the content itself
	Missing bool   // it is a link that leads nowhere
	Changed time.Time
}

// Stored is what lies of all repos in the cache folder dir.
func Stored(dir string) (repos []StoredRepo) {
	c := &Cache{dir: dir} // names on disk are all that is asked of it
	for _, folder := range c.repoFolders() {
		if repo, err := ref.ParseFolder(folder); err == nil {
			if s, ok := StoredOf(dir, repo); ok {
				repos = append(repos, s)
			}
		}
	}
	return repos
}

// StoredOf is what lies of one repo; false where there is no folder of it.
func StoredOf(dir string, repo ref.Repo) (StoredRepo, bool) {
	c := &Cache{dir: dir}
	if fi, err := os.Stat(c.abs(repo.Folder())); err != nil || !fi.IsDir() {
		return StoredRepo{Repo: repo}, false
	}
	return c.stored(repo), true
}

// At finds a revision by branch, tag, commit, or the beginning of one.
func (s StoredRepo) At(revision string) (StoredRevision, bool) {
	const leastDigits = 7
	var found []StoredRevision
	for _, r := range s.Revisions {
		switch {
		case string(r.Commit) == revision || slices.Contains(r.Refs, revision):
			return r, true
		case len(revision) >= leastDigits && strings.HasPrefix(string(r.Commit), revision):
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return StoredRevision{}, false
	}
	return found[0], true
}

// File finds a file by its path.
func (r StoredRevision) File(path string) (StoredFile, bool) {
	i, ok := slices.BinarySearchFunc(r.Files, path, func(f StoredFile, path string) int { return strings.Compare(f.Path, path) })
	if !ok {
		return StoredFile{}, false
	}
	return r.Files[i], true
}

// PathIn is where a file of a revision lies in the cache folder dir.
func (s StoredRepo) PathIn(dir string, r StoredRevision, f StoredFile) string {
	return (&Cache{dir: dir}).abs(s.Repo.Folder() + "/" + snapshotPath(r.Commit, f.Path))
}

func (c *Cache) stored(repo ref.Repo) StoredRepo {
	s := StoredRepo{Repo: repo}
	refs := map[ref.Commit][]string{}
	for name, commit := range c.refFiles(repo) {
		refs[commit] = append(refs[commit], name)
	}
	for _, d := range readDir(c.abs(repo.Folder() + "/" + snapshotsDir)) {
		if !d.IsDir() {
			continue
		}
		commit := ref.Commit(d.Name()) // or what some tool takes for one: its links count
		r := c.storedRevision(repo, commit)
		r.Refs = slices.Sorted(slices.Values(refs[commit]))
		s.Revisions = append(s.Revisions, r)
		s.Changed = later(s.Changed, r.Changed)
	}
	slices.SortFunc(s.Revisions, func(a, b StoredRevision) int {
		return cmp.Or(b.Changed.Compare(a.Changed), cmp.Compare(a.Commit, b.Commit))
	})
	s.Bytes = c.storedBytes(s)
	return s
}

// storedBytes are those of the blobs, and of files that are their own content.
func (c *Cache) storedBytes(s StoredRepo) (n int64) {
	folder := s.Repo.Folder()
	for _, dir := range []string{blobsDir, partsDir} {
		for _, d := range readDir(c.abs(folder + "/" + dir)) {
			if fi, err := os.Stat(c.abs(folder + "/" + dir + "/" + d.Name())); err == nil && fi.Mode().IsRegular() {
				taken, _ := disk.Footprint(fi)
				if dir == blobsDir {
					taken = fi.Size() // these have no holes
				}
				n += min(taken, fi.Size())
			}
		}
	}
	for _, r := range s.Revisions {
		for _, f := range r.Files {
			if f.Blob == "" {
				n += f.Size
			}
		}
	}
	return n
}

func (c *Cache) storedRevision(repo ref.Repo, commit ref.Commit) StoredRevision {
	r := StoredRevision{Commit: commit}
	repoDir, dir := c.abs(repo.Folder()), c.abs(repo.Folder()+"/"+snapshotsDir+"/"+string(commit))
	if fi, err := os.Stat(dir); err == nil {
		r.Changed = fi.ModTime()
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a folder that cannot be read has nothing to show
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return nil
		}
		r.Files = append(r.Files, storedFile(repoDir, commit, filepath.ToSlash(rel), path))
		return nil
	})
	slices.SortFunc(r.Files, func(a, b StoredFile) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range r.Files {
		r.Changed = later(r.Changed, f.Changed)
	}
	return r
}

func storedFile(repoDir string, commit ref.Commit, name, path string) StoredFile {
	f := StoredFile{Path: name}
	if target, err := os.Readlink(path); err == nil {
		f.Blob = linkedBlob(repoDir, snapshotPath(commit, name), target)
	}
	fi, err := os.Stat(path)
	if err != nil {
		f.Missing = true
		return f
	}
	f.Size, f.Changed = fi.Size(), fi.ModTime()
	return f
}

// refFiles are the commits that the ref files of a repo name.
func (c *Cache) refFiles(repo ref.Repo) map[string]ref.Commit {
	refs := map[string]ref.Commit{}
	dir := c.abs(repo.Folder() + "/" + refsDir)
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || ignored(path) {
			return nil
		}
		if commit, _, err := readRef(path); err == nil {
			refs[filepath.ToSlash(name)] = commit
		}
		return nil
	})
	return refs
}
