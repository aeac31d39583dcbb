package endpoint

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// forward has the Hub answer.
func (x *exchange) forward() { x.lib.Forward(x.w, x.toHub(x.r.Context())) }

// toHub is the request with the slashes in front that some clients add taken away.
func (x *exchange) toHub(ctx context.Context) *http.Request {
	r := x.r.Clone(ctx)
	r.URL.Path = "/" + strings.TrimLeft(r.URL.Path, "/")
	if r.URL.RawPath != "" {
		r.URL.RawPath = "/" + strings.TrimLeft(r.URL.RawPath, "/")
	}
	return r
}

// hubAnswers has the Hub answer what it knows better than we do, if it can do so
// before long; otherwise nothing has been sent, and it is our turn.
func (x *exchange) hubAnswers() bool {
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	t := &tentative{to: x.w, header: http.Header{}, late: time.AfterFunc(hubPatience, cancel)}
	defer t.late.Stop()
	x.lib.Forward(t, x.toHub(ctx))
	return t.kept
}

// tentative is an answer that counts unless it is one of trouble. Only the goroutine
// of the request uses it.
type tentative struct {
	to      *answer
	header  http.Header
	late    *time.Timer
	decided bool
	kept    bool
}

func (t *tentative) Header() http.Header { return t.header }

func (t *tentative) WriteHeader(status int) {
	if t.decided || status < http.StatusOK {
		return
	}
	t.decided = true
	t.kept = status < http.StatusInternalServerError && status != http.StatusTooManyRequests
	if !t.kept {
		return
	}
	t.late.Stop()
	for name, v := range t.header {
		t.to.Header()[name] = v
	}
	t.to.WriteHeader(status)
}

func (t *tentative) Write(p []byte) (int, error) {
	t.WriteHeader(http.StatusOK) // unless it has been said
	if !t.kept {
		return len(p), nil
	}
	return t.to.Write(p)
}

// FlushError is what http.ResponseController looks for.
func (t *tentative) FlushError() error {
	if !t.kept {
		return nil
	}
	return http.NewResponseController(t.to).Flush()
}
