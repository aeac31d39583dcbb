package source

import (
	"context"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// News is one thing that a node which fetches a blob tells others that fetch it
// too: what of it can be had from there by now, and what it is about to draw from
// the Hub, so that nobody else does. All of it is about a range of bytes, since
// two nodes may cut the same blob differently.
type News struct {
	Kind     NewsKind
	Off, Len int64 // bytes
	// By is the node that answers for these bytes, having drawn them from the Hub;
	// empty is the one who tells. Sums are what they hash to, for each chunk of
	// chunk.FixedLen in the range. Both are for [NewsHave] of a blob whose map no
	// Xet hash has proven.
	By   string
	Sums []chunk.Hash
}

// NewsKind says what happened.
type NewsKind byte

// What can be told.
const (
	NewsHave    NewsKind = iota + 1 // these bytes can be had here
	NewsLost                        // they cannot any more
	NewsClaim                       // I draw these from the Hub
	NewsRelease                     // I do not draw them any more
	NewsDraws                       // I draw from the Hub at all: Len is 1, or 0 for no
	NewsWhole                       // the whole blob can be had here, and the news end
)

// A Fellow is a source that may be fetching the blob itself.
type Fellow interface {
	Source
	// NodeID is the node's identity.
	NodeID() string
	// Follow tells the source's news as they come: at first all there are. It
	// returns when they end: nil after NewsWhole, ErrGone where the blob is not being
	// fetched.
	Follow(ctx context.Context, b ref.Blob, tell func([]News)) error
}
