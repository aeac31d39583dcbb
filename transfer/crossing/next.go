package crossing

import (
	"cmp"
	"time"
)

// Next is the cell to draw from the origin now, and this node's claim on it, to be
// told to all who listen. It is asked whenever the origin has room for one more
// request, not before: what is claimed early is kept from others. false: there is
// nothing for this node to draw at present.
func (c *Crossing) Next(now time.Duration) (cell int, ok bool) {
	if c.began < 0 {
		c.began = now
	}
	c.assign()
	if !c.draws || now < c.nothing || c.burdened(now) || !c.turn(now) {
		return 0, false
	}
	for _, pick := range []func(time.Duration) (int, bool){c.own, c.help, c.overdue} {
		if cell, ok := pick(now); ok {
			c.claim(cell, now)
			return cell, true
		}
	}
	c.nothing = now + lull
	return 0, false
}

func (c *Crossing) claim(cell int, now time.Duration) {
	c.claims[cell] = now
	c.most = max(c.most, len(c.claims))
}

// Take claims a given cell, for a reader that waits for it or because nobody who
// has it gives it. It is refused while a fellow's claim on it is alive.
func (c *Crossing) Take(cell int, now time.Duration) bool {
	if !c.draws || !c.valid(cell) || c.mine.has(cell) || c.alive(cell, now) {
		return false
	}
	if _, there := c.claims[cell]; !there {
		c.claim(cell, now)
	}
	return true
}

// Rescue is a cell to draw although a fellow has it, as Next is otherwise: the one
// that the fewest have. It is for when Next has nothing left, and what is missing
// comes from fellows far more slowly than it would from the origin; that is for the
// caller to see. One node's claim stops all others, so that the origin sends each
// such cell once more at the most.
func (c *Crossing) Rescue(now time.Duration) (best int, found bool) {
	if !c.draws || c.rank() >= Drawers {
		return 0, false
	}
	for cell := range c.cells {
		_, claimed := c.claims[cell]
		if claimed || c.mine.has(cell) || c.held[cell] == 0 || c.alive(cell, now) {
			continue
		}
		if !found || c.held[cell] < c.held[best] || c.held[cell] == c.held[best] && c.bid(c.me, cell) > c.bid(c.me, best) {
			best, found = cell, true
		}
	}
	if found {
		c.claim(best, now)
	}
	return best, found
}

// turn tells whether this node is to draw: as one of the drawers, or as one who
// has been without news for so long that they seem to be of no use. The latter
// come a few at a time, after twice the wait each time.
func (c *Crossing) turn(now time.Duration) bool {
	rank := c.rank()
	if rank < Drawers {
		return true
	}
	wait := c.patience(now) << min(rank/Drawers-1, 20)
	return now-max(c.news, c.began) > wait
}

// burdened tells whether fellows do not keep up with what this node draws although
// they are quick enough otherwise: one of them has nearly as much. Where all are far
// behind it is they who are slow, and nobody waits for them. If for long they take
// nothing at all they cannot or need not.
func (c *Crossing) burdened(now time.Duration) bool {
	if c.unspread < max(burden, 2*c.most) || now-c.spread > 5*c.patience(now) {
		return false
	}
	for _, f := range c.fellows {
		if f.count*8 >= c.count*7 {
			return true
		}
	}
	return false
}

// free tells whether a cell is in nobody's hands.
func (c *Crossing) free(cell int) bool {
	if c.held[cell] > 0 || c.taken[cell] > 0 || c.mine.has(cell) {
		return false
	}
	_, claimed := c.claims[cell]
	return !claimed
}

func (c *Crossing) owner(cell int) ID { return c.owners[cell/c.stretch] }

// own is the first cell that is this node's and free. One that has just begun and
// knows of nobody begins somewhere in the middle: if others begin at the same time
// they are not all in the same place when they hear of each other.
func (c *Crossing) own(now time.Duration) (int, bool) {
	if len(c.fellows) == 0 && now-c.began < greeting && c.cells > 0 {
		at := int(c.score(c.me, forDrawing+2) % uint64(c.cells))
		for cell := at; cell < c.cells; cell++ {
			if c.free(cell) {
				return cell, true
			}
		}
	}
	for ; c.cursor < c.cells; c.cursor++ {
		if c.owner(c.cursor) == c.me && c.free(c.cursor) {
			return c.cursor, true
		}
	}
	return 0, false
}

// help finds a free cell of the drawer who has most of them left. It looks in the
// back half of these, as the owner comes from the front, and there in the stretch
// that this node bids most for, as others help too.
func (c *Crossing) help(time.Duration) (best int, found bool) {
	most, left := c.busiest()
	seen := 0
	for s, o := range c.owners {
		if o != most {
			continue
		}
		for cell := s * c.stretch; cell < min((s+1)*c.stretch, c.cells); cell++ {
			if !c.free(cell) {
				continue
			}
			seen++
			if seen > left/2 && (!found || c.bid(c.me, cell) > c.bid(c.me, best)) {
				best, found = cell, true
			}
		}
	}
	return best, found
}

// busiest is the drawer that has most free cells left, and how many these are.
func (c *Crossing) busiest() (most ID, left int) {
	count := map[ID]int{}
	for s, o := range c.owners {
		n := 0
		for cell := s * c.stretch; cell < min((s+1)*c.stretch, c.cells); cell++ {
			if c.free(cell) {
				n++
			}
		}
		if n == 0 {
			continue
		}
		count[o] += n
		if k := count[o]; k > left || k == left && o > most {
			most, left = o, k
		}
	}
	return most, left
}

// overdue finds a cell whose claims have all been there for too long.
func (c *Crossing) overdue(now time.Duration) (best int, found bool) {
	for cell := range c.cells {
		_, claimed := c.claims[cell]
		if c.taken[cell] == 0 || claimed || c.held[cell] > 0 || c.mine.has(cell) || c.alive(cell, now) {
			continue
		}
		if !found || c.bid(c.me, cell) > c.bid(c.me, best) {
			best, found = cell, true
		}
	}
	return best, found
}

// alive tells whether a fellow's claim on a cell is still to be believed.
func (c *Crossing) alive(cell int, now time.Duration) bool {
	if c.taken[cell] == 0 {
		return false
	}
	for _, f := range c.fellows {
		if at, there := f.claims[cell]; there && now-at <= c.patience(now) {
			return true
		}
	}
	return false
}

// patience is how long a claim may take: so many times what it takes this node,
// which is to take it over; what it takes others where it has not drawn yet. As long
// as no claim was seen to end, what this node's own ones have taken so far tells:
// where the origin is slow, it is so for all.
func (c *Crossing) patience(now time.Duration) time.Duration {
	if typical := cmp.Or(c.typical, c.others); typical > 0 {
		return max(typicals*typical, minPatience)
	}
	long := firstPatience
	for _, at := range c.claims {
		long = max(long, typicals*(now-at))
	}
	return long
}

// Recall gives up the claims of a node that is not to draw, as it turns out: it
// began before it knew how many there are. It is asked when fellows have joined;
// what it returns need not be drawn to its end, and those who listen are told.
func (c *Crossing) Recall() []int {
	if c.rank() < Drawers {
		return nil
	}
	cells := c.Claims()
	for _, cell := range cells {
		c.Drop(cell)
	}
	return cells
}
