package standin

import (
	"net/http"
	"net/url"
	"strings"

	"hffs/cache/ref"
)

// An exchange is one request and its answer.
type exchange struct {
	h    *Hub
	run  *Running
	host string // onHub, onCDN or onCAS
	w    *answerWriter
	r    *http.Request
	line *Request
	hits map[string]int64 // the faults that strike it
}

// handler serves one of the origins. What is asked for is found out before
// faults strike, since they are aimed at files.
func (h *Hub) handler(host string, run *Running) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host == onHub && strings.HasPrefix(r.URL.Path, controlPrefix) {
			h.control(w, r)
			return
		}
		x := &exchange{h: h, run: run, host: host, r: r, line: h.log.begin(host, r)}
		x.w = &answerWriter{ResponseWriter: w, x: x}
		answer := x.route()
		if x.hits = h.hits(x.line, r.URL.Path); len(x.hits) > 0 {
			x.noteFaults()
		}
		if !x.strike() {
			answer()
		}
	})
}

// ask is a request taken apart.
type ask struct {
	verb     string // "resolve", "raw", "resolve-cache", "info", or as in the URL
	repo     ref.Repo
	revision string
	path     string
}

func (x *exchange) route() (answer func()) {
	switch x.host {
	case onCDN:
		return x.routeCDN()
	case onCAS:
		return x.routeCAS()
	}
	segments, ok := split(x.r.URL.EscapedPath())
	if !ok {
		return func() { x.text(http.StatusBadRequest, "Bad Request") }
	}
	if segments[0] == "api" {
		return x.routeAPI(segments[1:])
	}
	a, ok := parseResolve(segments)
	if !ok {
		return x.notFound
	}
	x.nameFile(a)
	return func() { x.resolve(a) }
}

func (x *exchange) routeAPI(segments []string) func() {
	switch {
	case len(segments) == 1 && segments[0] == "whoami-v2":
		return x.whoami
	case len(segments) >= 1 && segments[0] == "telemetry":
		return func() { x.text(http.StatusOK, "") }
	case len(segments) == 1 && segments[0] == "validate-yaml":
		return func() { x.json(http.StatusOK, map[string]any{"errors": []any{}, "warnings": []any{}}) }
	case len(segments) == 2 && segments[0] == "repos" && segments[1] == "create":
		return x.create
	case len(segments) < 2:
		return x.notFound
	case segments[0] == "resolve-cache":
		return x.routeResolveCache(segments[1:])
	}
	t, ok := typeOf(segments[0])
	if !ok {
		return x.notFound
	}
	a := x.h.parseAPI(t, segments[1:])
	serve, ok := verbs[a.verb]
	if !ok {
		return x.notFound
	}
	return func() { serve(x, a) }
}

// verbs is what the API can be asked about a repo.
var verbs = map[string]func(*exchange, ask){
	"info": (*exchange).info, "revision": (*exchange).info, "tree": (*exchange).tree, "paths-info": (*exchange).pathsInfo,
	"refs": (*exchange).refs, "auth-check": (*exchange).authCheck, "preupload": (*exchange).preupload, "commit": (*exchange).takeCommit,
	"xet-read-token": (*exchange).readToken, "xet-write-token": (*exchange).writeToken,
}

func (x *exchange) routeResolveCache(segments []string) func() {
	t, ok := typeOf(segments[0])
	if !ok || len(segments) < 3 {
		return x.notFound
	}
	name, rest := x.h.splitRepo(t, segments[1:])
	if len(rest) < 2 {
		return x.notFound
	}
	a := ask{"resolve-cache", name, rest[0], strings.Join(rest[1:], "/")}
	x.nameFile(a)
	return func() { x.resolveCache(a) }
}

// nameFile tells the log which file this is about.
func (x *exchange) nameFile(a ask) {
	x.h.log.note(func() { x.line.Repo, x.line.File = a.repo.String(), a.path })
}

// split takes the escaped path apart before it unescapes the pieces: in
// resolve/refs%2Fpr%2F1/x the revision is one segment.
func split(escaped string) ([]string, bool) {
	segments := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, s := range segments {
		var err error
		if segments[i], err = url.PathUnescape(s); err != nil {
			return nil, false
		}
	}
	return segments, true
}

// parseResolve reads [datasets/|spaces/]repo/resolve/revision/path, and raw in
// the place of resolve.
func parseResolve(segments []string) (a ask, ok bool) {
	t := ref.Model
	if prefix, isPrefix := typeOf(segments[0]); isPrefix && prefix != ref.Model {
		t, segments = prefix, segments[1:]
	}
	for i := 1; i <= 2 && i < len(segments)-2; i++ {
		if verb := segments[i]; verb == "resolve" || verb == "raw" {
			revision, rest := splitRevision(segments[i+1:])
			name := ref.Repo{Type: t, ID: strings.Join(segments[:i], "/")}
			return ask{verb, name, revision, strings.Join(rest, "/")}, len(rest) > 0
		}
	}
	return ask{}, false
}

// parseAPI reads what follows /api/models/.
func (h *Hub) parseAPI(t ref.Type, segments []string) ask {
	name, rest := h.splitRepo(t, segments)
	a := ask{verb: "info", repo: name, revision: "main"}
	if len(rest) > 0 {
		a.verb, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		a.revision, rest = splitRevision(rest)
	}
	a.path = strings.Join(rest, "/")
	return a
}

// splitRevision takes refs/pr/1 as one revision also where its slashes came
// unescaped, as huggingface.js sends them.
func splitRevision(segments []string) (revision string, rest []string) {
	if segments[0] == "refs" && len(segments) >= 3 {
		return strings.Join(segments[:3], "/"), segments[3:]
	}
	return segments[0], segments[1:]
}

// splitRepo tells whether one or two segments name the repo: what exists, else
// what does not look like a verb of the API.
func (h *Hub) splitRepo(t ref.Type, segments []string) (ref.Repo, []string) {
	one := ref.Repo{Type: t, ID: segments[0]}
	if len(segments) == 1 {
		return one, nil
	}
	two := ref.Repo{Type: t, ID: segments[0] + "/" + segments[1]}
	_, isVerb := verbs[segments[1]]
	if !h.exists(two) && (h.exists(one) || isVerb) {
		return one, segments[1:]
	}
	return two, segments[2:]
}

func (h *Hub) exists(name ref.Repo) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.canonical(name)
	return ok
}

func typeOf(plural string) (ref.Type, bool) {
	for _, t := range []ref.Type{ref.Model, ref.Dataset, ref.Space} {
		if plural == t.Plural() {
			return t, true
		}
	}
	return "", false
}
