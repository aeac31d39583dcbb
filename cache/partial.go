package cache

import (
	"fmt"
	"io"
	"os"
	"sync"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// The files of a fetch under way, in the repo's folder for unfinished things:
// <etag>.part of the blob's full size with holes, <etag>.journal, <etag>.lock,
// and <etag>.map where the blob is cut by its content.
// None is named as any other tool names its partial files, since those would
// take ours for the beginning of a file and go on from its size.
const (
	partSuffix    = ".part"
	journalSuffix = ".journal"
	lockSuffix    = ".lock"
	mapSuffix     = ".map"
)

// Partial is a fetch under way (begin.go has how it begins and ends): a file that fills up chunk by chunk, in any
// order. It belongs to one process and one holder at a time. Methods are for
// concurrent use; it ends with Commit, Discard or Close.
type Partial struct {
	c     *Cache
	entry ref.Entry
	root  *os.Root // the repo's folder
	file  *os.File
	log   journal
	lock  *disk.Lock // nil where the disk has no locks
	leave func()
	cut   chunk.Map // how the blob is cut; only its lengths count
	// stated: all that the entry says of the blob is the Hub's word, see Remember.
	// Where somebody else says it, its Xet hash may belong to another blob.
	stated bool

	putting sync.RWMutex // held for reading by each Put: who recuts or ends the fetch waits for them
	writers sync.Mutex   // held by whoever writes to file
	ahead   ahead

	hashing chan struct{} // held by whoever hashes along
	follow  follower      // belongs to whoever holds hashing

	mu      sync.Mutex // guards what follows
	m       chunk.Map  // as cut, with hashes where somebody told them
	have    *chunk.Have
	bytes   int64        // covered by have
	sums    []chunk.Hash // of the chunks we have
	old     *chunk.Have  // those from an earlier run, not read again yet
	writing map[int]bool
	hashed  int           // chunks hashed from the start of the blob
	turn    int           // counts how often hashing had to begin anew
	moved   chan struct{} // closed at the next change; nil when nobody waits
	ended   bool
}

// Entry is what is being fetched.
func (p *Partial) Entry() ref.Entry { return p.entry }

// Map is how the blob is cut into chunks, with their hashes once adopted. After
// [Partial.Recut] the chunks follow the content.
func (p *Partial) Map() chunk.Map {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.m
}

// Have is a copy of the set of chunks on disk.
func (p *Partial) Have() *chunk.Have {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.have.Clone()
}

// Adopt takes over the hashes that somebody told for the same cut. Chunks on
// disk that do not match them are dropped; it says how many. A map without
// hashes forgets those adopted before.
func (p *Partial) Adopt(m chunk.Map) (dropped int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !m.Same(p.cut) {
		return 0, fmt.Errorf("adopt map of %s: it cuts the blob differently", p.entry)
	}
	p.m = m
	if !m.Hashed() {
		return 0, nil
	}
	var bad []int
	for i := range m.Len() {
		if p.have.Has(i) && p.sums[i] != m.Hash(i) {
			bad = append(bad, i)
		}
	}
	return len(bad), p.dropLocked(bad)
}

var hashers = sync.Pool{New: func() any { return chunk.NewHasher() }}

// WriteChunk stores chunk i. Whether its bytes are right is the caller's
// business; Commit has the last word. A chunk that is there already stays.
func (p *Partial) WriteChunk(i int, data []byte) error {
	h := hashers.Get().(*chunk.Hasher)
	sum := h.Sum(data)
	hashers.Put(h)
	return p.WriteHashed(i, data, sum)
}

// WriteHashed is WriteChunk for a caller who has just computed the chunk's hash.
func (p *Partial) WriteHashed(i int, data []byte, sum chunk.Hash) error {
	return p.WriteRun(i, data, []chunk.Hash{sum})
}

// WriteRun is WriteHashed for neighbouring chunks from first on, one for each hash.
func (p *Partial) WriteRun(first int, data []byte, sums []chunk.Hash) error {
	if err := p.checkRun(first, data, sums); err != nil {
		return fmt.Errorf("write chunk %d of %s: %w", first, p.entry, err)
	}
	for len(sums) > 0 {
		n, skip, err := p.claim(first, len(sums))
		if err == nil && n > 0 {
			err = p.write(first, data[:p.cut.Offset(first+n)-p.cut.Offset(first)], sums[:n])
		}
		if err != nil {
			return fmt.Errorf("write chunk %d of %s: %w", first, p.entry, err)
		}
		done := n + skip
		data = data[p.cut.Offset(first+done)-p.cut.Offset(first):]
		first, sums = first+done, sums[done:]
	}
	return nil
}

func (p *Partial) checkRun(first int, data []byte, sums []chunk.Hash) error {
	end := first + len(sums)
	if first < 0 || end > p.cut.Len() || int64(len(data)) != p.cut.Offset(end)-p.cut.Offset(first) {
		return fmt.Errorf("no %d chunks of %d bytes begin with this number", len(sums), len(data))
	}
	for k, sum := range sums {
		if p.byContent() && sum != p.cut.Hash(first+k) {
			return ErrMismatch
		}
	}
	return nil
}

// writeAt has writers take turns: the system lets one at a time write to a file, and the
// others spin on a processor meanwhile, which here may do something else.
func (p *Partial) writeAt(data []byte, off int64) error {
	p.writers.Lock()
	defer p.writers.Unlock()
	return disk.WriteAt(p.file, data, off)
}

// write puts claimed chunks on the disk.
func (p *Partial) write(first int, data []byte, sums []chunk.Hash) error {
	err := p.writeAt(data, p.cut.Offset(first))
	p.ahead.doubt()
	if err == nil {
		err = p.log.written(first, sums, int64(len(data)))
	}
	p.settle(first, sums, err == nil)
	return p.c.diskError(err, p.cut.Size()-p.size())
}

// claim says how many chunks from first on are still to be written, by whoever has
// called, up to most. Where the first is not, it is to be skipped; if somebody else is
// writing it, claim waits to see how that ends.
func (p *Partial) claim(first, most int) (n, skip int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.writing[first] {
		moved := p.movedLocked()
		p.mu.Unlock()
		<-moved
		p.mu.Lock()
	}
	switch {
	case p.ended:
		return 0, 0, os.ErrClosed
	case p.have.Has(first):
		return 0, 1, nil
	}
	for n < most && !p.writing[first+n] && !p.have.Has(first+n) {
		p.writing[first+n] = true
		n++
	}
	return n, 0, nil
}

func (p *Partial) settle(first int, sums []chunk.Hash, written bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, sum := range sums {
		i := first + k
		delete(p.writing, i)
		if written && p.have.Add(i) {
			p.sums[i] = sum
			p.bytes += p.cut.Length(i)
		}
	}
	p.wakeLocked()
}

// movedLocked is a channel that closes at the next change.
func (p *Partial) movedLocked() <-chan struct{} {
	if p.moved == nil {
		p.moved = make(chan struct{})
	}
	return p.moved
}

func (p *Partial) wakeLocked() {
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// Drop forgets chunks that turned out wrong.
func (p *Partial) Drop(chunks []int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropLocked(chunks)
}

func (p *Partial) dropLocked(chunks []int) error {
	if p.ended {
		return os.ErrClosed
	}
	var gone []int
	for _, i := range chunks {
		if i < 0 || i >= p.cut.Len() || !p.have.Has(i) {
			continue
		}
		p.have.Remove(i)
		p.old.Remove(i)
		p.bytes -= p.cut.Length(i)
		gone = append(gone, i)
		if i <= p.hashed { // the chunk at hashed may just be being read
			p.hashed = 0
			p.turn++
		}
	}
	p.wakeLocked()
	return wrap(p.log.dropped(gone), "drop chunks of %s", p.entry)
}

// ReadChunk gives the bytes of chunk i, in buf where they fit, when it is here; else
// it is ErrIncomplete. Bytes that are not any more what was written are
// ErrMismatch.
func (p *Partial) ReadChunk(i int, buf []byte) ([]byte, error) {
	data, err := p.readChunk(i, buf)
	return data, wrap(err, "read chunk %d of %s", i, p.entry)
}

func (p *Partial) readChunk(i int, buf []byte) ([]byte, error) {
	p.mu.Lock()
	if i < 0 || i >= p.cut.Len() || !p.have.Has(i) {
		p.mu.Unlock()
		return nil, ErrIncomplete
	}
	off, n, want := p.cut.Offset(i), int(p.cut.Length(i)), p.sums[i]
	p.mu.Unlock()
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if err := readAt(p.file, buf, off); err != nil {
		return nil, err
	}
	if hashOf(buf) != want {
		return nil, ErrMismatch
	}
	return buf, nil
}

// ChunkHash is the hash of chunk i as it is on disk now.
func (p *Partial) ChunkHash(i int) (chunk.Hash, error) {
	if i < 0 || i >= p.cut.Len() {
		return chunk.Hash{}, fmt.Errorf("chunk %d of %s: there is none of this number", i, p.entry)
	}
	data := make([]byte, p.cut.Length(i))
	if err := readAt(p.file, data, p.cut.Offset(i)); err != nil {
		return chunk.Hash{}, fmt.Errorf("read chunk %d of %s: %w", i, p.entry, err)
	}
	return chunk.NewHasher().Sum(data), nil
}

func (p *Partial) size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// PartialHave says how far the furthest fetch of a blob in this process is.
func (c *Cache) PartialHave(etag ref.ETag) (have, size int64, ok bool) {
	for _, p := range c.partialsOf(etag) {
		have, size, ok = max(have, p.size()), p.entry.Blob.Size, true
	}
	return have, size, ok
}

var _ io.Closer = (*Partial)(nil)
