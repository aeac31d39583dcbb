package index

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sort"
)

// A run is a file of rows, sorted, in pages of 4 KiB:
//
//	204 rows of 20 bytes
//	u32 how many of them are filled; all but in the last page
//	u32 number of the page
//	u32 0
//	u32 checksum of the above
//
// Behind the pages comes the key of each page's first row, which is what is kept
// in memory of a run. Runs are never changed.
const (
	pageLen  = 4096
	pageRows = (pageLen - 16) / rowLen
	pageTail = pageRows * rowLen
	fenceLen = 8
)

type run struct {
	f      *os.File
	name   string
	rows   int64
	sum    uint32   // of the fences
	fences []uint64 // key of the first row of each page
}

func pagesFor(rows int64) int64 { return (rows + pageRows - 1) / pageRows }

// openRun opens a run of which the table says how many rows it has.
func openRun(root *os.Root, name string, rows int64, sum uint32) (*run, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	r := &run{f: f, name: name, rows: rows, sum: sum}
	if err := r.readFences(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

func (r *run) readFences() error {
	fi, err := r.f.Stat()
	if err != nil {
		return err
	}
	pages := pagesFor(r.rows)
	if r.rows < 0 || r.rows > fi.Size() || fi.Size() != pages*(pageLen+fenceLen) {
		return errDamaged
	}
	b := make([]byte, pages*fenceLen)
	if _, err := r.f.ReadAt(b, pages*pageLen); err != nil {
		return err
	}
	if crc32.Checksum(b, castagnoli) != r.sum {
		return errDamaged
	}
	r.fences = make([]uint64, pages)
	for i := range r.fences {
		r.fences[i] = binary.LittleEndian.Uint64(b[i*fenceLen:])
	}
	return nil
}

// writeRun makes a run of sorted rows, and opens it.
func writeRun(root *os.Root, name string, next func() (row, error)) (*run, error) {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	r := &run{f: f, name: name}
	if err := r.fill(next); err != nil {
		return nil, errors.Join(err, f.Close(), root.Remove(name))
	}
	return r, nil
}

// fill writes rows until next gives io.EOF.
func (r *run) fill(next func() (row, error)) error {
	w := bufio.NewWriterSize(r.f, 256<<10)
	var p page
	for {
		rw, err := next()
		if err != nil && err != io.EOF {
			return err
		}
		if p.n == pageRows || err == io.EOF && p.n > 0 {
			r.fences = append(r.fences, p.row(0).key)
			if _, err := w.Write(p.seal(len(r.fences) - 1)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		p.add(rw)
		r.rows++
	}
	fences := make([]byte, 0, len(r.fences)*fenceLen)
	for _, key := range r.fences {
		fences = binary.LittleEndian.AppendUint64(fences, key)
	}
	r.fences = slices.Clip(r.fences)
	r.sum = crc32.Checksum(fences, castagnoli)
	_, err := w.Write(fences)
	return errors.Join(err, w.Flush(), r.f.Sync())
}

// page is a page of a run in memory.
type page struct {
	b [pageLen]byte
	n int
}

func (p *page) row(i int) row { return rowAt(p.b[i*rowLen:]) }

func (p *page) add(r row) {
	r.put(p.b[p.n*rowLen:])
	p.n++
}

// seal gives the page as it is on disk, and empties it.
func (p *page) seal(number int) []byte {
	clear(p.b[p.n*rowLen:])
	binary.LittleEndian.PutUint32(p.b[pageTail:], uint32(p.n))
	binary.LittleEndian.PutUint32(p.b[pageTail+4:], uint32(number))
	binary.LittleEndian.PutUint32(p.b[pageLen-4:], crc32.Checksum(p.b[:pageLen-4], castagnoli))
	p.n = 0
	return p.b[:]
}

// open checks a page that was just read.
func (p *page) open(number int) error {
	sum := crc32.Checksum(p.b[:pageLen-4], castagnoli)
	n := binary.LittleEndian.Uint32(p.b[pageTail:])
	if binary.LittleEndian.Uint32(p.b[pageLen-4:]) != sum || n > pageRows ||
		binary.LittleEndian.Uint32(p.b[pageTail+4:]) != uint32(number) {
		return errDamaged
	}
	p.n = int(n)
	return nil
}

// reader reads rows of a run, and keeps the page that it read last.
type reader struct {
	r    *run
	page page
	at   int // page in hand; -1 for none
	next int // row in it, for whoever reads all
}

// begin makes it a reader of r from the start.
func (rd *reader) begin(r *run) { rd.r, rd.at, rd.next = r, -1, 0 }

func (rd *reader) load(number int) error {
	if rd.at == number {
		return nil
	}
	rd.at = -1
	_, err := rd.r.f.ReadAt(rd.page.b[:], int64(number)*pageLen)
	if err == io.EOF {
		err = errDamaged
	}
	if err == nil {
		err = rd.page.open(number)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", rd.r.name, err)
	}
	rd.at = number
	return nil
}

// each visits the rows with this key until visit has enough.
func (rd *reader) each(key uint64, visit func(row) bool) error {
	fences := rd.r.fences
	// Rows with the key of a page's first row may begin in the page before.
	first := sort.Search(len(fences), func(i int) bool { return fences[i] >= key })
	for p := max(first-1, 0); p < len(fences) && fences[p] <= key; p++ {
		if err := rd.load(p); err != nil {
			return err
		}
		i := sort.Search(rd.page.n, func(i int) bool { return rd.page.row(i).key >= key })
		for ; i < rd.page.n; i++ {
			if r := rd.page.row(i); r.key != key || !visit(r) {
				return nil
			}
		}
	}
	return nil
}

// read gives all rows in order, then io.EOF.
func (rd *reader) read() (row, error) {
	for rd.at < 0 || rd.next == rd.page.n {
		if rd.at+1 == len(rd.r.fences) {
			return row{}, io.EOF
		}
		if err := rd.load(rd.at + 1); err != nil {
			return row{}, err
		}
		rd.next = 0
	}
	rd.next++
	return rd.page.row(rd.next - 1), nil
}
