package cache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"hffs/cache/disk"
)

const (
	// flushEvery is how much of our memory a crash may cost.
	flushEvery = 2 * time.Second
	// tellEvery spaces the news while many files are being checked.
	tellEvery = 250 * time.Millisecond
	// keepLeftovers is how long an interrupted fetch waits to be resumed.
	keepLeftovers = 7 * 24 * time.Hour
)

// Run keeps Holdings true until ctx ends: it looks through the cache, watches
// it, hashes what it finds, one file at a time, writes out what was fetched, removes what
// power cuts and fetches that nobody resumed left behind, and learns what the blobs are
// made of.
func (c *Cache) Run(ctx context.Context) error {
	c.removeLeftovers(time.Now().Add(-keepLeftovers))
	c.emptyTrash()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.watch(ctx) })
	g.Go(func() error { return c.recoverTorn(ctx) })
	g.Go(func() error { return c.hashAll(ctx) })
	g.Go(func() error { return c.syncAll(ctx) })
	g.Go(func() error { return c.flushAll(ctx) })
	g.Go(func() error { return c.indexAll(ctx) })
	return g.Wait()
}

// hashAll works through the queue.
func (c *Cache) hashAll(ctx context.Context) error {
	var told time.Time
	for {
		j, ok := c.nextJob()
		if !ok {
			c.notify()
			select {
			case <-c.work:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		err := c.check(ctx, j.rel, j.etag, anySize)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrNotFound):
			c.log.Debug("cannot check a file; the next scan tries again", "path", c.abs(j.rel), "error", err)
		}
		if time.Since(told) > tellEvery {
			told = time.Now()
			c.notify()
		}
	}
}

func (c *Cache) flushAll(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		c.book.tell(c.book.flush())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return c.book.flush()
		}
	}
}

// removeLeftovers deletes unfinished fetches that nobody touched since then.
func (c *Cache) removeLeftovers(then time.Time) {
	for _, folder := range c.repoFolders() {
		dir := filepath.Join(c.dir, folder, partsDir)
		newest := map[string]time.Time{}
		for _, d := range readDir(dir) {
			if fi, err := d.Info(); err == nil {
				stem, _, _ := strings.Cut(d.Name(), ".")
				newest[stem] = later(newest[stem], fi.ModTime())
			}
		}
		for stem, touched := range newest {
			if touched.Before(then) {
				c.removeLeftover(dir, stem)
			}
		}
		_ = os.Remove(dir) // goes only when empty
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// removeLeftover deletes the files of one fetch, unless another process is just
// resuming it.
func (c *Cache) removeLeftover(dir, stem string) {
	lock, err := disk.TryLock(filepath.Join(dir, stem+lockSuffix))
	if lock == nil {
		if err != nil {
			c.log.Debug("cannot remove an old fetch", "dir", dir, "error", err)
		}
		return
	}
	for _, d := range readDir(dir) {
		if strings.HasPrefix(d.Name(), stem+".") && d.Name() != stem+lockSuffix {
			_ = os.Remove(filepath.Join(dir, d.Name()))
		}
	}
	_ = lock.Remove()
}
