package cache

import (
	"context"
	"fmt"
	"hash"
	"os"

	"hffs/cache/chunk"
	"hffs/cache/disk"
)

// DroppedError says that chunks from an interrupted fetch are not what they
// were when they were written (the power went, most likely). They are dropped
// by now and have to be fetched again; then hashing can go on.
type DroppedError struct{ Chunks []int }

func (e *DroppedError) Error() string {
	return fmt.Sprintf("%d chunks of an earlier fetch were damaged on disk", len(e.Chunks))
}

// writeBehind is how much is hashed before the system is asked to write it out, in bytes,
// where the end will wait for the disk.
const writeBehind = 8 << 20

// Unwrap makes it a case of ErrIncomplete.
func (e *DroppedError) Unwrap() error { return ErrIncomplete }

// follower is the state of hashing that lasts between calls.
type follower struct {
	hash hash.Hash
	turn int // as Partial.turn; another one means to begin anew
	buf  []byte
	each *chunk.Hasher
	out  int64 // up to where the system was asked to write
}

// HashAlong computes the blob's content hash while chunks arrive, unless each of them
// is proven by itself: it follows
// the run of chunks that are there from the start, so that little is left to do
// when the last one comes. It returns when the whole blob was hashed or ctx
// ends. Chunks that an earlier run left are compared to its journal on the way;
// damaged ones give a *DroppedError, after which it can be called again.
//
// Dropping a chunk that was hashed already makes it begin anew.
func (p *Partial) HashAlong(ctx context.Context) error {
	select {
	case p.hashing <- struct{}{}:
		defer func() { <-p.hashing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.hashRest(ctx); err != nil {
		return fmt.Errorf("hash %s: %w", p.entry, err)
	}
	return nil
}

// hashRest is for the holder of p.hashing.
func (p *Partial) hashRest(ctx context.Context) error {
	f := &p.follow
	for {
		i, err := p.nextToHash(ctx)
		if err != nil || i == p.cut.Len() {
			return err
		}
		if n := p.cut.Length(i); int64(len(f.buf)) < n {
			f.buf = make([]byte, max(n, chunk.FixedLen))
		}
		if !p.settled(i) {
			data := f.buf[:p.cut.Length(i)]
			if err := readAt(p.file, data, p.cut.Offset(i)); err != nil {
				return err
			}
			if err := p.compareOld(i, data); err != nil {
				return err
			}
			_, _ = f.hash.Write(data)
		}
		if end := p.cut.Offset(i + 1); p.c.boot == "" && end-f.out >= writeBehind {
			disk.WriteBehind(p.file, f.out, end-f.out)
			f.out = end
		}
		p.hashedOne()
	}
}

// settled says that there is nothing more to learn about a chunk: the blob is cut by a
// map that the Hub's own root proves, and this process has held the chunk against
// it. The whole is then right when all of its chunks are, as it is for Xet's own
// clients, and reading it all again for its sha256 would say the same once more.
func (p *Partial) settled(i int) bool {
	if !p.proven() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.old.Has(i)
}

// byContent says that the blob is cut by a map whose root is its Xet hash; see
// [Partial.Recut].
func (p *Partial) byContent() bool { return p.cut.ByContent() }

// proven says that the map proves the blob: its root is what the Hub itself stated
// together with the etag.
func (p *Partial) proven() bool { return p.byContent() && p.stated }

// nextToHash waits for the next chunk in order and starts the hash where it
// has to begin anew. It gives Len when all is hashed.
func (p *Partial) nextToHash(ctx context.Context) (int, error) {
	f := &p.follow
	for {
		p.mu.Lock()
		if f.hash == nil || f.turn != p.turn {
			f.hash, f.turn = p.entry.Blob.ETag.NewHash(p.cut.Size()), p.turn
			p.hashed, f.out = 0, 0
		}
		i, ended, moved := p.hashed, p.ended, p.movedLocked()
		ready := i == p.cut.Len() || p.have.Has(i)
		p.mu.Unlock()
		switch {
		case ended:
			return 0, os.ErrClosed
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case ready:
			return i, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
	}
}

// hashedOne counts a chunk, unless it was dropped while it was being read.
func (p *Partial) hashedOne() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.follow.turn == p.turn {
		p.hashed++
	}
}

// compareOld holds a chunk of an earlier run against its journal. When one is
// damaged others will be too, so all of them are looked at, to be fetched again
// in one go.
func (p *Partial) compareOld(i int, data []byte) error {
	p.mu.Lock()
	old, want := p.old.Has(i), p.sums[i]
	p.mu.Unlock()
	if !old {
		return nil
	}
	if p.follow.each == nil {
		p.follow.each = chunk.NewHasher()
	}
	if p.follow.each.Sum(data) == want {
		p.mu.Lock()
		p.old.Remove(i)
		p.mu.Unlock()
		return nil
	}
	bad := p.damaged()
	p.c.log.Warn("chunks of an earlier fetch are damaged; they are fetched again", "entry", p.entry, "chunks", len(bad))
	if err := p.Drop(bad); err != nil {
		return err
	}
	return &DroppedError{bad}
}

// damaged reads all chunks of earlier runs again.
func (p *Partial) damaged() (bad []int) {
	for i := range p.cut.Len() {
		p.mu.Lock()
		old, want := p.old.Has(i), p.sums[i]
		p.mu.Unlock()
		if !old {
			continue
		}
		if sum, err := p.ChunkHash(i); err != nil || sum != want {
			bad = append(bad, i)
		}
	}
	return bad
}
