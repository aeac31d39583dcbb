package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The stories of what much work costs a machine: memory, files, and its user's time.

const mostMemory = 64 << 20 // of a process's own, whatever it fetches or serves

// gauge watches a process and keeps the most that it has taken.
type gauge struct {
	host string
	pid  int

	mu             sync.Mutex // guards what follows
	memory         int64      // anonymous, in bytes
	files, threads int
}

// watch looks at processes all the time until stop is called.
func watch(procs ...*Process) (gauges []*gauge, stop func()) {
	quit := make(chan struct{})
	var looking sync.WaitGroup
	for _, p := range procs {
		g := &gauge{host: p.host.Name, pid: p.Pid()}
		gauges = append(gauges, g)
		looking.Go(func() { g.look(quit) })
	}
	return gauges, sync.OnceFunc(func() {
		close(quit)
		looking.Wait()
	})
}

func (g *gauge) look(quit <-chan struct{}) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.pid)) // none: it has ended
		memory, threads := g.status()
		g.mu.Lock()
		g.files, g.memory, g.threads = max(g.files, len(files)), max(g.memory, memory), max(g.threads, threads)
		g.mu.Unlock()
		select {
		case <-quit:
			return
		case <-again.C:
		}
	}
}

// status is what the kernel says of the process.
func (g *gauge) status() (memory int64, threads int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.pid))
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "RssAnon":
			memory = n << 10
		case "Threads":
			threads = int(n)
		}
	}
	return memory, threads
}

func (g *gauge) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Sprintf("%s: %.1f MiB, %d files, %d threads", g.host, float64(g.memory)/(1<<20), g.files, g.threads)
}

// modest proves that a process has kept to its bounds.
func (g *gauge) modest(t *testing.T) {
	t.Helper()
	t.Log(g)
	require.Positive(t, g.memory, "it was seen")
	if os.Getenv("HFFS_RACE") != "1" { // the detector's memory is not the product's
		require.LessOrEqual(t, g.memory, int64(mostMemory), "%s", g)
	}
	require.LessOrEqual(t, g.files, 512, "%s", g)
	require.LessOrEqual(t, g.threads, 128, "%s", g)
}

// A seed with eight askers, each of them, and who then fetches from all of them: none
// takes more memory than what a transfer may.
func TestMemoryStaysSmall(t *testing.T) {
	const size = 512 << 20
	r := newRush(t, 10, size)
	seed, crowd, last := r.lab.Hosts[0], r.lab.Hosts[1:9], r.lab.Hosts[9]
	procs := []*Process{seed.Up()}
	get(t, seed, bigRepo, bigFile)
	for _, h := range crowd {
		procs = append(procs, h.Up())
	}
	for _, h := range crowd {
		announced(t, h, seed, bigRepo, bigFile)
	}
	gauges, stop := watch(procs...)
	defer stop()
	r.all(crowd...)
	stop()
	t.Log("one gives to eight:")
	for _, g := range gauges {
		g.modest(t)
	}

	procs = append(procs, last.Up())
	for _, h := range crowd {
		announced(t, last, h, bigRepo, bigFile)
	}
	gauges, stop = watch(procs...)
	defer stop()
	g := get(t, last, bigRepo, bigFile)
	stop()
	require.GreaterOrEqual(t, len(g.Sources), 8)
	t.Logf("nine give to one: %v", g.Sources)
	for _, g := range gauges {
		g.modest(t)
	}
}

// Fifty ask a node at once, and its own user hardly notices.
func TestFiftyAskOneNode(t *testing.T) {
	const (
		hosts, each = 10, 5
		rounds      = 5
		size        = 256 << 20
		long        = 5 * time.Second // an answer to its user takes a fraction of that
	)
	l := New(t, Options{Hosts: hosts + 1})
	args := synthetic(bigRepo, bigFile, size)
	for i := range rounds {
		args = append(args, synthetic(bigRepo, small(i), 40_000)...)
	}
	l.NewHub(args...)
	a := l.Hosts[0]
	node := a.Up()
	etag := get(t, a, bigRepo, bigFile).ETag
	a.Rate("1gbit")
	gauges, stop := watch(node)
	defer stop()
	// Each asks for one range after the other, all over the file.
	ask := `while :; do
  for i in $(seq 0 63); do
    from=$(( (i * 7 + $2) % 64 * 4194304 ))
    curl -sf -o /dev/null -r $from-$(( from + 4194303 )) "$1" && echo got
  done
done`
	var askers []*Process
	for i, h := range l.Hosts[1:] {
		for k := range each {
			askers = append(askers, h.Start("sh", "-c", ask, "ask", "http://"+a.Addr+":7767/v1/blobs/"+etag, fmt.Sprint(i*each+k)))
		}
	}
	for _, p := range askers {
		p.WaitFor("got", Limit)
	}
	var slowest [3]time.Duration
	before := answers(askers)
	for i := range rounds {
		for k, args := range [][]string{{"status"}, {"get", bigRepo, small(i)}, {"where", bigRepo, bigFile}} {
			began := time.Now()
			r := a.Hffs(args...)
			require.Zero(t, r.Code, "%s", r)
			slowest[k] = max(slowest[k], time.Since(began))
		}
	}
	t.Logf("at worst: status %v, get of a small file %v, where %v", slowest[0], slowest[1], slowest[2])
	Eventually(t, Limit, "all have had more answers meanwhile", func() bool { return answers(askers) >= before+len(askers) })
	stop()
	gauges[0].modest(t)
	for _, took := range slowest {
		require.Less(t, took, long)
	}
}

// small is one of the files that the node's own user gets.
func small(i int) string { return fmt.Sprintf("config-%d.json", i) }

// answers is how many ranges askers have had.
func answers(askers []*Process) (n int) {
	for _, p := range askers {
		n += strings.Count(p.Out.String(), "got")
	}
	return n
}
