package source

import (
	"context"

	"hffs/cache/ref"
)

// BatchBlobMost is the size in bytes up to which a blob may be one of many in an
// answer.
const BatchBlobMost = 512 << 10

// A Batcher is a source that gives many small blobs in one answer, where asking for
// each would cost more than the bytes.
type Batcher interface {
	Source
	// HasBlobs says which blobs the source holds, of any size.
	HasBlobs(ctx context.Context, etags []ref.ETag) ([]bool, error)
	// Blobs gives small blobs in the order asked for, with their place in it. What
	// the source does not hold is left out. Data is the receiver's own and, as from
	// every source, a hint until it hashes; its length is right.
	Blobs(ctx context.Context, blobs []ref.Blob, each func(i int, data []byte) error) error
}
