// Package manifest is what one node says it holds, and how that travels.
//
// Read it in this order. [Holdings] is what the node's cache reports. [Build]
// cuts it into two levels: a [Summary] with one line per snapshot, small enough
// that every node keeps everybody's, and one [List] of files per snapshot,
// named by its [Digest] and fetched by whoever needs it. Equal snapshots have
// equal lists on every node, so a list is fetched once however many hold it.
// [Diff] tells two summaries apart as a [Delta], and [Delta.Apply] replays it
// elsewhere. A [Tree] is no part of this: it is what a node answers when it is asked
// for all files of a commit. message.go and codec.go are the bytes on the wire.
//
// A manifest names repos, commits, paths, sizes and hashes. It never carries
// chunk lists or how far a running fetch has come: those change many times a
// second and are asked of their owner.
//
// Clocks of machines are never compared: when a branch was learnt is written as
// its age at the moment of sending and read as a time of the reader's clock.
package manifest

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"hffs/cache/ref"
)

// File is a file of a snapshot: its path and the blob behind it.
type File = ref.Listed

// Snapshot is what a node holds of a repo at one commit, sorted by path.
type Snapshot struct {
	Repo   ref.Repo
	Commit ref.Commit
	Files  []File
}

// Ref is what a node last heard a branch or tag to stand for. Learnt is when
// the Hub said so, on the clock of whoever reads this value.
type Ref struct {
	Repo   ref.Repo
	Name   string
	Commit ref.Commit
	Learnt time.Time
}

// Holdings is all that a node shares. Partials is what it is fetching just now,
// at most [MaxPartials].
type Holdings struct {
	Snapshots []Snapshot
	Refs      []Ref
	Partials  []ref.Entry
}

// Digest names a file list by its content: the first half of a SHA-256.
type Digest [16]byte

// String is the digest as it stands in a URL.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest is the reverse of [Digest.String].
func ParseDigest(s string) (d Digest, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) {
		return d, fmt.Errorf("list digest %q: %w", clip(s), ErrMalformed)
	}
	return Digest(b), nil
}

// Check tells whether two summaries are the same without comparing them. It
// leaves out the ages of refs, which differ at every look.
type Check [8]byte

// Version orders the manifests of one node. Epoch changes when the node's
// process does; within an epoch Seq only grows. Seq 0 is the empty manifest.
type Version struct {
	Epoch uint64
	Seq   uint64
}

// After reports whether v is newer than w, both of the same node and process.
func (v Version) After(w Version) bool { return v.Epoch == w.Epoch && v.Seq > w.Seq }

// String prints the version for logs.
func (v Version) String() string { return fmt.Sprintf("%x.%d", v.Epoch, v.Seq) }

// What a reader decides by.
var (
	// ErrMalformed: the bytes break the format or one of its limits.
	ErrMalformed = errors.New("malformed manifest")
	// ErrGap: a delta does not begin where the summary at hand ends.
	ErrGap = errors.New("a change in between is missing")
)

// CompareRepos orders repos by type and id.
func CompareRepos(a, b ref.Repo) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
}

func clip(s string) string { return s[:min(len(s), 64)] }

func compareRefs(a, b Ref) int {
	return cmp.Or(CompareRepos(a.Repo, b.Repo), cmp.Compare(a.Name, b.Name))
}

func compareEntries(a, b ref.Entry) int {
	return cmp.Or(CompareRepos(a.Repo, b.Repo), cmp.Compare(a.Commit, b.Commit),
		cmp.Compare(a.Path, b.Path), strings.Compare(string(a.Blob.ETag), string(b.Blob.ETag)))
}
