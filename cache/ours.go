package cache

import (
	"bytes"
	"encoding/binary"
	"io"
)

// IsRecord tells whether a file is the database of a state folder, by buckets of ours in
// its root page. Other programs have files called cache.db too, some of the same make.
//
// At 16 behind the start of the first two pages is a meta page, as in checkLength: the
// page size at 8 in it, the number of the root page at 16.
func IsRecord(f io.ReaderAt) bool {
	const metaLen = 48
	at := int64(0)
	for range 2 {
		meta := make([]byte, metaLen)
		if _, err := f.ReadAt(meta, at+16); err != nil || binary.NativeEndian.Uint32(meta) != boltMagic {
			return false
		}
		size := int64(binary.NativeEndian.Uint32(meta[8:]))
		root := int64(binary.NativeEndian.Uint64(meta[16:]))
		if size < 1<<9 || size > 1<<16 || root < 0 || root > 1<<40 {
			return false
		}
		page := make([]byte, size)
		n, _ := f.ReadAt(page, root*size)
		if bytes.Contains(page[:n], []byte(bucketChecked)) && bytes.Contains(page[:n], []byte(bucketEntries)) {
			return true
		}
		at = size
	}
	return false
}

// LooksDamaged tells whether a file may be such a database that was put aside.
func LooksDamaged(f io.ReaderAt) bool {
	magic := make([]byte, 4)
	_, err := f.ReadAt(magic, 16)
	return err == nil && binary.NativeEndian.Uint32(magic) == boltMagic
}
