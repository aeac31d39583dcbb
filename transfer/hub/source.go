package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sort"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"hffs/cache/ref"
	"hffs/transfer/source"
)

// Sources are the endpoints as sources for the entry, in the order in which
// they are worth asking: what answered for it, then the others, then those that
// failed a moment ago. All state lies in the client, so asking anew is cheap.
func (c *Client) Sources(e ref.Entry) []source.Source {
	if c.cfg.Offline {
		return nil
	}
	turns := c.turns(c.endpoints)
	sort.SliceStable(turns, func(i, j int) bool {
		return c.links.answered(turns[i], e) && !c.links.answered(turns[j], e)
	})
	list := make([]source.Source, len(turns))
	for i, ep := range turns {
		list[i] = endpointSource{c, ep}
	}
	return list
}

// endpointSource is one endpoint seen as a source.
type endpointSource struct {
	c  *Client
	ep *endpoint
}

func (s endpointSource) Name() string      { return s.ep.name }
func (s endpointSource) Kind() source.Kind { return source.Hub }

// Secondhand is true for mirrors.
func (s endpointSource) Secondhand() bool { return !s.ep.hub }

// Open asks for the bytes where the last answer said that they are. Such a link
// is signed and expires; when it is refused, the way begins at the Hub again.
func (s endpointSource) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n < 0 || off > e.Blob.Size-n {
		return nil, fmt.Errorf("%s: bytes %d+%d lie outside a blob of %d", s.ep.name, off, n, e.Blob.Size)
	}
	if n == 0 {
		return http.NoBody, nil
	}
	body, err := s.open(ctx, e, off, n)
	if err != nil && ctx.Err() == nil && isNoFile(err) {
		s.c.passOver(ctx, s.ep, err)
	}
	return body, err
}

func (s endpointSource) open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	if at, ok := s.c.links.get(s.ep, s.c.whose(ctx), e, s.c.now()); ok {
		body, stale, err := s.openAt(ctx, e, off, n, at)
		if !stale {
			return body, err
		}
		s.c.links.drop(s.ep, s.c.whose(ctx), e)
	}
	u, err := s.ep.resolveURL(ref.File{Repo: e.Repo, Revision: string(e.Commit), Path: e.Path})
	if err != nil {
		return nil, err
	}
	at, err := s.c.start(ctx, s.ep, u)
	if err != nil {
		return nil, err
	}
	body, _, err := s.openAt(ctx, e, off, n, at)
	return body, err
}

// openAt walks the hops from at and checks that what comes is the span. stale:
// the first address was refused, which an old link often is.
func (s endpointSource) openAt(ctx context.Context, e ref.Entry, off, n int64, at hop) (_ io.ReadCloser, stale bool, err error) {
	w := newWatch(ctx, s.c.cfg.StallTimeout)
	defer func() {
		if err != nil {
			err = w.why(s.ep, err)
			w.end()
		}
	}()
	span := fmt.Sprintf("bytes=%d-%d", off, off+n-1)
	for i := range maxHops {
		resp, err := s.c.send(w.ctx, s.c.bodies, http.MethodGet, at, span)
		if err != nil {
			return nil, false, s.ep.fault(nil, "%v", err)
		}
		if !isRedirect(resp) {
			body, err := s.accept(w, resp, at, e, off, n)
			return body, i == 0 && isStale(resp, err), err
		}
		w.during(func() { discard(resp) })
		if at, err = s.follow(at, resp, e); err != nil {
			return nil, false, err
		}
	}
	return nil, false, s.ep.fault(nil, "redirects without end")
}

func (s endpointSource) follow(at hop, resp *http.Response, e ref.Entry) (hop, error) {
	if err := s.checkETag(resp, resp.Header.Get(headerLinkedETag), e); err != nil {
		return hop{}, err
	}
	next, err := at.follow(resp)
	if err != nil {
		return hop{}, s.ep.fault(resp, "%v", err)
	}
	return next, nil
}

// checkETag compares what a hop of the Hub says of the content; others are not
// asked.
func (s endpointSource) checkETag(resp *http.Response, said string, e ref.Entry) error {
	if resp.Header.Get(headerCommit) == "" || said == "" {
		return nil
	}
	if got, err := ref.ParseETag(said); err != nil || got != e.Blob.ETag {
		return s.gone(resp, "has other content under this name")
	}
	return nil
}

