package cache

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"hffs/cache/chunk"
)

// Ahead is a chunk that was put before there was a map to say which one it is.
type Ahead struct {
	Off int64 // where it lies in the blob, in bytes
	chunk.Chunk
}

func (a Ahead) end() int64 { return a.Off + a.Length }

// ahead is the list of such chunks. They are hints: a journal may say so of bytes
// that the disk lost, and whatever is written later may lie across them.
type ahead struct {
	mu      sync.Mutex // guards what follows; held while they are read again
	list    []Ahead
	doubted bool // something happened since they were last known to be right
}

func (l *ahead) add(a Ahead) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, a)
}

// resume takes over what a journal says.
func (l *ahead) resume(list []Ahead) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list, l.doubted = list, true
}

func (l *ahead) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubted = true
}

func (l *ahead) clear() { l.resume(nil) }

func (l *ahead) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list) == 0
}

// Put writes one chunk ahead of a [Partial.Recut] that will say which one it is;
// until then it counts for nothing, but it outlasts a kill. Several may do so at
// once.
func (p *Partial) Put(off int64, data []byte) error {
	n := int64(len(data))
	if n < 1 || n > chunk.MaxLen || off < 0 || off > p.entry.Blob.Size-n {
		return fmt.Errorf("put %d bytes at %d of %s: there is no such chunk", n, off, p.entry)
	}
	return wrap(p.put(off, data), "put %d bytes at %d of %s", n, off, p.entry)
}

func (p *Partial) put(off int64, data []byte) error {
	p.putting.RLock()
	defer p.putting.RUnlock()
	if err := p.mayPut(); err != nil {
		return err
	}
	a := Ahead{off, chunk.Chunk{Length: int64(len(data)), Hash: hashOf(data)}}
	err := p.writeAt(data, off)
	p.doubtUnder(a)
	if err == nil {
		err = p.log.append(aheadRecord(a)) // last, so that it is true after a kill
	}
	if err != nil {
		return p.c.diskError(err, a.Length)
	}
	p.ahead.add(a)
	return nil
}

func (p *Partial) mayPut() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ended:
		return os.ErrClosed
	case p.cut.Step() == 0:
		return errors.New("it is cut by its content already")
	}
	return nil
}

// doubtUnder has those chunks read again that a put one was written across: they
// are what they were if both are right, and nobody knows that yet.
func (p *Partial) doubtUnder(a Ahead) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := p.cut.At(a.Off); i < p.cut.Len() && p.cut.Offset(i) < a.end(); i++ {
		if !p.have.Has(i) {
			continue
		}
		p.old.Add(i)
		if i <= p.hashed {
			p.hashed = 0
			p.turn++
		}
	}
	p.wakeLocked()
}

// Ahead is what was put and is still there, by this run or an earlier one, sorted
// by offset and without overlaps. Where it could have changed since it was put, it
// is read again first.
func (p *Partial) Ahead() []Ahead {
	l := &p.ahead
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.list, func(a, b Ahead) int {
		return cmp.Or(cmp.Compare(a.Off, b.Off), cmp.Compare(a.Length, b.Length))
	})
	l.list = slices.Compact(l.list)
	if l.doubted || overlap(l.list) {
		l.doubted = false
		l.list = p.stillRight(l.list)
	}
	return apart(l.list)
}

// stillRight reads chunks again, leaves out what is not what it was, and gives the
// others their whole hash, of which a journal has a part only.
func (p *Partial) stillRight(list []Ahead) (right []Ahead) {
	hasher := chunk.NewHasher()
	buf := make([]byte, chunk.MaxLen)
	for _, a := range list {
		data := buf[:a.Length]
		if readAt(p.file, data, a.Off) != nil {
			continue
		}
		sum := hasher.Sum(data)
		if [aheadHashLen]byte(sum[:]) == [aheadHashLen]byte(a.Hash[:]) {
			a.Hash = sum
			right = append(right, a)
		}
	}
	return slices.Compact(right)
}

func overlap(list []Ahead) bool {
	for i := 1; i < len(list); i++ {
		if list[i].Off < list[i-1].end() {
			return true
		}
	}
	return false
}

// apart picks from a sorted list, first come first served, what does not overlap.
func apart(list []Ahead) []Ahead {
	picked := make([]Ahead, 0, len(list))
	end := int64(0)
	for _, a := range list {
		if a.Off >= end {
			picked = append(picked, a)
			end = a.end()
		}
	}
	return picked
}

// ranges are parts of a blob, sorted and not touching.
type (
	ranges  []stretch
	stretch struct{ from, to int64 }
)

// written is where something was written: chunks and what was put.
func (p *Partial) written() (all ranges) {
	p.mu.Lock()
	for i := range p.cut.Len() {
		if p.have.Has(i) {
			all = append(all, stretch{p.cut.Offset(i), p.cut.Offset(i + 1)})
		}
	}
	p.mu.Unlock()
	p.ahead.mu.Lock()
	for _, a := range p.ahead.list {
		all = append(all, stretch{a.Off, a.end()})
	}
	p.ahead.mu.Unlock()
	return all.join()
}

// join sorts ranges and makes one of those that touch: a chunk of a map may lie
// across several that were put, when those were cut by another rule.
func (r ranges) join() (joined ranges) {
	slices.SortFunc(r, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	for _, a := range r {
		if last := len(joined) - 1; last >= 0 && a.from <= joined[last].to {
			joined[last].to = max(joined[last].to, a.to)
		} else {
			joined = append(joined, a)
		}
	}
	return joined
}

func (r ranges) covers(from, to int64) bool {
	i, _ := slices.BinarySearchFunc(r, from, func(a stretch, at int64) int {
		if a.to <= at {
			return -1
		}
		return 1
	})
	return i < len(r) && r[i].from <= from && to <= r[i].to
}

func (r ranges) bytes() (n int64) {
	for _, a := range r {
		n += a.to - a.from
	}
	return n
}
