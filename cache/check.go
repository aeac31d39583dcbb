package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// anySize is the size of a file of which only the content is known.
const anySize = -1

// check makes sure that the file at rel holds the blob etag: by the record of
// an earlier check when the file has not been touched since, else by reading it
// whole. An empty etag stands for the file's own sha256. The result is recorded,
// also a bad one, so that the same bytes are never hashed twice.
//
// A file that is not there gives ErrNotFound, a wrong one ErrMismatch, one that
// changes while it is read ErrChanged.
func (c *Cache) check(ctx context.Context, rel string, etag ref.ETag, size int64) error {
	leave, err := c.doors.enter(ctx, "check:"+rel)
	if err != nil {
		return err
	}
	defer leave()
	f, stamp, err := disk.OpenFile(c.content(rel))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	defer f.Close()
	if size != anySize && stamp.Size != size {
		return ErrMismatch
	}
	if r, ok := c.recordOf(rel, stamp); ok && (r.etag == etag || etag == "" && !r.bad) {
		return r.verdict()
	}
	return c.checkBytes(ctx, f, rel, etag, stamp)
}

func (r record) verdict() error {
	if r.bad {
		return ErrMismatch
	}
	return nil
}

func (c *Cache) checkBytes(ctx context.Context, f *os.File, rel string, etag ref.ETag, stamp disk.Stamp) error {
	if err := settle(ctx, stamp); err != nil {
		return err
	}
	sum, hashes, err := hashFile(ctx, f, stamp.Size, etag)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if disk.StampOf(fi) != stamp {
		return ErrChanged
	}
	r := record{stamp: stamp, etag: sum, boot: c.boot}
	if etag != "" && sum != etag {
		r = record{stamp: stamp, etag: etag, bad: true}
		c.log.Debug("content is not what its name says; it is not shared", "path", c.abs(rel), "want", etag, "got", sum)
	}
	c.keep(rel, r, hashes)
	return r.verdict()
}

// settle waits until the file is old enough that a later write must show in
// its stamp.
func settle(ctx context.Context, stamp disk.Stamp) error {
	wait := time.Until(stamp.Settles())
	if wait <= 0 || wait > time.Minute { // a file from the future is not waited for
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keep writes down the outcome of a check.
func (c *Cache) keep(rel string, r record, hashes []chunk.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setRecordLocked(rel, r)
	if !r.bad {
		c.book.put(bucketMaps, string(r.etag), encodeHashes(hashes))
	}
}

// hashFile reads size bytes and gives their etag, of the same kind as like (a
// sha256 when like is empty), and the hash of each chunk.
func hashFile(ctx context.Context, f io.ReaderAt, size int64, like ref.ETag) (ref.ETag, []chunk.Hash, error) {
	m := chunk.Fixed(size, chunk.FixedLen, nil)
	whole := newHash(like, size)
	each := chunk.NewHasher()
	hashes := make([]chunk.Hash, m.Len())
	buf := make([]byte, min(size, chunk.FixedLen))
	for i := range hashes {
		if err := ctx.Err(); err != nil {
			return "", nil, err
		}
		data := buf[:m.Length(i)]
		if err := readAt(f, data, m.Offset(i)); err != nil {
			return "", nil, err
		}
		_, _ = whole.Write(data)
		hashes[i] = each.Sum(data)
	}
	return ref.ETag(hex.EncodeToString(whole.Sum(nil))), hashes, nil
}

func newHash(like ref.ETag, size int64) hash.Hash {
	if like == "" {
		return sha256.New()
	}
	return like.NewHash(size)
}

// readAt fills data; a file that has become shorter counts as changed.
func readAt(f io.ReaderAt, data []byte, off int64) error {
	n, err := f.ReadAt(data, off)
	switch {
	case n == len(data):
		return nil
	case errors.Is(err, io.EOF):
		return ErrChanged
	}
	return err
}
