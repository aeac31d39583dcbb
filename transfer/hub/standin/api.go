package standin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hffs/cache/ref"
)

// maxAsk bounds the body of a POST.
const maxAsk = 4 << 20

func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// info answers /api/{type}/{repo} and .../revision/{revision}.
func (x *exchange) info(a ask) {
	v, ok := x.open(a)
	if !ok {
		return
	}
	c, ok := x.commit(v, a.revision)
	if !ok {
		return
	}
	all := v.infoFields(c, isTrue(x.r.URL.Query().Get("blobs")))
	x.json(http.StatusOK, only(all, x.r.URL.Query()))
}

func (v view) infoFields(c *commit, blobs bool) map[string]any {
	owner, _, _ := strings.Cut(v.name.ID, "/")
	fields := map[string]any{
		"_id": objectID(v.name.String()), "id": v.name.ID, "author": owner, "sha": c.id,
		"createdAt": date(epoch), "lastModified": date(c.date),
		"private": v.private, "gated": any(false), "disabled": v.closed,
		"downloads": 0, "likes": 0, "tags": []string{"region:us"},
		"siblings": c.siblings(blobs), "usedStorage": c.size(),
	}
	if v.gated != "" {
		fields["gated"] = v.gated
	}
	if v.name.Type == ref.Model {
		fields["modelId"] = v.name.ID
	}
	return fields
}

// only keeps the fields that expand asks for; without it all are given. Fields
// that we do not know are left out, as are unknown parameters.
func only(all map[string]any, q url.Values) map[string]any {
	want := append(q["expand"], q["expand[]"]...)
	if len(want) == 0 {
		return all
	}
	all["xetEnabled"] = true // told only to those who ask: older clients, before they upload
	some := map[string]any{}
	for _, k := range append(want, "_id", "id") {
		if v, ok := all[k]; ok {
			some[k] = v
		}
	}
	return some
}

type sibling struct {
	BlobID    string      `json:"blobId,omitempty"`
	LFS       *siblingLFS `json:"lfs,omitempty"`
	RFilename string      `json:"rfilename"`
	Size      *int64      `json:"size,omitempty"`
}

type siblingLFS struct {
	PointerSize int    `json:"pointerSize"`
	SHA256      string `json:"sha256"`
	Size        int64  `json:"size"`
}

func (c *commit) siblings(blobs bool) []sibling {
	list := []sibling{}
	for p, content := range c.files {
		s := sibling{RFilename: p}
		if blobs {
			s.BlobID, s.Size = content.oid(), &content.size
			if content.kind == lfs {
				s.LFS = &siblingLFS{len(content.pointer()), content.sha256, content.size}
			}
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b sibling) int { return cmp.Compare(a.RFilename, b.RFilename) })
	return list
}

func (c *commit) size() (n int64) {
	for _, content := range c.files {
		n += content.size
	}
	return n
}

// treeEntry is a file or folder in tree and paths-info. The oid of an LFS file
// is that of its pointer; the sha256 stands under lfs.
type treeEntry struct {
	Type       string      `json:"type"`
	OID        string      `json:"oid"`
	Size       int64       `json:"size"`
	LFS        *treeLFS    `json:"lfs,omitempty"`
	XetHash    ref.XetHash `json:"xetHash,omitempty"`
	Path       string      `json:"path"`
	LastCommit *lastCommit `json:"lastCommit,omitempty"`
}

type treeLFS struct {
	OID         string `json:"oid"`
	Size        int64  `json:"size"`
	PointerSize int    `json:"pointerSize"`
}

type lastCommit struct {
	ID    ref.Commit `json:"id"`
	Title string     `json:"title"`
	Date  string     `json:"date"`
}

func (c *commit) fileEntry(p string, expand bool) treeEntry {
	content := c.files[p]
	e := treeEntry{Type: "file", OID: content.oid(), Size: content.size, XetHash: content.xet, Path: p}
	if content.kind == lfs {
		e.LFS = &treeLFS{content.sha256, content.size, len(content.pointer())}
	}
	if last := c.lastChange(p); expand {
		e.LastCommit = &lastCommit{last.id, last.title, date(last.date)}
	}
	return e
}

func (c *commit) folderEntry(p string, expand bool) treeEntry {
	e := treeEntry{Type: "directory", OID: c.trees[p], Path: p}
	if expand {
		e.LastCommit = &lastCommit{c.id, c.title, date(c.date)}
	}
	return e
}

// tree answers /api/{type}/{repo}/tree/{revision}[/{folder}].
func (x *exchange) tree(a ask) {
	v, ok := x.open(a)
	if !ok {
		return
	}
	c, ok := x.commit(v, a.revision)
	if !ok {
		return
	}
	if _, ok := c.trees[a.path]; !ok {
		x.w.Header().Set("X-Repo-Commit", string(c.id))
		x.fail(http.StatusNotFound, "EntryNotFound", fmt.Sprintf("%s does not exist on %q", a.path, a.revision))
		return
	}
	q := x.r.URL.Query()
	list := c.list(a.path, isTrue(q.Get("recursive")), isTrue(q.Get("expand")))
	x.json(http.StatusOK, x.page(list, q))
}

