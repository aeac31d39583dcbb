package standin

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"hffs/cache/ref"
)

// resolve answers .../resolve/{revision}/{path}: where the file is, in a
// redirect that carries commit and content id.
func (x *exchange) resolve(a ask) {
	v, ok := x.openContent(a)
	if !ok {
		return
	}
	c, ok := x.commit(v, a.revision)
	if !ok {
		return
	}
	h := x.w.Header()
	h.Set("X-Repo-Commit", string(c.id))
	h.Set("Accept-Ranges", "bytes")
	content, ok := c.files[a.path]
	switch {
	case !ok:
		h.Set("X-Hub-Cache", "MISS")
		x.fail(http.StatusNotFound, "EntryNotFound", "Entry not found")
	case a.verb == "raw":
		x.raw(content)
	case content.kind == lfs:
		x.toCDN(v, c, a, content)
	default:
		x.toResolveCache(v, c, a, content)
	}
}

// commit finds the revision, and has answered when there is none.
func (x *exchange) commit(v view, revision string) (*commit, bool) {
	c := v.find(revision)
	if c == nil {
		x.fail(http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
	}
	return c, c != nil
}

func (x *exchange) raw(content Content) {
	if content.kind == lfs {
		x.text(http.StatusOK, content.pointer())
		return
	}
	x.generic()
	x.w.Header().Set("Etag", quote(content.etag()))
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.file(content)
}

// toResolveCache is the relative 307 for a small file. The query holds the
// original path; clients drop it, and nothing depends on it.
func (x *exchange) toResolveCache(v view, c *commit, a ask, content Content) {
	h := x.w.Header()
	if x.h.Shape307 == WithETag {
		h.Set("X-Linked-Etag", quote(content.etag()))
	}
	h.Set("X-Hub-Cache", "MISS")
	h.Set("Content-Disposition", disposition(a.path))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	x.redirect(http.StatusTemporaryRedirect, fmt.Sprintf("/api/resolve-cache/%s/%s/%s/%s?%s=&etag=%s",
		v.name.Type.Plural(), v.name.ID, c.id, escapePath(a.path),
		url.QueryEscape(x.r.URL.EscapedPath()), url.QueryEscape(quote(content.etag()))))
}

// toCDN is the 302 for a large file. The CDN is another origin, and its ETag is
// not the file's.
func (x *exchange) toCDN(v view, c *commit, a ask, content Content) {
	h := x.w.Header()
	h.Set("X-Linked-Etag", quote(content.etag()))
	h.Set("X-Linked-Size", strconv.FormatInt(content.size, 10))
	h.Set("Cache-Control", "no-store")
	if content.xet != "" {
		h.Set("X-Xet-Hash", string(content.xet))
		h.Set("Link", fmt.Sprintf(`<%s/api/%s/%s/xet-read-token/%s>; rel="xet-auth", `+
			`<%s/v1/reconstructions/%s>; rel="xet-reconstruction-info"`,
			x.base(), v.name.Type.Plural(), v.name.ID, c.id, x.casBase(), content.xet))
	}
	x.redirect(http.StatusFound, x.sign(objectPath(v.name, a.path, content), a.path))
}

// base is this Hub's own origin, as the caller wrote it.
func (x *exchange) base() string {
	scheme, _, _ := strings.Cut(x.run.URL(), ":")
	return scheme + "://" + x.r.Host
}

// resolveCache serves a small file at a commit; a branch is no commit.
func (x *exchange) resolveCache(a ask) {
	v, ok := x.openContent(a)
	if !ok {
		return
	}
	if !ref.IsCommit(a.revision) {
		x.fail(http.StatusBadRequest, "", "Invalid commit id")
		return
	}
	c, ok := x.commit(v, a.revision)
	if !ok {
		return
	}
	h := x.w.Header()
	h.Set("X-Repo-Commit", string(c.id))
	h.Set("Accept-Ranges", "bytes")
	content, ok := c.files[a.path]
	if !ok {
		x.fail(http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	x.generic()
	h.Set("Etag", quote(content.etag()))
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", disposition(a.path))
	x.file(content)
}

// file sends a file's bytes, or the range asked for, with whatever faults are
// aimed at bodies.
func (x *exchange) file(content Content) {
	from, err := content.Open()
	if err != nil {
		http.Error(x.w, "the stand-in cannot read its file", http.StatusInternalServerError)
		return
	}
	defer from.Close()
	x.bytes(from)
}

// bytes sends what from holds, or the range asked for.
func (x *exchange) bytes(from io.ReadSeeker) {
	body := from
	if at, ok := x.hits[FaultFlip]; ok {
		body = flipped{from, at}
	}
	switch {
	case x.hit(FaultGzip):
		x.sendGzip(body)
		return
	case x.hit(FaultIgnoreRange):
		x.r.Header.Del("Range")
	}
	http.ServeContent(fileWriter{x.w, &brokenWriter{x: x}}, x.r, "", time.Time{}, body)
}

// fileWriter is the answer with a body that can break.
type fileWriter struct {
	*answerWriter
	body *brokenWriter
}

func (w fileWriter) WriteHeader(status int) {
	w.x.promiseWrongly()
	w.answerWriter.WriteHeader(status)
}

func (w fileWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

func quote(etag string) string { return `"` + etag + `"` }

func disposition(p string) string {
	name := path.Base(p)
	return fmt.Sprintf(`inline; filename*=UTF-8''%s; filename="%s";`, url.PathEscape(name), strings.Map(plain, name))
}

// plain keeps a header to ASCII.
func plain(r rune) rune {
	if r < ' ' || r > '~' || r == '"' || r == '\\' {
		return '?'
	}
	return r
}

func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		parts[i] = url.PathEscape(s)
	}
	return strings.Join(parts, "/")
}
