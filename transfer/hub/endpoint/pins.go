package endpoint

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"hffs/cache/ref"
)

// pins remember which commit a caller was told for a file, so that the bytes it
// fetches next are of the same one: both go to the same address, with a branch in
// it, which may move in between. Bytes of two commits would come to lie under one
// name. Each file has its own pin, since a later question about another file would
// else move it.
type pins struct {
	now  func() time.Time
	kept *lru.Cache[pinKey, pin]
}

type pinKey struct {
	file ref.File
	mark string // of the caller's token
}

type pin struct {
	commit ref.Commit
	until  time.Time
	asked  bool // for the headers alone, by a client that comes back for the bytes
}

func newPins(now func() time.Time) *pins {
	kept, err := lru.New[pinKey, pin](maxPins)
	if err != nil {
		panic(err) // only for a size of 0
	}
	return &pins{now, kept}
}

func (p *pins) set(k pinKey, commit ref.Commit, asked bool) {
	p.kept.Add(k, pin{commit, p.now().Add(pinLife), asked})
}

// get finds the commit for who fetches bytes. One who wants a part may go on with
// what was a whole before; the whole itself is asked anew unless somebody has just
// been told what it is.
func (p *pins) get(k pinKey, part bool) (ref.Commit, bool) {
	found, ok := p.kept.Get(k)
	if !ok || !p.now().Before(found.until) || !part && !found.asked {
		return "", false
	}
	return found.commit, true
}
