package cache

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"

	"hffs/cache/ref"
)

// A kept list is four columns behind the number of files, a uvarint: the paths,
// each as how much it shares with the one before it (uvarint) and the rest behind
// its length (uvarint); the sizes (uvarints); what hashes there are (a byte each:
// listSHA256, listXet); the hashes, raw.
const (
	listSHA256 = 1 << iota // the etag is 32 bytes, not 20
	listXet                // a Xet hash of 32 bytes follows
)

var errBadList = errors.New("not a file list as it is kept")

// encodeList takes files that were checked, sorted by path.
func encodeList(files []ref.Listed) []byte {
	b := binary.AppendUvarint(nil, uint64(len(files)))
	before := ""
	for _, f := range files {
		same := commonPrefix(before, f.Path)
		b = binary.AppendUvarint(b, uint64(same))
		b = binary.AppendUvarint(b, uint64(len(f.Path)-same))
		b = append(b, f.Path[same:]...)
		before = f.Path
	}
	for _, f := range files {
		b = binary.AppendUvarint(b, uint64(f.Blob.Size))
	}
	for _, f := range files {
		var kind byte
		if f.Blob.ETag.IsSHA256() {
			kind |= listSHA256
		}
		if f.Blob.Xet != "" {
			kind |= listXet
		}
		b = append(b, kind)
	}
	for _, f := range files {
		for _, sum := range []string{string(f.Blob.ETag), string(f.Blob.Xet)} {
			b, _ = hex.AppendDecode(b, []byte(sum)) // checked
		}
	}
	return b
}

// decodeList gives files sorted by path, each with names that can be.
func decodeList(b []byte) ([]ref.Listed, error) {
	r := listReader{b: b}
	n := r.uint()
	const least = 1 + 1 + 1 + 1 + 1 + 20 // bytes of a file: path, size, kind, etag
	if n > MaxListed || n*least > uint64(len(b)) {
		return nil, errBadList
	}
	files := make([]ref.Listed, n)
	before := ""
	for i := range files {
		same, rest := r.uint(), r.uint()
		if same > uint64(len(before)) {
			return nil, errBadList
		}
		files[i].Path = before[:same] + string(r.take(rest))
		if i > 0 && files[i].Path <= before || ref.CheckPath(files[i].Path) != nil {
			return nil, errBadList
		}
		before = files[i].Path
	}
	for i := range files {
		files[i].Blob.Size = int64(r.uint())
		if ref.CheckSize(files[i].Blob.Size) != nil {
			return nil, errBadList
		}
	}
	kinds := r.take(n)
	for i, kind := range kinds {
		files[i].Blob.ETag, files[i].Blob.Xet = r.hashes(kind)
	}
	if r.bad || len(r.b) > 0 {
		return nil, errBadList
	}
	return files, nil
}

// listReader takes the pieces of a list; what is not there leaves bad behind.
type listReader struct {
	b   []byte
	bad bool
}

func (r *listReader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *listReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *listReader) hashes(kind byte) (ref.ETag, ref.XetHash) {
	n, xet := uint64(20), ""
	if kind&listSHA256 != 0 {
		n = 32
	}
	etag := hex.EncodeToString(r.take(n))
	if kind&listXet != 0 {
		xet = hex.EncodeToString(r.take(32))
	}
	r.bad = r.bad || kind > listSHA256|listXet
	return ref.ETag(etag), ref.XetHash(xet)
}

// What is kept in the database of long values begins with a byte that says how.
const (
	packedPlain = 1
	packedZstd  = 2
	packMin     = 512 // bytes from which packing is worth it
)

var packers = sync.OnceValue(func() (p struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}) {
	p.enc, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	p.dec, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxTreeBytes))
	return p
})

func pack(plain []byte) []byte {
	if len(plain) < packMin {
		return append([]byte{packedPlain}, plain...)
	}
	return packers().enc.EncodeAll(plain, []byte{packedZstd})
}

// unpack gives at most so many bytes.
func unpack(b []byte, most int) ([]byte, error) {
	switch {
	case len(b) > 0 && b[0] == packedPlain:
		b = b[1:]
	case len(b) > 0 && b[0] == packedZstd:
		var err error
		if b, err = packers().dec.DecodeAll(b[1:], nil); err != nil {
			return nil, err
		}
	default:
		return nil, errBadList
	}
	if len(b) > most {
		return nil, errBadList
	}
	return b, nil
}
