package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// Removal says what is to go. It is the reverse of a commit, in an order in which
// a crash at any moment leaves a cache that all tools accept: links, then refs whose
// snapshot is empty, then that snapshot, and blobs when nothing in the repo refers to
// them any more. A whole repo goes by one rename.
type Removal struct {
	Repo ref.Repo
	// Path is the file that goes; empty means all files of the commits.
	Path string
	// Commits are those of which it goes; none means all that are here.
	Commits []ref.Commit
	// Reading says whether somebody reads a blob just now. Nil means nobody.
	Reading func(ref.ETag) bool
	// Patience is how long to wait for those who read or fetch; zero does not wait.
	Patience time.Duration
	// DryRun only says what would go.
	DryRun bool
}

// Removed is what has gone.
type Removed struct {
	Files []RemovedFile // by commit and path
	Refs  []string      // branches and tags whose snapshot is no more
	Blobs int           // how many of them
	Freed int64         // bytes on the disk
	Whole bool          // nothing is left of the repo
}

// RemovedFile is a name that has gone.
type RemovedFile struct {
	Commit ref.Commit
	Path   string
	Size   int64
	Kept   bool // its blob stays: another snapshot of the repo has it too
}

// BusyError says that something is in use, and cannot go now.
type BusyError struct{ What, Why string }

func (e *BusyError) Error() string { return e.What + " " + e.Why }

// busyPoll is how often those are looked at who read or fetch.
const busyPoll = 50 * time.Millisecond

// Remove takes files, snapshots, or all of a repo out of the cache. Other repos that
// have the same bytes keep them. What is being read or fetched stays, and is a
// *BusyError; a repo, commit or file that is not here is ErrNotFound. What is here is
// not shared any more when Remove returns.
func (c *Cache) Remove(ctx context.Context, r Removal) (Removed, error) {
	if _, err := ref.ParseRepo(r.Repo.Type, r.Repo.ID); err != nil {
		return Removed{}, fmt.Errorf("remove: %w", err)
	}
	for end := time.Now().Add(r.Patience); ; {
		gone, err := c.tryRemove(ctx, r)
		var busy *BusyError
		if !errors.As(err, &busy) || time.Now().After(end) {
			return gone, wrap(err, "remove from %s", r.Repo)
		}
		select {
		case <-time.After(busyPoll):
		case <-ctx.Done():
			return Removed{}, ctx.Err()
		}
	}
}

// tryRemove has the repo's names to itself while it works: nobody links to a blob
// in the moment when it goes.
func (c *Cache) tryRemove(ctx context.Context, r Removal) (Removed, error) {
	names := c.namesOf(r.Repo)
	if !names.TryLock() {
		return Removed{}, &BusyError{r.Repo.String(), "is being written to"}
	}
	defer names.Unlock()
	if _, err := os.Stat(c.abs(r.Repo.Folder())); err != nil {
		return Removed{}, ErrNotFound
	}
	x := newRemoving(c, r)
	if len(x.chosen) == 0 && !x.all {
		return Removed{}, ErrNotFound
	}
	if err := x.busy(); err != nil {
		return Removed{}, err
	}
	if r.DryRun {
		return x.gone, nil
	}
	x.gone.Freed = 0 // what it comes to is counted as it goes
	defer c.removedFrom(r.Repo)
	var err error
	if x.gone.Whole {
		err = x.repo()
	} else {
		err = x.files(context.WithoutCancel(ctx)) // half of it would leave blobs that nobody finds
	}
	return x.gone, c.diskError(err, 0)
}

// removedFrom has the holdings be true again, without waiting for a scan.
func (c *Cache) removedFrom(repo ref.Repo) {
	folder := repo.Folder()
	c.mu.Lock()
	c.notes[folder]++ // a scan under way may have seen what is gone
	before := c.placesInLocked(folder)
	c.mu.Unlock()
	c.scanRepo(context.Background(), folder, func(string) {})
	c.forgetVanished(func(f string) bool { return f == folder })
	c.mu.Lock()
	if _, err := os.Lstat(c.abs(folder)); errors.Is(err, os.ErrNotExist) {
		delete(c.shelves, folder)
		c.notes[folder]++
	}
	c.shown = nil
	for etag := range before {
		if len(c.places[etag]) > 0 {
			delete(before, etag)
		}
	}
	c.mu.Unlock()
	for etag := range before {
		c.index.Forget(etag)
	}
	c.notify()
}

