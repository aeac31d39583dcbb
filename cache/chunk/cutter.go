package chunk

// Cutter cuts a stream into content-defined chunks, under one rule or both, and
// hashes each. It is written to in pieces of any size, which makes no difference
// to the chunks, and keeps no copy of what it is given.
//
// Under both rules it works hardly more than under one: while the rules cut at
// the same places the chunk is rolled and hashed once, and after one of Legacy's
// early cuts they mostly meet again within a chunk or two.
type Cutter struct {
	each     func(Rule, Chunk)
	lanes    []*lane
	together bool // both lanes stand in the same chunk, and only Legacy's moves
}

// NewCutter makes a cutter that hands each chunk to each, in order for each of
// the rules. No rule means Current.
func NewCutter(each func(Rule, Chunk), rules ...Rule) *Cutter {
	c := &Cutter{each: each}
	switch {
	case len(rules) == 0:
		rules = []Rule{Current}
	case len(rules) > 1:
		rules, c.together = []Rule{Current, Legacy}, true
	}
	for _, r := range rules {
		c.lanes = append(c.lanes, newLane(r))
	}
	return c
}

// Write takes the next bytes of the stream. It never fails.
func (c *Cutter) Write(p []byte) (int, error) {
	if len(c.lanes) == 1 {
		for i := 0; i < len(p); {
			i += c.step(c.lanes[0], p[i:])
		}
		return len(p), nil
	}
	c.both(p)
	return len(p), nil
}

// Close ends the stream, whose last chunk is what is left. The cutter is then
// ready for another one.
func (c *Cutter) Close() error {
	current, legacy := c.lanes[0], c.lanes[len(c.lanes)-1]
	if legacy.n > 0 {
		c.settle(legacy)
	}
	if current.n > 0 {
		c.emit(current)
	}
	c.together = len(c.lanes) > 1
	return nil
}

// both moves the lane that is behind, until both are through p.
func (c *Cutter) both(p []byte) {
	current, legacy := c.lanes[0], c.lanes[1]
	for i, k := 0, 0; i < len(p) || k < len(p); {
		switch {
		case c.together:
			k += c.step(legacy, p[k:])
			i = k
		case i <= k:
			i += c.step(current, p[i:])
		default:
			k += c.step(legacy, p[k:])
		}
		if !c.together {
			c.together = i == k && current.n == 0 && legacy.n == 0
		}
	}
}

// step moves a lane to the end of its chunk or of p.
func (c *Cutter) step(l *lane, p []byte) int {
	n, end := l.advance(p)
	if end {
		c.settle(l)
	}
	return n
}

// settle gives away the chunk that a lane has ended. Where both lanes are
// together it is the other's as well, unless it is so short that only Legacy cuts
// it: then the other goes on from here by itself.
func (c *Cutter) settle(l *lane) {
	if !c.together {
		c.emit(l)
		return
	}
	current := c.lanes[0]
	if l.n < MinLen {
		current.become(l)
		c.together = false
		c.emit(l)
		return
	}
	ch := l.end()
	c.each(Current, ch)
	c.each(Legacy, ch)
}

func (c *Cutter) emit(l *lane) { c.each(l.rule, l.end()) }

// lane is one rule at work in one chunk.
type lane struct {
	rule   Rule
	silent int
	n      int    // bytes of the chunk so far
	state  uint64 // of the gear hash
	sum    *Hasher
}

func newLane(r Rule) *lane { return &lane{rule: r, silent: r.silent(), sum: NewHasher()} }

// advance takes bytes up to the end of the chunk or of p, and reports whether
// the chunk has ended.
func (l *lane) advance(p []byte) (used int, end bool) {
	p = p[:min(len(p), MaxLen-l.n)]
	i := min(max(0, skipped-l.n), len(p))
	for ; i < len(p) && l.n+i < l.silent; i++ {
		l.state = roll(l.state, p[i])
	}
	used, l.state, end = scan(l.state, p[i:])
	used += i
	l.n += used
	l.sum.write(p[:used])
	return used, end || l.n == MaxLen
}

// end is the chunk, and begins the next.
func (l *lane) end() Chunk {
	c := Chunk{Length: int64(l.n), Hash: l.sum.end()}
	l.n, l.state = 0, 0
	return c
}

// become makes l stand where o stands.
func (l *lane) become(o *lane) {
	l.n, l.state = o.n, o.state
	l.sum.become(o.sum)
}
