package cache

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"hffs/cache/ref"
)

// MaxListed is how many files a commit's list may have to be kept.
const MaxListed = 200_000

func commitKey(repo ref.Repo, commit ref.Commit) string {
	return repo.Folder() + "/" + string(commit)
}

// KeepTree keeps the list of all files of a commit as the Hub stated it. What
// anybody else says of a commit must not be kept: from then on the list counts as
// the Hub's word.
func (c *Cache) KeepTree(repo ref.Repo, commit ref.Commit, files []ref.Listed) error {
	files = slices.Clone(files)
	slices.SortFunc(files, byPath)
	if err := checkList(repo, commit, files); err != nil {
		return fmt.Errorf("keep the files of %s: %w", repo, err)
	}
	plain := encodeList(files)
	if len(plain) > maxTreeBytes {
		return fmt.Errorf("keep the files of %s: their list is longer than %d bytes", repo, maxTreeBytes)
	}
	key := commitKey(repo, commit)
	c.listed.put(c.book, key, pack(plain))
	c.lists.put(key, files)
	return nil
}

// checkList wants files sorted by path.
func checkList(repo ref.Repo, commit ref.Commit, files []ref.Listed) error {
	if len(files) > MaxListed {
		return fmt.Errorf("there are more than %d", MaxListed)
	}
	if _, err := ref.ParseCommit(string(commit)); err != nil {
		return err
	}
	for i, f := range files {
		if err := checkEntry(ref.Entry{Repo: repo, Commit: commit, Path: f.Path, Blob: f.Blob}); err != nil {
			return err
		}
		if f.Blob.Xet != "" {
			if _, err := ref.ParseXetHash(string(f.Blob.Xet)); err != nil {
				return err
			}
		}
		if i > 0 && files[i-1].Path == f.Path {
			return fmt.Errorf("%q is there twice", f.Path)
		}
	}
	return nil
}

func byPath(a, b ref.Listed) int { return strings.Compare(a.Path, b.Path) }

// StatedTree is the list of all files of a commit, sorted by path, where the Hub
// has stated it to us. It is shared and must not be changed.
func (c *Cache) StatedTree(repo ref.Repo, commit ref.Commit) ([]ref.Listed, bool) {
	key := commitKey(repo, commit)
	if files, ok := c.lists.get(key); ok {
		return files, true
	}
	value := c.book.get(bucketTrees, key)
	if value == nil {
		return nil, false
	}
	plain, err := unpack(value, maxTreeBytes)
	var files []ref.Listed
	if err == nil {
		files, err = decodeList(plain)
	}
	if err != nil {
		c.log.Debug("file list of a commit is unreadable", "repo", repo, "commit", commit, "error", err)
		return nil, false
	}
	c.lists.put(key, files)
	return files, true
}

// Tree is [Cache.StatedTree], else the list that huggingface_hub has left in the
// cache. That one has no Xet hashes where it came through a mirror or a node, and
// it is only as whole as what that tool was told. The list must not be changed.
func (c *Cache) Tree(repo ref.Repo, commit ref.Commit) ([]ref.Listed, bool) {
	if files, ok := c.StatedTree(repo, commit); ok {
		return files, true
	}
	t := c.tree(repo, commit)
	if t == nil {
		return nil, false
	}
	files := make([]ref.Listed, 0, len(t))
	for _, path := range slices.Sorted(maps.Keys(t)) {
		files = append(files, ref.Listed{Path: path, Blob: t[path]})
	}
	return files, true
}

// listedEntry finds a file in the list that the Hub stated.
func (c *Cache) listedEntry(repo ref.Repo, commit ref.Commit, path string) (ref.Blob, bool) {
	files, ok := c.StatedTree(repo, commit)
	if !ok {
		return ref.Blob{}, false
	}
	i, ok := slices.BinarySearchFunc(files, path, func(f ref.Listed, path string) int { return strings.Compare(f.Path, path) })
	if !ok {
		return ref.Blob{}, false
	}
	return files[i].Blob, true
}

// Present is what this cache has of a commit, by the names that are there: for
// when nobody knows the list of its files. What was not checked is there by what
// its link says.
func (c *Cache) Present(repo ref.Repo, commit ref.Commit) []ref.Listed {
	snapshot := repo.Folder() + "/" + snapshotsDir + "/" + string(commit)
	if fi, err := os.Lstat(c.abs(snapshot)); err != nil || !fi.IsDir() || !ref.IsCommit(string(commit)) {
		return nil
	}
	s := &scan{c: c, folder: repo.Folder(), shelf: newShelf(repo), visit: func(string) {}}
	s.enter(commit)
	s.walk("", 0)
	var files []ref.Listed
	for path := range s.shelf.snapshots[commit] {
		if e, err := c.Entry(repo, commit, path); err == nil {
			files = append(files, ref.Listed{Path: path, Blob: e.Blob})
		}
	}
	slices.SortFunc(files, byPath)
	return files
}

// maxListedAhead is how many files all lists in memory may have; one has its
// place however long it is.
const maxListedAhead = 200_000

// listCache keeps the lists used last.
type listCache struct {
	mu    sync.Mutex // guards what follows
	lists *simplelru.LRU[string, []ref.Listed]
	files int
}

func newListCache() *listCache {
	l := &listCache{}
	lists, err := simplelru.NewLRU(maxLists, func(_ string, files []ref.Listed) { l.files -= len(files) })
	if err != nil {
		panic(err) // only for a size below one
	}
	l.lists = lists
	return l
}

func (l *listCache) get(key string) ([]ref.Listed, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lists.Get(key)
}

func (l *listCache) put(key string, files []ref.Listed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists.Remove(key)
	l.files += len(files)
	l.lists.Add(key, files)
	for l.files > maxListedAhead && l.lists.Len() > 1 {
		l.lists.RemoveOldest()
	}
}
