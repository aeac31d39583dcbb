package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"hffs/cli/lab"
)

// crowd is a figure in which many fetch the same file at the same time, from few
// who hold it or from the Hub. What counts is when the last one has it, and how
// often those who had it first have sent it.
type crowd struct {
	mib      int64    // size of the file
	seeds    []string // line rates of those who hold it; none: the Hub does
	fetchers []string // line rates of those who fetch
	origin   string   // line rate of the Hub
	ideal    float64  // bytes per second at which the last could have it, headers aside
}

// payload is what tbf lets through of a rate, with packets of 1500 bytes.
const payload = 0.956

// swarmer is one way to bring a file to a crowd.
type swarmer struct {
	name string
	// play gives all fetchers the file and reports how long it took.
	play func(*party) (wall, cpu time.Duration)
}

var swarmers = []swarmer{
	{"libtorrent, tuned", (*party).torrent},
	{"hffs get, nodes running", func(p *party) (time.Duration, time.Duration) { return p.hffs(plainRepo, false) }},
	{"the same, Xet hash", func(p *party) (time.Duration, time.Duration) { return p.hffs(xetRepo, false) }},
	{"the same, Hub in reach", func(p *party) (time.Duration, time.Duration) { return p.hffs(xetRepo, true) }},
}

// swarmers are those who take part.
func (r *run) swarmers() []swarmer {
	return slices.DeleteFunc(slices.Clone(swarmers), func(s swarmer) bool { return !r.who.MatchString(s.name) })
}

// party is a crowd at work.
type party struct {
	*run
	seeds, fetchers []*lab.Host
	torrents        string // folder with the torrent and its driver
	round           int
}

// outcome is what one round has cost.
type outcome struct {
	wall, cpu time.Duration
	copies    float64
}

// playCrowd is [run.play] for a crowd.
func (r *run) playCrowd() {
	if len(r.swarmers()) == 0 {
		r.Fatalf("no contender's name matches %q", r.who)
	}
	r.size = r.crowd.mib << 20
	r.lab = lab.New(r, lab.Options{Hosts: len(r.crowd.seeds) + len(r.crowd.fetchers)})
	r.startHub()
	p := &party{run: r, seeds: r.lab.Hosts[:len(r.crowd.seeds)], fetchers: r.lab.Hosts[len(r.crowd.seeds):]}
	p.prepare()
	results := map[string][]outcome{}
	for p.round = range r.rounds + 1 {
		for _, s := range r.swarmers() {
			o := p.once(s)
			r.Logf("%s, round %d, %s: %.2f s, CPU %.2f s, %.3f copies", r.name, p.round, s.name, o.wall.Seconds(), o.cpu.Seconds(), o.copies)
			if p.round > 0 {
				results[s.name] = append(results[s.name], o)
			}
		}
	}
	p.print(os.Stdout, results)
}

// prepare gives the seeds the file, and only then everybody their line.
func (p *party) prepare() {
	for _, h := range p.seeds {
		h.Up()
		var got struct{ Path string }
		for _, repo := range []string{plainRepo, xetRepo} {
			h.HffsJSON(&got, "get", repo, file)
		}
	}
	p.writeTorrent()
	for i, h := range p.seeds {
		h.Rate(p.crowd.seeds[i])
	}
	for i, h := range p.fetchers {
		h.Rate(p.crowd.fetchers[i])
	}
	if p.crowd.origin != "" {
		p.hub.Host.Rate(p.crowd.origin)
	}
}

// sources are those who have the file to begin with.
func (p *party) sources() []*lab.Host {
	if len(p.seeds) == 0 {
		return []*lab.Host{p.hub.Host}
	}
	return p.seeds
}

func (p *party) once(s swarmer) (o outcome) {
	for _, h := range p.fetchers {
		p.must("clean up", os.RemoveAll(filepath.Join(h.Dir, "away")))
	}
	warm(p.size * int64(len(p.fetchers)))
	before := p.sent()
	o.wall, o.cpu = s.play(p)
	o.copies = float64(p.sent()-before) / float64(p.size)
	settle()
	return o
}

// sent is what has left the seeds and the Hub by the kernel's count, which has a
// packet's head in it and is therefore a percent or so too high.
func (p *party) sent() (n int64) {
	for _, h := range p.seeds {
		n += h.Sent()
	}
	return n + p.hub.Host.Sent()
}

// hffs has a node on each fetcher get the file. Where there are seeds it is also done
// with no Hub, whose word on a file's hash is then not to be had: what neighbours say of
// it is held against the whole file's sha256 in the end.
func (p *party) hffs(repo string, hub bool) (wall, cpu time.Duration) {
	var homes []*lab.Host
	var nodes []*lab.Process
	for _, h := range p.fetchers {
		home := h.As("away")
		if len(p.seeds) > 0 && !hub {
			home.Env = map[string]string{"HF_HUB_OFFLINE": "1"}
		}
		homes, nodes = append(homes, home), append(nodes, home.Up())
	}
	for _, h := range homes {
		lab.Eventually(p, 60*time.Second, h.Name+" knows all others", func() bool { return p.knows(h, repo) })
	}
	began, busy := time.Now(), machineCPU()
	var gets []*lab.Process
	for _, h := range homes {
		gets = append(gets, h.Start(lab.Binary(p), "get", repo, file, "--json"))
	}
	for _, g := range gets {
		g.Wait(lab.Limit)
	}
	wall, cpu = time.Since(began), machineCPU()-busy
	for _, g := range gets {
		p.check("hffs", p.result(g))
	}
	for _, n := range nodes {
		n.Stop()
	}
	return wall, cpu
}

// knows tells whether a host's node knows every other one, and what the seeds hold.
func (p *party) knows(h *lab.Host, repo string) bool {
	var s struct{ Peers []json.RawMessage }
	h.HffsJSON(&s, "status")
	if len(s.Peers) != len(p.seeds)+len(p.fetchers)-1 {
		return false
	}
	if len(p.seeds) == 0 {
		return true
	}
	var w struct{ Holders []struct{ Complete bool } }
	answer := h.Hffs("where", repo, file, "--json")
	return json.Unmarshal([]byte(answer.Stdout), &w) == nil && len(w.Holders) == len(p.seeds)
}

func (p *party) result(get *lab.Process) string {
	var got struct{ Path string }
	p.must("read what hffs says of "+get.Err.String(), json.Unmarshal([]byte(get.Out.String()), &got))
	return got.Path
}

func (p *party) check(who, path string) {
	if info, err := os.Stat(path); err != nil || info.Size() != p.size {
		p.Fatalf("%s has not fetched the file: %v", who, err)
	}
}

func (p *party) print(w io.Writer, results map[string][]outcome) {
	fmt.Fprintf(w, "\n%s, %d MiB, median of %d rounds\n", p.name, p.size>>20, p.rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "contender\tlast after s\t×\tof ideal ×\tcopies\tCPU s/GiB")
	first := median(results[p.swarmers()[0].name], func(o outcome) float64 { return o.wall.Seconds() })
	ideal := float64(p.size) / p.crowd.ideal
	for _, s := range p.swarmers() {
		all := results[s.name]
		wall := median(all, func(o outcome) float64 { return o.wall.Seconds() })
		fetched := float64(p.size) * float64(len(p.fetchers)) / (1 << 30)
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%.3f\t%.2f\n", s.name, wall, wall/first, wall/ideal,
			median(all, func(o outcome) float64 { return o.copies }),
			median(all, func(o outcome) float64 { return o.cpu.Seconds() })/fetched)
	}
	_ = t.Flush() // to a terminal or a pipe that has gone
}