func (c *Cache) placesInLocked(folder string) map[ref.ETag]bool {
	all := map[ref.ETag]bool{}
	for rel, r := range c.checked {
		if strings.HasPrefix(rel, folder+"/") && !r.bad {
			all[r.etag] = true
		}
	}
	return all
}

// removing is a removal under way.
type removing struct {
	c      *Cache
	want   Removal
	folder string
	all    bool                    // all of the repo is meant, also what no snapshot shows
	chosen map[ref.Commit][]string // paths that go
	empty  map[ref.Commit]bool     // snapshots of which nothing stays
	refs   map[string]ref.Commit   // of those
	doomed map[string]bool         // blobs that nothing will refer to, by name
	plain  map[string]bool         // files that are their own content, relative to the cache
	stores map[string]bool         // shared blobs that may be without a user afterwards
	gone   Removed
}

func newRemoving(c *Cache, r Removal) *removing {
	x := &removing{
		c: c, want: r, folder: r.Repo.Folder(), chosen: map[ref.Commit][]string{}, empty: map[ref.Commit]bool{},
		refs: map[string]ref.Commit{}, doomed: map[string]bool{}, plain: map[string]bool{}, stores: map[string]bool{},
	}
	s := c.stored(r.Repo)
	used := map[string]bool{}
	for _, rev := range s.Revisions {
		x.choose(rev, used)
	}
	for name := range x.doomed {
		if used[name] {
			delete(x.doomed, name)
		}
	}
	x.all = r.Path == "" && len(r.Commits) == 0
	x.gone.Whole = x.all || len(x.empty) == len(s.Revisions) && len(s.Revisions) > 0 && !x.fetchedElse()
	if x.gone.Whole {
		x.wholeRepo()
	}
	for name, commit := range c.refFiles(r.Repo) {
		if x.gone.Whole || x.empty[commit] {
			x.refs[name] = commit
		}
	}
	x.sum(s)
	return x
}

// choose picks what goes of a snapshot, and takes down which blobs the rest uses.
func (x *removing) choose(rev StoredRevision, used map[string]bool) {
	among := len(x.want.Commits) == 0 || slices.Contains(x.want.Commits, rev.Commit)
	left := 0
	for _, f := range rev.Files {
		if !among || x.want.Path != "" && f.Path != x.want.Path {
			left++
			if f.Blob != "" {
				used[f.Blob] = true
			}
			continue
		}
		x.chosen[rev.Commit] = append(x.chosen[rev.Commit], f.Path)
		if f.Blob != "" {
			x.doomed[f.Blob] = true
		} else {
			x.plain[x.folder+"/"+snapshotPath(rev.Commit, f.Path)] = true
		}
	}
	switch {
	case !among || left > 0:
	case len(rev.Files) > 0:
		x.empty[rev.Commit] = true
	case x.want.Path == "": // it was empty
		x.empty[rev.Commit] = true
		x.chosen[rev.Commit] = nil
	}
}

// wholeRepo adds what no snapshot shows.
func (x *removing) wholeRepo() {
	for _, d := range readDir(x.c.abs(x.folder + "/" + blobsDir)) {
		if !d.IsDir() {
			x.doomed[d.Name()] = true
		}
	}
}

// fetchedElse tells whether the repo has something to come beside what goes: then
// its folder stays.
func (x *removing) fetchedElse() bool {
	return len(readDir(x.c.abs(x.folder+"/"+partsDir))) > 0 || len(x.unfinished()) > 0
}

