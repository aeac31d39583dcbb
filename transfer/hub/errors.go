package hub

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hffs/transfer/source"
)

// What an answer, or the lack of one, means. An [Error] matches one of them.
var (
	// ErrRepoNotFound: no such repo, or a private one that we may not see. The
	// Hub does not tell an anonymous caller which.
	ErrRepoNotFound = errors.New("no such repo, or it is private")
	// ErrRevisionNotFound: the repo has no such branch, tag or commit.
	ErrRevisionNotFound = errors.New("no such revision")
	// ErrEntryNotFound: the Hub knows the commit, and it has no such file.
	ErrEntryNotFound = errors.New("no such file in this revision")
	// ErrGated: the repo's owner grants access one by one.
	ErrGated = errors.New("access to this repo must be granted by its owner")
	// ErrUnauthorized: the Hub does not accept the token.
	ErrUnauthorized = errors.New("the token is not accepted")
	// ErrDisabled: the Hub has closed the repo.
	ErrDisabled = errors.New("the repo is disabled")
	// ErrTooLarge: the answer is longer than anything that we take.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrRateLimited: too many requests; [Error.RetryAfter] says for how long.
	ErrRateLimited = errors.New("too many requests")
	// ErrUnreachable: no endpoint gave an answer that could be used.
	ErrUnreachable = errors.New("no endpoint gave a usable answer")
	// ErrOffline: the user wants no request to be made.
	ErrOffline = errors.New("offline by the user's wish")
)

// An Error is what one endpoint did instead of giving the file.
type Error struct {
	Endpoint   string
	Status     int           // of the answer; 0 where none came
	Code       string        // X-Error-Code
	Message    string        // X-Error-Message, or our own words
	RetryAfter time.Duration // how long the endpoint asks us to stay away; 0 where it does not say

	kinds []error // one of the above, and one of source's errors where it applies
}

func (e *Error) Error() string { return e.Endpoint + " " + e.words() }

// words is the error without the endpoint's name.
func (e *Error) words() string {
	if e.Status == 0 {
		return e.Message
	}
	s := fmt.Sprintf("answered %d", e.Status)
	for _, more := range []string{e.Code, e.Message} {
		if more != "" {
			s += ": " + more
		}
	}
	return s
}

// Unwrap lets errors.Is find what the error means.
func (e *Error) Unwrap() []error { return e.kinds }

// fault is an answer, or a lack of one, that says nothing about the file.
func (ep *endpoint) fault(resp *http.Response, format string, args ...any) *Error {
	e := &Error{Endpoint: ep.name, Message: clean(fmt.Sprintf(format, args...)), kinds: []error{ErrUnreachable}}
	if resp != nil {
		e.Status = resp.StatusCode
	}
	return e
}

// tooLarge is about a repo that is beyond us, not about the endpoint.
func (ep *endpoint) tooLarge() *Error {
	return &Error{Endpoint: ep.name, Message: "its answer is longer than anything that is taken", kinds: []error{ErrTooLarge}}
}

// refusal reads an answer with an error status. away: it comes from where the
// endpoint redirected to, whose word on the repo counts only with the Hub's code.
func (ep *endpoint) refusal(resp *http.Response, away, withToken bool) *Error {
	e := &Error{
		Endpoint: ep.name, Status: resp.StatusCode, Code: clean(resp.Header.Get(headerErrorCode)),
		Message: clean(resp.Header.Get(headerErrorMessage)), RetryAfter: parseRetryAfter(resp.Header, time.Now()),
	}
	e.kinds = kindsOf(e, withToken, e.Message != "" && !isPage(resp) && !away)
	if e.Message == "" && isPage(resp) {
		e.Message = "a web page"
	}
	return e
}

