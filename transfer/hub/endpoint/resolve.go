package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"hffs/cache/ref"
)

// resolve answers HEAD and GET of a file.
func (x *exchange) resolve(a ask) {
	if a.verb == askResolveCache && !ref.IsCommit(a.rest[0]) {
		x.fail(Failure{Status: http.StatusBadRequest, Message: "Invalid commit id"})
		return
	}
	if e, ok := x.find(a); ok {
		x.file(e, typeFile)
	}
}

// raw answers with what git holds: for a large file, the text that points to it.
func (x *exchange) raw(a ask) {
	e, ok := x.find(a)
	switch {
	case !ok:
	case e.Blob.ETag.IsSHA256():
		x.w.Header().Set(headerCommit, string(e.Commit))
		x.text(http.StatusOK, e.Blob.Pointer())
	default:
		x.file(e, typeText)
	}
}

// find says what the file is, or has answered that there is none.
func (x *exchange) find(a ask) (e ref.Entry, ok bool) {
	var f ref.File
	err := x.at(a.repo, places(a.rest, 1), func(p place) (err error) {
		if f, err = ref.NewFile(a.repo, p.revision, p.path); err != nil {
			return &Failure{Status: http.StatusNotFound, Code: codeEntryNotFound, Message: messageNoEntry}
		}
		e, err = x.entry(f)
		return err
	})
	if err != nil {
		x.refuseFile(f, err)
	}
	return e, err == nil
}

// entry asks the library, about the commit that the caller was told before where it
// fetches bytes now.
func (x *exchange) entry(f ref.File) (ref.Entry, error) {
	if ref.IsCommit(f.Revision) {
		return x.lib.Entry(x.r.Context(), f)
	}
	key := pinKey{f, markOf(x.r)}
	asks := x.r.Header.Get("Range")
	probes := x.r.Method == http.MethodHead || asks == "bytes=0-0"
	if commit, ok := x.pins.get(key, asks != ""); ok && !probes {
		f.Revision = string(commit)
		return x.lib.Entry(x.r.Context(), f)
	}
	e, err := x.lib.Entry(x.r.Context(), f)
	if err == nil {
		x.pins.set(key, e.Commit, probes)
	}
	return e, err
}

// refuseFile answers that there is no such file, or why nobody can tell. Clients
// keep "no such file" for good once a commit stands beside it, so that has to be
// certain.
func (x *exchange) refuseFile(f ref.File, err error) {
	no := x.said(err)
	if no.Code == codeEntryNotFound && !no.Hearsay {
		no.Message = messageNoEntry
		if no.Commit == "" && f.Path != "" && !no.Hearsay {
			no.Commit = x.lacking(f)
		}
	}
	x.fail(no)
}

// lacking is the commit that certainly has no such file; empty where that cannot be
// said.
func (x *exchange) lacking(f ref.File) ref.Commit {
	ctx, cancel := context.WithTimeout(x.r.Context(), listPatience)
	defer cancel()
	commit, err := x.lib.Commit(ctx, f.Repo, f.Revision)
	if err != nil {
		return ""
	}
	files, whole, err := x.lib.List(ctx, f.Repo, commit)
	has := slices.ContainsFunc(files, func(l ref.Listed) bool { return l.Path == f.Path })
	if err != nil || !whole || has {
		return ""
	}
	return commit
}

// file answers with a file that is known to exist. A HEAD is never told "not
// modified" and knows no ranges: clients read commit, id and size from it.
func (x *exchange) file(e ref.Entry, contentType string) {
	etag := quote(e.Blob.ETag)
	if x.r.Method == http.MethodHead {
		x.place(e)
		x.begin(e, contentType, http.StatusOK, span{n: e.Blob.Size})
		return
	}
	h := x.r.Header
	s, ok := wanted(h, etag, e.Blob.Size)
	switch match, none := h.Values("If-Match"), h.Values("If-None-Match"); {
	case len(match) > 0 && !named(match, etag, false):
		x.fail(Failure{Status: http.StatusPreconditionFailed, Message: "Precondition Failed"})
	case named(none, etag, true):
		x.begin(e, contentType, http.StatusNotModified, span{})
	case !ok:
		x.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", e.Blob.Size))
		x.fail(Failure{Status: http.StatusRequestedRangeNotSatisfiable, Message: "Range Not Satisfiable"})
	case x.goesOnFromWrong(e, s) && !x.fromHub():
		x.fail(Failure{Status: http.StatusBadGateway, Message: "hffs: what was sent of this file before was wrong; " +
			"remove what there is of it, and download it from the beginning"})
	case x.goesOnFromWrong(e, s):
		x.body(e, contentType, span{n: e.Blob.Size}) // it begins anew, or finds the size wrong
	default:
		x.body(e, contentType, s)
	}
}

// goesOnFromWrong: the client wants all from some place on, as one does that was cut off
// there, and what it has may be wrong. Parts that are asked for by both ends stand for
// themselves.
func (x *exchange) goesOnFromWrong(e ref.Entry, s span) bool {
	d, ok := x.lib.(Doubter)
	return ok && s.part && s.off > 0 && strings.HasSuffix(strings.TrimSpace(x.r.Header.Get("Range")), "-") && d.Spoilt(e.Blob.ETag)
}

// begin sends status and headers.
func (x *exchange) begin(e ref.Entry, contentType string, status int, s span) {
	h := x.w.Header()
	for name, v := range map[string]string{
		headerCommit: string(e.Commit), "Etag": quote(e.Blob.ETag), headerLinkedETag: quote(e.Blob.ETag),
		headerLinkedSize: strconv.FormatInt(e.Blob.Size, 10), "Accept-Ranges": "bytes",
		"Content-Disposition": disposition(e.Path),
		// a file opened in a browser is nobody's web page
		"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff",
	} {
		h.Set(name, v)
	}
	if status != http.StatusNotModified {
		h.Set("Content-Type", contentType)
		h.Set("Content-Length", strconv.FormatInt(s.n, 10))
	}
	if status == http.StatusPartialContent {
		h.Set("Content-Range", s.contentRange(e.Blob.Size))
	}
	x.w.WriteHeader(status)
}

// quote makes an etag a strong one: a weak one ends up in file names.
func quote(etag ref.ETag) string { return `"` + string(etag) + `"` }

func disposition(p string) string {
	name := path.Base(p)
	plain := strings.NewReplacer(`"`, "?", `\`, "?").Replace(forHeader(name))
	return fmt.Sprintf(`inline; filename*=UTF-8''%s; filename="%s";`, url.PathEscape(name), plain)
}
