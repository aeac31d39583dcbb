package xet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

var errStalled = errors.New("sent nothing for too long")

// A watch ends requests whose host falls silent. It runs only while we wait: a
// reader that takes its time is not the host's fault.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
}

func newWatch(ctx context.Context, limit time.Duration) *watch {
	ctx, cancel := context.WithCancelCause(ctx)
	return &watch{ctx: ctx, cancel: cancel, limit: limit}
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
