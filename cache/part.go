package cache

import (
	"fmt"
	"os"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// Part is a blob that this process is fetching, open for reading by others as far
// as it is there. It stays readable when the fetch ends.
type Part struct {
	*os.File
	Blob ref.Blob

	partial *Partial
}

// Part opens a blob that is being fetched. Where several fetches of it are under
// way, for several repos, it is the one that is furthest.
func (c *Cache) Part(etag ref.ETag) (*Part, error) {
	var best *Partial
	for _, p := range c.partialsOf(etag) {
		if best == nil || p.size() > best.size() {
			best = p
		}
	}
	if best == nil {
		return nil, fmt.Errorf("part of blob %s: %w", etag, ErrNotFound)
	}
	return best.Part()
}

// Part opens this very fetch for reading. When it has just ended that is ErrNotFound:
// the file has another name by now, or none.
func (p *Partial) Part() (*Part, error) {
	f, err := p.root.Open(p.name(partSuffix))
	if err != nil {
		return nil, fmt.Errorf("part of blob %s: %w: %w", p.entry.Blob.ETag, ErrNotFound, err)
	}
	return &Part{File: f, Blob: p.entry.Blob, partial: p}, nil
}

func (c *Cache) partialsOf(etag ref.ETag) (all []*Partial) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.partials {
		if p.entry.Blob.ETag == etag {
			all = append(all, p)
		}
	}
	return all
}

// Has tells whether all of a range of bytes has been written.
func (p *Part) Has(off, n int64) bool {
	p.partial.mu.Lock()
	defer p.partial.mu.Unlock()
	m := &p.partial.cut
	if off < 0 || n < 1 || off+n > m.Size() {
		return false
	}
	end := m.At(off + n - 1)
	return p.partial.have.NextMissing(m.At(off)) > end
}

// Sum is the hash of chunk i as it was written; zero for one that is not there.
func (p *Partial) Sum(i int) chunk.Hash {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.have.Has(i) {
		return chunk.Hash{}
	}
	return p.sums[i]
}
