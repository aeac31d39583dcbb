package transfer

import (
	"context"
	"errors"
	"slices"
	"time"

	"hffs/cache/ref"
)

// An answer whose headers are out cannot say any more why it breaks off. Clients come back
// for the rest within a second or two, and are told then.

const (
	failureFor  = 5 * time.Second
	failureMost = 64
)

// failure is why a fetch brought nothing.
type failure struct {
	etag ref.ETag
	err  error
	at   time.Time
	told bool // whoever comes back is told
}

// failedLocked notes how a fetch ended, if all of it was in vain. One that had come on
// was interrupted: another try may go further. Where all came and was wrong, it is worth
// another try once.
func (t *Transfer) failedLocked(etag ref.ETag, fl *flight) {
	before := len(t.failures)
	t.failures = slices.DeleteFunc(t.failures, func(f failure) bool { return f.etag == etag })
	again := len(t.failures) < before
	if fl.err == nil || errors.Is(fl.err, context.Canceled) {
		return
	}
	p, _ := fl.board.look()
	came := slices.ContainsFunc(p.Sources, func(s SourceState) bool { return s.Bytes > 0 })
	wrong := errors.Is(fl.err, ErrMismatch)
	if came && !wrong {
		return
	}
	t.failures = append(t.failures, failure{etag, fl.err, time.Now(), again || !wrong})
	t.failures = t.failures[max(0, len(t.failures)-failureMost):]
}

// failedLately is why a fetch was in vain a moment ago, if it was and none goes on.
func (t *Transfer) failedLately(etag ref.ETag) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.failures, func(f failure) bool { return f.etag == etag })
	if i < 0 || !t.failures[i].told || t.flights[etag] != nil || time.Since(t.failures[i].at) > failureFor {
		return nil
	}
	return t.failures[i].err
}
