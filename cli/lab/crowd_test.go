package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const crowdSize = 256_000_000

// Eight machines want the same new file: it crosses from the Hub once.
func TestCrowdDrawsOnce(t *testing.T) {
	for _, story := range []struct {
		name string
		args []string
	}{{"plain", nil}, {"by Xet", []string{"--xet"}}} {
		t.Run(story.name, func(t *testing.T) {
			r := newRush(t, 8, crowdSize, story.args...)
			r.hub.Host.Rate("1gbit") // faster than any line to the Hub
			r.up()
			r.all(r.lab.Hosts...)
			require.LessOrEqual(t, r.copies(), 1.05)
		})
	}
}

// The same without running nodes: each get finds the others by itself.
func TestCrowdOfPassersByDrawsOnce(t *testing.T) {
	r := newRush(t, 8, crowdSize)
	r.hub.Host.Rate("1gbit")
	r.all(r.lab.Hosts...)
	require.LessOrEqual(t, r.copies(), 1.05)
}

// Some come late, and two die on the way, one of them while the others count on
// what it has claimed.
func TestCrowdComesAndGoes(t *testing.T) {
	const spread = 10 * time.Second
	r := newRush(t, 8, crowdSize)
	r.up()
	r.hub.Host.Rate("200mbit") // the last comes when it is nearly over
	hosts, began := r.lab.Hosts, time.Now()
	var died time.Time
	doomed := map[int]bool{1: true, 4: true}
	var procs []*Process
	for i, h := range hosts {
		time.Sleep(time.Until(began.Add(spread * time.Duration(i) / time.Duration(len(hosts)-1)))) // the story's own times
		p := r.start(h)
		if !doomed[i] {
			procs = append(procs, p)
		}
		switch i {
		case 3:
			r.draws(hosts[1])
			hosts[1].node(t).Kill()
			died = time.Now()
		case 5:
			hosts[4].node(t).Kill()
		}
	}
	arrived := r.wait(procs)
	r.tell(arrived, began)
	r.takenOver(hosts[1], died)
	require.LessOrEqual(t, r.copies(), 1.15)
}

// Slow lines to the Hub add up behind a fast network.
func TestUplinksAddUp(t *testing.T) {
	const size, line = 125_000_000, 4 * 25e6 / 8
	r := newRush(t, 4, size)
	for _, h := range r.lab.Hosts {
		h.Rate("1gbit")
		h.Uplink("25mbit")
	}
	r.up()
	_, took := r.all(r.lab.Hosts...)
	t.Logf("%.2f s: %.3f of what the lines could do at best", took.Seconds(), took.Seconds()/(size/line))
	require.LessOrEqual(t, took.Seconds(), 1.25*size/line)
}

// Who cannot reach the Hub gets it from the others, as soon as they have it
// themselves.
func TestSomeCannotReachTheHub(t *testing.T) {
	const size = 128_000_000
	r := newRush(t, 8, size)
	for _, h := range r.lab.Hosts {
		h.Rate("1gbit")
	}
	r.hub.Host.Rate("200mbit")
	r.up()
	barred := map[string]bool{"C": true, "F": true}
	r.lab.Hosts[2].BarHub(false)
	r.lab.Hosts[5].BarHub(true)
	began := time.Now()
	arrived, _ := r.all(r.lab.Hosts...)
	var others, late time.Duration
	for _, a := range arrived {
		if took := a.at.Sub(began); barred[a.host.Name] {
			late = max(late, took)
		} else {
			others = max(others, took)
		}
	}
	require.LessOrEqual(t, late, others*110/100+500*time.Millisecond)
	require.LessOrEqual(t, r.copies(), 1.05)
}

// Of five holders one lies and one crawls: the others make up for both.
func TestOneLiesAndOneCrawls(t *testing.T) {
	const (
		size = 120_000_000
		line = 400e6 / 8
		span = 4 << 20 // what is asked for at a time, at these rates
	)
	l := New(t, Options{Hosts: 6})
	hub := l.NewHub(append(synthetic(bigRepo, "flip.bin", size), "--xet")...)
	a, honest, slow, c := l.Hosts[0], l.Hosts[1], l.Hosts[4], l.Hosts[5]
	node := a.Up("-vv")
	for _, h := range l.Hosts[1:5] {
		h.Up()
		get(t, h, bigRepo, "flip.bin")
	}
	sent := hub.AllBytes()
	lie := act(c, "forger flip "+c.Addr+" "+honest.Addr+":7766 "+honest.Addr+":7767 flip.bin")
	lie.WaitFor("lying", 20*time.Second)
	for _, h := range l.Hosts[1:] {
		announced(t, a, h, bigRepo, "flip.bin")
		h.Rate("200mbit")
	}
	a.Rate("400mbit")
	slow.Rate("8mbit")
	before, began := a.Received(), time.Now()
	p := a.Start(Binary(t), "get", bigRepo, "flip.bin", "--json")
	p.Wait(Limit)
	took := time.Since(began)
	g := finish(t, p)
	came := a.Received() - before
	t.Logf("%.2f s, %.2f of the line's time; %d bytes came in; %v; dropped %v", took.Seconds(), took.Seconds()/(size/line), came, g.Sources, g.Dropped)
	require.True(t, lie.Said("lied: flip"), lie.report())
	named(t, a, node, g, "liar-flip")
	require.Equal(t, sent, hub.AllBytes(), "the Hub sends nothing")
	require.LessOrEqual(t, came, int64(size*104/100+4*span), "two spans each at most are fetched in vain")
	require.LessOrEqual(t, took.Seconds(), 1.25*size/line+0.5, "the others make up for both")
}