// kindsOf follows the order in which huggingface_hub tests an answer
// (utils/_http.py: hf_raise_for_status). own: a bare status of it may be
// believed; proxies and captive portals answer 401, 403 and 404, too.
func kindsOf(e *Error, withToken, own bool) []error {
	switch {
	case e.Code == codeRevisionNotFound:
		return []error{ErrRevisionNotFound, source.ErrGone}
	case e.Code == codeEntryNotFound:
		return []error{ErrEntryNotFound, source.ErrGone}
	case e.Code == codeGatedRepo:
		return []error{ErrGated, source.ErrRefused}
	case e.Message == messageDisabled:
		return []error{ErrDisabled, source.ErrRefused}
	case e.Code == codeRepoNotFound:
		return []error{ErrRepoNotFound, source.ErrRefused}
	case e.Status == http.StatusTooManyRequests:
		return []error{ErrRateLimited}
	case !own:
		return []error{ErrUnreachable}
	case e.Status == http.StatusUnauthorized && !withToken && e.Message != messageBadToken:
		return []error{ErrRepoNotFound, source.ErrRefused}
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return []error{ErrUnauthorized, source.ErrRefused}
	}
	return []error{ErrUnreachable}
}

// isPersonal: refusals that may be meant for who asks. A Hub's proxy may leave out
// the Hub's words, and limits are counted for each token.
func isPersonal(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return false
}

// isDefinite: the answer is about the repo or the file, not about the endpoint,
// so asking again gives the same.
func isDefinite(err error) bool {
	for _, kind := range []error{ErrRepoNotFound, ErrRevisionNotFound, ErrEntryNotFound, ErrGated, ErrUnauthorized, ErrDisabled, ErrTooLarge} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// mirrorsWord is a mirror's no that stands while the Hub does not answer: one
// that shows that it knows the repo. That it does not see a repo says little,
// since mirrors never get the token.
func mirrorsWord(said []error) error {
	for _, err := range said {
		if errors.Is(err, ErrEntryNotFound) || errors.Is(err, ErrRevisionNotFound) {
			return err
		}
	}
	return nil
}

func verdict(said []error) error {
	if err := mirrorsWord(said); err != nil {
		return err
	}
	return &unreachable{said}
}

// unreachable lists what each endpoint said.
type unreachable struct{ said []error }

func (u *unreachable) Error() string {
	var each []string
	for _, err := range u.said {
		each = append(each, err.Error())
	}
	return ErrUnreachable.Error() + ": " + strings.Join(each, "; ")
}

// Unwrap shows a rate limit too, for callers that can wait. The rest stays
// hidden: a mirror's "no such repo" must not look like the Hub's. See [Denied].
func (u *unreachable) Unwrap() []error {
	for _, err := range u.said {
		if errors.Is(err, ErrRateLimited) {
			return []error{ErrUnreachable, err}
		}
	}
	return []error{ErrUnreachable}
}

// Denied finds in an ErrUnreachable what an endpoint denied while the Hub itself
// was out of reach; nil for nothing. It is for people, who may know better.
func Denied(err error) error {
	if u, ok := errors.AsType[*unreachable](err); ok {
		for _, said := range u.said {
			if isDefinite(said) {
				return said
			}
		}
	}
	return nil
}

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// reason is the error without the endpoint's name, for sentences that have it.
func reason(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.words()
	}
	return err.Error()
}

// parseRetryAfter reads how long to stay away: RateLimit's t where r is 0 (only
// then is the limit the reason), else Retry-After in seconds or as a date.
func parseRetryAfter(h http.Header, now time.Time) time.Duration {
	if r, t, ok := parseRateLimit(h.Get(headerRateLimit)); ok && r == 0 {
		return bound(t)
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return bound(time.Duration(n) * time.Second)
	}
	if at, err := http.ParseTime(v); err == nil {
		return bound(at.Sub(now))
	}
	return 0
}

// parseRateLimit reads `"resolvers";r=2997;t=258`: what is left, and the time
// until the window begins anew.
func parseRateLimit(s string) (left int64, reset time.Duration, ok bool) {
	left = -1
	for part := range strings.SplitSeq(s, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseInt(value, 10, 32)
		switch {
		case err != nil || n < 0:
		case name == "r":
			left = n
		case name == "t":
			reset = time.Duration(n) * time.Second
		}
	}
	return left, reset, left >= 0
}

func bound(d time.Duration) time.Duration { return max(0, min(d, maxRetryAfter)) }

// clean makes foreign text fit for a terminal.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), maxMessage)], ""))
	return strings.TrimSpace(s)
}
