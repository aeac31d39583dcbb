package node

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/transfer"
	"hffs/transfer/catalog/access"
	"hffs/transfer/hub"
	"hffs/transfer/hub/endpoint"
)

// failures are errors as the Hub would put them, for programs that take us for it. What
// is our own trouble, or that of the way to the Hub, must not look like the Hub's last
// word: it is a 502, 503 or 504.
var failures = []struct {
	err     error
	status  int
	code    string
	message string // empty: the Hub's own, else the error's
}{
	{hub.ErrEntryNotFound, http.StatusNotFound, "EntryNotFound", "Entry not found"},
	{hub.ErrRevisionNotFound, http.StatusNotFound, "RevisionNotFound", ""},
	{hub.ErrGated, http.StatusForbidden, "GatedRepo", ""},
	{hub.ErrDisabled, http.StatusForbidden, "", "Access to this resource is disabled."},
	{hub.ErrRepoNotFound, http.StatusNotFound, "RepoNotFound", "Repository not found"},
	{hub.ErrUnauthorized, http.StatusUnauthorized, "", ""},
	{hub.ErrRateLimited, http.StatusTooManyRequests, "", ""},
	{access.ErrNoAccess, http.StatusServiceUnavailable, "", ""},
	{hub.ErrOffline, http.StatusServiceUnavailable, "", ""},
	{hub.ErrUnreachable, http.StatusGatewayTimeout, "", ""},
	{cache.ErrMismatch, http.StatusBadGateway, "", ""},
	{transfer.ErrMismatch, http.StatusBadGateway, "", ""},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "", ""},
}

// failure puts an error into the Hub's words.
func failure(err error) endpoint.Failure {
	said, _ := errors.AsType[*hub.Error](err)
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return asTheHub(endpoint.Failure{Status: f.status, Code: f.code, Message: f.message}, said, err)
		}
	}
	if _, is := errors.AsType[*ref.Error](err); is {
		return endpoint.Failure{Status: http.StatusNotFound, Message: err.Error()}
	}
	return endpoint.Failure{Status: http.StatusBadGateway, Message: words(err)}
}

// asTheHub takes over what the Hub itself said.
func asTheHub(f endpoint.Failure, said *hub.Error, err error) endpoint.Failure {
	final := f.Status < http.StatusInternalServerError
	if said != nil && final && said.Status >= http.StatusBadRequest {
		f.Status = said.Status
		if said.RetryAfter > 0 {
			f.Header = http.Header{"Retry-After": {strconv.Itoa(int(said.RetryAfter.Seconds()))}}
		}
		if f.Message == "" {
			f.Message = said.Message
		}
	}
	if f.Message == "" {
		f.Message = words(err)
	}
	return f
}

// words is an error with what to try.
func words(err error) string {
	e := Explain(err)
	if e.Hint == "" {
		return "hffs: " + e.Message
	}
	return "hffs: " + e.Message + " (" + e.Hint + ")"
}
