package swarmsim

import "time"

// happening is something that takes place at its time.
type happening interface{ happen() }

// calling is a happening that is a function.
type calling func()

func (f calling) happen() { f() }

type event struct {
	at   time.Duration
	seq  uint64 // what was planned first happens first
	what happening
}

func (e event) before(o event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// clock is virtual time: a heap of what is to come.
type clock struct {
	now    time.Duration
	seq    uint64
	events []event
}

// after plans something.
func (c *clock) after(d time.Duration, what happening) {
	c.seq++
	c.events = append(c.events, event{c.now + d, c.seq, what})
	e := c.events
	for i := len(e) - 1; i > 0; {
		up := (i - 1) / 2
		if !e[i].before(e[up]) {
			break
		}
		e[i], e[up] = e[up], e[i]
		i = up
	}
}

// step lets the next thing happen; false when nothing is to come.
func (c *clock) step() bool {
	if len(c.events) == 0 {
		return false
	}
	e := c.events
	first := e[0]
	last := len(e) - 1
	e[0], e[last] = e[last], event{}
	c.events = e[:last]
	c.sink()
	c.now = first.at
	first.what.happen()
	return true
}

func (c *clock) sink() {
	e := c.events
	for i := 0; ; {
		least := i
		for kid := 2*i + 1; kid <= 2*i+2 && kid < len(e); kid++ {
			if e[kid].before(e[least]) {
				least = kid
			}
		}
		if least == i {
			return
		}
		e[i], e[least] = e[least], e[i]
		i = least
	}
}
