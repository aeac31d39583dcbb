package ref

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// MaxBlobSize bounds the size of a blob that anyone may claim, in bytes: 16 TiB,
// well above the largest file that the Hub takes (500 GB).
const MaxBlobSize = 1 << 44

// ETag is the content id that the Hub gives a file and that names its blob in
// the cache: the git blob sha1 for regular files (40 hex digits), the sha256
// of the content for LFS files (64 hex digits). Always lower case.
type ETag string

// ParseETag accepts the id bare or as an HTTP header has it, in quotes.
func ParseETag(s string) (ETag, error) {
	v := strings.Trim(strings.TrimPrefix(strings.TrimSpace(s), "W/"), `"`)
	if (len(v) != 40 && len(v) != 64) || !isHex(v) {
		return "", &Error{"etag", s, "it is neither a git sha1 nor a sha256"}
	}
	return ETag(strings.ToLower(v)), nil
}

// IsSHA256 tells LFS files from regular ones.
func (e ETag) IsSHA256() bool { return len(e) == 64 }

// NewHash returns the hash whose sum over a blob of the given size (bytes) is
// this etag: sha256, or sha1 behind git's "blob <size>\0" header.
func (e ETag) NewHash(size int64) hash.Hash {
	if e.IsSHA256() {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", size)
	return h
}

// Matches reports whether sum, as computed by [ETag.NewHash], is this etag.
func (e ETag) Matches(sum []byte) bool { return hex.EncodeToString(sum) == string(e) }

// XetHash is the file hash that the Hub announces as X-Xet-Hash, in Xet's own
// string form (64 lower-case hex digits); empty where a blob has none.
type XetHash string

// ParseXetHash accepts exactly 64 hex digits; the Hub may also send a redacted
// hash of 64 asterisks, which is an error here.
func ParseXetHash(s string) (XetHash, error) {
	if len(s) != 64 || !isHex(s) {
		return "", &Error{"Xet hash", s, "it is not 64 hex digits"}
	}
	return XetHash(strings.ToLower(s)), nil
}

// Blob is the bytes behind a file: named by ETag, Size bytes long, with its Xet
// hash where the Hub gave one.
type Blob struct {
	ETag ETag
	Size int64
	Xet  XetHash
}

// CheckSize refuses sizes that no file on the Hub can have.
func CheckSize(n int64) error {
	if n < 0 || n > MaxBlobSize {
		return &Error{"size", fmt.Sprint(n), "it is negative or absurdly large"}
	}
	return nil
}
