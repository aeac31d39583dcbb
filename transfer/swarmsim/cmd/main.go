// Command cmd plays crowds and prints what came out:
//
//	go run ./transfer/swarmsim/cmd -nodes 100 -size 1GiB -churn 0.1 -liars 0.02
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"hffs/transfer/swarmsim"

	"github.com/dustin/go-humanize"
)

func main() {
	var c swarmsim.Config
	size := flag.String("size", "64MiB", "the blob's size")
	link := flag.Float64("link", 100, "each node's link in Mbit/s")
	hub := flag.Float64("hub", 0, "what the Hub sends in all, Mbit/s; 0: as a link")
	hubLink := flag.Float64("hub-link", 0, "each node's own link to the Hub, Mbit/s; 0: no bound")
	chunk := flag.Int64("chunk", 256, "KiB")
	segment := flag.Int64("segment", 64, "KiB: how finely bytes are played")
	runs := flag.Int("runs", 3, "with as many seeds of chance; medians are shown")
	flag.IntVar(&c.Nodes, "nodes", 8, "how many want the blob")
	flag.IntVar(&c.Seeds, "seeds", 0, "how many have it; 0: only the Hub has")
	flag.IntVar(&c.Killed, "killed", 0, "how many die on the way")
	flag.IntVar(&c.Cut, "cut", 0, "how many cannot reach the Hub")
	flag.IntVar(&c.Weak, "weak", 0, "how many have a twentieth of the uplink")
	flag.IntVar(&c.Slow, "slow", 0, "how many have a twentieth of the link")
	flag.IntVar(&c.Fellow, "fellow", 0, "errands with one fellow at once")
	flag.IntVar(&c.Origin, "origin", 0, "errands with the origin at once")
	flag.IntVar(&c.InAll, "in-all", 0, "errands at once")
	flag.Float64Var(&c.Churn, "churn", 0, "share that dies, and comes late")
	flag.Float64Var(&c.Liars, "liars", 0, "share that lies")
	flag.DurationVar(&c.Spread, "spread", 0, "time over which they start")
	flag.DurationVar(&c.Learn, "learn", 0, "time until all know who has started")
	flag.DurationVar(&c.Feed, "feed", 0, "time that news waits for more")
	flag.DurationVar(&c.Latency, "latency", 0, "between nodes, one way")
	flag.DurationVar(&c.HubAway, "hub-away", 0, "to the Hub, one way")
	flag.Parse()
	bytes, err := humanize.ParseBytes(*size)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	c.Size, c.Chunk, c.Segment = int64(bytes), *chunk<<10, *segment<<10
	c.Link, c.Hub, c.HubLink = *link*swarmsim.Mbit, *hub*swarmsim.Mbit, *hubLink*swarmsim.Mbit
	began := time.Now()
	r := swarmsim.Median(c, *runs)
	fmt.Println(r)
	if c.Cut > 0 {
		fmt.Printf("without Hub %.2fs, with Hub %.2fs\n", r.CutSpan.Seconds(), r.HubSpan.Seconds())
	}
	fmt.Printf("%d runs in %v, %d events each\n", *runs, time.Since(began).Round(time.Millisecond), r.Events)
}
