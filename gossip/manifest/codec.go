package manifest

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"hffs/cache/ref"
)

// Limits on what is written and read. A reader takes twice what a writer gives,
// so that the two may change apart.
const (
	MaxWire      = 8 << 20 // bytes of a message, compressed
	maxPlain     = 64 << 20
	maxNewsPlain = 64 << 10
	MaxEntries   = 200_000 // snapshots of a summary, or files of a list, when read
	MaxFiles     = 100_000 // the same when written
	MaxPartials  = 64
	maxDeltas    = 256
	maxAge       = 100 * 365 * 24 * time.Hour
)

var codecs = sync.OnceValue(func() (c struct {
	enc              *zstd.Encoder
	dec, small, tree *zstd.Decoder
}) {
	c.enc, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	c.dec, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxPlain))
	c.tree, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxTreePlain))
	c.small, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxNewsPlain))
	return c
})

// writer appends the primitives of the format: varints, and strings and raw
// bytes behind their length.
type writer struct{ b []byte }

func (w *writer) uint(n uint64)  { w.b = binary.AppendUvarint(w.b, n) }
func (w *writer) count(n int)    { w.uint(uint64(n)) }
func (w *writer) byte(c byte)    { w.b = append(w.b, c) }
func (w *writer) bytes(b []byte) { w.b = append(w.b, b...) }

func (w *writer) string(s string) {
	w.count(len(s))
	w.b = append(w.b, s...)
}

// hex writes hex digits as raw bytes; names were checked before they came here.
func (w *writer) hex(s string) {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("manifest: unchecked name " + s)
	}
	w.bytes(b)
}

var typeCodes = []ref.Type{ref.Model, ref.Dataset, ref.Space}

func (w *writer) repo(r ref.Repo) {
	for i, t := range typeCodes {
		if t == r.Type {
			w.byte(byte(i))
		}
	}
	w.string(r.ID)
}

// Flags of a blob.
const (
	flagSHA256 = 1 << iota // the etag is 32 bytes, not 20
	flagXet                // a Xet hash follows
)

func blobFlags(b ref.Blob) (f byte) {
	if b.ETag.IsSHA256() {
		f |= flagSHA256
	}
	if b.Xet != "" {
		f |= flagXet
	}
	return f
}

func (w *writer) hashes(b ref.Blob) {
	w.hex(string(b.ETag))
	w.hex(string(b.Xet))
}

func (w *writer) entry(e ref.Entry) {
	w.repo(e.Repo)
	w.hex(string(e.Commit))
	w.string(e.Path)
	w.byte(blobFlags(e.Blob))
	w.uint(uint64(e.Blob.Size))
	w.hashes(e.Blob)
}

func (w *writer) age(t, now time.Time) {
	w.uint(uint64(min(max(now.Sub(t), 0), maxAge) / time.Millisecond))
}

// reader takes the primitives back. The first thing that breaks the format
// sticks in err and makes every later read return zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

// refuse passes on what package ref says about a name.
func (r *reader) refuse(err error) {
	if err != nil {
		r.fail("%v", err)
	}
}

func (r *reader) uint(max uint64) uint64 {
	n, l := binary.Uvarint(r.b)
	if l <= 0 || n > max {
		r.fail("a number is cut off or above %d", max)
		return 0
	}
	r.b = r.b[l:]
	return n
}

// count reads how many items follow, each at least size bytes: what cannot be
// there is refused before room is made for it.
func (r *reader) count(max, size int) int {
	n := int(r.uint(uint64(max)))
	if n*size > len(r.b) {
		r.fail("%d items are announced in %d bytes", n, len(r.b))
		return 0
	}
	return n
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail("cut off")
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte            { return r.take(1)[0] }
func (r *reader) hex(n int) string      { return hex.EncodeToString(r.take(n)) }
func (r *reader) string(max int) string { return string(r.take(int(r.uint(uint64(max))))) }
func (r *reader) commit() ref.Commit    { return ref.Commit(r.hex(20)) }
func (r *reader) digest() Digest        { return Digest(r.take(16)) }
func (r *reader) size() int64           { return int64(r.uint(ref.MaxBlobSize)) }
func (r *reader) age(now time.Time) time.Time {
	return now.Add(-time.Duration(r.uint(uint64(maxAge/time.Millisecond))) * time.Millisecond)
}

func (r *reader) repo() ref.Repo {
	t := int(r.byte())
	if t >= len(typeCodes) {
		r.fail("unknown repo type %d", t)
		return ref.Repo{}
	}
	id := r.string(2*ref.MaxNameLen + 1)
	if r.err != nil {
		return ref.Repo{}
	}
	repo, err := ref.ParseRepo(typeCodes[t], id)
	r.refuse(err)
	return repo
}

func (r *reader) path() string {
	p := r.string(ref.MaxPathLen)
	if r.err == nil {
		r.refuse(ref.CheckPath(p))
	}
	return p
}

func (r *reader) hashes(b *ref.Blob, flags byte) {
	n := 20
	if flags&flagSHA256 != 0 {
		n = 32
	}
	b.ETag = ref.ETag(r.hex(n))
	if flags&flagXet != 0 {
		b.Xet = ref.XetHash(r.hex(32))
	}
	if flags&^(flagSHA256|flagXet) != 0 {
		r.fail("unknown flags %#x", flags)
	}
}

func (r *reader) entry() (e ref.Entry) {
	e.Repo, e.Commit, e.Path = r.repo(), r.commit(), r.path()
	flags := r.byte()
	e.Blob.Size = r.size()
	r.hashes(&e.Blob, flags)
	return e
}

// end is called when all is read: nothing may be left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}
