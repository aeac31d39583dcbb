package standin

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub/standin/cas"
)

const (
	// xorbPrefix is where the CDN has the data of xorbs.
	xorbPrefix = "/xorbs/default/"
	// xorbRepo stands for the repo in the log's lines about xorbs: one xorb has
	// pieces of many files.
	xorbRepo = "xorbs"
	// maxSigned is how many ranges a signed URL holds; with more it would get too
	// long for some.
	maxSigned = 500
)

// routeCAS serves the origin that Xet clients know from their token.
func (x *exchange) routeCAS() func() {
	method, path := x.r.Method, strings.Trim(x.r.URL.Path, "/")
	what, name, _ := cutLast(path)
	switch { // first the names of today, then those that clients used up to autumn 2025
	case method == http.MethodPost && (what == "v1/xorbs/default" || what == "xorb/default"):
		return func() { x.takeXorb(name) }
	case method != http.MethodGet && (path == "v1/shards" || strings.HasPrefix(path, "shard/")):
		return x.takeShard
	case method == http.MethodPost && path == "v1/telemetry":
		return func() { x.casJSON(struct{}{}) }
	case method == http.MethodGet && (what == "v1/reconstructions" || what == "reconstruction"):
		return func() { x.reconstruct(name, formV1) }
	case method == http.MethodGet && what == "v2/reconstructions":
		return func() { x.reconstruct(name, formV2) }
	}
	// Among what is not there is the search for chunks that others have uploaded:
	// clients are told of none and upload their own.
	return func() { x.casFail(http.StatusNotFound, "not found") }
}

func cutLast(path string) (before, after string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(0, i)], path[i+1:], i >= 0
}

func (x *exchange) casFail(status int, message string) {
	x.w.Header().Set("X-Request-Id", x.requestID())
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.w.WriteHeader(status)
	_, _ = x.w.Write([]byte(message))
}

func (x *exchange) casJSON(v any) {
	body, err := marshal(v)
	if err != nil {
		x.casFail(http.StatusInternalServerError, err.Error())
		return
	}
	x.w.Header().Set("X-Request-Id", x.requestID())
	x.w.Header().Set("Content-Type", "application/json")
	x.r.Header.Del("Range") // of a recipe it is about the file
	x.bytes(bytes.NewReader(body))
}

// casRefuse picks the status for an error of the store.
func (x *exchange) casRefuse(err error) {
	status := http.StatusInternalServerError
	for known, s := range map[error]int{
		cas.ErrBad: http.StatusBadRequest, cas.ErrUnknown: http.StatusNotFound, cas.ErrRange: http.StatusRequestedRangeNotSatisfiable,
	} {
		if errors.Is(err, known) {
			status = s
		}
	}
	x.casFail(status, err.Error())
}

func (x *exchange) takeXorb(name string) {
	if _, ok := x.admit(true); !ok {
		return
	}
	hash, err := chunk.ParseHash(name)
	if err != nil {
		x.casFail(http.StatusBadRequest, err.Error())
		return
	}
	inserted, err := x.h.store.PutXorb(hash, x.r.Body)
	if err != nil {
		x.casRefuse(err)
		return
	}
	x.casJSON(map[string]bool{"was_inserted": inserted})
}

func (x *exchange) takeShard() {
	if _, ok := x.admit(true); !ok {
		return
	}
	inserted, err := x.h.store.PutShard(x.r.Body)
	if err != nil {
		x.casRefuse(err)
		return
	}
	result := 0
	if inserted {
		result = 1
	}
	x.casJSON(map[string]int{"result": result})
}

