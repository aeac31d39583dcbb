package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"hffs/cli/lab"
)

const smallRepo = "acme/many"

// smallContender fetches a dataset of small files into an empty cache.
type smallContender struct {
	name string
	args func(r *run, holder *lab.Host) []string
}

// The first one is huggingface_hub's own, from the same Hub. A holder is named rather
// than found, so that what is measured is the files.
var smallContenders = []smallContender{
	{"hf download, from the Hub", func(*run, *lab.Host) []string {
		return []string{venvTool("hf"), "download", "--quiet", "--repo-type", "dataset", smallRepo}
	}},
	{"hffs get, from the Hub", func(r *run, _ *lab.Host) []string {
		return []string{lab.Binary(r), "get", "-q", "--repo-type", "dataset", smallRepo, "--no-mdns"}
	}},
	{"hffs get, from a peer", func(r *run, holder *lab.Host) []string {
		return []string{lab.Binary(r), "get", "-q", "--repo-type", "dataset", smallRepo, "--no-mdns", "--peer", holder.Addr}
	}},
}

// venvTool is a program of the tests' Python; HFFS_VENV says where that is.
func venvTool(name string) string {
	venv := os.Getenv("HFFS_VENV")
	if home, err := os.UserCacheDir(); venv == "" && err == nil {
		venv = filepath.Join(home, "hffs-test", "venv")
	}
	return filepath.Join(venv, "bin", name)
}

// playSmall has the contenders take turns with a repo of small files.
func (r *run) playSmall() {
	r.lab = lab.New(r, lab.Options{Hosts: 2})
	dir := r.TempDir()
	var total int64
	for i := range r.small {
		text := strings.Repeat(fmt.Sprintf("{\"row\": %d}\n", i), 20+i%900)
		path := filepath.Join(dir, "datasets", filepath.FromSlash(smallRepo), fmt.Sprintf("data/part-%05d.json", i))
		r.must("make a repo", os.MkdirAll(filepath.Dir(path), 0o755))
		r.must("make a repo", os.WriteFile(path, []byte(text), 0o644))
		total += int64(len(text))
	}
	r.hub = r.lab.NewHub("--dir", dir)
	fetcher, holder := r.lab.Hosts[0], r.lab.Hosts[1]
	holder.Up()
	holder.Hffs("get", "-q", "--repo-type", "dataset", smallRepo)
	r.results = map[string][]sample{}
	for round := range r.rounds + 1 {
		for _, c := range smallContenders {
			s := r.onceSmall(c, fetcher, holder)
			r.Logf("%s, round %d, %s: %.2f s", r.name, round, c.name, s.wall.Seconds())
			if round > 0 {
				r.results[c.name] = append(r.results[c.name], s)
			}
		}
	}
	r.printSmall(total)
}

func (r *run) onceSmall(c smallContender, fetcher, holder *lab.Host) sample {
	r.must("clean up", os.RemoveAll(filepath.Join(fetcher.Dir, "away")))
	h := fetcher.As("away")
	h.Env = map[string]string{"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
	args := c.args(r, holder)
	s := measure(func() *lab.Process { return h.Start(args[0], args[1:]...) }, nil, nil)
	got, _ := filepath.Glob(filepath.Join(h.Cache(), "datasets--*", "snapshots", "*", "data", "*.json"))
	if len(got) != r.small {
		r.Fatalf("%s has fetched %d of %d files", c.name, len(got), r.small)
	}
	settle()
	return s
}

func (r *run) printSmall(total int64) {
	fmt.Printf("\n%s, %d KiB in all, median of %d rounds\n", r.name, total>>10, r.rounds)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "contender\tseconds\tms a file\ttimes as fast\tCPU s\tfetcher MiB (own)")
	first := median(r.results[smallContenders[0].name], seconds)
	for _, c := range smallContenders {
		s := r.results[c.name]
		wall := median(s, seconds)
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.1f\t%.2f\t%s\n", c.name, wall, wall*float64(time.Second/time.Millisecond)/float64(r.small),
			first/wall, median(s, busy), mebibytes(s, func(s sample) memory { return s.fetcher }))
	}
	_ = t.Flush() // to a terminal or a pipe that has gone
}
