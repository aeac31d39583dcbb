package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"hffs/cache/ref"
)

// List is the files of one snapshot. It never changes and may be shared.
type List struct {
	Digest Digest
	files  []File // sorted by path, no path twice

	wire  func() []byte // compressed, made when first asked for
	etags func() []etagKey
}

// etagKey is where a file stands in the list, found by the start of its etag.
type etagKey struct {
	key uint64
	at  int32
}

// NewList makes a list of files with good names, in any order. A second file of
// the same path, and what is above [MaxFiles], is left out.
func NewList(files []File) *List {
	if !slices.IsSortedFunc(files, comparePaths) {
		files = slices.SortedStableFunc(slices.Values(files), comparePaths)
	}
	files = slices.CompactFunc(slices.Clone(files), func(a, b File) bool { return a.Path == b.Path })
	return fit(files[:min(len(files), MaxFiles)], MaxWire)
}

// fit leaves out files until the list takes no more bytes on the wire than
// anybody reads. Only very long paths make that happen.
func fit(files []File, limit int) *List {
	plain := encodeFiles(files)
	l := newList(files, plain)
	if len(plain) > limit && len(l.Wire()) > limit {
		return fit(files[:len(files)/2], limit)
	}
	return l
}

func comparePaths(a, b File) int { return cmp.Compare(a.Path, b.Path) }

func newList(files []File, plain []byte) *List {
	sum := sha256.Sum256(plain)
	l := &List{Digest: Digest(sum[:16]), files: files}
	l.wire = sync.OnceValue(func() []byte { return pack(kindList, encodeFiles(l.files)) })
	l.etags = sync.OnceValue(l.indexETags)
	return l
}

// Files are the list's files by path. They must not be changed.
func (l *List) Files() []File { return l.files }

// Len is the number of files.
func (l *List) Len() int { return len(l.files) }

// Bytes is the size of all files together.
func (l *List) Bytes() (n int64) {
	for _, f := range l.files {
		n += f.Blob.Size
	}
	return n
}

// Cost is about how many bytes of memory the list takes.
func (l *List) Cost() int {
	n := 256
	for _, f := range l.files {
		n += 72 + len(f.Path) + len(f.Blob.ETag) + len(f.Blob.Xet) + 16
	}
	return n
}

// Find looks a file up by its path.
func (l *List) Find(path string) (File, bool) {
	i, ok := slices.BinarySearchFunc(l.files, path, func(f File, p string) int { return strings.Compare(f.Path, p) })
	if !ok {
		return File{}, false
	}
	return l.files[i], true
}

// Holds reports whether a file of the list has this content.
func (l *List) Holds(etag ref.ETag, size int64) bool {
	keys, key := l.etags(), etagStart(etag)
	for i := sort.Search(len(keys), func(i int) bool { return keys[i].key >= key }); i < len(keys) && keys[i].key == key; i++ {
		if b := l.files[keys[i].at].Blob; b.ETag == etag && b.Size == size {
			return true
		}
	}
	return false
}

func (l *List) indexETags() []etagKey {
	keys := make([]etagKey, len(l.files))
	for i, f := range l.files {
		keys[i] = etagKey{etagStart(f.Blob.ETag), int32(i)}
	}
	slices.SortFunc(keys, func(a, b etagKey) int { return cmp.Compare(a.key, b.key) })
	return keys
}

func etagStart(e ref.ETag) uint64 {
	var b [8]byte
	if len(e) >= 16 {
		_, _ = hex.Decode(b[:], []byte(e[:16]))
	}
	return binary.BigEndian.Uint64(b[:])
}

// Wire is the list as it travels. The digest is that of its plain bytes, so a
// list can be taken from anybody.
func (l *List) Wire() []byte { return l.wire() }

// DecodeList reads what [List.Wire] wrote.
func DecodeList(b []byte) (*List, error) {
	plain, err := unpack(b, kindList)
	if err != nil {
		return nil, fmt.Errorf("file list: %w", err)
	}
	files, err := decodeFiles(plain)
	if err != nil {
		return nil, fmt.Errorf("file list: %w", err)
	}
	return newList(files, plain), nil
}

// The plain form goes by column, which compresses best: paths, then flags and
// sizes, then all hashes, which do not compress at all.
func encodeFiles(files []File) []byte {
	w := &writer{}
	w.files(files)
	return w.b
}

func (w *writer) files(files []File) {
	w.count(len(files))
	for _, f := range files {
		w.string(f.Path)
	}
	for _, f := range files {
		w.byte(blobFlags(f.Blob))
		w.uint(uint64(f.Blob.Size))
	}
	for _, f := range files {
		w.hashes(f.Blob)
	}
}

func decodeFiles(b []byte) ([]File, error) {
	r := &reader{b: b}
	files := r.files()
	return files, r.end()
}

func (r *reader) files() []File {
	const least = 1 + 1 + 1 + 1 + 20 // length and path, flags, size, etag
	n := r.count(MaxEntries, least)
	files, flags := make([]File, n), make([]byte, n)
	for i := range files {
		files[i].Path = r.path()
		if i > 0 && files[i-1].Path >= files[i].Path {
			r.fail("paths are out of order")
		}
		if r.err != nil {
			return nil
		}
	}
	for i := range files {
		flags[i], files[i].Blob.Size = r.byte(), r.size()
	}
	for i := range files {
		r.hashes(&files[i].Blob, flags[i])
	}
	if r.err != nil {
		return nil
	}
	return files
}
