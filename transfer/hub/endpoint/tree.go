package endpoint

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"hffs/cache/ref"
)

// listed is a file or folder in tree and paths-info. The oid of a large file is
// that of its pointer; its content's id stands under lfs. The Hub's xetHash is left
// out: clients would fetch from Xet's servers by it.
type listed struct {
	Type       string      `json:"type"`
	OID        string      `json:"oid"`
	Size       int64       `json:"size"`
	LFS        *listedLFS  `json:"lfs,omitempty"`
	Path       string      `json:"path"`
	LastCommit *lastCommit `json:"lastCommit,omitempty"`
}

type listedLFS struct {
	OID         ref.ETag `json:"oid"`
	Size        int64    `json:"size"`
	PointerSize int      `json:"pointerSize"`
}

// lastCommit is said to be the revision's own where the Hub cannot be asked which
// one changed a file: huggingface.js names snapshots by it, so it is the right one.
type lastCommit struct {
	ID    ref.Commit `json:"id"`
	Title string     `json:"title"`
	Date  string     `json:"date"`
}

func fileOf(f ref.Listed, last *lastCommit) listed {
	l := listed{Type: "file", OID: f.Blob.OID(), Size: f.Blob.Size, Path: f.Path, LastCommit: last}
	if f.Blob.ETag.IsSHA256() {
		l.LFS = &listedLFS{f.Blob.ETag, f.Blob.Size, f.Blob.PointerSize()}
	}
	return l
}

func folderEntry(f folder, last *lastCommit) listed {
	return listed{Type: "directory", OID: f.oid, Path: f.path, LastCommit: last}
}

// tree answers /api/{type}/{repo}/tree/{revision}[/{folder}] in one page: clients
// follow the Hub's links to further ones around us, or read the first only.
func (x *exchange) tree(a ask) {
	query := x.r.URL.Query()
	expand, later := isTrue(query.Get("expand")), query.Has("cursor")
	switch {
	case expand && later:
		x.forward() // the first page was the Hub's as well
	case later:
		x.json(http.StatusOK, []listed{}) // some ask until they get nothing
	case expand && x.hubAnswers():
	default:
		x.ownTree(a, query)
	}
}

func (x *exchange) ownTree(a ask, query url.Values) {
	var v view
	err := x.at(a.repo, places(a.rest, 0), func(p place) (err error) {
		v, err = x.open(a.repo, p.revision)
		v.folder = strings.Trim(p.path, "/")
		return err
	})
	if err == nil {
		err = v.check(x.fromHub() && isTrue(query.Get("recursive")))
	}
	if err != nil {
		x.refuse(err)
		return
	}
	x.list(v, isTrue(query.Get("recursive")), x.last(v, query.Get("expand")))
}

// A view is the files of a repo at a commit.
type view struct {
	repo     ref.Repo
	revision string // as asked for
	commit   ref.Commit
	files    []ref.Listed
	whole    bool
	folder   string // what of it was asked for; empty is all
}

func (x *exchange) open(repo ref.Repo, revision string) (view, error) {
	v := view{repo: repo, revision: revision}
	var err error
	if v.commit, err = x.lib.Commit(x.r.Context(), repo, revision); err != nil {
		return v, err
	}
	v.files, v.whole, err = x.lib.List(x.r.Context(), repo, v.commit)
	return v, err
}

// check refuses what cannot be listed. keeps: the client writes a full list of a
// commit down as all its files, and never asks again, so it must not get less.
func (v view) check(keeps bool) error {
	if keeps && !v.whole && v.folder == "" && ref.IsCommit(v.revision) {
		return notWhole(v.commit)
	}
	if v.folder == "" {
		return nil
	}
	for _, f := range v.files {
		if strings.HasPrefix(f.Path, v.folder+"/") {
			return nil
		}
	}
	no := &Failure{Status: http.StatusNotFound, Code: codeEntryNotFound,
		Message: fmt.Sprintf("%s does not exist on %q", v.folder, v.revision)}
	if v.whole {
		no.Commit = v.commit
	}
	return no
}

// list sends folders first, then files, each by path. It is written as it is made:
// a commit may have hundreds of thousands.
func (x *exchange) list(v view, recursive bool, last *lastCommit) {
	x.w.Header().Set("Content-Type", typeJSON)
	shown := func(p string) bool {
		return folderOf(p) == v.folder || recursive && within(v.folder, p) && p != v.folder
	}
	out := &array{w: bufio.NewWriterSize(x.w, 32<<10)}
	for _, f := range folders(v.files) {
		if shown(f.path) {
			out.add(folderEntry(f, last))
		}
	}
	for _, f := range inOrder(v.files) {
		if shown(f.Path) {
			out.add(fileOf(f, last))
		}
	}
	out.end()
}

// array writes a JSON array element by element. A client that is gone is found by
// the writer, which keeps its first error.
type array struct {
	w    *bufio.Writer
	more bool
}

func (a *array) add(l listed) {
	sep := byte('[')
	if a.more {
		sep = ','
	}
	a.more = true
	_ = a.w.WriteByte(sep)
	if text, err := marshal(l); err == nil {
		_, _ = a.w.Write(text)
	}
}

func (a *array) end() {
	if !a.more {
		_ = a.w.WriteByte('[')
	}
	_ = a.w.WriteByte(']')
	_ = a.w.Flush()
}

// last is what stands for the commit that changed a file; nil where nobody asked.
func (x *exchange) last(v view, expand string) *lastCommit {
	if !isTrue(expand) {
		return nil
	}
	last := &lastCommit{ID: v.commit, Date: "1970-01-01T00:00:00.000Z"}
	var info struct {
		LastModified string `json:"lastModified"`
	}
	said, err := x.lib.Info(x.r.Context(), v.repo, string(v.commit), nil)
	if err == nil && json.Unmarshal(said, &info) == nil && info.LastModified != "" {
		last.Date = info.LastModified
	}
	return last
}
