package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

var errStalled = errors.New("sent nothing for too long")

// A watch ends a request whose endpoint falls silent. It runs only while we
// wait: a reader that takes its time is not the endpoint's fault.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

func newWatch(ctx context.Context, limit time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{ctx: ctx, cancel: cancel, limit: limit}
	w.timer = time.AfterFunc(limit, func() { cancel(errStalled) })
	w.timer.Stop()
	return w
}

func (w *watch) during(wait func()) {
	w.timer.Reset(w.limit)
	wait()
	w.timer.Stop()
}

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// watched is a body under watch.
type watched struct {
	io.ReadCloser
	by *watch
}

func (b watched) Read(p []byte) (n int, err error) {
	b.by.during(func() { n, err = b.ReadCloser.Read(p) })
	return n, err
}

// why puts the true cause in the place of "context canceled".
func (w *watch) why(ep *endpoint, err error) error {
	switch cause := context.Cause(w.ctx); {
	case cause == nil:
		return err
	case errors.Is(cause, errStalled):
		return ep.fault(nil, "sent nothing for %s", w.limit)
	default:
		return fmt.Errorf("%s: %w", ep.name, cause)
	}
}

// A body gives the span's bytes and no more, and never ends early without an
// error.
type body struct {
	from  io.ReadCloser
	left  int64
	watch *watch
	ep    *endpoint
}

func (b *body) Read(p []byte) (n int, err error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.left)]
	b.watch.during(func() { n, err = b.from.Read(p) })
	b.left -= int64(n)
	switch {
	case b.left == 0:
		return n, nil
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return n, fmt.Errorf("%s: broke off with %d bytes to go: %w", b.ep.name, b.left, io.ErrUnexpectedEOF)
	case err != nil:
		return n, b.watch.why(b.ep, b.ep.fault(nil, "broke off with %d bytes to go: %v", b.left, err))
	}
	return n, nil
}

func (b *body) Close() error {
	err := b.from.Close()
	b.watch.end()
	return err
}

// isStale: answers by which a CDN refuses a signature that has expired. What
// the Hub itself says of the file is no such answer.
func isStale(resp *http.Response, err error) bool {
	if err == nil || isDefinite(err) {
		return false
	}
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// isNoFile: the endpoint is at fault, not the file and not the moment.
func isNoFile(err error) bool {
	return errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrRateLimited)
}

// isPageName: files for which a web page is what was asked for.
func isPageName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm", ".xhtml":
		return true
	}
	return false
}

type contentRange struct{ off, n, total int64 } // total is -1 for "*"

// parseContentRange reads "bytes a-b/total".
func parseContentRange(s string) (r contentRange, err error) {
	bad := fmt.Errorf("content range %q is malformed", clean(s))
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	first, last, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return r, bad
	}
	a, err1 := strconv.ParseUint(first, 10, 62)
	b, err2 := strconv.ParseUint(last, 10, 62)
	if err1 != nil || err2 != nil || b < a {
		return r, bad
	}
	r = contentRange{int64(a), int64(b-a) + 1, -1}
	if total == "*" {
		return r, nil
	}
	t, err := strconv.ParseUint(total, 10, 62)
	if err != nil || b >= t {
		return r, bad
	}
	r.total = int64(t)
	return r, nil
}
