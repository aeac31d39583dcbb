package cache

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// maxDepth bounds how deep the folders of a snapshot may lie.
const maxDepth = 100

// biggestRegular is the size from which the Hub takes files through LFS only
// (bytes): the id of a plain file above it is its sha256, whoever wrote it.
const biggestRegular = 10 << 20

// job is a file to be hashed, and what it should hold.
type job struct {
	rel  string
	etag ref.ETag
}

// queue hands out jobs in the order they came, each file once.
type queue struct {
	jobs    []job
	waiting map[string]bool
}

func newQueue() queue { return queue{waiting: map[string]bool{}} }

func (c *Cache) enqueueLocked(j job) {
	if c.queue.waiting[j.rel] {
		return
	}
	c.queue.waiting[j.rel] = true
	c.queue.jobs = append(c.queue.jobs, j)
	poke(c.work)
}

func (c *Cache) nextJob() (j job, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue.jobs) == 0 {
		return job{}, false
	}
	j, c.queue.jobs = c.queue.jobs[0], c.queue.jobs[1:]
	delete(c.queue.waiting, j.rel)
	return j, true
}

// repoFolders are the names of the repos' folders in the cache.
func (c *Cache) repoFolders() []string {
	var folders []string
	for _, d := range readDir(c.dir) {
		if _, err := ref.ParseFolder(d.Name()); err == nil {
			folders = append(folders, d.Name())
		}
	}
	return folders
}

// readDir lists a folder; one that is not there is empty.
func readDir(path string) []fs.DirEntry {
	list, _ := os.ReadDir(path)
	return list
}

// scanAll looks through the whole cache. visit is told every folder that is
// worth watching.
func (c *Cache) scanAll(ctx context.Context, visit func(dir string)) {
	visit(c.dir)
	there := map[string]bool{}
	for _, folder := range c.repoFolders() {
		if ctx.Err() != nil {
			return
		}
		there[folder] = true
		c.scanRepo(ctx, folder, visit)
	}
	c.mu.Lock()
	for folder := range c.shelves {
		if !there[folder] {
			delete(c.shelves, folder)
			c.shown = nil
			c.notify()
		}
	}
	c.mu.Unlock()
	c.forgetVanished(func(string) bool { return true })
	c.mu.Lock()
	c.looked = c.looked || ctx.Err() == nil
	c.mu.Unlock()
	c.notify()
}

// forgetVanished drops the records of files that were deleted, in some repos.
func (c *Cache) forgetVanished(in func(folder string) bool) {
	c.mu.Lock()
	var rels []string
	for rel := range c.checked {
		if folder, _, _ := strings.Cut(rel, "/"); in(folder) {
			rels = append(rels, rel)
		}
	}
	c.mu.Unlock()
	for _, rel := range rels {
		if _, err := os.Lstat(c.content(rel)); errors.Is(err, fs.ErrNotExist) {
			c.vanished(rel)
		}
	}
}

// scanRepo looks through one repo: its names now replace those known before,
// and whatever is behind them and was not checked yet gets queued. A name that
// we add ourselves meanwhile could be lost by that; then it looks again.
func (c *Cache) scanRepo(ctx context.Context, folder string, visit func(dir string)) {
	repo, err := ref.ParseFolder(folder)
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		c.mu.Lock()
		notes := c.notes[folder]
		c.mu.Unlock()
		s := &scan{c: c, folder: folder, shelf: newShelf(repo), visit: visit}
		s.all(ctx)
		if ctx.Err() == nil && c.install(s.shelf, notes) {
			return
		}
	}
}

// scan is one look at one repo.
type scan struct {
	c      *Cache
	folder string
	shelf  *shelf
	visit  func(dir string)

	left *int         // for a hasty look: how many names may still be looked at,
	ext  string       // with which extension,
	seen []ref.Commit // and where

	commit   ref.Commit // the snapshot being walked
	tree     tree       // its file list, read when first needed
	treeRead bool
}

func (s *scan) all(ctx context.Context) {
	for _, dir := range []string{"", blobsDir, snapshotsDir, refsDir} {
		s.visit(s.c.abs(s.folder + "/" + dir))
	}
	for _, d := range readDir(s.c.abs(s.folder + "/" + snapshotsDir)) {
		commit, err := ref.ParseCommit(d.Name())
		if err == nil && string(commit) == d.Name() && d.IsDir() && ctx.Err() == nil {
			s.enter(commit)
			s.walk("", 0)
		}
	}
	s.walkRefs("", 0)
}

func (s *scan) enter(commit ref.Commit) { s.commit, s.tree, s.treeRead = commit, nil, false }

