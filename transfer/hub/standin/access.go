package standin

import (
	"maps"
	"net/http"
	"strings"

	"hffs/cache/ref"
)

// view is a repo as one request sees it: a copy, so that a change while it is
// being answered does no harm.
type view struct {
	repo
	granted bool // the caller's token was made for this repo
}

// canonical is the name under which a repo is kept: the Hub redirects from old
// names and from other upper and lower case. Needs h.mu.
func (h *Hub) canonical(name ref.Repo) (ref.Repo, bool) {
	for range 10 { // renamed again and again
		if _, ok := h.repos[name]; ok {
			return name, true
		}
		to, ok := h.aliases[name]
		if !ok {
			break
		}
		name = to
	}
	for have := range h.repos {
		if have.Type == name.Type && strings.EqualFold(have.ID, name.ID) {
			return have, true
		}
	}
	return name, false
}

// look finds the repo and what the caller's token is worth there.
func (h *Hub) look(name ref.Repo, token string) (v view, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name, ok = h.canonical(name)
	if !ok {
		return v, false
	}
	v = view{repo: *h.repos[name], granted: h.tokens[token][name] || h.writers[token]}
	v.commits, v.refs = maps.Clone(v.commits), maps.Clone(v.refs)
	return v, v.granted || !v.private
}

func (x *exchange) token() string {
	scheme, token, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// tokenOK has answered when it says no.
func (x *exchange) tokenOK() bool {
	token := x.token()
	x.h.mu.Lock()
	_, known := x.h.tokens[token]
	x.h.mu.Unlock()
	if token == "" && x.r.Header.Get("Authorization") == "" || known {
		return true
	}
	x.unauthorized("Invalid credentials in Authorization header")
	return false
}

// open finds the repo for the caller, and has answered when it says no: not
// there, not theirs to see, closed, or moved. The Hub tells an anonymous caller
// 401 where it tells a known one 404.
func (x *exchange) open(a ask) (v view, ok bool) {
	if !x.tokenOK() {
		return v, false
	}
	v, ok = x.h.look(a.repo, x.token())
	switch {
	case !ok && x.token() == "":
		x.unauthorized("Invalid username or password.")
	case !ok:
		x.fail(http.StatusNotFound, "RepoNotFound", "Repository not found")
	case v.name != a.repo:
		x.moved(a.repo, v.name)
	case v.closed:
		x.fail(http.StatusForbidden, "", "Access to this resource is disabled.")
	default:
		return v, true
	}
	return v, false
}

// openContent is open for a file's bytes, which a gated repo gives only to
// those on its list.
func (x *exchange) openContent(a ask) (v view, ok bool) {
	v, ok = x.open(a)
	if !ok || v.gated == "" || v.granted {
		return v, ok
	}
	what := string(v.name.Type) + " " + v.name.ID
	if x.token() == "" {
		x.w.Header().Set("Www-Authenticate", wwwAuthenticate)
		x.fail(http.StatusUnauthorized, "GatedRepo", "Access to "+what+" is restricted. "+
			"You must have access to it and be authenticated to access it. Please log in.")
	} else {
		x.fail(http.StatusForbidden, "GatedRepo", "Access to "+what+" is restricted and you are not in the authorized list. "+
			"Visit https://huggingface.co/"+v.name.String()+" to ask for access.")
	}
	return v, false
}

const wwwAuthenticate = `Bearer realm="Authentication required", charset="UTF-8"`

func (x *exchange) unauthorized(message string) {
	x.w.Header().Set("Www-Authenticate", wwwAuthenticate)
	x.fail(http.StatusUnauthorized, "", message)
}

// moved redirects to the repo's name of today: a bare 307, without commit or
// etag. The query stays.
func (x *exchange) moved(from, to ref.Repo) {
	path := x.r.URL.EscapedPath()
	if x.isAPI() {
		path = strings.Replace(path, from.Type.Plural()+"/"+from.ID, to.Type.Plural()+"/"+to.ID, 1)
	} else {
		path = strings.Replace(path, "/"+from.String()+"/", "/"+to.String()+"/", 1)
	}
	if x.r.URL.RawQuery != "" {
		path += "?" + x.r.URL.RawQuery
	}
	x.redirect(http.StatusTemporaryRedirect, path)
}
