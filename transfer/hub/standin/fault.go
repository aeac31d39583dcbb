package standin

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// What a [Fault] can do. N means something else for each.
const (
	FaultStatus      = "status"       // answer with status N, without the Hub's headers
	FaultStall       = "stall"        // stop after N bytes of the body, and hold the line
	FaultCut         = "cut"          // end the connection after N bytes of the body
	FaultSlow        = "slow"         // wait N milliseconds before the headers
	FaultHTML        = "html"         // a web page with status 200, as captive portals do
	FaultGzip        = "gzip"         // the body compressed, as a CDN may do
	FaultLength      = "length"       // Content-Length is wrong by N
	FaultRateLimit   = "rate-limit"   // 429, and N seconds to wait
	FaultExpired     = "expired"      // the CDN's 403 for an old signature
	FaultIgnoreRange = "ignore-range" // the whole file with status 200
	FaultRefuse      = "refuse"       // reset the connection
	FaultThrottle    = "throttle"     // N bytes a second for each request
	FaultFlip        = "flip"         // the file's byte at offset N is wrong
	FaultBare        = "bare"         // without the Hub's own headers, as poor mirrors do
	FaultRevoke      = "revoke"       // N milliseconds from now (0: at once) the CAS takes none of the tokens given out by then
)

var faultKinds = []string{
	FaultStatus, FaultStall, FaultCut, FaultSlow, FaultHTML, FaultGzip, FaultLength, FaultRateLimit,
	FaultExpired, FaultIgnoreRange, FaultRefuse, FaultThrottle, FaultFlip, FaultBare, FaultRevoke,
}

// A Fault is something that goes wrong with certain requests.
type Fault struct {
	Do string `json:"do"`
	N  int64  `json:"n,omitempty"`

	// Path is matched against the URL's path and against org/name/file, so that
	// one pattern hits a file on Hub and CDN; "*" stands for anything, "/"
	// included. Empty matches all.
	Path   string `json:"path,omitempty"`
	Host   string `json:"host,omitempty"`   // "hub", "cdn" or "cas"; empty means all
	Method string `json:"method,omitempty"` // empty means any
	Skip   int    `json:"skip,omitempty"`   // let so many pass first
	Times  int    `json:"times,omitempty"`  // hit so many, then no more; 0 means no end
}

type armedFault struct {
	Fault
	seen int
}

// Break arms a fault. Several can hit one request.
func (h *Hub) Break(f Fault) error {
	known := false
	for _, k := range faultKinds {
		known = known || k == f.Do
	}
	if !known {
		return fmt.Errorf("no fault %q; there are %s", f.Do, strings.Join(faultKinds, ", "))
	}
	if f.Do == FaultThrottle && f.N <= 0 {
		return errors.New("a throttle needs a rate above 0")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, &armedFault{Fault: f})
	return nil
}

// Heal takes all faults away. What stalls already goes on stalling.
func (h *Hub) Heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = nil
}

// hits are the faults that strike this request, by what they do.
func (h *Hub) hits(line *Request, urlPath string) map[string]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	hits := map[string]int64{}
	for _, f := range h.faults {
		if !f.matches(line, urlPath) {
			continue
		}
		f.seen++
		if f.seen > f.Skip && (f.Times == 0 || f.seen <= f.Skip+f.Times) {
			hits[f.Do] = f.N
		}
	}
	return hits
}

func (f *armedFault) matches(line *Request, urlPath string) bool {
	if f.Host != "" && f.Host != line.Host || f.Method != "" && f.Method != line.Method {
		return false
	}
	return f.Path == "" || glob(f.Path, urlPath) || line.File != "" && glob(f.Path, line.Repo+"/"+line.File)
}

// glob is path.Match where "*" reaches over "/" as well.
func glob(pattern, s string) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	ok, err := path.Match(flat(pattern), flat(s))
	return err == nil && ok
}

