package cache

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
)

// How much of what the Hub said is remembered; beyond it the oldest go.
const (
	maxEntries    = 100_000
	maxLists      = 5000
	maxListsBytes = 256 << 20
	maxInfos      = 5000
	maxInfosBytes = 64 << 20
)

// orderOf is the bucket that has a bucket's keys by age: a sequence number -> key,
// oldest first.
func orderOf(bucket string) string { return bucket + "-order" }

// fifo bounds a bucket: the oldest values go when there are too many. Their
// numbers live in the database as well, so that age outlasts a restart.
type fifo struct {
	values, order string // buckets
	max           uint64
	maxBytes      int64 // of all values; 0 means that it is not bounded

	mu          sync.Mutex // guards what follows
	known       bool       // what follows was read
	first, next uint64
	bytes       int64
}

func orderKey(n uint64) string { return fmt.Sprintf("%016x", n) }

// put sets a value. One that was there already keeps its age.
func (q *fifo) put(b *book, key string, value []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.known {
		q.loadLocked(b)
	}
	old := b.get(q.values, key)
	if old != nil && bytes.Equal(old, value) {
		return
	}
	b.put(q.values, key, value)
	q.bytes += int64(len(value) - len(old))
	if old == nil {
		b.put(q.order, orderKey(q.next), []byte(key))
		q.next++
	}
	for q.first < q.next && (q.next-q.first > q.max || q.maxBytes > 0 && q.bytes > q.maxBytes) {
		q.dropLocked(b)
	}
}

func (q *fifo) dropLocked(b *book) {
	if oldest := b.get(q.order, orderKey(q.first)); oldest != nil {
		if q.maxBytes > 0 {
			q.bytes -= int64(len(b.get(q.values, string(oldest))))
		}
		b.put(q.values, string(oldest), nil)
		b.put(q.order, orderKey(q.first), nil)
	}
	q.first++
}

func (q *fifo) loadLocked(b *book) {
	q.known = true
	first, last := b.ends(q.order)
	lo, err1 := strconv.ParseUint(first, 16, 64)
	hi, err2 := strconv.ParseUint(last, 16, 64)
	if err1 == nil && err2 == nil {
		q.first, q.next = lo, hi+1
	}
	if q.maxBytes > 0 {
		_ = b.each(q.values, func(_ string, value []byte) { q.bytes += int64(len(value)) })
	}
}