// accept makes a body of the last hop's answer if that is the span, whole and
// plain, and remembers the way to it.
func (s endpointSource) accept(w *watch, resp *http.Response, at hop, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	err := s.check(resp, at, e, off, n)
	if err != nil {
		w.during(func() { discard(resp) })
		return nil, err
	}
	s.c.links.put(s.ep, s.c.whose(w.ctx), e, at, s.c.now())
	return &body{from: resp.Body, left: n, watch: w, ep: s.ep}, nil
}

func (s endpointSource) check(resp *http.Response, at hop, e ref.Entry, off, n int64) error {
	switch {
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return s.gone(resp, "has a file of another size")
	case resp.StatusCode >= 400:
		return s.ep.refusal(resp, at.away, at.token)
	case isPage(resp) && !isPageName(e.Path):
		return s.noFile(resp, "served a web page instead of the file")
	case isEncoded(resp):
		return s.noFile(resp, "sent the file in another encoding")
	}
	if err := s.checkSpan(resp, e, off, n); err != nil {
		return err
	}
	said := resp.Header.Get(headerLinkedETag)
	if said == "" {
		said = resp.Header.Get("Etag")
	}
	return s.checkETag(resp, said, e)
}

// checkSpan demands a 206 with exactly the span, or a 200 with the whole blob
// where that begins with the span.
func (s endpointSource) checkSpan(resp *http.Response, e ref.Entry, off, n int64) error {
	length := n
	switch resp.StatusCode {
	case http.StatusPartialContent:
		got, err := parseContentRange(resp.Header.Get("Content-Range"))
		if err != nil {
			return s.noFile(resp, "%v", err)
		}
		if got.total >= 0 && got.total != e.Blob.Size {
			return s.gone(resp, "has a file of another size")
		}
		if got.off != off || got.n != n {
			return s.noFile(resp, "sent another range than asked for")
		}
	case http.StatusOK:
		if off != 0 {
			return s.noFile(resp, "ignored the range asked for")
		}
		length = e.Blob.Size
	default:
		return s.noFile(resp, "that is no answer to this question")
	}
	if resp.ContentLength >= 0 && resp.ContentLength != length {
		return s.noFile(resp, "sends %d bytes where %d belong", resp.ContentLength, length)
	}
	return nil
}

func (s endpointSource) gone(resp *http.Response, why string) error {
	e := s.ep.fault(resp, "%s", why)
	e.kinds = []error{source.ErrGone}
	return e
}

func (s endpointSource) noFile(resp *http.Response, format string, args ...any) error {
	return s.ep.fault(resp, format, args...)
}

// links remembers, for each endpoint and entry, where the bytes were last: the
// CDN's signed URL, most often. Bounded, and forgotten before the Hub's
// signatures expire. Such a URL opens the file to whoever has it, so each caller
// has links of his own; who has answered is the same for all.
type links struct {
	known *lru.Cache[linkKey, link]
	said  *lru.Cache[linkKey, bool]
}

type linkKey struct {
	endpoint string
	whose    string
	repo     ref.Repo
	commit   ref.Commit
	path     string
}

type link struct {
	at    hop
	until time.Time
}

func newLinks() *links {
	known, err := lru.New[linkKey, link](maxLinks)
	if err != nil {
		panic(err) // only for a size below one
	}
	said, err := lru.New[linkKey, bool](maxLinks)
	if err != nil {
		panic(err)
	}
	return &links{known, said}
}

func keyOf(ep *endpoint, whose string, e ref.Entry) linkKey {
	return linkKey{ep.name, whose, e.Repo, e.Commit, e.Path}
}

func (l *links) put(ep *endpoint, whose string, e ref.Entry, at hop, now time.Time) {
	l.said.Add(keyOf(ep, "", e), true)
	key := keyOf(ep, whose, e)
	if old, ok := l.known.Get(key); ok && *old.at.url == *at.url && now.Before(old.until) {
		return // its time counts from when it was signed
	}
	l.known.Add(key, link{at, now.Add(linkLife)})
}

func (l *links) get(ep *endpoint, whose string, e ref.Entry, now time.Time) (hop, bool) {
	k, ok := l.known.Get(keyOf(ep, whose, e))
	return k.at, ok && now.Before(k.until)
}

func (l *links) drop(ep *endpoint, whose string, e ref.Entry) {
	l.known.Remove(keyOf(ep, whose, e))
	l.said.Remove(keyOf(ep, "", e))
}

// answered: the endpoint has answered for this entry, however long ago.
func (l *links) answered(ep *endpoint, e ref.Entry) bool { return l.said.Contains(keyOf(ep, "", e)) }
