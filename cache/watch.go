package cache

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"hffs/cache/disk"
)

// gather is how long changes are collected before a repo is looked at again;
// a scan that takes long makes it longer.
const gather = 100 * time.Millisecond

// watcher keeps the folders of the cache watched. Without help from the system
// (too many folders, a network disk) it stays silent, and the periodic scan
// has to do.
type watcher struct {
	c    *Cache
	fs   *fsnotify.Watcher // nil when the system has none to give
	full bool              // no more folders can be watched; said once
}

func (c *Cache) newWatcher() *watcher {
	w := &watcher{c: c}
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		c.log.Warn("cannot watch the cache; it is looked through now and then", "every", c.rescan, "error", err)
		return w
	}
	w.fs = fs
	return w
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close()
	}
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w.fs == nil {
		return nil
	}
	return w.fs.Events
}

func (w *watcher) errors() <-chan error {
	if w.fs == nil {
		return nil
	}
	return w.fs.Errors
}

// add watches a folder. Adding one twice is no harm: where folders are removed
// and made again, the system has forgotten them.
func (w *watcher) add(dir string) {
	if w.fs == nil || w.full || !disk.WatchesFolders && filepath.Base(dir) == blobsDir {
		return
	}
	if err := w.fs.Add(dir); err != nil && disk.IsWatchLimit(err) {
		w.full = true
		w.c.log.Warn("cannot watch all of the cache; it is looked through now and then", "every", w.c.rescan, "error", err)
	}
}

// watch scans at the start, now and then, and where something happens.
func (c *Cache) watch(ctx context.Context) error {
	w := c.newWatcher()
	defer w.close()
	again := time.NewTicker(c.rescan)
	defer again.Stop()
	dirty := map[string]bool{}
	var soon <-chan time.Time
	took := c.timed(func() { c.scanAll(ctx, w.add) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			took = c.timed(func() { c.scanAll(ctx, w.add) })
		case ev := <-w.events():
			if folder := c.folderOf(ev.Name); folder != "" && !ignored(ev.Name) && filepath.Base(ev.Name) != partsDir {
				dirty[folder] = true
			}
			if len(dirty) > 0 && soon == nil {
				soon = time.After(max(gather, 5*took))
			}
		case err := <-w.errors():
			// Most often events were lost, so everything may have changed.
			c.log.Debug("watching the cache", "error", err)
			took = c.timed(func() { c.scanAll(ctx, w.add) })
		case <-soon:
			soon = nil
			took = c.timed(func() { c.scanSome(ctx, dirty, w.add) })
			clear(dirty)
		}
	}
}

func (c *Cache) scanSome(ctx context.Context, folders map[string]bool, visit func(string)) {
	for folder := range folders {
		c.scanRepo(ctx, folder, visit)
	}
	c.forgetVanished(func(folder string) bool { return folders[folder] })
}

func (c *Cache) timed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}
