// Package source says what a download can be fetched from. A source has a name
// and one verb; whatever else it can do is an extra interface, found by
// assertion. Sources claim nothing: what they send is a hint until it hashes.
package source

import (
	"context"
	"errors"
	"io"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// Kind says what sort of thing a source is; it is what people and scripts read.
type Kind string

// The kinds of sources.
const (
	Peer  Kind = "peer"  // another node
	Hub   Kind = "hub"   // the Hub, one of its mirrors, or what they redirect to
	Local Kind = "local" // the file was here, or part of it
	Reuse Kind = "reuse" // chunks of other files on this disk
)

// Source is anything that bytes of a blob can be fetched from.
type Source interface {
	// Name is short, stable and unique among the sources of a download: a
	// node's name, or a host. It never holds a token or a signed URL.
	Name() string
	Kind() Kind

	// Open starts reading n bytes at offset off of the entry's blob. The reader
	// may end early with an error and must never give more than n bytes. ctx
	// ends the request and the reader both.
	Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error)
}

// An Identified source has an identity besides its name, which others may share.
type Identified interface{ ID() string }

// A Secondhand source passes on what it has had from the Hub itself, as mirrors do: it
// counts as the Hub, but what it sends is not the Hub's word.
type Secondhand interface{ Secondhand() bool }

// A Coarse source sends more than it is asked for, at both ends of what does not
// follow the blob's content, so that long requests are better than short ones.
type Coarse interface {
	// Grain is how long a request should be at least, in bytes.
	Grain() int64
}

// A ContentMapper is a source that can give a blob's content-defined map, proven
// by the Xet hash that the Hub stated.
type ContentMapper interface {
	ContentMap(ctx context.Context, b ref.Blob) (chunk.Map, error)
}

// A ChunkHolder may hold chunks of a blob in other blobs, such as an older
// revision.
type ChunkHolder interface {
	Source
	// HasChunks says which of m's chunks are there.
	HasChunks(ctx context.Context, m chunk.Map) (*chunk.Have, error)
	// OfChunks is a source for ranges of m that begin and end with chunks.
	OfChunks(m chunk.Map) Source
}

// A Mapper is a source that can also tell what a blob is made of.
type Mapper interface {
	Map(ctx context.Context, b ref.Blob) (chunk.Map, error)
}

// Errors by which the transfer decides what becomes of a source. A source wraps
// one of them where it applies; any other error counts as a passing fault.
var (
	// ErrGone: the source does not have this blob, or not any more.
	ErrGone = errors.New("not held here")
	// ErrChanged: the source found its own copy changed since it was checked.
	ErrChanged = errors.New("its copy has changed on disk")
	// ErrBusy: the source has its hands full and may be asked again soon.
	ErrBusy = errors.New("busy")
	// ErrRefused: the source will not serve us, whatever we ask for again.
	ErrRefused = errors.New("refused")
	// ErrWrong: what the source has told is not what the Hub's hash proves.
	ErrWrong = errors.New("wrong")
)

// Making is the error of a [ContentMapper] that is working out the map it was asked
// for: it may soon have it.
type Making struct {
	Begun bool  // it fetches what is new; before that it may yet wait for somebody else
	Done  int64 // bytes that it has fetched
}

func (Making) Error() string { return "is working it out" }
