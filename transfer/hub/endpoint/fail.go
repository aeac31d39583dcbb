package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"hffs/cache/ref"
)

// A Failure is an error as the Hub would put it.
type Failure struct {
	Status  int         // 0 means 502
	Code    string      // X-Error-Code, where clients decide by it
	Message string      // X-Error-Message, and the body
	Commit  ref.Commit  // with EntryNotFound: this commit has no such file, for certain
	Hearsay bool        // with EntryNotFound: it is not certain, and clients are not to keep it
	Header  http.Header // the Hub's own, of which RateLimit and Retry-After are passed on
}

func (f *Failure) Error() string { return f.Message }

func noRevision(revision string) *Failure {
	return &Failure{Status: http.StatusNotFound, Code: codeRevisionNotFound, Message: "Invalid rev id: " + revision}
}

// said is the error in the Hub's words.
func (x *exchange) said(err error) Failure {
	var f Failure
	if own, ok := errors.AsType[*Failure](err); ok {
		f = *own
	} else if x.explain != nil {
		f = x.explain(err)
	}
	if f.Message == "" {
		f.Message = err.Error()
	}
	switch {
	case f.Status == 0 && errors.Is(err, context.DeadlineExceeded):
		f.Status = http.StatusGatewayTimeout
	case f.Status == 0:
		f.Status = http.StatusBadGateway
	}
	return f
}

func (x *exchange) refuse(err error) { x.fail(x.said(err)) }

// fail answers with an error. Clients look at the code first; that a bare 401 means
// "no such repo, or a private one" is known to them of the public Hub alone, so it
// is said here.
func (x *exchange) fail(f Failure) {
	if x.r.Context().Err() != nil {
		return // nobody is there to read it
	}
	h := x.w.Header()
	if f.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", askForToken)
		if f.Code == "" && f.Message != messageBadToken {
			f.Code = codeRepoNotFound
		}
	}
	for _, name := range passedOn {
		if v := f.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	for name, v := range map[string]string{headerErrorCode: f.Code, headerErrorMessage: forHeader(f.Message), headerCommit: string(f.Commit)} {
		if v != "" {
			h.Set(name, v)
		}
	}
	if x.isAPI() {
		x.json(f.Status, map[string]string{"error": f.Message})
		return
	}
	x.text(f.Status, f.Message)
}

// forHeader keeps a header to plain ASCII on one line.
func forHeader(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxMessage)])
}

func (x *exchange) text(status int, body string) { x.send(status, typeText, []byte(body)) }

func (x *exchange) json(status int, v any) {
	body, err := marshal(v)
	if err != nil {
		x.send(http.StatusInternalServerError, typeText, []byte(err.Error()))
		return
	}
	x.send(status, typeJSON, body)
}

func (x *exchange) send(status int, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body)
	}
}

// marshal writes JSON as the Hub does, with "<" and "&" as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// notWhole: the list of a commit may lack files, where a client would take it for
// all there are.
func notWhole(commit ref.Commit) *Failure {
	return &Failure{Status: http.StatusServiceUnavailable, Message: fmt.Sprintf(
		"The Hub is out of reach, and no machine here knows all files of commit %s. Single files may still be had by name.", commit)}
}
