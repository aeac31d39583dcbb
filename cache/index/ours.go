package index

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"strings"
)

// IsOurs tells by its content whether a file of that name in a folder of ours was
// written by this package. One that a kill has cut short may not be told.
func IsOurs(name string, f io.ReaderAt) bool {
	switch name = strings.TrimSuffix(name, newSuffix); {
	case name == mapsName:
		return begins(f, mapsMagic)
	case name == tableName:
		return isSummary(f)
	case strings.HasPrefix(name, runPrefix):
		return isRun(f)
	}
	return false
}

func begins(f io.ReaderAt, with string) bool {
	head := make([]byte, len(with))
	_, err := f.ReadAt(head, 0)
	return err == nil && string(head) == with
}

// isSummary knows a table by its first words, which follow its checksum.
func isSummary(f io.ReaderAt) bool {
	const first = ` {"version":`
	head := make([]byte, len(checksum(""))+len(first))
	_, err := f.ReadAt(head, 0)
	return err == nil && string(head[len(checksum("")):]) == first
}

// isRun checks the first page.
func isRun(f io.ReaderAt) bool {
	page := make([]byte, pageLen)
	if _, err := f.ReadAt(page, 0); err != nil {
		return false
	}
	return binary.LittleEndian.Uint32(page[pageLen-4:]) == crc32.Checksum(page[:pageLen-4], castagnoli)
}
