package gossip

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

// The benchmarks run whole swarms in one process, over loopback sockets and with
// the settings that users get. On two cores the larger ones measure the machine.

func usual(c *Config) { c.Tune = nil }

// cacheOf is a cache of n files in models of 20, different on every node.
func cacheOf(node, n int) (h manifest.Holdings) {
	for i := range n / 20 {
		h.Snapshots = append(h.Snapshots, manifest.Snapshot{
			Repo:   ref.Repo{Type: ref.Model, ID: fmt.Sprintf("org/model-%d-%d", node, i)},
			Commit: testCommit(node*100_000 + i), Files: testFiles(20),
		})
	}
	return h
}

func bigSwarm(b *testing.B, nodes, files int) []*testNode {
	all := make([]*testNode, nodes)
	for i := range all {
		all[i] = start(b, i, usual)
		all[i].Hold(cacheOf(i, files))
	}
	b.Cleanup(func() { // all at once, instead of each waiting for its goodbye
		for _, n := range all {
			n.stop()
		}
	})
	begin := time.Now()
	for _, n := range all[1:] {
		n.join(all[0])
	}
	for _, n := range all {
		await(b, func() bool {
			ms := n.Members()
			return len(ms) == nodes-1 && !slices.ContainsFunc(ms, func(m Member) bool { return m.Behind || m.Files < files })
		}, "all manifests")
	}
	b.Logf("%d nodes x %d files: everybody knows everybody's manifest after %v", nodes, files, time.Since(begin).Round(time.Millisecond))
	return all
}

// BenchmarkNewFile tells how long one new file takes to be known to half of the
// nodes and to all.
func BenchmarkNewFile(b *testing.B) {
	for _, size := range []struct{ nodes, files int }{{8, 5000}, {20, 20_000}, {50, 100}} {
		b.Run(fmt.Sprintf("%dx%d", size.nodes, size.files), func(b *testing.B) {
			all := bigSwarm(b, size.nodes, size.files)
			var half, last, worst time.Duration
			rounds := 0
			for b.Loop() {
				rounds++
				times := newFile(b, all, size.files, rounds)
				half += times[len(times)/2]
				last += times[len(times)-1]
				worst = max(worst, times[len(times)-1])
			}
			b.ReportMetric(float64(half.Milliseconds())/float64(rounds), "half-ms")
			b.ReportMetric(float64(last.Milliseconds())/float64(rounds), "all-ms")
			b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
		})
	}
}

func newFile(b *testing.B, all []*testNode, files, round int) []time.Duration {
	owner := round % len(all)
	h := cacheOf(owner, files)
	h.Snapshots = append(h.Snapshots, manifest.Snapshot{
		Repo: testRepo, Commit: testCommit(round), Files: []manifest.File{{Path: "new", Blob: testBlob(1000 + round)}},
	})
	e := ref.Entry{Repo: testRepo, Commit: testCommit(round), Path: "new", Blob: testBlob(1000 + round)}
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	begin := time.Now()
	all[owner].Hold(h)
	for i, n := range all {
		if i == owner {
			continue
		}
		wg.Go(func() {
			for {
				if hs, _ := n.Holders(context.Background(), e); len(hs) == 1 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Since(begin))
		})
	}
	wg.Wait()
	slices.Sort(times)
	return times
}

// BenchmarkAllAtOnce tells how long it takes until everybody knows what everybody
// has added at the same moment.
func BenchmarkAllAtOnce(b *testing.B) {
	all := bigSwarm(b, 50, 100)
	var worst time.Duration
	files := 100
	for b.Loop() {
		files += 20
		begin := time.Now()
		for i, n := range all {
			n.Hold(cacheOf(i, files))
		}
		for _, n := range all {
			await(b, func() bool {
				return !slices.ContainsFunc(n.Members(), func(m Member) bool { return m.Behind || m.Files < files })
			}, "all")
		}
		worst = max(worst, time.Since(begin))
	}
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
}

// BenchmarkIdle tells what a node sends by UDP and TCP while nothing happens.
func BenchmarkIdle(b *testing.B) {
	for _, nodes := range []int{8, 50} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			all := bigSwarm(b, nodes, 1000)
			time.Sleep(40 * time.Second) // what the beginning made everybody say runs dry
			before := sentBy(all)
			const span = 20 * time.Second
			for b.Loop() {
				time.Sleep(span)
			}
			perMinute := float64(sentBy(all)-before) / float64(nodes) / float64(b.N) * float64(time.Minute/span)
			b.ReportMetric(perMinute/1000, "sent-kB/min/node")
		})
	}
}

func sentBy(all []*testNode) (n int64) {
	for _, node := range all {
		n += node.cut.sent.Load()
	}
	return n
}

// BenchmarkQuestion puts the two questions of a download to a node that knows
// 200 others of 20,000 files each, of which 20 hold the repo that is asked for.
func BenchmarkQuestion(b *testing.B) {
	s, err := New(Config{NodeID: nodeID(0), DoorPort: 1})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 200 {
		h := cacheOf(i, 20_000)
		if i < 20 {
			h.Snapshots = append(h.Snapshots, holding(20_000).Snapshots...)
			h.Refs = holding(1).Refs
		}
		built := manifest.Build(h, nil)
		for _, list := range built.Lists {
			s.lists.add(list)
		}
		m := &member{name: nodeID(i + 1), id: nodeID(i + 1), meta: meta{door: 1}}
		p, _ := s.roster.aliveLocked(m, time.Now())
		p.summary = built.Summary
		s.settle(p)
	}
	f := ref.File{Repo: testRepo, Revision: "main", Path: "file-012345.bin"}
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			if ks, _ := s.Known(context.Background(), f); len(ks) != 20 || !ks[0].HasEntry {
				b.Fatal(len(ks))
			}
		}
	})
	e := entryOf(12345)
	b.Run("holders", func(b *testing.B) {
		for b.Loop() {
			if hs, _ := s.Holders(context.Background(), e); len(hs) != 20 {
				b.Fatal(len(hs))
			}
		}
	})
}
