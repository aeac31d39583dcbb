package crossing

import "slices"

// ID is a node in the crowd; any number that is the node's own, such as the one
// that its identity spells in hex.
type ID uint64

// Drawers is how many of a crowd draw from the origin. All of them hear all of
// each other's claims, which is what keeps the origin at one copy in a crowd where
// nobody hears everybody.
const Drawers = 16

// MostPartners is how many fellows a node listens to; a drawer listens to
// some more, half of Drawers.
const MostPartners = 24

// mix spreads a number over all 64 bits (the finish of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// score is what a node bids for a thing of this blob: the highest bid has it.
// Everybody can work out everybody's bids.
func (c *Crossing) score(id ID, thing uint64) uint64 {
	return mix(mix(uint64(id)^c.salt) ^ thing)
}

// forDrawing is the thing that nodes bid for to be among the drawers; stretches
// are the numbers from zero.
const forDrawing = 1 << 63

type bidder struct {
	id  ID
	bid uint64
}

func higher(a, b bidder) int {
	switch {
	case a.bid > b.bid || a.bid == b.bid && a.id > b.id:
		return -1
	case a == b:
		return 0
	}
	return 1
}

// enter puts a node among those that can draw, withdraw takes it out.
func (c *Crossing) enter(id ID) {
	b := bidder{id, c.score(id, forDrawing)}
	at, there := slices.BinarySearchFunc(c.ranked, b, higher)
	if !there {
		c.ranked = slices.Insert(c.ranked, at, b)
		c.stale = c.stale || at < Drawers
	}
}

func (c *Crossing) withdraw(id ID) {
	b := bidder{id, c.score(id, forDrawing)}
	at, there := slices.BinarySearchFunc(c.ranked, b, higher)
	if there {
		c.ranked = slices.Delete(c.ranked, at, at+1)
		c.stale = c.stale || at < Drawers
	}
}

// rank is my place among those that can draw, from zero.
func (c *Crossing) rank() int {
	at, there := slices.BinarySearchFunc(c.ranked, bidder{c.me, c.score(c.me, forDrawing)}, higher)
	if !there {
		return len(c.ranked)
	}
	return at
}

// drawers are those that draw.
func (c *Crossing) drawers() []bidder { return c.ranked[:min(len(c.ranked), Drawers)] }

// assign gives each stretch of cells to the drawer that bids most for it. A
// drawer that comes or goes moves only its own.
func (c *Crossing) assign() {
	if !c.stale {
		return
	}
	c.stale, c.cursor, c.nothing = false, 0, 0
	for s := range c.owners {
		var best uint64
		for _, d := range c.drawers() {
			if bid := c.score(d.id, uint64(s)); bid >= best {
				best, c.owners[s] = bid, d.id
			}
		}
	}
}

// Partners are the fellows to listen to and to fetch from: all of them in a small
// crowd. In a large one chance chooses, by bids that only this node makes, so that
// the whole hangs together; drawers listen to all other drawers as well, so that
// each hears every claim, and as that gives drawers many listeners, the others leave
// out half of them. A fellow that comes or goes changes one partner at most, unless
// drawers change.
func (c *Crossing) Partners() []ID {
	all := make([]bidder, 0, len(c.fellows))
	for id := range c.fellows {
		all = append(all, bidder{id, c.score(c.me^id*3, forDrawing+1)})
	}
	most := MostPartners
	if len(all) > most {
		most = c.prefer(all)
	}
	slices.SortFunc(all, higher)
	out := make([]ID, 0, most)
	for _, b := range all[:min(len(all), most)] {
		out = append(out, b.id)
	}
	return out
}

// prefer changes the bids for drawers and says how many partners there may be.
func (c *Crossing) prefer(all []bidder) int {
	among := c.rank() < Drawers
	for i, b := range all {
		if !slices.ContainsFunc(c.drawers(), func(d bidder) bool { return d.id == b.id }) {
			continue
		}
		if among {
			all[i].bid = ^uint64(0)
		} else if b.bid%2 == 0 {
			all[i].bid = 0
		}
	}
	if among {
		return MostPartners + Drawers/2
	}
	return MostPartners
}