// strike carries out the faults that stand in for an answer; true: one did.
func (x *exchange) strike() bool {
	if ms, ok := x.hits[FaultRevoke]; ok {
		x.h.revoke(time.Duration(ms) * time.Millisecond)
	}
	if ms, ok := x.hits[FaultSlow]; ok {
		x.wait(time.Duration(ms) * time.Millisecond)
	}
	switch {
	case x.hit(FaultRefuse):
		x.reset()
	case x.hit(FaultStatus):
		http.Error(x.w, "broken on request", int(x.hits[FaultStatus]))
	case x.hit(FaultHTML):
		x.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(x.w, "<!doctype html><title>Welcome</title><p>Please log in to use this network.</p>")
	case x.hit(FaultRateLimit):
		x.tooMany(x.hits[FaultRateLimit])
	case x.hit(FaultExpired):
		x.denied("Request has expired")
	default:
		return false
	}
	return true
}

func (x *exchange) hit(do string) bool { _, ok := x.hits[do]; return ok }

// wait sleeps, but not longer than the client stays.
func (x *exchange) wait(d time.Duration) {
	ctx, cancel := context.WithTimeout(x.r.Context(), d)
	defer cancel()
	<-ctx.Done()
	if x.r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// reset ends the connection so that the client sees "connection reset".
func (x *exchange) reset() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 has streams to reset instead
	}
	raw := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// brokenWriter is a body on which stall, cut and throttle work. What goes beyond
// a promise that was too small is not sent, since no HTTP server does.
type brokenWriter struct {
	x    *exchange
	sent int64
}

func (b *brokenWriter) Write(p []byte) (n int, err error) {
	left := b.beyond(len(p))
	for p = p[:len(p)-left]; len(p) > 0; {
		m, err := b.piece(p)
		n, p = n+m, p[m:]
		if err != nil {
			return n, err
		}
	}
	return n + left, nil
}

// piece writes as much of p as may go out before something must happen.
func (b *brokenWriter) piece(p []byte) (int, error) {
	for _, do := range []string{FaultStall, FaultCut} {
		if limit, ok := b.x.hits[do]; ok {
			if b.sent >= limit {
				b.breakOff(do)
			}
			p = p[:min(int64(len(p)), limit-b.sent)]
		}
	}
	if rate, ok := b.x.hits[FaultThrottle]; ok {
		p = p[:min(int64(len(p)), max(1, rate/20))]
		b.x.flush()
		b.x.wait(time.Second * time.Duration(len(p)) / time.Duration(rate))
	}
	n, err := b.x.w.Write(p)
	b.sent += int64(n)
	return n, err
}

// breakOff never returns. What was written goes out first, so that "after N
// bytes" means that the client can have them.
func (b *brokenWriter) breakOff(do string) {
	b.x.flush()
	if do == FaultStall {
		<-b.x.r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

func (x *exchange) flush() { _ = http.NewResponseController(x.w).Flush() }

// sendGzip compresses the body though nobody asked for that.
func (x *exchange) sendGzip(r io.Reader) {
	x.w.Header().Set("Content-Encoding", "gzip")
	x.w.Header().Set("Vary", "Accept-Encoding")
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return
	}
	z := gzip.NewWriter(x.w)
	_, _ = io.Copy(z, r)
	_ = z.Close()
}

// promiseWrongly makes the length that is promised wrong by N.
func (x *exchange) promiseWrongly() {
	h := x.w.Header()
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if by, ok := x.hits[FaultLength]; ok && err == nil {
		h.Set("Content-Length", strconv.FormatInt(max(0, n+by), 10))
	}
}

// beyond is how many of the next n bytes no longer fit into what was promised.
func (b *brokenWriter) beyond(n int) int {
	promised, err := strconv.ParseInt(b.x.w.Header().Get("Content-Length"), 10, 64)
	if !b.x.hit(FaultLength) || err != nil {
		return 0
	}
	return int(min(int64(n), max(0, b.sent+int64(n)-promised)))
}

// flipped is a reader with one wrong byte.
type flipped struct {
	io.ReadSeeker
	at int64
}

func (f flipped) Read(p []byte) (int, error) {
	pos, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	n, err := f.ReadSeeker.Read(p)
	if i := f.at - pos; i >= 0 && i < int64(n) {
		p[i] ^= 0xff
	}
	return n, err
}
