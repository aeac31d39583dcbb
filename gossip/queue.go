package gossip

import (
	"math"
	"slices"
	"sync"
	"time"
)

// queue is the broadcasts waiting to ride on gossip packets, one per node that
// they are about: a newer one replaces an older.
//
// memberlist's TransmitLimitedQueue is not used because it loses messages of
// equal length, and news are often equally long.
type queue struct {
	mult  int        // memberlist's RetransmitMult
	nodes func() int // how large the swarm is
	now   func() time.Time

	mu      sync.Mutex // guards waiting
	waiting []*broadcast
}

type broadcast struct {
	about string
	msg   []byte
	sent  int
	born  time.Time
}

const (
	maxQueue     = 256
	maxQueueTime = 10 * time.Second // by then a pull has done it
)

func (q *queue) put(about string, msg []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(b *broadcast) bool { return b.about == about })
	if len(q.waiting) >= maxQueue {
		q.waiting = q.waiting[1:] // the oldest, which was sent most
	}
	q.waiting = append(q.waiting, &broadcast{about: about, msg: msg, born: q.now()})
}

// take picks what fits into limit bytes, the least sent first. Each message
// costs overhead more.
func (q *queue) take(overhead, limit int) (out [][]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	q.waiting = slices.DeleteFunc(q.waiting, func(b *broadcast) bool { return now.Sub(b.born) > maxQueueTime })
	if len(q.waiting) == 0 {
		return nil
	}
	turns := slices.SortedStableFunc(slices.Values(q.waiting), func(a, b *broadcast) int { return a.sent - b.sent })
	for _, b := range turns {
		if n := len(b.msg) + overhead; n <= limit {
			limit -= n
			b.sent++
			out = append(out, b.msg)
		}
	}
	most := q.mult * int(math.Ceil(math.Log10(float64(q.nodes()+1))))
	q.waiting = slices.DeleteFunc(q.waiting, func(b *broadcast) bool { return b.sent >= max(most, 1) })
	return out
}