// sum says beforehand what it will come to.
func (x *removing) sum(s StoredRepo) {
	for _, rev := range s.Revisions {
		for _, p := range x.chosen[rev.Commit] {
			f, _ := rev.File(p)
			x.gone.Files = append(x.gone.Files, RemovedFile{rev.Commit, p, f.Size, f.Blob != "" && !x.doomed[f.Blob]})
		}
	}
	slices.SortFunc(x.gone.Files, func(a, b RemovedFile) int {
		return strings.Compare(string(a.Commit)+"/"+a.Path, string(b.Commit)+"/"+b.Path)
	})
	x.gone.Refs = slices.Sorted(maps.Keys(x.refs))
	for rel := range x.contents() {
		x.gone.Blobs++
		x.gone.Freed += x.c.frees(rel)
	}
	if x.gone.Whole {
		for _, d := range readDir(x.c.abs(x.folder + "/" + partsDir)) {
			x.gone.Freed += x.c.frees(x.folder + "/" + partsDir + "/" + d.Name())
		}
	}
}

// contents are the files, relative to the cache, that hold what goes.
func (x *removing) contents() map[string]bool {
	all := maps.Clone(x.plain)
	for name := range x.doomed {
		all[x.folder+"/"+blobsDir+"/"+name] = true
	}
	return all
}

// frees is how many bytes the disk gets back when the file at rel goes.
func (c *Cache) frees(rel string) int64 {
	if store, ok := c.storeOf(rel); ok {
		return c.storeFrees(store, rel)
	}
	fi, err := os.Lstat(c.abs(rel))
	if err != nil || !fi.Mode().IsRegular() {
		return 0
	}
	taken, names := disk.Footprint(fi)
	if names > 1 {
		return 0 // another repo has it too
	}
	return min(max(taken, 0), fi.Size())
}

// repo takes the whole folder out by one rename to where nobody looks, then deletes
// it there.
func (x *removing) repo() error {
	freed := int64(0)
	for rel := range x.contents() {
		if store, ok := x.c.storeOf(rel); ok {
			x.stores[store] = true
		} else {
			freed += x.c.frees(rel)
		}
	}
	for _, d := range readDir(x.c.abs(x.folder + "/" + partsDir)) {
		freed += x.c.frees(x.folder + "/" + partsDir + "/" + d.Name())
	}
	from, to := x.c.abs(x.folder), x.c.abs(locksDir+"/"+trashPrefix+random())
	if target, err := os.Readlink(from); err == nil { // somebody keeps the repo on another disk
		if !filepath.IsAbs(target) {
			target = filepath.Join(x.c.dir, target)
		}
		if err := os.Remove(from); err != nil {
			return err
		}
		to = target
	} else if err := os.Rename(from, to); err != nil {
		if disk.IsBusy(err) {
			return &BusyError{x.want.Repo.String(), "is open in another program"}
		}
		return err
	}
	x.gone.Freed = freed
	for rel := range x.contents() {
		_ = x.c.unlink(rel, func() error { return os.Remove(to + filepath.FromSlash(rel[len(x.folder):])) })
	}
	err := os.RemoveAll(to)
	x.sweep()
	return err
}

// unlink removes a name of what lies at rel. That changes the stamp of the file under
// its other names, in other repos, which are as right as they were.
func (c *Cache) unlink(rel string, remove func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	etag := c.checked[rel].etag
	before := map[string]record{}
	for other := range c.places[etag] {
		if r := c.checked[other]; c.stampOf(other) == r.stamp {
			before[other] = r
		}
	}
	err := remove()
	for other, r := range before {
		was, now := r.stamp, c.stampOf(other)
		if now.Inode == was.Inode && now.Size == was.Size && now.ModNs == was.ModNs {
			r.stamp = now
			c.setRecordLocked(other, r)
		}
	}
	return err
}

// trashPrefix begins the names of removed repos that are still being deleted, in the
// folder of locks, which is on the same disk and which no tool looks through.
const trashPrefix = ".hffs-removed-"

// emptyTrash deletes what a crash has left of removed repos.
func (c *Cache) emptyTrash() {
	for _, d := range readDir(c.abs(locksDir)) {
		if strings.HasPrefix(d.Name(), trashPrefix) {
			_ = os.RemoveAll(c.abs(locksDir + "/" + d.Name()))
		}
	}
}

