package endpoint

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
)

// place has the file put into the cache before the answer goes out, for clients
// that share it: they look there before they fetch, and need no copy of their own.
// Clients started by us wait as long as it takes; others for as long as they have
// patience; those with a cache of their own, not at all.
func (x *exchange) place(e ref.Entry) {
	ctx := x.r.Context()
	switch agent := x.r.UserAgent(); {
	case strings.Contains(agent, RunMark):
	case strings.Contains(agent, agentHub):
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, headPatience)
		defer cancel()
	default:
		return
	}
	select {
	case x.placing <- struct{}{}:
		defer func() { <-x.placing }()
		x.lib.Place(ctx, e)
	case <-ctx.Done():
	}
}

// body sends a span of the file. Headers go out at once, since clients wait for
// them with less patience than for bytes.
func (x *exchange) body(e ref.Entry, contentType string, s span) {
	status := http.StatusOK
	if s.part {
		status = http.StatusPartialContent
	}
	if s.n == 0 {
		x.begin(e, contentType, status, s)
		return
	}
	content, err := x.lib.Open(x.r.Context(), e)
	if errors.Is(err, ErrForward) {
		x.forward()
		return
	}
	if err != nil {
		x.refuse(err)
		return
	}
	defer content.Close()
	x.begin(e, contentType, status, s)
	if err := x.stream(content, s); err != nil {
		x.log.Debug("answer broken off", "file", e, "sent", x.w.sent, "of", s.n, "err", err)
		panic(http.ErrAbortHandler) // a body that ends short would be taken for whole
	}
}

func (x *exchange) stream(content Content, s span) error {
	if f := content.File(); f != nil {
		if _, err := f.Seek(s.off, io.SeekStart); err != nil {
			return err
		}
		_, err := io.CopyN(x.w, f, s.n) // the system's short way, from file to socket
		return err
	}
	out := flushing{x.w, http.NewResponseController(x.w)}
	if err := out.rc.Flush(); err != nil {
		return err
	}
	n, err := content.Send(x.r.Context(), out, s.off, s.n)
	if err == nil && n < s.n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// flushing sends on what it gets at once: the next piece may be long in coming.
type flushing struct {
	to *answer
	rc *http.ResponseController
}

func (w flushing) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	if err == nil {
		err = w.rc.Flush()
	}
	return n, err
}

func (w flushing) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.to.ReadFrom(r)
	if err == nil {
		err = w.rc.Flush()
	}
	return n, err
}

func markOf(r *http.Request) string { return caller.Mark(tokenOf(r)) }
