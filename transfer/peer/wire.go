// Package peer is the protocol by which nodes hand each other bytes: plain
// HTTP/1.1 with ranges, so that the kernel's sendfile can serve it and curl can
// debug it. wire.go is what both doors agree on, client.go a source.Source over
// another node, chunks.go both halves of asking for chunks by hash, server.go the
// door that only reads, and only what this machine's cache holds and has checked.
//
//	GET  /v1/blobs/{etag}      the blob's bytes; one Range at most; 200, 206, 416
//	HEAD /v1/blobs/{etag}      whether it is held, and its size
//	GET  /v1/blobs/{etag}/map  the hashes of its chunks (see below)
//	GET  /v1/maps/{xet hash}?etag={etag}
//	                           the blob's content-defined map, whose root is that hash;
//	                           503 with [HeaderMaking] while it is being worked out
//	POST /v1/chunks/have       which of these chunks are held, in whatever blob
//	POST /v1/chunks            these chunks' bytes
//	POST /v1/batch/have        which of these blobs are held
//	POST /v1/batch             these small blobs' bytes (batch.go)
//	GET  /v1/feeds/{etag}      news of a blob that is being fetched (feed.go)
//
// A blob that is being fetched is served as far as it is there, one range at a
// time. What is not there is 404; [HeaderHave] then tells how much of the blob has
// arrived. A blob whose file changed since it was
// checked is 410 with [HeaderReason]; the asker drops this holder.
//
// A map has the form that chunk.EncodeMap gives it; the blob's size, which the
// asker knows from the Hub, bounds what it takes.
//
// Chunks are asked for by their raw hashes, 32 bytes each, one behind the other,
// at most [MaxHave] or [MaxChunks] of them. The first answer is a bit for each,
// from the lowest bit of the first byte on; the second one is, for each in the
// order asked for, its length (u32, little-endian) and its bytes. Length 0 says
// that it is not held.
package peer

import (
	"fmt"
	"strconv"
	"strings"

	"hffs/transfer/source"
)

// What stands on the wire.
const (
	PathBlobs  = "/v1/blobs/"
	PathMaps   = "/v1/maps/"
	PathChunks = "/v1/chunks"
	PathBatch  = "/v1/batch"
	pathHave   = "/v1/chunks/have"

	pathBatchHave = "/v1/batch/have"

	// MaxHave and MaxChunks bound what one request asks for.
	MaxHave   = 8192
	MaxChunks = 1024
	hashLen   = 32

	// HeaderHave is "<bytes here> <size>" for a blob that is being fetched.
	HeaderHave = "Hffs-Have"
	// HeaderMaking is "<begun> <bytes fetched>" of a map that is being worked out;
	// begun is 0 or 1.
	HeaderMaking = "Hffs-Making"
	// HeaderReason says in words why a request was refused.
	HeaderReason = "Hffs-Reason"
)

// Paths are all that the server answers for.
var Paths = []string{PathBlobs, PathMaps, PathChunks, PathChunks + "/", PathBatch, PathBatch + "/", PathFeeds}

func formatMaking(m source.Making) string {
	begun := 0
	if m.Begun {
		begun = 1
	}
	return fmt.Sprintf("%d %d", begun, m.Done)
}

// parseMaking reads [HeaderMaking], which is no longer than that can be.
func parseMaking(text string) (m source.Making, ok bool) {
	const most = 2 + 19
	begun, done, _ := strings.Cut(text, " ")
	n, err := strconv.ParseUint(done, 10, 63)
	if len(text) > most || err != nil || begun != "0" && begun != "1" {
		return m, false
	}
	return source.Making{Begun: begun == "1", Done: int64(n)}, true
}
