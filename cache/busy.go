package cache

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// namesOf guards the names of a repo: who adds some holds it for reading, who takes
// some out has it alone.
func (c *Cache) namesOf(repo ref.Repo) *sync.RWMutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = map[ref.Repo]*sync.RWMutex{}
	}
	if c.names[repo] == nil {
		c.names[repo] = &sync.RWMutex{}
	}
	return c.names[repo]
}

// naming holds the names of a repo for who adds some.
func (c *Cache) naming(repo ref.Repo) (done func()) {
	names := c.namesOf(repo)
	names.RLock()
	return names.RUnlock
}

// busy says who needs what is to go.
func (x *removing) busy() error {
	if err := x.fetchedHere(); err != nil {
		return err
	}
	if err := x.read(); err != nil {
		return err
	}
	if err := x.open(); err != nil {
		return err
	}
	for name := range x.doomed {
		if x.locked(x.c.abs(locksDir + "/" + x.folder + "/" + name + ".lock")) {
			return &BusyError{x.nameOf(name), "is being fetched by another program"}
		}
	}
	if !x.gone.Whole {
		return nil
	}
	return x.fetchedByOthers()
}

// fetchedHere looks at the fetches of this process.
func (x *removing) fetchedHere() error {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	for p := range x.c.partials {
		if p.entry.Repo == x.want.Repo && (x.gone.Whole || x.doomed[string(p.entry.Blob.ETag)]) {
			return &BusyError{p.entry.Path, "is being fetched"}
		}
	}
	return nil
}

// read looks at those who read.
func (x *removing) read() error {
	if x.want.Reading == nil {
		return nil
	}
	for rel := range x.contents() {
		etag, ok := blobName(path.Base(rel))
		if x.plain[rel] {
			x.c.mu.Lock()
			etag, ok = x.c.checked[rel].etag, x.c.checked[rel].etag != ""
			x.c.mu.Unlock()
		}
		if ok && x.want.Reading(etag) {
			return &BusyError{x.nameOf(path.Base(rel)), "is being read"}
		}
	}
	return nil
}

// open looks for programs that have a file open or mapped, as those do that have loaded
// a model.
func (x *removing) open() error {
	var paths []string
	for rel := range x.contents() {
		paths = append(paths, x.c.abs(rel))
	}
	if path, program, ok := disk.OpenElsewhere(paths); ok {
		return &BusyError{x.nameOf(filepath.Base(path)), "is open in " + program}
	}
	return nil
}

// nameOf is what people call a blob that goes.
func (x *removing) nameOf(blob string) string {
	for _, rev := range x.c.stored(x.want.Repo).Revisions {
		for _, f := range rev.Files {
			if f.Blob == blob || f.Blob == "" && path.Base(f.Path) == blob {
				return f.Path
			}
		}
	}
	return x.want.Repo.String()
}

// fetchedByOthers looks for fetches of other processes: ours hold a lock beside what
// they fetch, other tools hold the one that all share, and those that take none write
// all the time.
func (x *removing) fetchedByOthers() error {
	parts := x.folder + "/" + partsDir
	for _, d := range readDir(x.c.abs(parts)) {
		if strings.HasSuffix(d.Name(), lockSuffix) && x.locked(x.c.abs(parts+"/"+d.Name())) {
			return &BusyError{x.want.Repo.String(), "is being fetched by another hffs"}
		}
	}
	locks := locksDir + "/" + x.folder
	for _, d := range readDir(x.c.abs(locks)) {
		if x.locked(x.c.abs(locks + "/" + d.Name())) {
			return &BusyError{x.want.Repo.String(), "is being fetched by another program"}
		}
	}
	const lately = 30 * time.Second
	for _, name := range x.unfinished() {
		fi, err := os.Stat(x.c.abs(x.folder + "/" + blobsDir + "/" + name))
		if err == nil && time.Since(fi.ModTime()).Abs() < lately && !x.hasLock(name) {
			return &BusyError{x.want.Repo.String(), "is being fetched by another program"}
		}
	}
	return nil
}

// unfinished are other tools' downloads of the repo, running or crashed.
func (x *removing) unfinished() (names []string) {
	for _, d := range readDir(x.c.abs(x.folder + "/" + blobsDir)) {
		if !d.IsDir() && ignored(d.Name()) {
			names = append(names, d.Name())
		}
	}
	return names
}

// hasLock tells a download of a tool that takes locks: it is known by those whether
// it runs.
func (x *removing) hasLock(name string) bool {
	etag, _, _ := strings.Cut(name, ".")
	_, err := os.Lstat(x.c.abs(locksDir + "/" + x.folder + "/" + etag + ".lock"))
	return err == nil
}

// locked tells whether somebody holds a lock. One whose file is not there is free.
func (x *removing) locked(path string) bool {
	if _, err := os.Lstat(path); err != nil {
		return false
	}
	lock, err := disk.TryLock(path)
	if err != nil {
		return false // no locks here, or none for us
	}
	if lock == nil {
		return true
	}
	_ = lock.Release()
	return false
}
