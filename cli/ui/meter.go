package ui

import "time"

const (
	rateWindow  = 5 * time.Second        // rates are averages over this long
	rateMinimum = 500 * time.Millisecond // and are not told before this long
)

// A meter turns a growing count into a rate: the average over the last five
// seconds. A plain average over a sliding window was chosen because it follows
// a change in a known time and falls to nothing when the bytes stop.
type meter struct {
	marks []mark // oldest first; the first is at the window's edge or beyond
	seen  int64  // the count at the last mark, as told
	sum   int64  // what has arrived since the first mark
	begun bool
}

type mark struct {
	at  time.Time
	sum int64
}

// observe notes the count at one moment. The first count is where we start from,
// so that bytes from an earlier run are no part of the rate. A count that falls
// (wrong bytes were thrown away) is not held against the rate either: the line
// was just as fast.
func (m *meter) observe(now time.Time, count int64) {
	if m.begun && count > m.seen {
		m.sum += count - m.seen
	}
	m.seen, m.begun = count, true
	if m.sum == 0 {
		m.marks = m.marks[:0] // the window opens with the first byte
	}
	m.marks = append(m.marks, mark{now, m.sum})
	edge := now.Add(-rateWindow)
	for len(m.marks) > 1 && !m.marks[1].at.After(edge) {
		m.marks = m.marks[1:]
	}
}

// rate is in bytes per second as of the last observation; ok is false as long as
// there is too little to go by.
func (m *meter) rate() (perSecond float64, ok bool) {
	if len(m.marks) == 0 {
		return 0, false
	}
	first, last := m.marks[0], m.marks[len(m.marks)-1]
	span := last.at.Sub(first.at)
	if span < rateMinimum {
		return 0, false
	}
	return float64(last.sum-first.sum) / span.Seconds(), true
}

// meters measures one transfer and each of its sources. It belongs to the
// goroutine that draws.
type meters struct {
	file, phase string
	total       *meter
	sources     map[string]*meter
}

// observe returns what is to be shown of st now.
func (ms *meters) observe(now time.Time, st State) view {
	if ms.total == nil || ms.file != st.File || ms.phase != st.Phase {
		*ms = meters{file: st.File, phase: st.Phase, total: &meter{}, sources: map[string]*meter{}}
	}
	v := view{State: st}
	// What lies on this disk already comes at once and says nothing of the line.
	ms.total.observe(now, st.Done-st.Local)
	v.rate, v.rated = ms.total.rate()
	v.Sources = ms.observeSources(now, st.Sources)
	return v
}

// observeSources fills in the rates that the caller left out. Sources that are
// not told of any more are forgotten.
func (ms *meters) observeSources(now time.Time, told []SourceState) []SourceState {
	kept := make(map[string]*meter, len(told))
	out := make([]SourceState, 0, len(told))
	for _, s := range told {
		m := ms.sources[s.Name]
		if m == nil {
			m = &meter{}
		}
		kept[s.Name] = m
		m.observe(now, s.Bytes)
		if s.Rate == 0 {
			s.Rate, _ = m.rate()
		}
		out = append(out, s)
	}
	ms.sources = kept
	return out
}
