package node

import (
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/transfer"
)

// readLinger is how long a blob still counts as being read when its last reader has
// left: who fetches it asks for one piece after the other.
const readLinger = time.Second

// reading is who reads what just now through this node: peers at its door, and
// programs of this machine at its endpoint.
type reading struct {
	mu   sync.Mutex // guards what follows
	open map[ref.ETag]int
	left map[ref.ETag]time.Time
}

// begin says that somebody reads a blob, until end.
func (r *reading) begin(etag ref.ETag) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open, r.left = map[ref.ETag]int{}, map[ref.ETag]time.Time{}
	}
	r.open[etag]++
	return sync.OnceFunc(func() { r.end(etag) })
}

func (r *reading) end(etag ref.ETag) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.open[etag]--; r.open[etag] == 0 {
		delete(r.open, etag)
	}
	for other, at := range r.left {
		if now.Sub(at) > readLinger {
			delete(r.left, other)
		}
	}
	r.left[etag] = now
}

// is tells whether somebody reads a blob, or has a moment ago.
func (r *reading) is(etag ref.ETag) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	left, ok := r.left[etag]
	return r.open[etag] > 0 || ok && time.Since(left) < readLinger
}

// read is an open blob as the door wants it, which is counted while it is open.
func (r *reading) read(h *cache.Held) held { return held{h, r.begin(h.Blob.ETag)} }

// Close ends the reading.
func (h held) Close() error {
	h.end()
	return h.Held.Close()
}

// stream is a file as the endpoint wants it, which is counted while it is open.
type stream struct {
	*transfer.Stream
	end func()
}

// Close ends the reading.
func (s stream) Close() error {
	s.end()
	return s.Stream.Close()
}
