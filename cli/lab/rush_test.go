package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A rush is many hosts that want one file at the same time, with a Hub that knows
// it and nobody on the network who has it.
type rush struct {
	*testing.T
	lab  *Lab
	hub  *Hub
	size int64
}

// newRush builds the lab. What the lines are like is for the story to say.
func newRush(t *testing.T, hosts int, size int64, args ...string) *rush {
	l := New(t, Options{Hosts: hosts})
	return &rush{t, l, l.NewHub(append(synthetic(bigRepo, bigFile, size), args...)...), size}
}

// up starts a node on each host and waits until all know each other.
func (r *rush) up() {
	r.Helper()
	for _, h := range r.lab.Hosts {
		h.Up("-vv")
	}
	meet(r.T, 20*time.Second, len(r.lab.Hosts)-1, r.lab.Hosts...)
}

// arrival is a host's copy of the file, and when it was there.
type arrival struct {
	host *Host
	at   time.Time
	gotJSON
}

func (r *rush) start(h *Host) *Process {
	return h.Start(Binary(r.T), "get", bigRepo, bigFile, "--json")
}

// all has the hosts get the file at the same time; took is until each had it.
func (r *rush) all(hosts ...*Host) (arrived []arrival, took time.Duration) {
	r.Helper()
	began := time.Now()
	var procs []*Process
	for _, h := range hosts {
		procs = append(procs, r.start(h))
	}
	arrived = r.wait(procs)
	for _, a := range arrived {
		took = max(took, a.at.Sub(began))
	}
	r.tell(arrived, began)
	return arrived, took
}

// wait waits for gets that were started, and proves what each has brought.
func (r *rush) wait(procs []*Process) []arrival {
	r.Helper()
	arrived := make([]arrival, len(procs))
	var ended sync.WaitGroup
	for i, p := range procs {
		arrived[i].host = p.host
		ended.Go(func() {
			select {
			case <-p.Done():
			case <-time.After(Limit): // which finish will say
			}
			arrived[i].at = time.Now()
		})
	}
	ended.Wait()
	for i, p := range procs {
		arrived[i].gotJSON = finish(r.T, p)
	}
	return arrived
}

// copies is how many times over the Hub has sent the file, in whatever form.
func (r *rush) copies() float64 { r.Helper(); return float64(r.hub.AllBytes()) / float64(r.size) }

// tell logs who had the file when, and from where.
func (r *rush) tell(arrived []arrival, began time.Time) {
	r.Helper()
	for _, a := range arrived {
		hub := 100 * float64(a.from("hub")) / float64(r.size)
		r.Logf("%s after %.2f s: %.1f %% by the Hub; %s", a.host.Name, a.at.Sub(began).Seconds(), hub, strings.Join(a.Warnings, "; "))
	}
	r.Logf("the Hub has sent %.3f copies: %s", r.copies(), r.drawn())
}

// drawn says who drew how much from the Hub, by which way, and what was drawn more
// than once, by the time of it.
func (r *rush) drawn() string {
	r.Helper()
	const step = 64 << 10 // what is told apart
	by, again, seen := map[string]int64{}, map[string]int64{}, map[int64]bool{}
	var first time.Time
	for _, s := range r.hub.Answers() {
		off, _, ranged := s.asked()
		if s.Bytes == 0 || s.File == "" || s.Status/100 != 2 {
			continue // none of the file's bytes
		}
		if first.IsZero() {
			first = s.Time
		}
		by[s.From] += s.Bytes
		by[s.File] += s.Bytes
		for at := off; ranged && s.File == bigFile && at < off+s.Bytes; at += step {
			if seen[at/step] {
				again[fmt.Sprintf("%4.1f s", s.Time.Sub(first).Seconds())] += min(step, off+s.Bytes-at)
			}
			seen[at/step] = true
		}
	}
	return fmt.Sprintf("%s; more than once: %s", r.shares(by), r.shares(again))
}

// asked is the range of an answer; false: all of it was asked for.
func (s Sent) asked() (off, end int64, ranged bool) {
	n, _ := fmt.Sscanf(s.Range, "bytes=%d-%d", &off, &end)
	return off, end + 1, n == 2
}

// shares is parts of the file, in a line.
func (r *rush) shares(of map[string]int64) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fmt.Sprintf("%s: %.1f %%", key, 100*float64(of[key])/float64(r.size)))
	}
	return strings.Join(all, ", ")
}

// draws waits until a host's node has the Hub at work.
func (r *rush) draws(h *Host) {
	r.Helper()
	Eventually(r.T, 20*time.Second, h.Name+" draws from the Hub", func() bool {
		var s struct {
			Transfers []struct {
				Sources []struct {
					Kind   string
					Active bool
				}
			}
		}
		h.HffsJSON(&s, "status")
		for _, t := range s.Transfers {
			for _, o := range t.Sources {
				if o.Kind == "hub" && o.Active {
					return true
				}
			}
		}
		return false
	})
}

// takenOver proves that a host which died had claimed what others waited for: one
// of them has asked the Hub for some of it afterwards.
func (r *rush) takenOver(h *Host, died time.Time) {
	r.Helper()
	answers := r.hub.Answers()
	again := func(claimed Sent) bool {
		off, end, ranged := claimed.asked()
		return ranged && claimed.From == h.Addr && slices.ContainsFunc(answers, func(s Sent) bool {
			first, last, ok := s.asked()
			return ok && s.From != h.Addr && s.Time.After(died) && first < end && last > off
		})
	}
	require.True(r, slices.ContainsFunc(answers, again), "%s had claims when it died, which others took over", h.Name)
}
