package node

import (
	"errors"
	"os"
	"strings"

	"hffs/cache"
	"hffs/cache/ref"
)

// A cache may be a shelf that many read and few may write to, such as a read-only mount.
// What is there is shared like anything else; nothing can be fetched into it.

// Shelf tells in one line what cannot be written, and where this node keeps what is its
// own instead; empty where all is as usual.
func (n *Node) Shelf() string {
	var said []string
	if n.cache.Writable() != nil && n.readable() {
		said = append(said, n.cfg.Place.Hub+" can be read and shared, not written: nothing new can be fetched into it")
	}
	if n.cfg.Place.Moved {
		said = append(said, "what hffs keeps is in "+n.cfg.Place.State)
	}
	return strings.Join(said, "; ")
}

// checkShelf refuses to stay for a cache that can be neither read nor written: there
// will never be anything to share.
func (n *Node) checkShelf() error {
	if n.brief != nil || n.readable() {
		return nil
	}
	return n.cache.Writable()
}

func (n *Node) readable() bool {
	_, err := os.ReadDir(n.cache.Dir())
	return err == nil
}

// out tells that a blob is not here and cannot come: the cache can only be read.
func (e *engine) out(entry ref.Entry) bool {
	return e.cache.Writable() != nil && e.cache.Lacks(entry)
}

// lies is where the bytes of an entry are. On a shelf they may have come under another
// name only.
func (e *engine) lies(entry ref.Entry, path string, err error) (string, bool) {
	if locked := (*cache.NotWritableError)(nil); !errors.As(err, &locked) {
		return path, err == nil
	}
	held, err := e.cache.Blob(entry.Blob.ETag)
	if err != nil {
		return "", false
	}
	defer held.Close()
	return held.File.Name(), true
}
