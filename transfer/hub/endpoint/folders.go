package endpoint

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"hffs/cache/ref"
)

// A folder is known by the files in it; its id is the one that git gives a tree of
// them, if none of them is executable or a link, which the Hub's lists do not say.
type folder struct{ path, oid string }

// inOrder sorts by path, byte by byte. That is also git's order: a folder stands
// where its name with a slash behind it would.
func inOrder(files []ref.Listed) []ref.Listed {
	byPath := func(a, b ref.Listed) int { return strings.Compare(a.Path, b.Path) }
	if slices.IsSortedFunc(files, byPath) {
		return files
	}
	return slices.SortedFunc(slices.Values(files), byPath)
}

// folders finds all folders but the root.
func folders(files []ref.Listed) []folder {
	w := &walk{open: []tree{{}}}
	for _, f := range inOrder(files) {
		w.enter(folderOf(f.Path))
		w.add("100644", path.Base(f.Path), f.Blob.OID())
	}
	w.enter("")
	slices.SortFunc(w.done, func(a, b folder) int { return strings.Compare(a.path, b.path) })
	return w.done
}

// walk goes through sorted paths; the folders that it is in are open.
type walk struct {
	open []tree
	done []folder
}

type tree struct {
	path string
	text []byte // as git writes a tree: mode, name and id of each entry
}

// enter leaves and opens folders until it is in dir.
func (w *walk) enter(dir string) {
	for !within(w.top().path, dir) {
		w.leave()
	}
	for w.top().path != dir {
		rest := strings.TrimPrefix(strings.TrimPrefix(dir, w.top().path), "/")
		name, _, _ := strings.Cut(rest, "/")
		w.open = append(w.open, tree{path: path.Join(w.top().path, name)})
	}
}

func (w *walk) leave() {
	t := w.top()
	head := fmt.Appendf(nil, "tree %d\x00", len(t.text))
	sum := sha1.Sum(append(head, t.text...))
	oid := hex.EncodeToString(sum[:])
	w.done = append(w.done, folder{t.path, oid})
	w.open = w.open[:len(w.open)-1]
	w.add("40000", path.Base(t.path), oid)
}

// add notes an entry. Nobody asks for the root, which need not be kept.
func (w *walk) add(mode, name, oid string) {
	if len(w.open) == 1 {
		return
	}
	id, _ := hex.DecodeString(oid)
	t := &w.open[len(w.open)-1]
	t.text = append(fmt.Appendf(t.text, "%s %s\x00", mode, name), id...)
}

func (w *walk) top() tree { return w.open[len(w.open)-1] }

// within reports whether p is dir or lies in it.
func within(dir, p string) bool {
	return dir == "" || p == dir || strings.HasPrefix(p, dir+"/")
}

// folderOf is the folder of a path; empty is the root.
func folderOf(p string) string {
	return p[:max(0, strings.LastIndexByte(p, '/'))]
}
