package cache

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"hffs/cache/disk"
)

// The blobs that several repos share lie in a store of huggingface_hub's
// (utils/_shared_blobs.py): blobs/<2 hex>/<xet hash>, a manifest <xet hash>.refs beside
// it with the paths of all links to it, one a line, and <xet hash>.lock. The store is
// marked by a file. A blob whose links are all gone is deleted; where the manifest
// cannot be read it stays, as it does there.
const (
	storeMark    = ".huggingface-shared-blobs"
	storeVersion = "1\n"
	maxStoreRefs = 16 << 20 // bytes of a manifest
)

// storeUser is how a manifest names a link.
var storeUser = regexp.MustCompile(`^[a-z]+--[^/\\]+/blobs/[^/\\]+$`)

// storeOf is the shared blob, relative to the cache, that the blob at rel is a link to.
func (c *Cache) storeOf(rel string) (store string, ok bool) {
	path := c.content(rel)
	if path == c.abs(rel) {
		return "", false
	}
	inside, err := filepath.Rel(c.dir, path)
	return filepath.ToSlash(inside), err == nil
}

// storeUsers are the links to a shared blob that there are; false where that cannot be
// told.
func (c *Cache) storeUsers(store string) (users []string, ok bool) {
	if mark, err := os.ReadFile(c.abs(blobsDir + "/" + storeMark)); err != nil || string(mark) != storeVersion {
		return nil, false
	}
	f, _, err := disk.OpenFile(c.abs(store) + ".refs")
	if err != nil {
		return nil, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStoreRefs+1))
	if err != nil || len(text) > maxStoreRefs {
		return nil, false
	}
	for rel := range strings.Lines(string(text)) {
		rel = strings.TrimRight(rel, "\r\n")
		if now, linked := "", false; storeUser.MatchString(rel) {
			if now, linked = c.storeOf(rel); linked && now == store {
				users = append(users, rel)
			}
		}
	}
	return users, true
}

// storeFrees is how many bytes go with the link at rel, when it is the last.
func (c *Cache) storeFrees(store, rel string) int64 {
	users, ok := c.storeUsers(store)
	fi, err := os.Lstat(c.abs(store))
	if !ok || err != nil || len(users) != 1 || users[0] != rel {
		return 0
	}
	return fi.Size()
}

// sweep deletes the shared blobs that lost their last link.
func (x *removing) sweep() {
	for store := range x.stores {
		if err := x.sweepStore(store); err != nil {
			x.c.log.Debug("a shared blob stays", "path", x.c.abs(store), "error", err)
		}
	}
}

func (x *removing) sweepStore(store string) error {
	waiting, cancel := context.WithTimeout(context.Background(), courtesy)
	defer cancel()
	path := x.c.abs(store)
	lock, err := disk.TakeLock(waiting, path+".lock")
	if err != nil {
		return err
	}
	defer lock.Release()
	_ = os.Chmod(path+".lock", 0o666) // as its owner has it, for other accounts
	users, ok := x.c.storeUsers(store)
	fi, err := os.Lstat(path)
	if err != nil || !ok || len(users) > 0 {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	x.gone.Freed += fi.Size()
	return os.Remove(path + ".refs")
}
