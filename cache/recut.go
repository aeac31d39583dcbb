package cache

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"hffs/cache/chunk"
	"hffs/cache/disk"
)

// Recut cuts the blob by m, whose root is the Xet hash that the Hub stated: from
// now on chunks are those of its content, and their hashes are known for good.
// What is here already, from an earlier run or by [Partial.Put], is read again and
// kept where it is right. It is for the one who just began, before anything is
// written or hashed along.
func (p *Partial) Recut(m chunk.Map) error {
	if err := m.Verify(p.entry.Blob.Xet, p.entry.Blob.Size); err != nil {
		return fmt.Errorf("cut %s by its content: %w", p.entry, err)
	}
	if p.byContent() {
		return nil // it is cut so already: there is one such map only
	}
	p.putting.Lock() // whoever puts now comes too late
	defer p.putting.Unlock()
	have, sums := p.rightUnder(m)
	if err := p.keepMap(m, have); err != nil {
		return fmt.Errorf("cut %s by its content: %w", p.entry, p.c.diskError(err, 0))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.m, p.have, p.sums = m, m, have, sums
	p.ahead.clear()
	p.old, p.bytes = chunk.NewHave(m.Len()), have.Bytes(m)
	p.turn++
	p.wakeLocked()
	return nil
}

// rightUnder reads what is here, and says which chunks of m it makes.
func (p *Partial) rightUnder(m chunk.Map) (*chunk.Have, []chunk.Hash) {
	have, sums := chunk.NewHave(m.Len()), make([]chunk.Hash, m.Len())
	hasher := chunk.NewHasher()
	written := p.written()
	var buf []byte
	for i := range m.Len() {
		if !written.covers(m.Offset(i), m.Offset(i+1)) {
			continue
		}
		if int64(cap(buf)) < m.Length(i) {
			buf = make([]byte, m.Length(i))
		}
		data := buf[:m.Length(i)]
		if readAt(p.file, data, m.Offset(i)) == nil && hasher.Sum(data) == m.Hash(i) {
			have.Add(i)
			sums[i] = m.Hash(i)
		}
	}
	return have, sums
}

// keepMap puts the map beside the part, then a journal that goes with it in the
// place of the old one. A crash in between leaves the old journal, which does
// not mention the map.
func (p *Partial) keepMap(m chunk.Map, have *chunk.Have) error {
	var encoded bytes.Buffer
	if err := chunk.EncodeMap(&encoded, m); err != nil {
		return err
	}
	if err := p.writeWhole(mapSuffix, encoded.Bytes()); err != nil {
		return err
	}
	log := journalHeader(m)
	for i := range m.Len() {
		if have.Has(i) {
			log = appendRecord(log, kindWritten, i, m.Hash(i))
		}
	}
	if err := p.writeWhole(journalSuffix, log); err != nil {
		return err
	}
	file, err := p.root.OpenFile(p.name(journalSuffix), os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	p.log.replace(file, int64(len(log)))
	return nil
}

func (p *Partial) writeWhole(suffix string, data []byte) error {
	tmp := p.name(suffix + ".new")
	if err := p.root.WriteFile(tmp, data, 0o666); err != nil {
		return errors.Join(err, removeIfThere(p.root, tmp))
	}
	return disk.Replace(p.root, tmp, p.name(suffix))
}

// keptMap is the map that an earlier run left, if the Hub's hash proves it and
// the journal was written under it.
func (p *Partial) keptMap() (chunk.Map, bool) {
	xet := p.entry.Blob.Xet
	if xet == "" {
		return chunk.Map{}, false
	}
	f, err := p.root.Open(p.name(mapSuffix))
	if err != nil {
		return chunk.Map{}, false
	}
	defer f.Close()
	m, err := chunk.DecodeMap(f, p.entry.Blob.Size)
	if err != nil || m.Verify(xet, p.entry.Blob.Size) != nil {
		return chunk.Map{}, false
	}
	head := make([]byte, headerLen)
	if _, err := p.log.file.ReadAt(head, 0); err != nil || !bytes.Equal(head, journalHeader(m)) {
		return chunk.Map{}, false
	}
	return m, true
}
