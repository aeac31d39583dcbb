package hub

import (
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"hffs/cache/ref"
)

const (
	publicHub  = "https://huggingface.co"
	publicHost = "huggingface.co"
)

// ParseEndpoints reads HF_ENDPOINT: origins separated by commas, where blanks
// and closing slashes do no harm. Empty means the public Hub. An origin may have
// a path, as proxies for artifacts do; it may not carry a user or a query, which
// would put secrets where URLs are shown.
func ParseEndpoints(s string) ([]string, error) {
	var list []string
	for item := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		u, err := parseEndpoint(item)
		if err != nil {
			return nil, err
		}
		list = appendNew(list, u.String())
	}
	if len(list) > maxEndpoints {
		return nil, &ref.Error{What: "HF_ENDPOINT", Value: list[0] + ",…", Why: "it lists too many endpoints"}
	}
	if len(list) == 0 {
		list = []string{publicHub}
	}
	return list, nil
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

func parseEndpoint(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	u, err := url.Parse(s)
	bad := func(why string) (*url.URL, error) {
		return nil, &ref.Error{What: "HF_ENDPOINT", Value: withoutUser(s), Why: why}
	}
	switch {
	case err != nil:
		return bad("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("it does not begin with https:// or http://")
	case u.Hostname() == "":
		return bad("it names no host")
	case u.User != nil:
		return bad("a user name or password does not belong there")
	case u.RawQuery != "" || u.Fragment != "":
		return bad("it has a \"?\" or \"#\"")
	}
	return &url.URL{Scheme: u.Scheme, Host: hostOf(u), Path: strings.TrimRight(u.Path, "/")}, nil
}

// withoutUser keeps a password out of the error about it.
func withoutUser(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "…@" + s[i+1:]
	}
	return s
}

// hostOf is the URL's host in lower case, with its port only where that is not
// the scheme's own: two URLs of one origin give the same.
func hostOf(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	if port == "" || port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		return host
	}
	return host + ":" + port
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && hostOf(a) == hostOf(b) }

// An endpoint is one origin that speaks the Hub's protocol.
type endpoint struct {
	name string // host[:port][/path]: what people read
	base *url.URL
	hub  bool // its word is the last, and it alone may get the token

	mu     sync.Mutex // guards until and rested
	until  time.Time  // when its rest ends
	rested bool       // it has rested before: the user was told
}

func newEndpoints(list []string) ([]*endpoint, error) {
	list, err := ParseEndpoints(strings.Join(list, ","))
	if err != nil {
		return nil, err
	}
	var all []*endpoint
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil {
			return nil, err
		}
		all = append(all, &endpoint{name: u.Host + u.Path, base: u})
	}
	hubAmong(all).hub = true
	return all, nil
}

// hubAmong picks the endpoint that counts as the Hub itself: the public Hub
// where it is listed, else the first.
func hubAmong(all []*endpoint) *endpoint {
	for _, ep := range all {
		if ep.base.Host == publicHost {
			return ep
		}
	}
	return all[0]
}

// safeForToken: nobody on the way can read or answer for it.
func (ep *endpoint) safeForToken() bool {
	return ep.base.Scheme == "https" || isLoopback(ep.base.Hostname())
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// resolveURL is {endpoint}/{prefix}{repo}/resolve/{revision}/{path}, with the
// revision as one segment: refs/pr/1 becomes refs%2Fpr%2F1.
func (ep *endpoint) resolveURL(f ref.File) (*url.URL, error) {
	segments := strings.Split(f.Path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return url.Parse(ep.base.String() + "/" + f.Repo.String() + "/resolve/" +
		url.PathEscape(f.Revision) + "/" + strings.Join(segments, "/"))
}

// apiURL is {endpoint}/api/{types}/{repo}/{rest}, each of the rest one segment.
func (ep *endpoint) apiURL(repo ref.Repo, rest ...string) (*url.URL, error) {
	s := ep.base.String() + "/api/" + repo.Type.Plural() + "/" + repo.ID
	for _, segment := range rest {
		s += "/" + url.PathEscape(segment)
	}
	return url.Parse(s)
}

func (ep *endpoint) resting(now time.Time) bool {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	return now.Before(ep.until)
}

// rest lets the endpoint be passed over until then; true the first time ever.
func (ep *endpoint) rest(until time.Time) (first bool) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	first = !ep.rested
	ep.until, ep.rested = until, true
	return first
}
