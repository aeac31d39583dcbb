package standin

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"hffs/cache/ref"
)

// maxUpload bounds the body of a commit, where small files come along, in
// base64.
const maxUpload = 64 << 20

// owner is whose the token is, for repos without a name in front.
const owner = "standin"

// openToWrite is open for those who may upload.
func (x *exchange) openToWrite(a ask) (v view, ok bool) {
	if v, ok = x.open(a); ok && !x.mayWrite() {
		x.fail(http.StatusForbidden, "", "You don't have the rights to write to this repo")
		return v, false
	}
	return v, ok
}

func (x *exchange) mayWrite() bool {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	return x.h.writers[x.token()]
}

// asked reads a body of JSON, and has answered when it cannot.
func (x *exchange) asked(into any) bool {
	body := http.MaxBytesReader(x.w, x.r.Body, maxUpload)
	if err := json.NewDecoder(body).Decode(into); err != nil {
		x.fail(http.StatusBadRequest, "", err.Error())
		return false
	}
	return true
}

// create answers POST /api/repos/create. Like the Hub it begins a repo with a
// commit that has .gitattributes.
func (x *exchange) create() {
	var want struct{ Name, Organization, Type string }
	if !x.tokenOK() {
		return
	}
	if !x.mayWrite() {
		x.unauthorized("Invalid username or password.")
		return
	}
	if !x.asked(&want) {
		return
	}
	if want.Organization == "" {
		want.Organization = owner
	}
	t, err := ref.ParseType(want.Type)
	if err != nil {
		x.fail(http.StatusBadRequest, "", err.Error())
		return
	}
	name, err := ref.ParseRepo(t, want.Organization+"/"+want.Name)
	switch {
	case err != nil:
		x.fail(http.StatusBadRequest, "", err.Error())
	case x.h.exists(name):
		x.json(http.StatusConflict, map[string]string{"error": "You already created this " + string(t) + " repo", "url": x.base() + "/" + name.String()})
	default:
		x.h.Add(name, "", map[string]Content{".gitattributes": String(gitAttributes())})
		x.json(http.StatusOK, map[string]string{"url": x.base() + "/" + name.String(), "name": name.ID, "id": objectID(name.String())})
	}
}

func gitAttributes() string {
	var b strings.Builder
	for _, pattern := range lfsNames {
		fmt.Fprintf(&b, "%s filter=lfs diff=lfs merge=lfs -text\n", pattern)
	}
	return b.String()
}

// preupload tells which files go into git and which to the CAS, and what is
// there already.
func (x *exchange) preupload(a ask) {
	v, ok := x.openToWrite(a)
	if !ok {
		return
	}
	var want struct {
		Files []struct {
			Path string
			Size int64
		}
	}
	if !x.asked(&want) {
		return
	}
	type mode struct {
		Path   string  `json:"path"`
		Mode   string  `json:"uploadMode"`
		Ignore bool    `json:"shouldIgnore"`
		OID    *string `json:"oid,omitempty"`
	}
	list := []mode{}
	for _, f := range want.Files {
		m := mode{Path: f.Path, Mode: "regular"}
		if (Content{size: f.Size}).decided(f.Path).kind == lfs {
			m.Mode = "lfs"
		}
		if c := v.find(a.revision); c != nil {
			if have, ok := c.files[f.Path]; ok {
				oid := have.etag()
				m.OID = &oid
			}
		}
		list = append(list, m)
	}
	x.json(http.StatusOK, map[string]any{"files": list})
}

// takeCommit answers POST .../commit/{revision}: one operation a line.
func (x *exchange) takeCommit(a ask) {
	v, ok := x.openToWrite(a)
	if !ok {
		return
	}
	files := map[string]Content{}
	if c := v.find(a.revision); c != nil {
		files = maps.Clone(c.files)
	}
	if err := x.h.apply(files, http.MaxBytesReader(x.w, x.r.Body, maxUpload)); err != nil {
		x.fail(http.StatusBadRequest, "", err.Error())
		return
	}
	id := x.h.Add(v.name, a.revision, files)
	x.json(http.StatusOK, map[string]any{
		"success": true, "commitOid": id, "commitUrl": x.base() + "/" + v.name.String() + "/commit/" + string(id), "hookOutput": "",
	})
}

// operation is one line of a commit.
type operation struct {
	Key   string
	Value struct {
		Path, Content, Encoding string // of a file in git
		OID                     string // of a file in the CAS: its sha256
		Size                    int64
	}
}

func (h *Hub) apply(files map[string]Content, body io.Reader) error {
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadBytes('\n')
		if len(strings.TrimSpace(string(line))) > 0 {
			var op operation
			if err := json.Unmarshal(line, &op); err != nil {
				return err
			}
			if err := h.applyOne(files, op); err != nil {
				return fmt.Errorf("%s %s: %w", op.Key, op.Value.Path, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (h *Hub) applyOne(files map[string]Content, op operation) error {
	p := op.Value.Path
	switch op.Key {
	case "header":
		return nil
	case "deletedFile":
		delete(files, p)
		return nil
	case "deletedFolder":
		maps.DeleteFunc(files, func(have string, _ Content) bool { return strings.HasPrefix(have, strings.TrimSuffix(p, "/")+"/") })
		return nil
	}
	if err := ref.CheckPath(p); err != nil {
		return err
	}
	var err error
	switch op.Key {
	case "file":
		files[p], err = regularFile(op)
	case "lfsFile":
		files[p], err = h.uploaded(op.Value.OID)
	default:
		err = errors.New("the stand-in does not know this operation")
	}
	return err
}

func regularFile(op operation) (Content, error) {
	if op.Value.Encoding != "base64" {
		return Bytes([]byte(op.Value.Content)).Regular(), nil
	}
	data, err := base64.StdEncoding.DecodeString(op.Value.Content)
	return Bytes(data).Regular(), err
}

// uploaded finds content that came by the CAS, and reads it once to make sure
// that it has the sha256 by which the client names it.
func (h *Hub) uploaded(oid string) (Content, error) {
	hash, size, ok := h.store.BySHA256(oid)
	if !ok {
		return Content{}, errors.New("no such object was uploaded")
	}
	c, err := newContent(size, func() (io.ReadSeekCloser, error) { return h.store.Open(hash) })
	if err == nil && c.sha256 != oid {
		err = fmt.Errorf("what was uploaded has the sha256 %s", c.sha256)
	}
	return c.LFS().Xet(ref.XetHash(hash.String())), err
}
