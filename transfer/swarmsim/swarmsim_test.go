package swarmsim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// all plays a crowd and requires that everybody who could finish did.
func all(t *testing.T, cfg Config, runs int) Result {
	t.Helper()
	if raceDetector {
		runs = 1
	}
	r := Median(cfg, runs)
	t.Log(r)
	require.Equal(t, r.Honest, r.Finished, "all of the living and honest finish")
	return r
}

func TestOneSeedSendsOneCopyAtLineRate(t *testing.T) {
	t.Parallel()
	r := all(t, Config{Seeds: 1}, 3)
	require.LessOrEqual(t, r.Over(), 1.15)
	require.LessOrEqual(t, r.Copies, 1.02)
}

func TestTheHubSendsOneCopy(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{2, 8, 10} {
		r := all(t, Config{Nodes: nodes}, 3)
		require.LessOrEqual(t, r.Over(), 1.15, "%d nodes", nodes)
		require.LessOrEqual(t, r.Copies, 1.02, "%d nodes", nodes)
	}
}

func TestStartsSpreadAndTwoDie(t *testing.T) {
	t.Parallel()
	r := all(t, Config{Size: 256 << 20, Spread: 10 * time.Second, Killed: 2}, 5)
	require.Equal(t, 6, r.Honest)
	require.LessOrEqual(t, r.Copies, 1.15)
}

func TestUplinksAddUp(t *testing.T) {
	t.Parallel()
	r := all(t, Config{Nodes: 4, Size: 128 << 20, Link: 1000 * Mbit, HubLink: 25 * Mbit}, 3)
	require.LessOrEqual(t, r.Over(), 1.1, "against all four together")
	require.LessOrEqual(t, r.Copies, 1.02)
}

func TestWhoHasNoHubLosesNothing(t *testing.T) {
	t.Parallel()
	r := all(t, Config{Cut: 2}, 3)
	require.LessOrEqual(t, r.CutSpan.Seconds(), 1.1*r.HubSpan.Seconds())
	require.LessOrEqual(t, r.Copies, 1.02)
}

func TestOneOriginLinkForFour(t *testing.T) {
	t.Parallel()
	r := all(t, Config{Nodes: 4, Size: 128 << 20, Link: 1000 * Mbit, Hub: 100 * Mbit}, 3)
	require.LessOrEqual(t, r.Over(), 1.05)
	require.LessOrEqual(t, r.Copies, 1.02)
}

// Shares must follow uplinks: what a node with a narrow one draws reaches the
// others late.
func TestNarrowUplinksHoldUpNobodyForLong(t *testing.T) {
	t.Parallel()
	r := all(t, Config{Size: 256 << 20, Weak: 2}, 3)
	require.LessOrEqual(t, r.Over(), 1.5, "1.13 are possible")
	require.LessOrEqual(t, r.Copies, 1.15)
}

func TestNobodyWaitsForTheSlow(t *testing.T) {
	t.Parallel()
	r := all(t, Config{Size: 128 << 20, Slow: 2}, 3)
	require.LessOrEqual(t, r.Over(), 1.4)
	require.LessOrEqual(t, r.Copies, 1.1)
}

func TestFarAndFast(t *testing.T) {
	t.Parallel()
	r := all(t, Config{Nodes: 3, Seeds: 1, Size: 2 << 30, Link: 10_000 * Mbit, Latency: 5 * time.Millisecond, Segment: 256 << 10}, 3)
	require.LessOrEqual(t, r.Over(), 1.3)
	require.LessOrEqual(t, r.Copies, 1.02)
}

func TestAHundredWithChurnAndLiars(t *testing.T) {
	t.Parallel()
	cfg := Config{Nodes: 100, Churn: 0.1, Liars: 0.02, Segment: 128 << 10}
	if raceDetector {
		cfg.Size = 16 << 20
	}
	r := all(t, cfg, 1)
	require.Greater(t, r.Honest, 90)
	require.LessOrEqual(t, r.Copies, 1.2)
}

func TestAThousandWithChurnAndLiars(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("takes too long")
	}
	t.Parallel()
	r := all(t, Config{
		Nodes: 1000, Size: 32 << 20, Churn: 0.1, Liars: 0.02,
		Segment: 256 << 10, Feed: 200 * time.Millisecond,
	}, 1)
	require.Greater(t, r.Honest, 900)
	require.LessOrEqual(t, r.Copies, 1.2)
}

func TestTheSameSeedPlaysTheSame(t *testing.T) {
	t.Parallel()
	cfg := Config{Nodes: 30, Size: 16 << 20, Churn: 0.1, Liars: 0.05, Seed: 4}
	require.Equal(t, Run(cfg), Run(cfg))
}

// What is shared of a link adds up to what it has.
func TestLinksAreShared(t *testing.T) {
	t.Parallel()
	s := &Sim{segment: 1000}
	up := &uplink{clock: &s.clock, rate: 1e6}
	got := [2]int64{}
	for i := range got {
		down := &pipe{clock: &s.clock, rate: 1e6}
		f := &flow{sim: s, from: up, path: []*pipe{down}, left: 1 << 30, room: 10}
		f.arrived = func(n int64) { got[i] += n }
		up.begin(f)
	}
	for s.now < time.Second && s.step() {
	}
	require.InDelta(t, 500_000, got[0], 3000)
	require.InDelta(t, 500_000, got[1], 3000)
}