// files takes names out, then what hung on them.
func (x *removing) files(ctx context.Context) error {
	root, err := os.OpenRoot(x.c.abs(x.folder))
	if err != nil {
		return err
	}
	defer root.Close()
	for rel := range x.plain {
		x.gone.Freed += x.c.frees(rel)
	}
	for commit, paths := range x.chosen {
		for _, p := range paths {
			at := snapshotPath(commit, p)
			if err := x.c.unlink(x.folder+"/"+at, func() error { return removeIfThere(root, at) }); err != nil {
				return held(err, p)
			}
			prune(root, path.Dir(snapshotPath(commit, p)), snapshotsDir+"/"+string(commit))
		}
	}
	for name := range x.refs {
		if err := removeIfThere(root, refsDir+"/"+name); err != nil {
			return err
		}
		prune(root, path.Dir(refsDir+"/"+name), refsDir)
	}
	for commit := range x.empty {
		if err := x.snapshot(root, commit); err != nil {
			return err
		}
	}
	err = x.blobs(ctx, root)
	x.sweep()
	return err
}

// prune removes folders from dir upwards as long as they are empty, but not top.
func prune(root *os.Root, dir, top string) {
	for dir != top && strings.HasPrefix(dir, top+"/") && root.Remove(dir) == nil {
		dir = path.Dir(dir)
	}
}

// snapshot removes the empty folder of a commit, with what is known of its files; it
// stays when somebody puts a file there in this moment.
func (x *removing) snapshot(root *os.Root, commit ref.Commit) error {
	if err := root.Remove(snapshotsDir + "/" + string(commit)); err != nil {
		x.c.log.Debug("a snapshot stays", "repo", x.want.Repo, "commit", commit, "error", err)
		return nil
	}
	err := root.RemoveAll(noExistDir + "/" + string(commit))
	_ = root.Remove(noExistDir) // goes only when empty
	err = errors.Join(err, removeIfThere(root, treesDir+"/"+string(commit)+".json"))
	_ = root.Remove(treesDir)
	return err
}

// held puts it into words that a system does not remove what is open.
func held(err error, what string) error {
	if disk.IsBusy(err) {
		return &BusyError{what, "is open in another program"}
	}
	return err
}

// locksAtOnce is how many locks are held at the same time.
const locksAtOnce = 256

// blobs removes those that nothing refers to, each under the lock that other tools
// take to link to it. What is linked to all the same by then, stays.
func (x *removing) blobs(ctx context.Context, root *os.Root) error {
	x.gone.Blobs = len(x.plain)
	for batch := range slices.Chunk(slices.Sorted(maps.Keys(x.doomed)), locksAtOnce) {
		if err := x.someBlobs(ctx, root, batch); err != nil {
			return err
		}
	}
	return nil
}

func (x *removing) someBlobs(ctx context.Context, root *os.Root, names []string) error {
	var free []string
	for _, name := range names {
		lock, err := x.lock(ctx, name)
		if err != nil {
			x.c.log.Debug("a blob stays", "repo", x.want.Repo, "blob", name, "error", err)
			continue
		}
		defer lock.Release()
		free = append(free, name)
	}
	used := x.used()
	for _, name := range free {
		if used[name] {
			continue
		}
		rel := x.folder + "/" + blobsDir + "/" + name
		frees := int64(0)
		if store, ok := x.c.storeOf(rel); ok {
			x.stores[store] = true
		} else {
			frees = x.c.frees(rel)
		}
		if err := x.c.unlink(rel, func() error { return removeIfThere(root, blobsDir+"/"+name) }); err != nil {
			return held(err, name)
		}
		x.gone.Blobs++
		x.gone.Freed += frees
	}
	return nil
}

// lock takes the lock of a blob; where the disk has none, it is nil.
func (x *removing) lock(ctx context.Context, name string) (*disk.Lock, error) {
	dir := x.c.abs(locksDir + "/" + x.folder)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, nil // a cache where locks cannot be made has none
	}
	waiting, cancel := context.WithTimeout(ctx, courtesy)
	defer cancel()
	lock, err := disk.TakeLock(waiting, filepath.Join(dir, name+".lock"))
	if err != nil && waiting.Err() == nil {
		return nil, nil
	}
	return lock, err
}

// used are the blobs that links refer to now.
func (x *removing) used() map[string]bool {
	all := map[string]bool{}
	for _, rev := range x.c.stored(x.want.Repo).Revisions {
		for _, f := range rev.Files {
			all[f.Blob] = true
		}
	}
	return all
}
