package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"

	"hffs/cache/chunk"
	"hffs/cache/disk"
)

// Commit ends the fetch: when every chunk is there and the whole hashes to what
// the Hub said, the file gets its final name, and its path is returned. Bytes
// with any other hash are ErrMismatch, missing ones ErrIncomplete, and both
// leave the partial open, for the caller to mend or discard. The bytes may still be on
// their way to the disk; see durable.go.
func (p *Partial) Commit(ctx context.Context) (string, error) {
	if err := p.finish(ctx); err != nil {
		return "", fmt.Errorf("commit %s: %w", p.entry, err)
	}
	if err := p.c.syncFirst(p.file); err != nil {
		return "", fmt.Errorf("commit %s: %w", p.entry, p.c.diskError(err, 0))
	}
	if err := p.seal(); err != nil {
		return "", fmt.Errorf("commit %s: %w", p.entry, err)
	}
	defer p.c.naming(p.entry.Repo)()
	named := false
	err := p.c.withLock(ctx, p.entry, func() (err error) {
		if named, err = p.rename(); err != nil {
			return err
		}
		return p.c.link(p.root, p.entry)
	})
	if !named {
		p.unseal()
		return "", fmt.Errorf("commit %s: %w", p.entry, p.c.diskError(err, 0))
	}
	if err := errors.Join(err, p.cleanUp()); err != nil {
		return "", fmt.Errorf("commit %s: %w", p.entry, p.c.diskError(err, 0))
	}
	p.c.noteFile(p.entry, p.rel())
	return p.c.snapshotAbs(p.entry), nil
}

// rel is where the content will lie, relative to the cache.
func (p *Partial) rel() string { return p.entry.Repo.Folder() + "/" + p.c.contentPath(p.entry) }

// finish sees to it that everything is there and hashed, and right.
func (p *Partial) finish(ctx context.Context) error {
	if !p.Have().Full() {
		return ErrIncomplete // or we would wait for whoever hashes along
	}
	select {
	case p.hashing <- struct{}{}:
		defer func() { <-p.hashing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !p.Have().Full() {
		return ErrIncomplete // damaged chunks were just dropped
	}
	if err := p.hashRest(ctx); err != nil {
		return err
	}
	if p.proven() {
		return nil // chunk by chunk
	}
	if sum := p.follow.hash.Sum(nil); !p.entry.Blob.ETag.Matches(sum) {
		return fmt.Errorf("%w: got %s", ErrMismatch, hex.EncodeToString(sum))
	}
	return nil
}

// seal ends writing and dropping. What was dropped since it was hashed makes
// the hash worthless.
func (p *Partial) seal() error {
	p.putting.Lock()
	defer p.putting.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
		return os.ErrClosed
	case p.hashed != p.cut.Len() || !p.have.Full():
		return ErrIncomplete
	}
	p.ended = true
	p.wakeLocked()
	return nil
}

func (p *Partial) unseal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = false
}

// rename gives the file its final name and records it as checked. The stamp is
// that of the open file: whatever another tool may put under the name in the
// same moment is not what we checked.
func (p *Partial) rename() (named bool, err error) {
	final := p.c.contentPath(p.entry)
	if err := p.root.MkdirAll(path.Dir(final), 0o777); err != nil {
		return false, err
	}
	if err := disk.Replace(p.root, p.name(partSuffix), final); err != nil {
		return false, err
	}
	fi, err := p.file.Stat()
	if err != nil {
		return true, err
	}
	p.mu.Lock()
	sums := append([]chunk.Hash{}, p.sums...)
	p.mu.Unlock()
	p.c.keep(p.rel(), record{stamp: disk.StampOf(fi), etag: p.entry.Blob.ETag, boot: p.c.boot}, sums)
	return true, nil
}
