package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	lru "github.com/hashicorp/golang-lru/v2"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// Limits on trees/<commit>.json, which other tools write, and on how many of
// them are kept in memory.
const (
	maxTreeBytes = 64 << 20
	maxTrees     = 32
)

// tree is the file list of a commit: which blob stands behind each path.
type tree map[string]ref.Blob

var errBadTree = errors.New("not a file list of a known version")

// decodeTree reads huggingface_hub's trees/<commit>.json, format version 1. A
// path or hash that makes no sense is left out, the rest still serves.
func decodeTree(r io.Reader) (tree, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxTreeBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxTreeBytes {
		return nil, fmt.Errorf("file list is longer than %d bytes", maxTreeBytes)
	}
	var doc struct {
		Version int                 `json:"format_version"`
		Files   map[string]treeFile `json:"files"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if doc.Version != 1 {
		return nil, errBadTree
	}
	t := make(tree, len(doc.Files))
	for path, f := range doc.Files {
		if b, err := f.blob(); err == nil && ref.CheckPath(path) == nil {
			t[path] = b
		}
	}
	return t, nil
}

type treeFile struct {
	Size   int64  `json:"size"`
	BlobID string `json:"blob_id"`
	SHA256 string `json:"lfs_sha256"`
	LFS    *int64 `json:"lfs_size"`
	Xet    string `json:"xet_hash"`
}

// blob takes the sha256 for LFS files, where blob_id is that of the pointer text.
func (f treeFile) blob() (ref.Blob, error) {
	name, size := f.BlobID, f.Size
	if f.SHA256 != "" {
		name = f.SHA256
		if f.LFS != nil {
			size = *f.LFS
		}
	}
	etag, err := ref.ParseETag(name)
	if err != nil {
		return ref.Blob{}, err
	}
	xet, _ := ref.ParseXetHash(f.Xet) // redacted for some readers
	return ref.Blob{ETag: etag, Size: size, Xet: xet}, ref.CheckSize(size)
}

// treeCache keeps the trees read last, each for as long as its file stays as it is.
type treeCache struct{ c *lru.Cache[string, readTree] }

type readTree struct {
	stamp disk.Stamp
	tree  tree
}

func newTreeCache() *treeCache {
	c, err := lru.New[string, readTree](maxTrees)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &treeCache{c}
}

// tree returns the file list of a commit, nil when there is none to be had.
func (c *Cache) tree(repo ref.Repo, commit ref.Commit) tree {
	path := c.abs(repo.Folder() + "/" + treesDir + "/" + string(commit) + ".json")
	f, stamp, err := disk.OpenFile(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if got, ok := c.trees.c.Get(path); ok && got.stamp == stamp {
		return got.tree
	}
	t, err := decodeTree(f)
	if err != nil {
		c.log.Debug("file list of a commit is unreadable", "path", path, "error", err)
	}
	c.trees.c.Add(path, readTree{stamp, t})
	return t
}