// walk looks at the names below dir, which is relative to the snapshot and ends
// in "/". Folders behind links are not entered.
func (s *scan) walk(dir string, depth int) {
	path := s.c.abs(s.folder + "/" + snapshotPath(s.commit, dir))
	s.visit(path)
	for _, d := range s.list(path) {
		name := dir + d.Name()
		switch {
		case d.IsDir() && depth < maxDepth:
			s.walk(name+"/", depth+1)
		case d.Type()&fs.ModeSymlink != 0 || d.Type().IsRegular():
			s.file(name)
		}
	}
}

func (s *scan) file(name string) {
	if ref.CheckPath(name) != nil || s.left != nil && path.Ext(name) != s.ext {
		return
	}
	rel, etag := s.c.snapshotFile(s.shelf.repo, snapshotPath(s.commit, name))
	if rel == "" {
		return
	}
	var b ref.Blob
	if s.left == nil || etag == "" { // what a link says is enough for a hasty look
		b = s.blobOf(name)
	}
	if etag == "" {
		etag = b.ETag
		if etag == "" && s.c.stampOf(rel).Size <= biggestRegular {
			return // a plain file of which nobody said what it should be
		}
	}
	at := spot{rel: rel, etag: etag}
	if b.ETag == etag {
		at.xet = b.Xet
	}
	if s.shelf.snapshots[s.commit] == nil {
		s.shelf.snapshots[s.commit] = map[string]spot{}
	}
	s.shelf.snapshots[s.commit][name] = at
}

// blobOf is what was said of a path: by the Hub to us, or by it to another tool.
func (s *scan) blobOf(name string) ref.Blob {
	if b, ok := s.c.statedEntry(s.shelf.repo, s.commit, name); ok {
		return b
	}
	if !s.treeRead {
		s.tree, s.treeRead = s.c.tree(s.shelf.repo, s.commit), true
	}
	return s.tree[name]
}

// walkRefs reads the ref files below dir, which is relative to the folder refs.
func (s *scan) walkRefs(dir string, depth int) {
	path := s.c.abs(s.folder + "/" + refsDir + "/" + dir)
	if dir != "" {
		s.visit(path)
	}
	for _, d := range readDir(path) {
		name := dir + d.Name()
		switch {
		case d.IsDir() && depth < maxDepth:
			s.walkRefs(name+"/", depth+1)
		case d.Type().IsRegular() && !ignored(name) && ref.CheckRevision(name) == nil:
			if commit, written, err := readRef(s.c.abs(refRel(s.shelf.repo, name))); err == nil {
				s.shelf.refs[name] = s.c.dated(KnownRef{s.shelf.repo, name, commit, written})
			}
		}
	}
}

// install takes over what a scan saw, and queues what has to be checked. It
// refuses when names were noted since the scan began.
func (c *Cache) install(now *shelf, notes int) bool {
	files := map[string]ref.ETag{}
	for _, spots := range now.snapshots {
		for _, at := range spots {
			files[at.rel] = at.etag
		}
	}
	stamps := make(map[string]disk.Stamp, len(files))
	for rel := range files {
		stamps[rel] = c.stampOf(rel)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	folder := now.repo.Folder()
	if c.notes[folder] != notes {
		return false
	}
	for rel, etag := range files {
		c.compareLocked(job{rel, etag}, stamps[rel])
	}
	if old := c.shelves[folder]; old != nil && old.same(now) {
		now.shown = old.shown
	}
	c.shelves[folder] = now
	if now.shown == nil {
		c.shown = nil
		c.notify()
	}
	return true
}

// compareLocked queues a file that was not checked in its present state.
func (c *Cache) compareLocked(j job, stamp disk.Stamp) {
	r, ok := c.checked[j.rel]
	if ok && r.stamp != stamp {
		stamp = c.stampOf(j.rel) // we may have linked it ourselves since
	}
	switch {
	case stamp == (disk.Stamp{}):
		c.dropRecordLocked(j.rel) // deleted, or the link leads nowhere
	case !ok:
		c.enqueueLocked(j)
	case r.stamp != stamp:
		if !r.bad {
			c.log.Info("a file changed on disk; it is not shared until it was checked again", "path", c.abs(j.rel))
		}
		c.dropRecordLocked(j.rel)
		c.enqueueLocked(j)
	case r.etag != j.etag && (j.etag != "" || r.bad):
		c.enqueueLocked(j)
	}
}

// same ignores what is derived, and how old refs are.
func (s *shelf) same(o *shelf) bool {
	return maps.EqualFunc(s.snapshots, o.snapshots, maps.Equal[map[string]spot, map[string]spot]) &&
		maps.EqualFunc(s.refs, o.refs, func(a, b KnownRef) bool { return a.Commit == b.Commit })
}

// folderOf is the repo folder that a path in the cache belongs to.
func (c *Cache) folderOf(path string) string {
	rest, ok := strings.CutPrefix(path, c.dir+string(os.PathSeparator))
	if !ok {
		return ""
	}
	folder, _, _ := strings.Cut(rest, string(os.PathSeparator))
	return folder
}
