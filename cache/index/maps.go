package index

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"

	"hffs/cache/chunk"
	"hffs/cache/disk"
)

// The file of maps begins with its version and an id of its own, by which a
// table knows whether it was made from this file.
const (
	mapsName  = "maps"
	mapsMagic = "HFFSMAP1"
	mapsHead  = 16
)

var errNotMaps = errors.New("not a file of maps")

// mapFile is the file of maps. Records are only ever added to it, until so many
// of them are void that it is worth writing anew.
type mapFile struct {
	f     *os.File
	id    string // of 8 bytes
	end   int64
	dirty bool // something was written since it was last synced
}

// openMaps opens the file and has visit look at each record, in order. What
// follows the last good record is cut off.
func openMaps(root *os.Root, log *slog.Logger, visit func(*record)) (*mapFile, error) {
	f, err := root.OpenFile(mapsName, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	m := &mapFile{f: f}
	size, err := m.begin()
	if errors.Is(err, errNotMaps) {
		if size > 0 {
			log.Warn("the index of chunks is damaged or of another version; starting a new one", "file", f.Name())
		}
		err = m.start()
		size = mapsHead
	}
	if err == nil {
		err = m.replay(size, visit)
	}
	if err == nil && m.end < size {
		log.Info("the index of chunks ends in the middle of a record; it is cut off there", "file", f.Name(), "bytes", size-m.end)
		err = f.Truncate(m.end)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

// begin reads the head and gives the file's size.
func (m *mapFile) begin() (size int64, err error) {
	fi, err := m.f.Stat()
	if err != nil {
		return 0, err
	}
	var head [mapsHead]byte
	_, err = m.f.ReadAt(head[:], 0)
	if err == io.EOF || err == nil && string(head[:8]) != mapsMagic {
		return fi.Size(), errNotMaps
	}
	m.id, m.end = string(head[8:]), mapsHead
	return fi.Size(), err
}

// start makes the file a new one without records.
func (m *mapFile) start() error {
	var id [8]byte
	_, _ = rand.Read(id[:])
	m.id, m.end = string(id[:]), mapsHead
	if err := m.f.Truncate(0); err != nil {
		return err
	}
	_, err := m.f.WriteAt([]byte(mapsMagic+m.id), 0)
	return err
}

func (m *mapFile) replay(size int64, visit func(*record)) error {
	head := make([]byte, headerLen)
	for m.end+headerLen <= size {
		if _, err := m.f.ReadAt(head, m.end); err != nil {
			return err
		}
		r, err := decodeRecord(head, m.end)
		if err != nil || r.bytes() > size-m.end {
			return nil
		}
		m.end += r.bytes()
		visit(r)
	}
	return nil
}

// append writes a record and fills in where its maps lie. The header comes last:
// without it, what was written is not there.
func (m *mapFile) append(r *record, maps []rooted) error {
	off := m.end + headerLen
	for _, cm := range maps {
		w := &summed{w: io.NewOffsetWriter(m.f, off)}
		if err := chunk.EncodeMap(w, cm.Map); err != nil {
			return errors.Join(err, m.f.Truncate(m.end))
		}
		r.maps = append(r.maps, stored{off: off, len: cm.EncodedLen(), sum: w.sum, root: cm.root})
		off += cm.EncodedLen()
	}
	head, err := r.header()
	if err == nil {
		_, err = m.f.WriteAt(head, m.end)
	}
	if err != nil {
		return errors.Join(err, m.f.Truncate(m.end))
	}
	m.end, m.dirty = off, true
	return nil
}

// summed is a writer that keeps a checksum of what goes through it.
type summed struct {
	w   io.Writer
	sum uint32
}

func (s *summed) Write(p []byte) (int, error) {
	s.sum = crc32.Update(s.sum, castagnoli, p)
	return s.w.Write(p)
}

var errDamaged = errors.New("damaged on disk")

// read gives a map of a record.
func (m *mapFile) read(r *record, s stored) (chunk.Map, error) {
	sum := &summed{w: io.Discard}
	part := io.TeeReader(io.NewSectionReader(m.f, s.off, s.len), sum)
	cm, err := chunk.DecodeMap(bufio.NewReaderSize(part, 64<<10), r.size)
	if err == nil && sum.sum != s.sum {
		err = errors.New("its checksum is wrong")
	}
	if err != nil {
		return chunk.Map{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return cm, nil
}

func (m *mapFile) sync() error {
	if !m.dirty {
		return nil
	}
	m.dirty = false
	return m.f.Sync()
}

const newSuffix = ".new"

// rewrite makes a file of these records alone, in which they keep their numbers.
// It gives the records as they lie there; until install it has another name.
func (m *mapFile) rewrite(root *os.Root, live []*record) (*mapFile, []*record, error) {
	f, err := root.OpenFile(mapsName+newSuffix, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o666)
	if err != nil {
		return nil, nil, err
	}
	to := &mapFile{f: f, id: m.id, end: mapsHead}
	w := bufio.NewWriterSize(f, 256<<10)
	_, err = w.WriteString(mapsMagic + m.id)
	moved := make([]*record, 0, len(live))
	for _, r := range live {
		if err == nil {
			var at *record
			at, err = m.move(r, to, w)
			moved = append(moved, at)
		}
	}
	if err = errors.Join(err, w.Flush(), f.Sync()); err != nil {
		return nil, nil, errors.Join(err, f.Close(), root.Remove(mapsName+newSuffix))
	}
	return to, moved, nil
}

// move copies a record behind the last one of another file. Only where it lies
// has changed, so its header stays true.
func (m *mapFile) move(r *record, to *mapFile, w io.Writer) (*record, error) {
	at := *r
	at.maps = nil
	from := r.maps[0].off - headerLen
	for _, s := range r.maps {
		s.off += to.end - from
		at.maps = append(at.maps, s)
	}
	n, err := io.Copy(w, io.NewSectionReader(m.f, from, r.bytes()))
	if err == nil && n != r.bytes() {
		err = io.ErrUnexpectedEOF
	}
	to.end += n
	return &at, err
}

// install gives the new file its name, and says whether it did. Some systems
// rename no file that is open, so both are closed first.
func (m *mapFile) install(root *os.Root, to *mapFile) (done bool, err error) {
	_, _ = m.f.Close(), to.f.Close()
	named := to
	if err = disk.Replace(root, mapsName+newSuffix, mapsName); err != nil {
		named = m
	}
	f, openErr := root.OpenFile(mapsName, os.O_RDWR, 0o666)
	if openErr == nil {
		named.f = f
	}
	return named == to, errors.Join(err, openErr)
}
