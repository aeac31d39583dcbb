package endpoint

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// A span is which bytes of a file to send.
type span struct {
	off, n int64
	part   bool // asked for as a range: the answer is a 206
}

// contentRange is the header of a 206.
func (s span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.off, s.off+s.n-1, size)
}

// spanOf reads the range that a GET asks for; false means that there is none such,
// a 416. Several ranges at once are answered by the whole file, as RFC 9110 allows
// (14.2); so is any range of an empty file, which can have no 206. A range that
// cannot be read is refused rather than passed over: some clients take whatever
// comes for the bytes they wanted.
func spanOf(header string, size int64) (span, bool) {
	whole := span{n: size}
	unit, list, _ := strings.Cut(header, "=")
	if header == "" || size == 0 || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return whole, true
	}
	var asked []string
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			asked = append(asked, s)
		}
	}
	switch len(asked) {
	case 0:
		return span{}, false
	case 1:
		return oneSpan(asked[0], size)
	}
	return whole, true
}

func oneSpan(s string, size int64) (span, bool) {
	first, last, dash := strings.Cut(s, "-")
	if !dash {
		return span{}, false
	}
	if first == "" { // the last n bytes
		n, ok := number(last)
		n = min(n, size)
		return span{size - n, n, true}, ok && n > 0
	}
	from, ok := number(first)
	to := size - 1
	if last != "" && ok {
		to, ok = number(last)
	}
	if !ok || from >= size || to < from {
		return span{}, false
	}
	return span{from, min(to, size-1) - from + 1, true}, true
}

// number reads digits; one that is too large for us is larger than any file.
func number(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && s != "" {
		return math.MaxInt64, true
	}
	return n, err == nil
}

// wanted is the span that a request asks for, If-Range minded: where the file is
// another one by now the whole of it is due.
func wanted(h http.Header, etag string, size int64) (span, bool) {
	if v := h.Get("If-Range"); v != "" && v != etag {
		return span{n: size}, true
	}
	return spanOf(h.Get("Range"), size)
}

// named reports whether a list of etags, or "*", has this one. Weak ones count
// where the comparison is weak (RFC 9110, 8.8.3.2).
func named(list []string, etag string, weak bool) bool {
	for v := range strings.SplitSeq(strings.Join(list, ","), ",") {
		v = strings.TrimSpace(v)
		if weak {
			v = strings.TrimPrefix(v, "W/")
		}
		if v == etag || v == "*" {
			return true
		}
	}
	return false
}
