package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hffs/cli/lab"
)

// The file that everybody fetches; the same bytes in both repos.
const (
	plainRepo = "acme/big"
	xetRepo   = "acme/xet" // whose files the Hub offers by Xet
	file      = "model.safetensors"
)

// figure is one comparison: a lab, and contenders in it of whom the first is
// the measure of the others.
type figure struct {
	name       string
	line       float64 // bytes per second that the fetcher's cable carries; 0: no cable
	hosts      int     // host A fetches, the others hold
	rates      func(*lab.Lab)
	contenders []contender
	crowd      *crowd // many fetch at once, by the swarmers; the rest is of no use then
	endpoint   bool   // what clients of the local endpoint see (endpoint.go); likewise
	small      int    // so many small files are fetched (many.go); the rest is of no use then
}

const gigabit = 1e9 / 8

var figures = []figure{
	{
		name: "one holder, loopback", hosts: 1,
		contenders: []contender{curl, curlVerified, hffsNode, hffsAlone, xetNode, xetAlone},
	},
	{
		name: "one holder, 1 Gbit/s", hosts: 2, line: gigabit,
		rates:      func(l *lab.Lab) { rate(l.Hosts, "1gbit") },
		contenders: []contender{curl, curlVerified, hffsNode, hffsAlone, xetNode, xetAlone},
	},
	{
		name: "four holders of 250 Mbit/s each", hosts: 5, line: gigabit,
		rates: func(l *lab.Lab) {
			rate(l.Hosts[:1], "1gbit")
			rate(l.Hosts[1:], "250mbit")
		},
		contenders: []contender{aria2, hffsNode, hffsAlone},
	},
	{
		name: "uneven holders: 500, 250, 150 and 100 Mbit/s", hosts: 5, line: gigabit,
		rates: func(l *lab.Lab) {
			rate(l.Hosts[:1], "1gbit")
			for i, r := range []string{"500mbit", "250mbit", "150mbit", "100mbit"} {
				rate(l.Hosts[i+1:i+2], r)
			}
		},
		contenders: []contender{aria2, hffsNode},
	},
	{name: "1,200 small files", small: 1200},
	{name: "endpoint", endpoint: true},
	{
		name: "four holders of 250 Mbit/s each, beside libtorrent",
		crowd: &crowd{mib: 512, seeds: slices.Repeat([]string{"250mbit"}, 4), fetchers: []string{"1gbit"},
			ideal: payload * gigabit},
	},
	{
		name: "uneven holders: 500, 250, 150 and 100 Mbit/s, beside libtorrent",
		crowd: &crowd{mib: 512, seeds: []string{"500mbit", "250mbit", "150mbit", "100mbit"}, fetchers: []string{"1gbit"},
			ideal: payload * gigabit},
	},
	{
		name: "crowd of 8, one seed, 100 Mbit/s",
		crowd: &crowd{mib: 64, seeds: []string{"100mbit"}, fetchers: slices.Repeat([]string{"100mbit"}, 8),
			ideal: payload * gigabit / 10},
	},
	{
		name: "crowd of 8, one seed, 1 Gbit/s",
		crowd: &crowd{mib: 512, seeds: []string{"1gbit"}, fetchers: slices.Repeat([]string{"1gbit"}, 8),
			ideal: payload * gigabit},
	},
	{
		name: "crowd of 4, origin behind 100 Mbit/s",
		crowd: &crowd{mib: 128, fetchers: slices.Repeat([]string{"1gbit"}, 4), origin: "100mbit",
			ideal: payload * gigabit / 10},
	},
}

func rate(hosts []*lab.Host, r string) {
	for _, h := range hosts {
		h.Rate(r)
	}
}

// fetcher is who fetches, holders who serve. On loopback both are one host, in
// different homes.
func (r *run) fetcher() *lab.Host { return r.lab.Hosts[0] }

func (r *run) holders() []*lab.Host {
	if r.hosts == 1 {
		return []*lab.Host{r.lab.Hosts[0].As("holder")}
	}
	return r.lab.Hosts[1:]
}

// play builds the lab, gives every holder the file and both its servers, and
// lets the contenders take turns.
func (r *run) play() {
	r.lab = lab.New(r, lab.Options{Hosts: r.hosts})
	r.startHub()
	var servers []server
	for _, h := range r.holders() {
		servers = append(servers, r.serve(h))
	}
	if r.rates != nil {
		r.rates(r.lab)
	}
	r.results = map[string][]sample{}
	for round := range r.rounds + 1 {
		for _, c := range r.contenders {
			s := r.once(c, servers)
			r.Logf("%s, round %d, %s: %.2f s, CPU %.2f s", r.name, round, c.name, s.wall.Seconds(), s.cpu.Seconds())
			if round > 0 {
				r.results[c.name] = append(r.results[c.name], s)
			}
		}
	}
	r.print(os.Stdout)
}

// startHub starts a Hub that offers the same bytes in two ways.
func (r *run) startHub() {
	made := fmt.Sprintf("%d@1", r.size)
	r.hub = r.lab.NewHub("--xet", "--synthetic", xetRepo+"/"+file+"="+made)
	r.hub.Post("commits", map[string]any{"repo": plainRepo, "synthetic": map[string]string{file: made}}) // what comes later is plain
}

// server is a holder with both its servers, which offer the same file.
type server struct {
	host        *lab.Host
	node, nginx *lab.Process
	url         string
}

func (r *run) serve(h *lab.Host) server {
	s := server{host: h, node: h.Up()}
	var got struct{ Path string }
	for _, repo := range []string{plainRepo, xetRepo} {
		h.HffsJSON(&got, "get", repo, file)
	}
	blob, err := filepath.EvalSymlinks(got.Path)
	r.must("find the blob", err)
	s.nginx, s.url = nginx(r, h, blob)
	return s
}

// once lets one contender fetch the file, on a clean table.
func (r *run) once(c contender, servers []server) sample {
	away := filepath.Join(r.fetcher().Dir, "away")
	r.must("clean up", os.RemoveAll(away))
	warm(r.size)
	h := r.fetcher().As("away")
	ready := c.prepare(r, h, servers)
	defer ready.done()
	var pids []int
	for _, s := range servers {
		pids = append(pids, c.holder(s).Pid())
	}
	s := measure(ready.start, ready.fetcher, pids)
	if info, err := os.Stat(ready.result()); err != nil || info.Size() != r.size {
		r.Fatalf("%s has not fetched the file: %v", c.name, err)
	}
	settle()
	return s
}

// settle lets the disk and the kernel's late work come to rest, so that one
// contender's writes are not paid by the next.
func settle() {
	sync()
	time.Sleep(300 * time.Millisecond)
}
