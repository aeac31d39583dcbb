package standin

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"hffs/cache/ref"
)

// Content is the bytes of one file. It is immutable; the methods return changed
// copies.
type Content struct {
	open   func() (io.ReadSeekCloser, error)
	size   int64
	sha1   string // as git names the blob
	sha256 string
	xet    ref.XetHash
	kind   kind
}

// kind is how a file is stored on the Hub.
type kind int

const (
	byName  kind = iota // as the Hub decides: by size and name
	regular             // in git
	lfs                 // large file storage
)

// Bytes is content held in memory.
func Bytes(b []byte) Content {
	c, err := newContent(int64(len(b)), func() (io.ReadSeekCloser, error) {
		return nopCloser{bytes.NewReader(b)}, nil
	})
	if err != nil {
		panic(err) // reading memory does not fail
	}
	return c
}

// String is content held in memory.
func String(s string) Content { return Bytes([]byte(s)) }

// FromFile is the content of a file, which must not change as long as it serves.
func FromFile(name string) (Content, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Content{}, err
	}
	return newContent(info.Size(), func() (io.ReadSeekCloser, error) { return os.Open(name) })
}

// Synthetic is pseudo-random content that is the same for the same seed at any
// time, and is never held anywhere: each read computes it. A shorter one is the
// beginning of a longer one.
func Synthetic(seed uint64, size int64) Content {
	c, err := newContent(size, func() (io.ReadSeekCloser, error) { return newNoise(seed, size), nil })
	if err != nil {
		panic(err) // computing bytes does not fail
	}
	return c
}

func newContent(size int64, open func() (io.ReadSeekCloser, error)) (Content, error) {
	c := Content{open: open, size: size}
	r, err := open()
	if err != nil {
		return c, err
	}
	defer r.Close()
	git, plain := sha1.New(), sha256.New()
	fmt.Fprintf(git, "blob %d\x00", size)
	if n, err := io.Copy(io.MultiWriter(git, plain), r); err != nil || n != size {
		return c, errors.Join(fmt.Errorf("read %d of %d bytes", n, size), err)
	}
	c.sha1, c.sha256 = hex.EncodeToString(git.Sum(nil)), hex.EncodeToString(plain.Sum(nil))
	return c, nil
}

// LFS is the content stored as a large file whatever its size and name.
func (c Content) LFS() Content { c.kind = lfs; return c }

// Regular is the content stored in git whatever its size and name.
func (c Content) Regular() Content { c.kind = regular; return c }

// Xet is the content with a Xet hash, which the Hub then announces.
func (c Content) Xet(hash ref.XetHash) Content { c.xet = hash; return c }

// Size is the content's length in bytes.
func (c Content) Size() int64 { return c.size }

// SHA256 is the hash of the content, in hex.
func (c Content) SHA256() string { return c.sha256 }

// Open reads the content from its beginning.
func (c Content) Open() (io.ReadSeekCloser, error) { return c.open() }

// lfsNames are patterns of the .gitattributes that the Hub gives new repos.
var lfsNames = strings.Fields(`*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gguf *.gz *.h5 *.joblib *.lfs.* *.mlmodel
	*.model *.msgpack *.npy *.npz *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors *.tar
	*.tar.* *.tflite *.tgz *.wasm *.xz *.zip *.zst *tfevents*`)

// decided is the content with its kind settled for the given name. An empty
// file is never LFS: git's filter leaves it alone.
func (c Content) decided(name string) Content {
	if c.kind != byName {
		return c
	}
	c.kind = regular
	if c.size > 10<<20 {
		c.kind = lfs
	}
	for _, pattern := range lfsNames {
		if ok, _ := path.Match(pattern, path.Base(name)); ok && c.size > 0 {
			c.kind = lfs
		}
	}
	return c
}

// etag is the content id that the Hub gives the file.
func (c Content) etag() string {
	if c.kind == lfs {
		return c.sha256
	}
	return c.sha1
}

// pointer is the text that git holds in the place of an LFS file.
func (c Content) pointer() string {
	return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", c.sha256, c.size)
}

// oid is the git id of what git holds: the content or the pointer.
func (c Content) oid() string {
	if c.kind == lfs {
		return gitID("blob", []byte(c.pointer()))
	}
	return c.sha1
}

// gitID is the name that git gives an object.
func gitID(kind string, data []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "%s %d\x00", kind, len(data)), data...))
	return hex.EncodeToString(sum[:])
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// noise is a stream of AES-CTR key bytes: as good as random, fast, and any place
// of it can be computed on its own.
type noise struct {
	block cipher.Block
	size  int64
	pos   int64
	keys  cipher.Stream // stands at pos; nil after a seek
}

func newNoise(seed uint64, size int64) *noise {
	var key [16]byte
	binary.BigEndian.PutUint64(key[:], seed)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of the wrong length
	}
	return &noise{block: block, size: size}
}

func (z *noise) Read(p []byte) (int, error) {
	if z.pos >= z.size {
		return 0, io.EOF
	}
	if z.keys == nil {
		z.keys = z.streamAt(z.pos)
	}
	p = p[:min(int64(len(p)), z.size-z.pos)]
	clear(p)
	z.keys.XORKeyStream(p, p)
	z.pos += int64(len(p))
	return len(p), nil
}

func (z *noise) streamAt(pos int64) cipher.Stream {
	var counter [aes.BlockSize]byte
	binary.BigEndian.PutUint64(counter[8:], uint64(pos/aes.BlockSize))
	keys := cipher.NewCTR(z.block, counter[:])
	var skip [aes.BlockSize]byte
	keys.XORKeyStream(skip[:pos%aes.BlockSize], skip[:pos%aes.BlockSize])
	return keys
}

func (z *noise) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += z.pos
	case io.SeekEnd:
		offset += z.size
	}
	if offset < 0 {
		return z.pos, errors.New("seek before the beginning")
	}
	if offset != z.pos {
		z.pos, z.keys = offset, nil
	}
	return offset, nil
}

func (z *noise) Close() error { return nil }
