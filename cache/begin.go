package cache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// Begin opens a fetch of e's blob, or resumes one that was interrupted. When
// somebody else is fetching the same blob, here or in another process, it waits
// for them; when the blob is here by now it gives ErrPresent. What is missing
// must fit on the disk, else it is a *SpaceError. A cache that can only be read gives a
// *NotWritableError, or ErrPresent.
func (c *Cache) Begin(ctx context.Context, e ref.Entry) (*Partial, error) {
	if err := checkEntry(e); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	leave, err := c.doors.enter(ctx, "part:"+e.Repo.Folder()+"/"+string(e.Blob.ETag))
	if err != nil {
		return nil, fmt.Errorf("begin %s: %w", e, err)
	}
	p, err := c.begin(ctx, e, leave)
	if err != nil {
		leave()
		err = c.diskError(err, e.Blob.Size)
		if isLocked(err) && c.isHere(ctx, e) {
			err = ErrPresent
		}
		return nil, fmt.Errorf("begin %s: %w", e, err)
	}
	return p, nil
}

// isHere tells whether a file was checked to hold e's blob.
func (c *Cache) isHere(ctx context.Context, e ref.Entry) bool {
	_, err := c.locate(ctx, e, slog.LevelDebug)
	return err == nil
}

func (c *Cache) begin(ctx context.Context, e ref.Entry, leave func()) (*Partial, error) {
	defer c.naming(e.Repo)()
	if err := c.Writable(); err != nil {
		return nil, err
	}
	root, err := c.openRepo(e.Repo)
	if err != nil {
		return nil, err
	}
	if err := c.checkName(root, e); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	p := &Partial{
		c: c, entry: e, root: root, leave: leave,
		hashing: make(chan struct{}, 1),
		cut:     chunk.Fixed(e.Blob.Size, chunk.FixedLen, nil),
		writing: map[int]bool{},
	}
	p.m = p.cut
	stated, ok := c.statedEntry(e.Repo, e.Commit, e.Path)
	p.stated = ok && stated == e.Blob
	if p.lock, err = c.lockPart(ctx, root, p.name(lockSuffix)); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if _, err = c.locate(ctx, e, slog.LevelDebug); err == nil {
		return nil, errors.Join(ErrPresent, p.cleanUp())
	} else if !errors.Is(err, ErrNotFound) {
		return nil, errors.Join(err, p.putAway())
	}
	if err := p.open(); err != nil {
		return nil, errors.Join(err, p.giveUp())
	}
	c.mu.Lock()
	c.partials[p] = true
	c.shown = nil
	c.mu.Unlock()
	c.notify()
	return p, nil
}

// lockPart waits for the lock on a fetch; where the disk has none, the gate
// within our own process has to do.
func (c *Cache) lockPart(ctx context.Context, root *os.Root, name string) (lock *disk.Lock, err error) {
	err = inParts(root, func() error {
		lock, err = disk.TakeLock(ctx, root.Name()+"/"+name)
		return err
	})
	if err != nil && disk.IsNoLock(err) {
		c.log.Debug("this disk has no locks", "path", root.Name(), "error", err)
		return nil, nil
	}
	return lock, err
}

// name is a file of this fetch, relative to the repo's folder.
func (p *Partial) name(suffix string) string {
	return partsDir + "/" + string(p.entry.Blob.ETag) + suffix
}

// open reads what an earlier run left, checks that the rest fits on the disk,
// and gives the file its full size, with holes.
func (p *Partial) open() error {
	size := p.cut.Size()
	err := inParts(p.root, func() error { return p.openFiles() })
	if err != nil {
		return err
	}
	p.old = p.have.Clone()
	p.bytes = p.have.Bytes(p.cut)
	free, err := disk.Free(p.root.Name())
	if err != nil {
		return err
	}
	if need := size - p.written().bytes(); need > free {
		return &SpaceError{Need: need, Free: free, Dir: p.root.Name()}
	}
	if err := p.file.Truncate(size); err != nil {
		return err
	}
	return p.expect()
}

