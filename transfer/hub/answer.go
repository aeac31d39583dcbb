package hub

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// unwanted are prefixes of headers that the Hub means for browsers at its own
// address, or by which clients would go round us, to the CAS.
var unwanted = []string{"Set-Cookie", "Access-Control-", "Alt-Svc", "Strict-Transport-Security", headerXetHash, "X-Xet-Refresh-Route"}

// answer makes what the Hub said fit to be passed on.
func (f *forward) answer(resp *http.Response) error {
	if f.isAPI() && isPage(resp) && resp.StatusCode < 500 {
		return errors.New("served a web page in its place")
	}
	removeHeaders(resp.Header, unwanted)
	f.turnLinks(resp.Header)
	if to := resp.Header.Get("Location"); to != "" {
		resp.Header.Set("Location", f.turn(to))
	}
	if f.isHiddenRepo(resp) {
		resp.Header.Set(headerErrorCode, codeRepoNotFound)
	}
	resp.Body = watched{resp.Body, f.reading}
	if f.isAPI() && isJSON(resp) {
		return f.turnJSON(resp)
	}
	return nil
}

// isHiddenRepo: a bare 401 about a repo. Clients understand it as "no such repo"
// from an https address only, and ours is none (huggingface_hub's
// utils/_http.py: REPO_API_REGEX).
func (f *forward) isHiddenRepo(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized || isPage(resp) ||
		resp.Header.Get(headerErrorCode) != "" || resp.Header.Get(headerErrorMessage) == messageBadToken {
		return false
	}
	path := f.in.URL.Path
	for _, t := range []string{"models", "datasets", "spaces", "kernels"} {
		if rest, ok := strings.CutPrefix(path, "/api/"+t+"/"); ok && rest != "" {
			return true
		}
	}
	before, after, ok := strings.Cut(path, "/resolve/")
	return ok && len(before) > 1 && after != ""
}

func isJSON(resp *http.Response) bool {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

// turn makes an address at the Hub one that leads to the same thing through us, and
// leaves others as they are.
func (f *forward) turn(address string) string {
	u, err := f.to.Parse(address)
	if err != nil || !sameOrigin(u, f.ep.base) {
		return address
	}
	path, ok := strings.CutPrefix(u.EscapedPath(), f.ep.base.EscapedPath())
	if !ok || path != "" && path[0] != '/' {
		return address
	}
	return f.back + path + tail(u)
}

// tail is a URL's query and fragment.
func tail(u *url.URL) (s string) {
	if u.RawQuery != "" {
		s = "?" + u.RawQuery
	}
	if u.Fragment != "" {
		s += "#" + u.EscapedFragment()
	}
	return s
}

// turnLinks leaves the links to Xet out. A next page is ours also where it is named
// by another host: some proxies pass on the address of the Hub behind them.
func (f *forward) turnLinks(h http.Header) {
	var links []string
	for _, l := range parseLinks(h.Values("Link")) {
		if l.is("xet-auth") || l.is("xet-reconstruction-info") {
			continue
		}
		u, err := f.to.Parse(l.target)
		if path := f.in.URL.EscapedPath(); err == nil && l.is("next") && u.EscapedPath() == path {
			l.target = f.back + path + tail(u)
		} else {
			l.target = f.turn(l.target)
		}
		links = append(links, l.String())
	}
	h.Del("Link")
	if len(links) > 0 {
		h.Set("Link", strings.Join(links, ", "))
	}
}

// turnJSON takes Xet hashes out of the answer, by which clients would go to the CAS
// as well, and turns addresses in what is said to an upload.
func (f *forward) turnJSON(resp *http.Response) error {
	if isEncoded(resp) {
		return errors.New("sent its answer in another encoding than was asked for")
	}
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	if f.in.Method == http.MethodHead || resp.Body == http.NoBody {
		return nil
	}
	body := resp.Body
	if f.writes() {
		var err error
		if body, err = f.turnAddresses(body); err != nil {
			return err
		}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{withoutMember(body, "xetHash"), body}
	return nil
}

// turnAddresses: who made a repo or a commit is told its address, and huggingface_hub
// takes that apart by the address of its endpoint. The public Hub's is known to it.
func (f *forward) turnAddresses(body io.ReadCloser) (io.ReadCloser, error) {
	if f.ep.base.Host == publicHost {
		return body, nil
	}
	start, err := io.ReadAll(io.LimitReader(body, maxShortAnswer))
	if err != nil {
		return nil, err
	}
	start = bytes.ReplaceAll(start, []byte(`"`+f.ep.base.String()+`/`), []byte(`"`+f.back+`/`))
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), body), body}, nil
}
