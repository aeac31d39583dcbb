package cas

import (
	"errors"
	"io"

	"hffs/cache/chunk"
	"hffs/transfer/xorb"
)

// Make puts content in without a client: cut by the rule and packed into xorbs,
// except for chunks that an earlier Make has put in. It gives the file's hash.
func (s *Store) Make(r io.Reader, rule chunk.Rule) (chunk.Hash, error) {
	m := maker{store: s, places: map[chunk.Hash]place{}}
	cutter := chunk.NewCutter(m.cut, rule)
	if err := m.read(r, cutter); err != nil {
		return chunk.Hash{}, err
	}
	m.flush()
	whole, err := chunk.Content(m.all)
	if err != nil {
		return chunk.Hash{}, err
	}
	for i, t := range m.from {
		m.terms[i].Xorb = m.xorbs[t]
	}
	hash := whole.FileHash()
	_, err = s.putFile(shardFile{hash: hash, terms: m.terms})
	return hash, err
}

// maker packs chunks as they are cut.
type maker struct {
	store   *Store
	pending []byte // read, and not yet in a chunk
	all     []chunk.Chunk

	xorb   Xorb         // being filled
	number int          // its place in xorbs
	xorbs  []chunk.Hash // that the file needs; known once they are full
	places map[chunk.Hash]place

	terms []Term
	from  []int // the terms' xorbs, by their place in xorbs
}

// place is where a chunk lies: in which of the maker's xorbs, and where in it.
type place struct{ xorb, index int }

// stored is where a chunk lies in the store.
type stored struct {
	xorb  chunk.Hash
	index int
}

func (m *maker) read(r io.Reader, cutter *chunk.Cutter) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := r.Read(buf)
		m.pending = append(m.pending, buf[:n]...)
		_, _ = cutter.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return cutter.Close()
		}
		if err != nil {
			return err
		}
	}
}

func (m *maker) cut(_ chunk.Rule, c chunk.Chunk) {
	p, known := m.find(c.Hash)
	if !known {
		p = m.pack(c, m.pending[:c.Length])
	}
	m.places[c.Hash] = p
	m.pending = append(m.pending[:0], m.pending[c.Length:]...)
	m.all = append(m.all, c)
	if n := len(m.terms); n > 0 && m.from[n-1] == p.xorb && m.terms[n-1].End == p.index {
		m.terms[n-1].End++
		m.terms[n-1].Size += c.Length
		return
	}
	m.terms = append(m.terms, Term{Start: p.index, End: p.index + 1, Size: c.Length})
	m.from = append(m.from, p.xorb)
}

// find looks a chunk up in this file, then in the store.
func (m *maker) find(hash chunk.Hash) (place, bool) {
	if p, ok := m.places[hash]; ok {
		return p, true
	}
	m.store.mu.Lock()
	at, ok := m.store.made[hash]
	m.store.mu.Unlock()
	if !ok {
		return place{}, false
	}
	for i, have := range m.xorbs {
		if have == at.xorb {
			return place{i, at.index}, true
		}
	}
	m.xorbs = append(m.xorbs, at.xorb)
	return place{len(m.xorbs) - 1, at.index}, true
}

// pack puts a chunk behind the others of the xorb that is being filled.
func (m *maker) pack(c chunk.Chunk, data []byte) place {
	x := &m.xorb
	if len(x.chunks) == xorb.MaxChunks || len(x.data)+xorb.HeaderLen+xorb.MaxChunk > xorb.MaxSize {
		m.flush()
	}
	if len(x.chunks) == 0 {
		m.number = len(m.xorbs)
		m.xorbs = append(m.xorbs, chunk.Hash{})
	}
	x.data = xorb.Append(x.data, data)
	x.chunks = append(x.chunks, c)
	x.ends = append(x.ends, int64(len(x.data)))
	return place{m.number, len(x.chunks) - 1}
}

// flush stores the xorb so far and begins another.
func (m *maker) flush() {
	x := m.xorb
	m.xorb = Xorb{}
	if len(x.chunks) == 0 {
		return
	}
	content, err := chunk.Content(x.chunks)
	if err != nil {
		panic(err) // the cutter keeps to the bounds
	}
	x.hash = content.XorbHash()
	m.xorbs[m.number] = x.hash
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.xorbs[x.hash] = &x
	for i, c := range x.chunks {
		m.store.made[c.Hash] = stored{x.hash, i}
	}
}
