package ui

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// run observes a count ten times a second, growing by perSecond; it returns the
// time and count at its end.
func (m *meter) run(at time.Time, count, perSecond int64, d time.Duration) (time.Time, int64) {
	for range d / (100 * time.Millisecond) {
		at = at.Add(100 * time.Millisecond)
		count += perSecond / 10
		m.observe(at, count)
	}
	return at, count
}

func TestMeter(t *testing.T) {
	t.Parallel()
	var m meter
	_, ok := m.rate()
	require.False(t, ok)

	at, n := m.run(time.Unix(0, 0), 700, 0, 3*time.Second)
	_, ok = m.rate()
	require.False(t, ok, "waiting is not a rate")

	at, n = m.run(at, n, 1000, time.Second)
	r, ok := m.rate()
	require.True(t, ok)
	require.InDelta(t, 1000, r, 1, "neither what was there before nor the wait counts")

	at, n = m.run(at, n, 1000, 20*time.Second)
	at, n = m.run(at, n, 3000, 2500*time.Millisecond)
	r, _ = m.rate()
	require.InDelta(t, 2000, r, 1, "half-way to the new rate after half a window")

	at, n = m.run(at, n, 3000, 2500*time.Millisecond)
	at, n = m.run(at, n-5000, 3000, 100*time.Millisecond)
	r, _ = m.rate()
	require.InDelta(t, 3000, r, 100, "bytes thrown away do not slow the line")

	m.run(at, n, 0, rateWindow)
	r, ok = m.rate()
	require.True(t, ok)
	require.Zero(t, r, "a stall shows")
	require.LessOrEqual(t, len(m.marks), 52)
}

func TestMetersStartAgain(t *testing.T) {
	t.Parallel()
	var ms meters
	at := time.Unix(0, 0)
	var v view
	play := func(st State, perSecond int64) {
		for range 20 {
			at = at.Add(100 * time.Millisecond)
			st.Done += perSecond / 10
			v = ms.observe(at, st)
		}
	}
	play(State{File: "a"}, 1000)
	require.InDelta(t, 1000, v.rate, 1)
	play(State{File: "b"}, 50)
	require.InDelta(t, 50, v.rate, 1, "another file")
	play(State{File: "b", Phase: "checking"}, 9000)
	require.InDelta(t, 9000, v.rate, 1, "another phase")
}

func TestMetersMeasureSources(t *testing.T) {
	t.Parallel()
	var ms meters
	at := time.Unix(0, 0)
	var v view
	for i := range int64(20) {
		at = at.Add(100 * time.Millisecond)
		v = ms.observe(at, State{Sources: []SourceState{{Name: "told", Bytes: i, Rate: 7}, {Name: "untold", Bytes: 10 * i}}})
	}
	require.InDelta(t, 7, v.Sources[0].Rate, 0)
	require.InDelta(t, 100, v.Sources[1].Rate, 1)
	ms.observe(at, State{})
	require.Empty(t, ms.sources)
}
