package crossing

// Watch tells when fellows bring so little that [Crossing.Rescue] is called for: the
// origin has been idle for a moment, as nothing is unclaimed, and what fellows bring
// is a small part of what this node has been seen to take, and not enough to be done
// soon. A node whose own link is narrow takes as much as ever, so it does not ask
// the origin for what it would get no sooner. The zero value is ready.
type Watch struct {
	all, fellows float64 // bytes per tick that come, of late
	peak         float64 // the most of all
	idle         int     // ticks
}

const (
	watchWeight = 0.3
	smallPart   = 4
	soon        = 8 // ticks
	idleTicks   = 2
)

// Tick is called every 250 ms with the bytes that came since, from fellows and from
// origins, whether anything is asked of the origin now, and how much is missing.
func (w *Watch) Tick(fellows, origins int64, drawing bool, missing int64) {
	w.all += watchWeight * (float64(fellows+origins) - w.all)
	w.fellows += watchWeight * (float64(fellows) - w.fellows)
	w.peak = max(w.peak, w.all)
	switch little := w.fellows < w.peak/smallPart && float64(missing) > w.fellows*soon; {
	case !little:
		w.idle = 0
	case !drawing:
		w.idle++
	}
}

// Short tells whether to ask for a Rescue where Next has nothing.
func (w *Watch) Short() bool { return w.idle >= idleTicks }
