// Package crossing decides what a node draws from outside when many nodes fetch
// the same blob, so that each byte crosses from there once. It is pure: no I/O, no
// clock, no goroutine, no lock; one owner tells it what it hears and asks what to
// draw next.
//
// The words: the origin is what has the whole blob and is not one of the crowd:
// the Hub, or those who held the file before. A fellow is another node that is
// fetching the blob now. A [Grid] cuts the blob into cells, for everybody alike. A
// claim is a node's word that it is drawing a cell from the origin.
//
// Nobody coordinates; everybody works out the same from what it hears:
//
//  1. [Drawers] of the crowd draw, those that bid most for this blob by a hash
//     (rendezvous hashing). In a small crowd that is everybody who can.
//  2. Each stretch of a few neighbouring cells has an owner, the drawer that bids
//     most for it. A node claims its own cells first, in file order, and each just
//     in time: a slow one claims few, a dead one none.
//  3. Who has claimed all of its own helps the drawer that has most left, away
//     from where that one is at work.
//  4. When nothing is left unclaimed, claims that are overdue are claimed again.
//
// No cell is drawn that a fellow has, except to rescue it: [Watch] tells when those
// who have it give it too slowly ([Crossing.Rescue]). Two who claim one cell at a
// time learn of it by hearing each other, and the lower bid yields. Who brings cells
// that no fellow takes pauses: its way to the fellows is the narrow one, and they
// draw more. Those of a large crowd who do not draw begin to when nothing has come
// their way for long, a few at a time.
//
// Read rank.go for who draws what, next.go for the order of things.
package crossing

import (
	"slices"
	"time"
)

// Times and sizes that everybody goes by.
const (
	// minPatience and typicals say when a claim is overdue: after so many times
	// what a claim takes. Before any claim was seen to end it is firstPatience.
	minPatience   = 2 * time.Second
	firstPatience = 6 * time.Second
	typicals      = 4
	// together is how far apart two claims may be made and still be an accident,
	// where the lower bid yields. A later one takes over knowingly.
	together = 500 * time.Millisecond
	// greeting is how long a node that knows of no fellow may be wrong about it.
	greeting = 500 * time.Millisecond
	// lull is how long Next, having found nothing, does not look through all cells
	// again; a cell that is freed ends it.
	lull = 50 * time.Millisecond
	// stretchMost is how many neighbouring cells have one owner, so that a request
	// can ask for several; less where there are few.
	stretchMost = 4
	// burden is how many cells a node may have brought that no fellow has taken; more
	// where it draws many at once.
	burden = 4
)

type fellow struct {
	draws  bool
	has    set
	count  int                   // of has
	claims map[int]time.Duration // when each was heard
}

// Crossing is one node's view of one crowd. The zero value is unusable. Times are
// those since any fixed moment, the same for all calls.
type Crossing struct {
	me      ID
	salt    uint64
	draws   bool
	fellows map[ID]*fellow

	ranked  []bidder // who can draw, I among them, highest bid first
	owners  []ID     // of each stretch
	stale   bool     // owners are to be worked out again
	stretch int      // cells

	cells  int
	mine   set
	count  int                   // of mine
	held   []uint16              // how many fellows have each cell
	claims map[int]time.Duration // my own
	most   int                   // of claims, at any time
	taken  []uint16              // how many claims of fellows each cell has
	cursor int                   // no cell before it is both my own and free

	drawn    set           // cells that I have drawn
	unspread int           // of these, how many no fellow has
	spread   time.Duration // when one was last taken
	typical  time.Duration // what a claim of this node takes; 0: unknown
	others   time.Duration // what one of a fellow takes; 0: unknown
	news     time.Duration // when something was last heard or brought
	began    time.Duration // the first Next; negative: not yet
	nothing  time.Duration // until when there is nothing to draw, unless a cell is freed
}

// New is the view of a node that knows nobody yet. salt is the blob's: a number
// made of its name, the same for all.
func New(cells int, me ID, salt uint64) *Crossing {
	c := &Crossing{
		me: me, salt: mix(salt), draws: true, cells: cells,
		fellows: map[ID]*fellow{}, claims: map[int]time.Duration{},
		mine: newSet(cells), drawn: newSet(cells),
		held: make([]uint16, cells), taken: make([]uint16, cells),
		stretch: min(max(cells/64, 1), stretchMost), stale: true, began: -1,
	}
	c.owners = make([]ID, (cells+c.stretch-1)/c.stretch)
	c.enter(me)
	return c
}

// Join makes a fellow known; draws tells whether it can reach the origin. It need
// not be one that is listened to.
func (c *Crossing) Join(id ID, draws bool) {
	if id == c.me {
		return
	}
	if c.fellows[id] == nil {
		c.fellows[id] = &fellow{has: newSet(c.cells), claims: map[int]time.Duration{}}
	}
	c.Draws(id, draws)
}

