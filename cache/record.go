package cache

import (
	"encoding/binary"
	"errors"
	"strings"

	"hffs/cache/chunk"
	"hffs/cache/disk"
	"hffs/cache/ref"
)

// A record says that the file with this stamp was read whole and found to hold
// the blob etag, or, when bad, found not to.
type record struct {
	stamp disk.Stamp
	etag  ref.ETag
	bad   bool
	// boot is the start of the machine that the record holds for: the file may not be
	// on the disk yet. Empty: it holds for good.
	boot string
}

// recordVersion is the first byte of an encoded record; records of any other
// version are ignored, and their files hashed again.
const recordVersion = 1

var errBadRecord = errors.New("not a record")

// encode: version, bad, four times 8 bytes little-endian, etag as text, and where there
// is a boot, a space and that.
func (r record) encode() []byte {
	b := []byte{recordVersion, 0}
	if r.bad {
		b[1] = 1
	}
	for _, n := range []uint64{uint64(r.stamp.Size), uint64(r.stamp.ModNs), uint64(r.stamp.ChangeNs), r.stamp.Inode} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = append(b, r.etag...)
	if r.boot != "" {
		b = append(append(b, ' '), r.boot...)
	}
	return b
}

func decodeRecord(b []byte) (record, error) {
	if len(b) < 2+4*8 || b[0] != recordVersion || b[1] > 1 {
		return record{}, errBadRecord
	}
	n := func(i int) uint64 { return binary.LittleEndian.Uint64(b[2+8*i:]) }
	name, boot, _ := strings.Cut(string(b[2+4*8:]), " ")
	etag, err := ref.ParseETag(name)
	if err != nil {
		return record{}, err
	}
	stamp := disk.Stamp{Size: int64(n(0)), ModNs: int64(n(1)), ChangeNs: int64(n(2)), Inode: n(3)}
	return record{stamp, etag, b[1] == 1, boot}, ref.CheckSize(stamp.Size)
}

// loadRecords reads into memory what was checked in earlier runs. Files that may not have
// been on the disk when the machine went down are left for recoverTorn.
func (c *Cache) loadRecords() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book.each(bucketChecked, func(rel string, value []byte) {
		r, err := decodeRecord(value)
		switch {
		case err != nil:
		case r.boot == "":
			c.indexLocked(rel, r)
		case r.boot != c.boot:
			c.torn[rel] = r
		case r.stamp.ModNs == 0: // of a fetch that was not ended; see expect
		default:
			c.indexLocked(rel, r)
		}
	})
}

func (c *Cache) indexLocked(rel string, r record) {
	c.checked[rel] = r
	if r.boot != "" {
		c.volatile[rel] = true
		poke(c.named)
	}
	if r.bad {
		return
	}
	if c.places[r.etag] == nil {
		c.places[r.etag] = map[string]bool{}
	}
	c.places[r.etag][rel] = true
}

// setRecordLocked replaces what is known of the file at rel.
func (c *Cache) setRecordLocked(rel string, r record) {
	if c.checked[rel] == r {
		return
	}
	c.unindexLocked(rel)
	c.indexLocked(rel, r)
	c.book.put(bucketChecked, rel, r.encode())
	c.staleLocked(rel)
}

// dropRecordLocked forgets the file at rel.
func (c *Cache) dropRecordLocked(rel string) {
	if _, ok := c.checked[rel]; !ok {
		return
	}
	etag, gone := c.unindexLocked(rel)
	c.book.put(bucketChecked, rel, nil)
	if gone {
		c.book.put(bucketMaps, string(etag), nil)
	}
	c.staleLocked(rel)
}

// unindexLocked also says which blob lost a place, and whether it was the last.
func (c *Cache) unindexLocked(rel string) (etag ref.ETag, gone bool) {
	old, ok := c.checked[rel]
	delete(c.checked, rel)
	delete(c.volatile, rel)
	if !ok || old.bad {
		return "", false
	}
	delete(c.places[old.etag], rel)
	if len(c.places[old.etag]) > 0 {
		return old.etag, false
	}
	delete(c.places, old.etag)
	return old.etag, true
}

// staleLocked has the holdings of rel's repo built anew when next asked for.
func (c *Cache) staleLocked(rel string) {
	folder, _, _ := strings.Cut(rel, "/")
	if s := c.shelves[folder]; s != nil {
		s.shown = nil
	}
	c.shown = nil
}

// recordOf returns what is known of the file at rel, for this stamp only.
func (c *Cache) recordOf(rel string, stamp disk.Stamp) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.checked[rel]
	return r, ok && r.stamp == stamp
}

// A blob's chunk hashes are kept apart from its records, since they are long
// and seldom read: 8 bytes of chunk length, then 32 bytes a chunk.

func encodeHashes(hashes []chunk.Hash) []byte {
	b := make([]byte, 8, 8+len(hashes)*len(chunk.Hash{}))
	binary.LittleEndian.PutUint64(b, chunk.FixedLen)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// decodeHashes gives the map of a blob of the given size, or false when value
// does not fit it.
func decodeHashes(value []byte, size int64) (chunk.Map, bool) {
	n := chunk.Fixed(size, chunk.FixedLen, nil).Len()
	const each = len(chunk.Hash{})
	if len(value) != 8+n*each || binary.LittleEndian.Uint64(value) != chunk.FixedLen {
		return chunk.Map{}, false
	}
	hashes := make([]chunk.Hash, n)
	for i := range hashes {
		copy(hashes[i][:], value[8+i*each:])
	}
	return chunk.Fixed(size, chunk.FixedLen, hashes), true
}
