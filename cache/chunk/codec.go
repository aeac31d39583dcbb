package chunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A map as bytes, on the wire and on disk alike, is little-endian:
//
//	"HFM2"
//	u64 size of the blob
//	u32 length of each chunk but the last; 0: chunks follow the content
//	u32 number of chunks
//	for each chunk: u24 its length, where they follow the content; 32 bytes hash
//
// Nothing may follow. A reader knows the blob's size from somebody else, which
// bounds the number of chunks, and memory is taken as entries arrive: nobody can
// make it take more than they send.
const (
	mapMagic  = "HFM2"
	mapHeader = 4 + 8 + 4 + 4

	// Chunk lengths that a fixed map may have, in bytes. The lower bound keeps
	// the map a small part of the blob, the upper one what a reader buffers.
	minFixedLen = 16 << 10
	maxFixedLen = 4 << 20

	// Chunks of a content-defined map may be shorter than MinLen: Legacy cuts some,
	// and a file edited in place has one at each seam. On average they may not be
	// shorter than this, but for a few, so that a map is below 1 % of its blob.
	meanLen   = 4 << 10
	fewChunks = 64
)

// EncodedLen is how many bytes [EncodeMap] writes.
func (m Map) EncodedLen() int64 {
	return mapHeader + int64(m.Len())*int64(entryLen(m.length))
}

func entryLen(length int64) int {
	if length == 0 {
		return 3 + len(Hash{})
	}
	return len(Hash{})
}

// EncodeMap writes a map, which must have hashes.
func EncodeMap(w io.Writer, m Map) error {
	if m.Len() > 0 && !m.Hashed() {
		return errors.New("map has no hashes")
	}
	buf := make([]byte, 0, 32<<10)
	buf = append(buf, mapMagic...)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(m.size))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(m.length))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(m.Len()))
	for i := range m.Len() {
		if len(buf)+entryLen(m.length) > cap(buf) {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		buf = m.appendEntry(buf, i)
	}
	_, err := w.Write(buf)
	return err
}

func (m Map) appendEntry(b []byte, i int) []byte {
	if m.length == 0 {
		n := m.Length(i)
		b = append(b, byte(n), byte(n>>8), byte(n>>16))
	}
	return append(b, m.hashes[i][:]...)
}

// DecodeMap reads the map of a blob of the given size in bytes, of either kind.
// It reads no more than such a map can take and refuses anything behind it.
// Whether the hashes are true is another matter: see [Map.Verify].
func DecodeMap(r io.Reader, size int64) (Map, error) {
	length, n, err := decodeHeader(r, size)
	if err != nil {
		return Map{}, err
	}
	m := Map{length: length, hashes: make([]Hash, 0, min(n, 4096))}
	if err := m.decodeEntries(r, n, size); err != nil {
		return Map{}, err
	}
	return m, atEnd(r)
}

func decodeHeader(r io.Reader, size int64) (length, n int64, err error) {
	var head [mapHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, fmt.Errorf("read map: %w", err)
	}
	if string(head[:4]) != mapMagic {
		return 0, 0, errors.New("not a chunk map")
	}
	if got := binary.LittleEndian.Uint64(head[4:]); got != uint64(size) {
		return 0, 0, fmt.Errorf("map is of a blob of %d bytes, not %d", got, size)
	}
	length = int64(binary.LittleEndian.Uint32(head[12:]))
	n = int64(binary.LittleEndian.Uint32(head[16:]))
	return length, n, checkCount(size, length, n)
}

// checkCount bounds what comes next by the size of the blob.
func checkCount(size, length, n int64) error {
	least, most := (size+MaxLen-1)/MaxLen, min(size, size/meanLen+fewChunks)
	if length != 0 {
		if length < minFixedLen || length > maxFixedLen {
			return fmt.Errorf("map has chunks of %d bytes", length)
		}
		least = (size + length - 1) / length
		most = least
	}
	if n < least || n > most {
		return fmt.Errorf("map has %d chunks for a blob of %d bytes", n, size)
	}
	return nil
}

func (m *Map) decodeEntries(r io.Reader, n, size int64) error {
	entry := entryLen(m.length)
	buf := make([]byte, min(n, 1024)*int64(entry))
	for n > 0 {
		part := buf[:min(int64(len(buf)), n*int64(entry))]
		if _, err := io.ReadFull(r, part); err != nil {
			return fmt.Errorf("read map: %w", err)
		}
		for ; len(part) > 0; part = part[entry:] {
			if err := m.decodeEntry(part[:entry]); err != nil {
				return err
			}
			n--
		}
	}
	if m.length != 0 {
		m.size = size
	}
	if m.size != size {
		return fmt.Errorf("map's chunks have %d bytes together, not %d", m.size, size)
	}
	return nil
}

func (m *Map) decodeEntry(b []byte) error {
	hash := Hash(b[len(b)-len(Hash{}):])
	if m.length != 0 {
		m.hashes = append(m.hashes, hash)
		return nil
	}
	length := int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16
	return m.add(Chunk{length, hash})
}

// atEnd makes sure that r has nothing more.
func atEnd(r io.Reader) error {
	var one [1]byte
	switch _, err := io.ReadFull(r, one[:]); err {
	case io.EOF:
		return nil
	case nil:
		return errors.New("map is longer than it says")
	default:
		return fmt.Errorf("read map: %w", err)
	}
}