// Draws says anew whether a fellow, or this node itself, can reach the origin.
func (c *Crossing) Draws(id ID, draws bool) {
	if id == c.me {
		c.draws = draws
	} else if f := c.fellows[id]; f != nil {
		f.draws = draws
	} else {
		return
	}
	if draws {
		c.enter(id)
	} else {
		c.withdraw(id)
	}
}

// Forget drops what a fellow was heard to have and to claim: it is not listened
// to any more, or will say all of it anew.
func (c *Crossing) Forget(id ID) {
	f := c.fellows[id]
	if f == nil {
		return
	}
	for cell := range f.claims {
		c.Released(id, cell)
	}
	for cell := range c.cells {
		c.Lacks(id, cell)
	}
}

// Leave says that a fellow is gone, or not to be believed: its claims are void,
// and what only it had is missing again.
func (c *Crossing) Leave(id ID) {
	c.Forget(id)
	if c.fellows[id] != nil {
		delete(c.fellows, id)
		c.withdraw(id)
	}
}

// Claimed takes in that a fellow draws a cell. yield means that this node draws it
// too and is the one to stop; its claim is gone.
func (c *Crossing) Claimed(id ID, cell int, now time.Duration) (yield bool) {
	f := c.fellows[id]
	if f == nil || !c.valid(cell) {
		return false
	}
	c.news = now
	if _, again := f.claims[cell]; !again {
		c.taken[cell]++
	}
	f.claims[cell] = now
	at, both := c.claims[cell]
	if !both || now-at > together || c.bid(id, cell) < c.bid(c.me, cell) {
		return false
	}
	delete(c.claims, cell)
	return true
}

func (c *Crossing) bid(id ID, cell int) uint64 { return c.score(id, uint64(cell/c.stretch)) }

// Released takes in that a fellow does not draw a cell any more.
func (c *Crossing) Released(id ID, cell int) {
	if f := c.fellows[id]; f != nil {
		if _, there := f.claims[cell]; there {
			delete(f.claims, cell)
			c.taken[cell]--
			c.reopen(cell)
		}
	}
}

// Has takes in that a fellow has a cell. yield means that this node is drawing it
// and may stop: the claim is gone.
func (c *Crossing) Has(id ID, cell int, now time.Duration) (yield bool) {
	f := c.fellows[id]
	if f == nil || !c.valid(cell) {
		return false
	}
	c.news = now
	if at, claimed := f.claims[cell]; claimed {
		learn(&c.others, now-at)
		c.Released(id, cell)
	}
	if f.has.add(cell) {
		f.count++
		c.held[cell]++
		if c.held[cell] == 1 && c.drawn.has(cell) {
			c.unspread--
			c.spread = now
		}
	}
	_, yield = c.claims[cell]
	delete(c.claims, cell)
	return yield
}

// Lacks takes in that a fellow does not have a cell after all.
func (c *Crossing) Lacks(id ID, cell int) {
	if f := c.fellows[id]; f != nil && c.valid(cell) && f.has.remove(cell) {
		f.count--
		c.held[cell]--
		if c.held[cell] == 0 && c.drawn.has(cell) {
			c.unspread++
		}
		c.reopen(cell)
	}
}

// Mine says that this node has a cell now, wherever it came from. It ends its
// claim, if there is one.
func (c *Crossing) Mine(cell int, now time.Duration) {
	if at, claimed := c.claims[cell]; claimed {
		learn(&c.typical, now-at)
		if c.drawn.add(cell) && c.held[cell] == 0 {
			if c.unspread == 0 {
				c.spread = now
			}
			c.unspread++
		}
	}
	delete(c.claims, cell)
	if c.mine.add(cell) {
		c.count++
	}
	c.news = now
}

// Lost says that this node's copy of a cell turned out to be wrong.
func (c *Crossing) Lost(cell int) {
	if c.mine.remove(cell) {
		c.count--
	}
	if c.drawn.remove(cell) && c.held[cell] == 0 {
		c.unspread--
	}
	c.reopen(cell)
}

// Drop gives up a claim of this node's own: the origin did not give the cell.
func (c *Crossing) Drop(cell int) {
	delete(c.claims, cell)
	c.reopen(cell)
}

// Claims are the cells that this node draws now, in file order: what it tells a
// fellow that begins to listen.
func (c *Crossing) Claims() []int {
	out := make([]int, 0, len(c.claims))
	for cell := range c.claims {
		out = append(out, cell)
	}
	slices.Sort(out)
	return out
}

// Unspread is how many of the cells that this node has drawn no fellow has.
func (c *Crossing) Unspread() int { return c.unspread }

// Fellows is how many others are known to fetch the blob.
func (c *Crossing) Fellows() int { return len(c.fellows) }

func (c *Crossing) valid(cell int) bool { return cell >= 0 && cell < c.cells }

// reopen looks at a cell again that may be free once more.
func (c *Crossing) reopen(cell int) { c.cursor, c.nothing = min(c.cursor, cell), 0 }

// learn takes in how long a claim took, slowly.
func learn(typical *time.Duration, took time.Duration) {
	if *typical == 0 {
		*typical = took
	}
	*typical += (took - *typical) / 8
}
