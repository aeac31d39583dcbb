// Package peer is the protocol by which nodes hand each other bytes: plain
// HTTP/1.1 with ranges, so that the kernel's sendfile can serve it and curl can
// debug it. wire.go is what both doors agree on, client.go a source.Source
// over another node, server.go the door that only reads, and only what this
// machine's cache holds and has checked.
//
//	GET  /v1/blobs/{etag}      the blob's bytes; one Range at most; 200, 206, 416
//	HEAD /v1/blobs/{etag}      whether it is held, and its size
//	GET  /v1/blobs/{etag}/map  the hashes of its chunks (see below)
//
// A blob that is not held is 404; [HeaderHave] then tells how much of it has
// arrived where it is being fetched. A blob whose file changed since it was
// checked is 410 with [HeaderReason]; the asker drops this holder.
//
// A map is little-endian: the four bytes "HFM1", u64 size of the blob, u32
// length of each chunk but the last, u32 number of chunks, then 32 bytes for
// each chunk. Its length follows from the blob's size, which the asker knows
// from the Hub, so nothing a peer says makes anyone allocate more than that.
package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hffs/cache/chunk"
)

// What stands on the wire.
const (
	PathBlobs = "/v1/blobs/"

	// HeaderHave is "<bytes here> <size>" for a blob that is being fetched.
	HeaderHave = "Hffs-Have"
	// HeaderReason says in words why a request was refused.
	HeaderReason = "Hffs-Reason"

	mapMagic  = "HFM1"
	mapHeader = 4 + 8 + 4 + 4

	// Chunk lengths that a fixed map may have, in bytes. The lower bound keeps
	// the map a small part of the blob, the upper one what a reader buffers.
	minChunkLen = 16 << 10
	maxChunkLen = 4 << 20
)

// EncodeMap writes a fixed map with its hashes.
func EncodeMap(w io.Writer, m chunk.Map) error {
	if !m.Hashed() || m.Step() == 0 {
		return errors.New("not a fixed map with hashes")
	}
	buf := make([]byte, mapHeader, 64<<10)
	copy(buf, mapMagic)
	binary.LittleEndian.PutUint64(buf[4:], uint64(m.Size()))
	binary.LittleEndian.PutUint32(buf[12:], uint32(m.Step()))
	binary.LittleEndian.PutUint32(buf[16:], uint32(m.Len()))
	for i := range m.Len() {
		h := m.Hash(i)
		buf = append(buf, h[:]...)
		if len(buf)+32 > cap(buf) {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	_, err := w.Write(buf)
	return err
}

// MapBytes is the length on the wire of a map with n chunks.
func MapBytes(n int) int64 { return mapHeader + 32*int64(n) }

// DecodeMap reads the map of a blob of the given size in bytes. It reads no
// more than that map takes and refuses anything behind it.
func DecodeMap(r io.Reader, size int64) (chunk.Map, error) {
	var head [mapHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return chunk.Map{}, fmt.Errorf("read map: %w", err)
	}
	if string(head[:4]) != mapMagic {
		return chunk.Map{}, errors.New("not a chunk map")
	}
	length := int64(binary.LittleEndian.Uint32(head[12:]))
	n := int64(binary.LittleEndian.Uint32(head[16:]))
	if got := binary.LittleEndian.Uint64(head[4:]); got != uint64(size) {
		return chunk.Map{}, fmt.Errorf("map is of a blob of %d bytes, not %d", got, size)
	}
	if length < minChunkLen || length > maxChunkLen {
		return chunk.Map{}, fmt.Errorf("map has chunks of %d bytes", length)
	}
	if n != (size+length-1)/length {
		return chunk.Map{}, fmt.Errorf("map has %d chunks of %d bytes for a blob of %d", n, length, size)
	}
	hashes := make([]chunk.Hash, 0, min(n, 4096))
	for range n {
		var h chunk.Hash
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return chunk.Map{}, fmt.Errorf("read map: %w", err)
		}
		hashes = append(hashes, h)
	}
	if k, _ := r.Read(head[:1]); k > 0 {
		return chunk.Map{}, errors.New("map is longer than it says")
	}
	return chunk.Fixed(size, length, hashes), nil
}