// reconstruct tells how a file, or the range asked for, is put together. A token
// opens the files of its own repo.
func (x *exchange) reconstruct(name string, form func(*exchange, cas.Reconstruction) any) {
	t, ok := x.admit(false)
	if !ok {
		return
	}
	hash, err := chunk.ParseHash(name)
	if err != nil {
		x.casFail(http.StatusBadRequest, err.Error())
		return
	}
	size, err := x.h.store.Size(hash)
	if err == nil && !x.h.hasXet(t.Repo, ref.XetHash(hash.String())) {
		err = cas.ErrUnknown
	}
	if err != nil {
		x.casRefuse(err)
		return
	}
	first, last, ok := parseRange(x.r.Header.Get("Range"), size)
	if !ok {
		x.casRefuse(cas.ErrRange)
		return
	}
	r, err := x.h.store.Reconstruct(hash, first, last-first+1)
	if err != nil {
		x.casRefuse(err)
		return
	}
	x.casJSON(form(x, r))
}

// hasXet reports whether some commit of the repo has a file with this hash.
func (h *Hub) hasXet(name ref.Repo, hash ref.XetHash) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	name, ok := h.canonical(name)
	if !ok {
		return false
	}
	for _, c := range h.repos[name].commits {
		for _, content := range c.files {
			if content.xet == hash {
				return true
			}
		}
	}
	return false
}

// parseRange reads one range, "bytes=a-b" or "bytes=a-"; none means all.
func parseRange(s string, size int64) (first, last int64, ok bool) {
	if s == "" {
		return 0, size - 1, true
	}
	a, b, ok := strings.Cut(strings.TrimPrefix(s, "bytes="), "-")
	first, err := strconv.ParseInt(a, 10, 64)
	if !ok || err != nil || first < 0 || first >= size {
		return 0, 0, false
	}
	if b == "" {
		return first, size - 1, true
	}
	last, err = strconv.ParseInt(b, 10, 64)
	return first, min(last, size-1), err == nil && last >= first
}

// signXorb makes the URL under which the CDN gives these ranges of a xorb, each
// by itself or all at once, and no others.
func (x *exchange) signXorb(hash chunk.Hash, runs []cas.Run) string {
	var set []string
	for _, r := range runs {
		set = append(set, strconv.FormatInt(r.First, 10)+"-"+strconv.FormatInt(r.Last, 10))
	}
	path, ranges, expires := xorbPrefix+hash.String(), "bytes="+strings.Join(set, ","), x.expires()
	return x.cdnBase() + path + "?X-Xet-Signed-Range=" + url.QueryEscape(ranges) +
		"&Expires=" + expires + "&Policy=standin&Signature=" + signature(path+"?"+ranges, expires) + "&Key-Pair-Id=KSTANDIN"
}

func (x *exchange) routeXorb(name string) func() {
	hash, err := chunk.ParseHash(name)
	if err != nil {
		return func() { x.denied("Access denied") }
	}
	x.h.log.note(func() { x.line.Repo, x.line.File = xorbRepo, name })
	return func() { x.xorb(hash) }
}

// xorb serves ranges that the URL was signed for. Without a range, or with any
// other, the answer is the CDN's 403.
func (x *exchange) xorb(hash chunk.Hash) {
	signed := x.r.URL.Query().Get("X-Xet-Signed-Range")
	if !x.signedFor(x.r.URL.Path + "?" + signed) {
		return
	}
	stored, err := x.h.store.Xorb(hash)
	if err != nil || !amongSigned(signed, x.r.Header.Get("Range")) {
		x.denied("Access denied")
		return
	}
	x.w.Header().Set("Accept-Ranges", "bytes")
	x.w.Header().Set("Content-Type", "application/octet-stream")
	x.w.Header().Set("Etag", quote(hash.String()))
	x.bytes(stored.Data())
}

// amongSigned reports whether every range asked for is one of the signed ones.
func amongSigned(signed, asked string) bool {
	set := strings.Split(strings.TrimPrefix(signed, "bytes="), ",")
	want, ok := strings.CutPrefix(asked, "bytes=")
	for r := range strings.SplitSeq(want, ",") {
		ok = ok && slices.Contains(set, strings.TrimSpace(r))
	}
	return ok
}
