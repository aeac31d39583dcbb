package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"hffs/cli/control"
	"hffs/cli/ui"
)

// watcher follows what a node fetches, by looking at its status now and then: as
// one line while something goes on, and in sum at the end. What comes and goes
// between two looks it does not see, and of the end of a fetch only that it is over;
// the cache then tells whether it is done.
type watcher struct {
	footer *ui.Footer
	cache  string
	each   func(line string) // hears of each file that is done; may be nil
	now    func() time.Time

	active map[string]fetching // by repo and path
	burst  tally               // what was done since something has been going on
	idle   int                 // looks since nothing has
	all    tally
}

// fetching is a file under way.
type fetching struct {
	control.Progress
	since time.Time
}

func newWatcher(f *ui.Footer, cache string) *watcher {
	return &watcher{footer: f, cache: cache, now: time.Now, active: map[string]fetching{}}
}

// start looks until it is stopped, and then sums up.
func (w *watcher) start(status func(context.Context) (control.Status, error)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	look := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if s, err := status(ctx); err == nil {
			w.observe(s.Transfers)
		}
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(w.footer.Every())
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				look(ctx)
			}
		}
	})
	return func() {
		cancel()
		wait.Wait()
		look(context.Background())
		w.finish()
	}
}

// observe takes in one look.
func (w *watcher) observe(now []control.Progress) {
	seen := map[string]fetching{}
	for _, p := range now {
		key := p.Repo + "/" + p.File
		f, known := w.active[key]
		if !known {
			f.since = w.now()
		}
		f.Progress = p
		seen[key] = f
	}
	for key, f := range w.active {
		if _, still := seen[key]; !still {
			w.ended(f)
		}
	}
	w.active = seen
	if len(seen) > 0 {
		w.idle = 0
	} else if w.idle++; w.idle > 1 {
		w.burst = tally{}
	}
	w.footer.Update(w.state())
}

// ended counts a file that is not fetched any more, if it is there.
func (w *watcher) ended(f fetching) {
	if f.Done < f.Total && !w.inCache(f.Progress) {
		return
	}
	one := tally{}
	one.add(f.Progress)
	w.burst.add(f.Progress)
	w.all.add(f.Progress)
	if w.each == nil {
		return
	}
	line := strings.Join(append([]string{f.File + " " + ui.Size(f.Total)}, one.origins()...), ", ")
	if took := w.now().Sub(f.since).Seconds(); took > 0 && one.network > 0 {
		line += ", " + ui.Rate(float64(one.network)/took)
	}
	w.each(line)
}

// inCache tells whether a snapshot has the file.
func (w *watcher) inCache(p control.Progress) bool {
	for _, kind := range []string{"models", "datasets", "spaces"} {
		snapshots := filepath.Join(w.cache, kind+"--"+strings.ReplaceAll(p.Repo, "/", "--"), "snapshots")
		commits, _ := os.ReadDir(snapshots)
		for _, c := range commits {
			fi, err := os.Stat(filepath.Join(snapshots, c.Name(), filepath.FromSlash(p.File)))
			if err == nil && fi.Size() == p.Total {
				return true
			}
		}
	}
	return false
}

// state is what goes on, all files as one; nil for nothing.
func (w *watcher) state() *ui.State {
	if len(w.active) == 0 {
		return nil
	}
	sum := w.burst.clone()
	s := ui.State{Done: sum.bytes, Total: sum.bytes}
	for _, f := range w.active {
		s.Done += f.Done
		s.Total += f.Total
		s.File = "hffs: " + f.File
		sum.sources(f.Progress, 1)
	}
	if len(w.active) > 1 {
		s.File = fmt.Sprintf("hffs: %d files", len(w.active))
	}
	s.LAN, s.Hub, s.Local = sum.network-sum.from[theHub], sum.from[theHub], sum.local
	return &s
}

func (w *watcher) finish() {
	w.footer.Finish()
	if w.all.files == 0 {
		return
	}
	files := "1 file"
	if w.all.files > 1 {
		files = fmt.Sprintf("%d files", w.all.files)
	}
	w.footer.Note("hffs: " + strings.Join(append([]string{files + ", " + ui.Size(w.all.bytes)}, w.all.origins()...), ", "))
}

// tally sums up where bytes came from.
type tally struct {
	files   int
	bytes   int64
	local   int64 // were on this disk
	network int64
	from    map[string]int64 // over the network
}

const theHub = "the Hub"

// add counts a whole file. The last look at it may have missed the end, so what its
// sources had brought by then stands for their shares.
func (t *tally) add(p control.Progress) {
	t.files++
	t.bytes += p.Total
	var told int64
	for _, s := range p.Sources {
		told += s.Bytes
	}
	if told > 0 {
		t.sources(p, float64(p.Total)/float64(told))
	}
}

func (t *tally) sources(p control.Progress, scale float64) {
	for _, s := range p.Sources {
		n, name := int64(math.Round(float64(s.Bytes)*scale)), s.Name
		switch s.Kind {
		case "peer":
		case "hub":
			name = theHub
		default:
			t.local += n
			continue
		}
		if t.from == nil {
			t.from = map[string]int64{}
		}
		t.from[name] += n
		t.network += n
	}
}

func (t *tally) clone() tally {
	c := *t
	c.from = maps.Clone(t.from)
	return c
}

// origins are the shares in words, the largest first: "82% from lab-2".
func (t *tally) origins() (words []string) {
	const most = 4
	names := slices.SortedFunc(maps.Keys(t.from), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.from[b], t.from[a]), cmp.Compare(a, b))
	})
	total := float64(max(1, t.network+t.local))
	share := func(n int64) string {
		if percent := int(math.Round(float64(n) / total * 100)); percent > 0 {
			return fmt.Sprintf("%d%%", percent)
		}
		return "<1%"
	}
	var rest int64
	for i, name := range names {
		if t.from[name] == 0 {
			continue
		}
		if i >= most && len(names) > most+1 {
			rest += t.from[name]
			continue
		}
		words = append(words, share(t.from[name])+" from "+name)
	}
	if rest > 0 {
		words = append(words, share(rest)+fmt.Sprintf(" from %d others", len(names)-most))
	}
	if t.local > 0 {
		words = append(words, share(t.local)+" already here")
	}
	return words
}
