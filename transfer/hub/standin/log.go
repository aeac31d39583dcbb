package standin

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"hffs/cache/ref"
)

// Request is one line of the log.
type Request struct {
	Time   time.Time `json:"time"`
	Host   string    `json:"host"` // "hub", "cdn" or "cas"
	From   string    `json:"from"` // address of who asks, without the port
	Method string    `json:"method"`
	Path   string    `json:"path"`           // as sent, without the query
	Repo   string    `json:"repo,omitempty"` // of the file asked for, type in front: datasets/org/name
	File   string    `json:"file,omitempty"`
	Range  string    `json:"range,omitempty"`
	Status int       `json:"status"` // 0: no answer went out
	Bytes  int64     `json:"bytes"`  // of the body, as far as sent
	Token  bool      `json:"token"`  // an Authorization header came along
	User   bool      `json:"user"`   // with a token as users have them, for the Hub alone
	Agent  string    `json:"agent,omitempty"`
	Fault  string    `json:"fault,omitempty"` // what was broken on request
}

const (
	onHub = "hub"
	onCDN = "cdn"
	onCAS = "cas"
)

// maxLog bounds the log of a stand-in that runs for long; the oldest lines go.
const maxLog = 100_000

type requestLog struct {
	mu    sync.Mutex // guards all below; taken for each write of a body
	lines []*Request
	bytes map[string]int64 // body bytes of 200 and 206 answers, by repo/file
}

func (l *requestLog) begin(host string, r *http.Request) *Request {
	from, _, _ := net.SplitHostPort(r.RemoteAddr) // empty in tests that have no connection
	line := &Request{
		Time: time.Now(), Host: host, From: from, Method: r.Method, Path: r.URL.EscapedPath(), Range: r.Header.Get("Range"),
		Token: r.Header.Get("Authorization") != "", User: strings.Contains(r.Header.Get("Authorization"), "hf_"), Agent: r.UserAgent(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) >= maxLog {
		l.lines = slices.Delete(l.lines, 0, maxLog/10)
	}
	l.lines = append(l.lines, line)
	return line
}

func (l *requestLog) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// sent counts body bytes. Bytes of a file are counted only where an answer gives
// the file's own bytes, not for redirects and errors.
func (l *requestLog) sent(line *Request, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line.Bytes += int64(n)
	if line.File == "" || line.Status != http.StatusOK && line.Status != http.StatusPartialContent {
		return
	}
	if l.bytes == nil {
		l.bytes = map[string]int64{}
	}
	l.bytes[line.Repo+"/"+line.File] += int64(n)
}

// Requests is a copy of the log, oldest first. Requests still being answered are
// in it as far as they got.
func (h *Hub) Requests() []Request {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	all := make([]Request, len(h.log.lines))
	for i, line := range h.log.lines {
		all[i] = *line
	}
	return all
}

// BodyBytes is how many bytes of the file went out, from Hub and CDN together.
func (h *Hub) BodyBytes(name ref.Repo, path string) int64 {
	return h.log.fileBytes(name.String() + "/" + path)
}

// AllBodyBytes is how many bytes of any file went out.
func (h *Hub) AllBodyBytes() (n int64) {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	for _, b := range h.log.bytes {
		n += b
	}
	return n
}

// XorbBytes is how many bytes of xorbs went out, whatever file they belong to:
// what the Hub sent by the Xet protocol.
func (h *Hub) XorbBytes() (n int64) {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	for file, b := range h.log.bytes {
		if strings.HasPrefix(file, xorbRepo+"/") {
			n += b
		}
	}
	return n
}

func (l *requestLog) fileBytes(file string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes[file]
}

// ResetLog forgets all requests and counts.
func (h *Hub) ResetLog() {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	h.log.lines, h.log.bytes = nil, nil
}
