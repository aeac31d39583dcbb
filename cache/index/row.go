package index

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"hffs/cache/chunk"
)

// row says that a chunk lies somewhere in a blob. On disk it is 20 bytes:
//
//	u64 key
//	u64 offset in the blob, times 2^20, plus the length of the chunk
//	u32 number of the record
type row struct {
	key  uint64 // the first 8 bytes of the chunk's hash, which are enough for a hint
	spot uint64
	blob uint32
}

const (
	rowLen  = 20
	lenBits = 20 // more than chunk.MaxLen needs; ref.MaxBlobSize leaves them free
	lenMask = 1<<lenBits - 1
)

func keyOf(h chunk.Hash) uint64 { return binary.BigEndian.Uint64(h[:]) }

func (r row) off() int64 { return int64(r.spot >> lenBits) }
func (r row) len() int   { return int(r.spot & lenMask) }

func (r row) compare(o row) int {
	switch {
	case r.key != o.key:
		return cmp.Compare(r.key, o.key)
	case r.blob != o.blob:
		return cmp.Compare(r.blob, o.blob)
	}
	return cmp.Compare(r.spot, o.spot)
}

// twin reports whether two rows say where the same blob has the same chunk. A
// blob full of one chunk would fill the table with such; one is kept.
func (r row) twin(o row) bool { return r.key == o.key && r.blob == o.blob }

func (r row) put(b []byte) {
	binary.LittleEndian.PutUint64(b, r.key)
	binary.LittleEndian.PutUint64(b[8:], r.spot)
	binary.LittleEndian.PutUint32(b[16:], r.blob)
}

func rowAt(b []byte) row {
	return row{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint32(b[16:])}
}

// rowsOf are the rows of a span of a blob's map, sorted. Chunks that stand at the
// same place in other, a map of the same blob, are left out: they have their rows.
func rowsOf(number uint32, m chunk.Map, s chunk.Span, other chunk.Map) []row {
	rows := make([]row, 0, s.Len())
	at := other.At(m.Offset(s.First))
	for i := s.First; i < s.End; i++ {
		off := m.Offset(i)
		for at < other.Len() && other.Offset(at) < off {
			at++
		}
		if at < other.Len() && other.Offset(at) == off && other.Hash(at) == m.Hash(i) {
			continue
		}
		rows = append(rows, row{keyOf(m.Hash(i)), uint64(off)<<lenBits | uint64(m.Length(i)), number})
	}
	slices.SortFunc(rows, row.compare)
	return slices.CompactFunc(rows, row.twin)
}

// insertRows puts sorted rows among sorted rows, in place.
func insertRows(into, rows []row) []row {
	i, k := len(into)-1, len(rows)-1
	into = append(into, rows...)
	for at := len(into) - 1; k >= 0; at-- {
		if i >= 0 && into[i].compare(rows[k]) > 0 {
			into[at] = into[i]
			i--
		} else {
			into[at] = rows[k]
			k--
		}
	}
	return into
}

// search is the index of the first row with a key no smaller than this.
func search(rows []row, key uint64) int {
	return sort.Search(len(rows), func(i int) bool { return rows[i].key >= key })
}
