package ref

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
)

// Listed is one file in the list of a commit's files.
type Listed struct {
	Path string
	Blob Blob
}

// OID is the git object id by which the Hub lists the blob: the etag of a regular
// file; for an LFS file that of the pointer text which stands for it in git.
func (b Blob) OID() string {
	if !b.ETag.IsSHA256() {
		return string(b.ETag)
	}
	text := b.Pointer()
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(text), text))
	return hex.EncodeToString(sum[:])
}

// PointerSize is the length of an LFS file's pointer text, in bytes.
func (b Blob) PointerSize() int { return len(b.Pointer()) }

// Pointer is the text that git keeps for an LFS file; see git-lfs' specification,
// "The Pointer".
func (b Blob) Pointer() string {
	return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", b.ETag, b.Size)
}
