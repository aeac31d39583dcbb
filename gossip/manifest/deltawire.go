package manifest

import "time"

// Size is about how many bytes the delta takes on the wire.
func (d *Delta) Size(now time.Time) int {
	w := &writer{}
	w.delta(d, now)
	return len(w.b)
}

func (w *writer) delta(d *Delta, now time.Time) {
	w.uint(d.From)
	w.uint(d.To)
	w.bytes(d.Check[:])
	w.count(len(d.Changed))
	for i := range d.Changed {
		w.change(&d.Changed[i])
	}
	w.count(len(d.Dropped))
	for _, k := range d.Dropped {
		w.repo(k.Repo)
		w.hex(string(k.Commit))
	}
	w.refs(d.Refs, func(t time.Time) { w.age(t, now) })
	w.count(len(d.Unrefs))
	for _, k := range d.Unrefs {
		w.repo(k.Repo)
		w.string(k.Name)
	}
	w.entries(d.Partials)
}

func (w *writer) change(c *Change) {
	w.repo(c.Repo)
	w.held(c.Held)
	w.bytes(c.Was[:])
	if !c.Patched {
		w.byte(0)
		return
	}
	w.byte(1)
	w.files(c.Added)
	w.count(len(c.Removed))
	for _, p := range c.Removed {
		w.string(p)
	}
}

func (r *reader) delta(now time.Time) (d Delta) {
	d.From, d.To = r.uint(maxSeq), r.uint(maxSeq)
	if d.To <= d.From {
		r.fail("a change from %d to %d", d.From, d.To)
	}
	copy(d.Check[:], r.take(len(d.Check)))
	for range r.count(MaxEntries, 57) {
		d.Changed = append(d.Changed, r.change())
		if r.err != nil {
			return d
		}
	}
	for range r.count(MaxEntries, 23) {
		d.Dropped = append(d.Dropped, Key{r.repo(), r.commit()})
		if r.err != nil {
			return d
		}
	}
	d.Refs = r.refs(now)
	for range r.count(MaxEntries, 4) {
		d.Unrefs = append(d.Unrefs, RefKey{r.repo(), r.refName()})
		if r.err != nil {
			return d
		}
	}
	d.Partials = r.entries()
	if !sortedStrictly(d.Changed, func(a, b Change) int { return compareHeld(a.Held, b.Held) }) || !sortedStrictly(d.Refs, compareRefs) {
		r.fail("out of order")
	}
	return d
}

func (r *reader) change() (c Change) {
	c.Held = r.held(r.repo())
	c.Was = r.digest()
	switch r.byte() {
	case 0:
		return c
	case 1:
		c.Patched = true
	default:
		r.fail("unknown kind of change")
	}
	c.Added = r.files()
	for range r.count(MaxEntries, 2) {
		c.Removed = append(c.Removed, r.path())
		if r.err != nil {
			return c
		}
	}
	return c
}
