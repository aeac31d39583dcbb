package standin

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answerWriter tells the log what goes out.
type answerWriter struct {
	http.ResponseWriter
	x *exchange
}

// hubHeaders are what a poor mirror leaves out.
var hubHeaders = []string{"X-Repo-Commit", "X-Linked-Etag", "X-Linked-Size", "X-Xet-Hash", "Etag", "X-Error-Code", "X-Error-Message"}

func (w *answerWriter) WriteHeader(status int) {
	if w.x.hit(FaultBare) {
		for _, name := range hubHeaders {
			w.Header().Del(name)
		}
	}
	w.x.h.log.note(func() { w.x.line.Status = status })
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (int, error) {
	if w.x.line.Status == 0 { // only this goroutine writes it
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.x.h.log.sent(w.x.line, n)
	return n, err
}

// Unwrap lets http.ResponseController through.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (x *exchange) noteFaults() {
	did := strings.Join(slices.Sorted(maps.Keys(x.hits)), ",")
	x.h.log.note(func() { x.line.Fault = did })
}

func (x *exchange) isAPI() bool {
	return strings.HasPrefix(x.r.URL.Path, "/api/") && !x.isResolveCache()
}

func (x *exchange) isResolveCache() bool {
	return strings.HasPrefix(x.r.URL.Path, "/api/resolve-cache/")
}

// exposed is the list of headers that web pages may read.
const exposed = "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link," +
	"Accept-Ranges,Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash"

// generic sets the headers of all the Hub's answers, redirects and errors
// included.
func (x *exchange) generic() {
	h := x.w.Header()
	h.Set("X-Powered-By", "huggingface-moon")
	h.Set("X-Request-Id", x.requestID())
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	h.Set("Access-Control-Max-Age", "86400")
	h.Set("Access-Control-Allow-Origin", "https://huggingface.co")
	h.Set("Access-Control-Expose-Headers", exposed)
	h.Set("Vary", "Origin")
	if _, limited := h["Ratelimit"]; !limited {
		bucket, quota := x.bucket()
		left := quota - x.h.count(bucket)
		x.rateLimit(bucket, max(1, left), quota, 258)
	}
}

// bucket is the rate limit that a request counts against, and the limit of an
// anonymous caller. The stand-in counts, but refuses nobody unless asked to.
func (x *exchange) bucket() (name string, quota int) {
	if x.isAPI() {
		return "api", 500
	}
	return "resolvers", 3000
}

func (h *Hub) count(bucket string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.quota[bucket]++
	return h.quota[bucket]
}

func (x *exchange) rateLimit(bucket string, left, quota int, reset int64) {
	x.w.Header().Set("Ratelimit", fmt.Sprintf(`"%s";r=%d;t=%d`, bucket, left, reset))
	x.w.Header().Set("Ratelimit-Policy", fmt.Sprintf(`"fixed window";"%s";q=%d;w=300`, bucket, quota))
}

// tooMany is a 429. No real one is on record: status and body are a guess, the
// headers are documented.
func (x *exchange) tooMany(seconds int64) {
	bucket, quota := x.bucket()
	x.rateLimit(bucket, 0, quota, seconds)
	x.fail(http.StatusTooManyRequests, "", "Too Many Requests")
}

func (x *exchange) requestID() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	id := fmt.Sprintf("Root=1-%08x-%s", time.Now().Unix(), hex.EncodeToString(b[:]))
	if trace := x.r.Header.Get("X-Amzn-Trace-Id"); trace != "" {
		id += ";" + trace
	}
	return id
}

// fail answers with an error as the Hub words it: JSON on the API, plain text
// elsewhere.
func (x *exchange) fail(status int, code, message string) {
	if code != "" {
		x.w.Header().Set("X-Error-Code", code)
	}
	x.w.Header().Set("X-Error-Message", message)
	if x.isAPI() {
		x.json(status, map[string]string{"error": message})
		return
	}
	x.text(status, message)
}

func (x *exchange) notFound() { x.fail(http.StatusNotFound, "", "Not Found") }

func (x *exchange) text(status int, body string) {
	x.short(status, "text/plain; charset=utf-8", []byte(body))
}

func (x *exchange) json(status int, v any) {
	body, err := marshal(v)
	if err != nil {
		http.Error(x.w, err.Error(), http.StatusInternalServerError)
		return
	}
	x.short(status, "application/json; charset=utf-8", body)
}

// marshal writes JSON as the Hub does, with "<" and "&" as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func (x *exchange) short(status int, contentType string, body []byte) {
	x.w.Header().Set("Etag", weakETag(body))
	x.send(status, contentType, body)
}

func (x *exchange) send(status int, contentType string, body []byte) {
	x.generic()
	x.w.Header().Set("Content-Type", contentType)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body)
	}
}

// redirect has the body that misleads clients about the file's size, and no
// ETag.
func (x *exchange) redirect(status int, location string) {
	x.w.Header().Set("Location", location)
	text := "Temporary Redirect"
	if status == http.StatusFound {
		text = "Found"
	}
	x.send(status, "text/plain; charset=utf-8", []byte(text+". Redirecting to "+location))
}

// weakETag is what the Express framework gives short bodies: their length in hex
// and 27 characters of their sha1. On error answers it is a trap, since it is no
// content id.
func weakETag(body []byte) string {
	sum := sha1.Sum(body)
	return fmt.Sprintf(`W/"%x-%s"`, len(body), base64.StdEncoding.EncodeToString(sum[:])[:27])
}
