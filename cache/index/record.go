package index

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"slices"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// A record says what a blob is made of, or that it is gone. Its header, in
// little-endian:
//
//	"HFR1"
//	u32 checksum of the rest of the header
//	u32 number: which record rows speak of; never used again
//	u8  how many maps follow: 0 means that the blob is forgotten
//	u8  1 when both rules were tried on the blob
//	u8  length of the etag: 20 or 32
//	u8  0
//	32  etag
//	u64 size of the blob
//	twice, for each map: u64 its length as bytes, u32 their checksum, 32 root
//
// Behind it come the maps, as chunk.EncodeMap writes them.
const (
	recordMagic = "HFR1"
	mapsMax     = 2 // one for each rule
	rootLen     = 32
	slotLen     = 8 + 4 + rootLen
	slotsAt     = 4 + 4 + 4 + 4 + 32 + 8
	headerLen   = slotsAt + mapsMax*slotLen
)

// castagnoli is the checksum that processors compute by themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errNotRecord = errors.New("not a record")

// record is a blob in the index.
type record struct {
	number uint32
	etag   ref.ETag
	size   int64
	full   bool // both rules were tried; there is nothing more to learn
	maps   []stored
}

// stored is a map in the file of maps.
type stored struct {
	off, len int64
	sum      uint32
	root     chunk.Hash // the map's file hash
}

// rooted is a map and its file hash, which takes a while to compute.
type rooted struct {
	chunk.Map
	root chunk.Hash
}

func root(m chunk.Map) rooted { return rooted{m, m.FileHash()} }

// has reports whether one of the maps has this root.
func (r *record) has(root chunk.Hash) bool {
	return slices.ContainsFunc(r.maps, func(m stored) bool { return m.root == root })
}

// bytes is how long the record is in the file.
func (r *record) bytes() int64 {
	n := int64(headerLen)
	for _, m := range r.maps {
		n += m.len
	}
	return n
}

func (r *record) header() ([]byte, error) {
	etag, err := hex.DecodeString(string(r.etag))
	if err != nil || len(etag) > 32 {
		return nil, errNotRecord
	}
	b := make([]byte, headerLen)
	copy(b, recordMagic)
	binary.LittleEndian.PutUint32(b[8:], r.number)
	b[12], b[14] = byte(len(r.maps)), byte(len(etag))
	if r.full {
		b[13] = 1
	}
	copy(b[16:], etag)
	binary.LittleEndian.PutUint64(b[48:], uint64(r.size))
	for i, m := range r.maps {
		slot := b[slotsAt+i*slotLen:]
		binary.LittleEndian.PutUint64(slot, uint64(m.len))
		binary.LittleEndian.PutUint32(slot[8:], m.sum)
		copy(slot[12:], m.root[:])
	}
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b, nil
}

// decodeRecord reads the header of a record that begins at off in the file.
func decodeRecord(b []byte, off int64) (*record, error) {
	if len(b) != headerLen || string(b[:4]) != recordMagic ||
		binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli) {
		return nil, errNotRecord
	}
	if b[12] > mapsMax || b[14] != 20 && b[14] != 32 {
		return nil, errNotRecord
	}
	r := &record{
		number: binary.LittleEndian.Uint32(b[8:]),
		etag:   ref.ETag(hex.EncodeToString(b[16 : 16+b[14]])),
		size:   int64(binary.LittleEndian.Uint64(b[48:])),
		full:   b[13] == 1,
	}
	if r.number == 0 || r.number == maxNumber || ref.CheckSize(r.size) != nil {
		return nil, errNotRecord
	}
	off += headerLen
	for i := range int(b[12]) {
		slot := b[slotsAt+i*slotLen:]
		m := stored{
			off: off, len: int64(binary.LittleEndian.Uint64(slot)),
			sum: binary.LittleEndian.Uint32(slot[8:]), root: chunk.Hash(slot[12 : 12+rootLen]),
		}
		if m.len < 0 || m.len > ref.MaxBlobSize {
			return nil, errNotRecord
		}
		off += m.len
		r.maps = append(r.maps, m)
	}
	return r, nil
}

// maxNumber is where numbers end; an index that gets there begins anew.
const maxNumber = 1<<32 - 1
