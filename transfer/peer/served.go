package peer

import (
	"net"
	"net/http"
	"sync"
	"time"

	"hffs/cache/ref"
)

// Served is what one address was sent of one blob in a row of requests.
type Served struct {
	To       string   // an IP address
	Blob     ref.ETag // empty for chunks, of whatever blobs
	Bytes    int64
	Requests int
	Took     time.Duration
}

// A row of requests is over when none has come for a while; so many are kept in mind
// at once, and what is beyond that is not told of.
const (
	servedQuiet = 2 * time.Second
	servedMost  = 4096
)

// ledger sums up what was sent, since one transfer is many requests.
type ledger struct {
	mu   sync.Mutex // guards rows
	rows map[servedRow]*row
}

type servedRow struct {
	to   string
	blob ref.ETag
}

type row struct {
	Served
	began, last time.Time
	over        *time.Timer
}

// served notes what a request was answered with, for Server.Served.
func (s *Server) served(r *http.Request, etag ref.ETag, n int64) {
	if s.Served == nil || n == 0 {
		return
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	key, now := servedRow{host, etag}, time.Now()
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	x := s.ledger.rows[key]
	if x == nil {
		if len(s.ledger.rows) >= servedMost {
			return
		}
		x = &row{Served: Served{To: host, Blob: etag}, began: now}
		x.over = time.AfterFunc(servedQuiet, func() { s.close(key, x) })
		s.ledger.rows[key] = x
	}
	x.Bytes, x.last = x.Bytes+n, now
	x.Requests++
	x.over.Reset(servedQuiet)
}

// close tells of a row, once.
func (s *Server) close(key servedRow, x *row) {
	s.ledger.mu.Lock()
	mine := s.ledger.rows[key] == x
	if mine {
		delete(s.ledger.rows, key)
		x.Took = x.last.Sub(x.began)
	}
	sum := x.Served
	s.ledger.mu.Unlock()
	if mine {
		s.Served(sum)
	}
}

// Flush tells at once of what was sent and not told of yet.
func (s *Server) Flush() {
	s.ledger.mu.Lock()
	open := map[servedRow]*row{}
	for key, x := range s.ledger.rows {
		x.over.Stop()
		open[key] = x
	}
	s.ledger.mu.Unlock()
	for key, x := range open {
		s.close(key, x)
	}
}
