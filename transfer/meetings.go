package transfer

import (
	"slices"
	"time"

	"hffs/cache/ref"
	"hffs/transfer/source"
)

// meetings remember who asked about blobs that were not being fetched here then. Of
// two that begin at the same time the first to ask is answered that nobody fetches
// the blob yet; the other one has to know that it was asked.
type meetings []meeting

type meeting struct {
	etag ref.ETag
	who  source.Source
	at   time.Time
}

const (
	meetingsMost = 256
	meetingsFor  = time.Minute
)

func (m *meetings) add(n meeting) {
	*m = slices.DeleteFunc(*m, func(o meeting) bool {
		return o.etag == n.etag && identity(o.who) == identity(n.who)
	})
	*m = append(*m, n)
	*m = slices.Delete(*m, 0, max(0, len(*m)-meetingsMost))
}

// take forgets those who asked about a blob, and gives those of the last minute.
func (m *meetings) take(etag ref.ETag, now time.Time) (all []source.Source) {
	*m = slices.DeleteFunc(*m, func(o meeting) bool {
		fresh := now.Sub(o.at) < meetingsFor
		if fresh && o.etag == etag {
			all = append(all, o.who)
		}
		return !fresh || o.etag == etag
	})
	return all
}

// meet has the owner hear of a node that fetches the blob as well.
func (c *company) meet(s source.Source) {
	select {
	case c.met <- s:
	default: // it will be found
	}
}

// owes tells whether this node has drawn something that no fellow has yet. It is for
// when the owner has ended.
func (c *company) owes() bool { return c.on && c.cross.Fellows() > 0 && c.cross.Unspread() > 0 }