func (p *Partial) openFiles() (err error) {
	if p.file, err = p.root.OpenFile(p.name(partSuffix), os.O_CREATE|os.O_RDWR, 0o666); err != nil {
		return err
	}
	p.log.file, err = p.root.OpenFile(p.name(journalSuffix), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return errors.Join(err, p.file.Close())
	}
	return p.resume()
}

// resume replays the journal. A part file that does not fit it starts over.
func (p *Partial) resume() error {
	fi, err := p.file.Stat()
	if err != nil {
		return err
	}
	if m, ok := p.keptMap(); ok {
		p.cut, p.m = m, m
	}
	left, err := readJournal(bufio.NewReader(p.log.file), p.cut)
	if err == nil && fi.Size() == p.cut.Size() {
		p.have, p.sums = left.have, left.sums
		p.ahead.resume(left.ahead)
		return p.log.resume(left.good)
	}
	p.cut = chunk.Fixed(p.entry.Blob.Size, chunk.FixedLen, nil)
	p.m = p.cut
	p.have, p.sums = chunk.NewHave(p.cut.Len()), make([]chunk.Hash, p.cut.Len())
	if err := p.log.start(p.cut); err != nil {
		return err
	}
	if fi.Size() == 0 {
		return nil // ext4 has a file that was ever cut to nothing written out when it is closed
	}
	return p.file.Truncate(0)
}

// Discard deletes what was fetched.
func (p *Partial) Discard() error {
	if !p.end() {
		return nil
	}
	return p.cleanUp()
}

// Close keeps what was fetched for another time.
func (p *Partial) Close() error {
	if !p.end() {
		return nil
	}
	if p.empty() {
		return p.cleanUp()
	}
	return p.putAway()
}

// empty tells that there is nothing worth keeping.
func (p *Partial) empty() bool {
	return p.Have().Count() == 0 && p.ahead.empty()
}

// end marks the fetch as over and waits for writes under way; false means that
// it was over before.
func (p *Partial) end() bool {
	p.putting.Lock()
	defer p.putting.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.ended = true
	p.wakeLocked()
	for len(p.writing) > 0 {
		moved := p.movedLocked()
		p.mu.Unlock()
		<-moved
		p.mu.Lock()
	}
	return true
}

// cleanUp removes the files of the fetch, the lock last.
func (p *Partial) cleanUp() error {
	p.closeFiles()
	var err error
	for _, suffix := range []string{partSuffix, journalSuffix, mapSuffix} {
		err = errors.Join(err, removeIfThere(p.root, p.name(suffix)))
	}
	if removeErr := p.lock.Remove(); removeErr != nil {
		p.c.log.Debug("cannot remove a lock", "error", removeErr)
	}
	return errors.Join(err, p.forget())
}

// putAway leaves the files of the fetch as they are.
func (p *Partial) putAway() error {
	p.closeFiles()
	return errors.Join(p.lock.Release(), p.forget())
}

// giveUp ends a fetch that could not begin; what earlier runs left stays.
func (p *Partial) giveUp() error {
	if p.have == nil || p.empty() {
		return p.cleanUp()
	}
	return p.putAway()
}

func (p *Partial) closeFiles() {
	if p.log.file != nil {
		if err := p.log.close(); err != nil {
			p.c.log.Debug("what was fetched last is not in the journal", "entry", p.entry, "err", err)
		}
	}
	if p.file != nil {
		_ = p.file.Close()
	}
}

// forget takes the fetch off the cache's list, and lets the next one in.
func (p *Partial) forget() error {
	_ = p.root.Remove(partsDir) // goes only when empty
	err := p.root.Close()
	p.c.mu.Lock()
	_, listed := p.c.partials[p]
	delete(p.c.partials, p)
	if listed {
		p.c.fetched = time.Now()
	}
	p.c.shown = nil
	p.c.mu.Unlock()
	if listed {
		p.leave()
		p.c.notify()
	}
	return err
}
