package endpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"hffs/cache/ref"
)

// paths answers POST /api/{type}/{repo}/paths-info/{revision}: what some files and
// folders are. Those that do not exist are left out.
func (x *exchange) paths(a ask) {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxAsk))
	x.takeTime()
	var asked question
	if err == nil {
		asked, err = readQuestion(x.r.Header.Get("Content-Type"), body)
	}
	if err != nil {
		x.refuse(badQuestion(err))
		return
	}
	x.r.Body, x.r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if asked.Expand && x.hubAnswers() {
		return
	}
	revision := strings.Join(a.rest, "/")
	if ref.CheckRevision(revision) != nil {
		x.refuse(noRevision(revision))
		return
	}
	v, err := x.open(a.repo, revision)
	if err != nil {
		x.refuse(err)
		return
	}
	var last *lastCommit
	if asked.Expand {
		last = x.last(v, "true")
	}
	x.json(http.StatusOK, v.about(asked.Paths, last))
}

func badQuestion(err error) *Failure {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &Failure{Status: http.StatusRequestEntityTooLarge, Message: "The list of paths is too long"}
	}
	return &Failure{Status: http.StatusBadRequest, Message: "The list of paths cannot be read"}
}

// question is the body of a paths-info.
type question struct {
	Paths  []string `json:"paths"`
	Expand bool     `json:"expand"`
}

// readQuestion reads a form, which Python sends, or JSON, which all others do.
func readQuestion(contentType string, body []byte) (question, error) {
	kind, _, _ := mime.ParseMediaType(contentType)
	var q question
	if kind == "application/json" {
		return q, json.Unmarshal(body, &q)
	}
	form, err := url.ParseQuery(string(body))
	return question{form["paths"], isTrue(form.Get("expand"))}, err
}

// about describes the files and folders among paths that exist, in the order they
// were asked for.
func (v view) about(paths []string, last *lastCommit) []listed {
	found := make(map[string]*listed, len(paths))
	for i, p := range paths {
		paths[i] = strings.Trim(p, "/")
		found[paths[i]] = nil
	}
	inside := v.lookUp(found, last)
	if inside {
		for _, f := range folders(v.files) {
			if l, asked := found[f.path]; asked && l == nil {
				found[f.path] = new(folderEntry(f, last))
			}
		}
	}
	list := []listed{}
	for _, p := range paths {
		if l := found[p]; l != nil {
			list = append(list, *l)
			found[p] = nil // once is enough
		}
	}
	return list
}

// lookUp fills in the files, and says whether some path is that of a folder.
func (v view) lookUp(found map[string]*listed, last *lastCommit) (inside bool) {
	for _, f := range v.files {
		if _, asked := found[f.Path]; asked {
			found[f.Path] = new(fileOf(f, last))
		}
		for dir := folderOf(f.Path); dir != "" && !inside; dir = folderOf(dir) {
			_, inside = found[dir]
		}
	}
	return inside
}