// list has the folders first, then the files, each sorted by path.
func (c *commit) list(folder string, recursive, expand bool) []treeEntry {
	list := []treeEntry{}
	for p := range c.trees {
		if p != "" && within(folder, p, recursive) {
			list = append(list, c.folderEntry(p, expand))
		}
	}
	for p := range c.files {
		if within(folder, p, recursive) {
			list = append(list, c.fileEntry(p, expand))
		}
	}
	slices.SortFunc(list, func(a, b treeEntry) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Path, b.Path))
	})
	return list
}

func within(folder, p string, recursive bool) bool {
	if !recursive {
		return parent(p) == folder
	}
	return folder == "" || strings.HasPrefix(p, folder+"/")
}

// page cuts a long list and points to the rest: an absolute URL with the Hub's
// own host. An unknown cursor gives an empty page, so that no client loops.
func (x *exchange) page(list []treeEntry, q url.Values) []treeEntry {
	from := 0
	if cursor := q.Get("cursor"); cursor != "" {
		n, err := strconv.Atoi(cursor)
		if err != nil || n < 0 || n > len(list) {
			return []treeEntry{}
		}
		from = n
	}
	list = list[from:]
	if size := x.h.PageSize; size > 0 && len(list) > size {
		list = list[:size]
		q.Set("cursor", strconv.Itoa(from+size))
		x.w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, x.base(), x.r.URL.EscapedPath(), q.Encode()))
	}
	return list
}

// pathsInfo answers POST /api/{type}/{repo}/paths-info/{revision}; paths that do
// not exist are left out.
func (x *exchange) pathsInfo(a ask) {
	v, ok := x.open(a)
	if !ok {
		return
	}
	c, ok := x.commit(v, a.revision)
	if !ok {
		return
	}
	paths, expand, err := x.askedPaths()
	if err != nil {
		x.fail(http.StatusBadRequest, "", err.Error())
		return
	}
	list := []treeEntry{}
	for _, p := range paths {
		p = strings.Trim(p, "/")
		if _, isFile := c.files[p]; isFile {
			list = append(list, c.fileEntry(p, expand))
		} else if _, isFolder := c.trees[p]; isFolder && p != "" {
			list = append(list, c.folderEntry(p, expand))
		}
	}
	x.json(http.StatusOK, list)
}

// askedPaths reads the body: a form from Python, JSON from all others.
func (x *exchange) askedPaths() (paths []string, expand bool, err error) {
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxAsk)
	kind, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if kind != "application/json" {
		err = x.r.ParseForm()
		return x.r.PostForm["paths"], isTrue(x.r.PostForm.Get("expand")), err
	}
	var body struct {
		Paths  []string `json:"paths"`
		Expand bool     `json:"expand"`
	}
	data, err := io.ReadAll(x.r.Body)
	if err == nil {
		err = json.Unmarshal(data, &body)
	}
	return body.Paths, body.Expand, err
}

// refList has its keys in the Hub's order; Python needs the first three.
type refList struct {
	Tags         []refEntry `json:"tags"`
	Branches     []refEntry `json:"branches"`
	Converts     []refEntry `json:"converts"`
	PullRequests []refEntry `json:"pullRequests,omitempty"`
}

type refEntry struct {
	Name         string     `json:"name"`
	Ref          string     `json:"ref"`
	TargetCommit ref.Commit `json:"targetCommit"`
}

func (x *exchange) refs(a ask) {
	v, ok := x.open(a)
	if !ok {
		return
	}
	list := refList{
		Tags: v.refsUnder("refs/tags/"), Branches: v.refsUnder("refs/heads/"), Converts: v.refsUnder("refs/convert/"),
	}
	if isTrue(x.r.URL.Query().Get("include_prs")) {
		list.PullRequests = v.refsUnder("refs/pr/")
	}
	x.json(http.StatusOK, list)
}

func (v view) refsUnder(prefix string) []refEntry {
	list := []refEntry{}
	for full, id := range v.repo.refs {
		if name, ok := strings.CutPrefix(full, prefix); ok {
			list = append(list, refEntry{name, full, id})
		}
	}
	slices.SortFunc(list, func(a, b refEntry) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (x *exchange) authCheck(a ask) {
	if _, ok := x.openContent(a); ok {
		x.text(http.StatusOK, "OK")
	}
}

func (x *exchange) whoami() {
	switch {
	case !x.tokenOK():
	case x.token() == "":
		x.unauthorized("Invalid username or password.")
	default:
		x.json(http.StatusOK, map[string]any{
			"type": "user", "id": objectID("standin"), "name": "standin", "fullname": "Stand-in", "isPro": false, "orgs": []any{},
			"auth": map[string]any{"type": "access_token", "accessToken": map[string]string{"displayName": "standin", "role": "read"}},
		})
	}
}

// isTrue reads the booleans of all clients: true, True, 1.
func isTrue(s string) bool {
	b, err := strconv.ParseBool(s)
	return err == nil && b
}
