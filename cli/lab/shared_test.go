package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHolderOfAnOldRevisionSendsItOnce: six machines want the new revision of a file of
// which one has the old one. What both have in common it sends about once, as if it held
// all of it; what is new one of them has from the Hub, and the others from that one.
func TestHolderOfAnOldRevisionSendsItOnce(t *testing.T) {
	l := New(t, Options{Hosts: 7})
	hub := l.NewHub("--writer", writer)
	old, crowd := l.Hosts[0], l.Hosts[1:]
	rev := upload(t, hub.Host, python(t), weightsRepo, 64)
	r := &rush{t, l, hub, rev.size}
	r.up()
	get(t, old, weightsRepo, weightsFile, "--revision", rev.first)
	for _, h := range crowd {
		Eventually(t, 15*time.Second, h.Name+" knows of the old revision", func() bool {
			return h.Hffs("search", weightsRepo, "--json").Code == 0
		})
	}
	for _, h := range l.Hosts {
		h.Rate("100mbit")
	}
	news := r.together(crowd, rev.second)
	require.LessOrEqual(t, news, rev.size*newShare/100)
	var s struct{ Shares struct{ Sent int64 } }
	old.HffsJSON(&s, "status")
	copies := float64(s.Shares.Sent) / float64(rev.size)
	t.Logf("%.3f copies by the holder", copies)
	require.LessOrEqual(t, copies, 1.3)
}

// TestNewRevisionCrossesOnce: six machines that all have the old revision want the new
// one. The Hub sends about once what is new.
func TestNewRevisionCrossesOnce(t *testing.T) {
	l := New(t, Options{Hosts: 6})
	hub := l.NewHub("--writer", writer)
	rev := upload(t, hub.Host, python(t), weightsRepo, 64)
	get(t, l.Hosts[0], weightsRepo, weightsFile, "--revision", rev.first)
	copyCache(t, l.Hosts[0], l.Hosts[1:]...)
	r := &rush{t, l, hub, rev.size}
	r.up()
	require.LessOrEqual(t, r.together(l.Hosts, rev.second), rev.size*newShare/100)
}

// together has hosts get a revision at the same time, and tells what the Hub has sent.
func (r *rush) together(hosts []*Host, revision string) (sent int64) {
	r.Helper()
	drawn, began := r.hub.AllBytes(), time.Now()
	var procs []*Process
	for _, h := range hosts {
		procs = append(procs, h.Start(Binary(r.T), "get", weightsRepo, weightsFile, "--revision", revision, "--json"))
	}
	for _, a := range r.wait(procs) {
		r.Logf("%s after %.2f s: %v", a.host.Name, a.at.Sub(began).Seconds(), a.Sources)
	}
	sent = r.hub.AllBytes() - drawn
	r.Logf("%.3f copies by the Hub", float64(sent)/float64(r.size))
	return sent
}
