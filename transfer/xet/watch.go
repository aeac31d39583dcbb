package xet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

var errStalled = errors.New("sent nothing for too long")

// A watch ends requests whose host falls silent. It runs only while we wait: a
// reader that takes its time is not the host's fault.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	hasty  bool // the limit is for answers' headers, too
}

func newWatch(ctx context.Context, limit time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(ctx)
	return &watch{ctx: ctx, cancel: cancel, limit: limit}
}

// inTime ends a request whose host does not begin to answer, where the watch is
// less patient about that than the transport.
func (w *watch) inTime(send func(context.Context) (*http.Response, error)) (*http.Response, error) {
	if !w.hasty {
		return send(w.ctx)
	}
	ctx, cancel := context.WithCancelCause(w.ctx) // lasts as long as the body
	timer := time.AfterFunc(w.limit, func() { cancel(errStalled) })
	resp, err := send(ctx)
	if !timer.Stop() && err != nil {
		err = fmt.Errorf("%w (%v)", errStalled, w.limit)
	}
	return resp, err
}

// watched is a body whose reads must not take too long.
type watched struct {
	body io.ReadCloser
	w    *watch
}

// Read closes a silent body under its own read, so that the watch's context, and
// with it what may still be tried, stays alive.
func (r watched) Read(p []byte) (int, error) {
	stalled := make(chan struct{})
	timer := time.AfterFunc(r.w.limit, func() {
		close(stalled)
		_ = r.body.Close()
	})
	n, err := r.body.Read(p)
	if !timer.Stop() && err != nil {
		<-stalled
		err = fmt.Errorf("%w (%v)", errStalled, r.w.limit)
	}
	return n, err
}
