// Package swarmsim plays a crowd in virtual time: many nodes that want the same
// new blob, one Hub or a few seeds, links with rates and latencies, nodes that come
// late, die, lie or cannot reach the Hub. What decides is the product's own code,
// packages plan and crossing; only what carries bytes and news is played.
//
// Read sim.go for what can be set and what comes out, node.go for the owner of a
// download as package transfer has it, feed.go for the news between nodes, link.go
// for how bytes move: an uplink serves its flows in turn, segment by segment, and
// each segment then waits in line at the receiver, which comes close to fair shares
// of every link and costs a few events for each segment, whatever the number of
// flows.
package swarmsim

import (
	"math/rand/v2"
	"time"

	"hffs/cache/chunk"
	"hffs/transfer/crossing"
)

// Mbit is a rate of one megabit per second, in bytes per second.
const Mbit = 1e6 / 8

// Config is what is played. The zero value is 8 nodes on a link of 100 Mbit/s each
// and a Hub with as much, 64 MiB.
type Config struct {
	Nodes    int           // 8
	Size     int64         // 64 MiB
	Link     float64       // 100 Mbit/s: each node's link to the LAN, bytes per second, either way
	Hub      float64       // as Link: what the Hub sends to all together
	NoHub    bool          // there is no Hub
	HubLink  float64       // no bound: each node's own link to the Hub
	Seeds    int           // none: nodes that have the blob, with the same links
	Latency  time.Duration // 0.5 ms between nodes, one way
	HubAway  time.Duration // 10 ms between a node and the Hub, one way
	Spread   time.Duration // none: the time over which the nodes start
	Killed   int           // none: nodes that die on their way, drawers first
	Churn    float64       // none: share of the nodes that die, and that come late in their place
	Liars    float64       // none: share of the nodes that send wrong bytes
	Cut      int           // none: nodes that cannot reach the Hub
	Weak     int           // none: nodes whose uplink has a twentieth of the rate
	Slow     int           // none: nodes whose link has a twentieth of the rate, either way
	Learn    time.Duration // 100 ms until all nodes know that one has begun
	Feed     time.Duration // 20 ms: news of what is there waits for more of it
	Chunk    int64         // 256 KiB
	Segment  int64         // 64 KiB
	Fellow   int           // 1 errand with each fellow at once, 2 or 3 where they are few
	Origin   int           // 2 errands with the origin at once
	InAll    int           // 16 errands at once
	Deadline time.Duration // 60 × ideal
	Seed     uint64        // of chance
}

func orElse[T comparable](v *T, usual T) {
	var zero T
	if *v == zero {
		*v = usual
	}
}

func (c Config) filled() Config {
	orElse(&c.Nodes, 8)
	orElse(&c.Size, 64<<20)
	orElse(&c.Link, 100*Mbit)
	orElse(&c.Hub, c.Link)
	orElse(&c.Latency, 500*time.Microsecond)
	orElse(&c.HubAway, 10*time.Millisecond)
	orElse(&c.Learn, 100*time.Millisecond)
	orElse(&c.Feed, 20*time.Millisecond)
	orElse(&c.Chunk, chunk.FixedLen)
	orElse(&c.Segment, 64<<10)
	orElse(&c.Origin, 2)
	orElse(&c.InAll, 16)
	return c
}

// Ideal is the time that nobody can beat if all start at once: everybody's line
// rate, and one copy from the origin.
func (c Config) Ideal() time.Duration {
	c = c.filled()
	origin := float64(c.Seeds) * c.Link
	if !c.NoHub && c.Seeds == 0 {
		origin = c.Hub
		if c.HubLink > 0 {
			origin = min(origin, float64(c.Nodes-c.Cut)*c.HubLink)
		}
	}
	return seconds(float64(c.Size) / min(c.Link, origin))
}

// Result is what came out.
type Result struct {
	Makespan time.Duration // until the last of the living and honest had it, slow ones apart, each from its own start
	Median   time.Duration // the same for the middle one
	Ideal    time.Duration
	CutSpan  time.Duration // as Makespan, of those without Hub alone
	HubSpan  time.Duration // as Makespan, of those with Hub alone
	Copies   float64       // what Hub and seeds sent, in copies of the blob
	Waste    float64       // bytes that came and were of no use, for each byte of use
	UpMost   float64       // copies sent by the node that sent most
	UpMean   float64
	Finished int // of the living and honest
	Honest   int // how many these are
	Events   uint64
}

// Sim is a crowd at play.
type Sim struct {
	clock
	cfg     Config
	rand    *rand.Rand
	m       chunk.Map
	grid    crossing.Grid
	segment int64
	origins []*origin
	nodes   []*node
	waiting int // living and honest nodes that have not finished, or not begun
}

// origin is the Hub or a seed.
type origin struct {
	up      uplink
	hub     bool
	latency time.Duration
}

// Run plays a crowd to its end.
func Run(cfg Config) Result {
	cfg = cfg.filled()
	s := &Sim{cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 1)), segment: cfg.Segment}
	s.m = chunk.Fixed(cfg.Size, cfg.Chunk, nil)
	s.grid = crossing.NewGrid(s.m)
	for range cfg.Seeds {
		s.origins = append(s.origins, &origin{up: uplink{clock: &s.clock, rate: cfg.Link}, latency: cfg.Latency})
	}
	if !cfg.NoHub && cfg.Seeds == 0 {
		s.origins = append(s.origins, &origin{up: uplink{clock: &s.clock, rate: cfg.Hub}, hub: true, latency: cfg.HubAway})
	}
	s.cast()
	orElse(&s.cfg.Deadline, cfg.Spread+60*cfg.Ideal()+time.Minute)
	for s.waiting > 0 && s.now < s.cfg.Deadline && s.step() {
	}
	return s.result()
}

// cast makes the nodes and says what becomes of each.
func (s *Sim) cast() {
	cfg, ideal := s.cfg, s.cfg.Ideal()
	late := int(cfg.Churn * float64(cfg.Nodes))
	for i := range cfg.Nodes + late {
		n := newNode(s, i)
		start := time.Duration(s.rand.Float64() * float64(cfg.Spread))
		if i >= cfg.Nodes {
			start = time.Duration(s.rand.Float64() * float64(ideal))
		}
		s.nodes = append(s.nodes, n)
		s.after(start, calling(n.start))
	}
	part := s.rand.Perm(cfg.Nodes)
	deal := func(count int, role func(*node)) {
		for range min(count, len(part)) {
			role(s.nodes[part[0]])
			part = part[1:]
		}
	}
	deal(int(cfg.Liars*float64(cfg.Nodes)), func(n *node) { n.liar = true })
	deal(cfg.Cut, func(n *node) { n.cut = true })
	deal(cfg.Weak, func(n *node) { n.up.rate /= 20 })
	deal(cfg.Slow, func(n *node) {
		n.slow = true
		n.up.rate /= 20
		n.down.rate /= 20
	})
	deal(late, func(n *node) {
		n.doomed = true
		s.after(time.Duration(s.rand.Float64()*float64(cfg.Spread+ideal)), calling(n.die))
	})
	deal(cfg.Killed, func(n *node) {
		n.doomed = true
		s.after(time.Duration((0.2+0.6*s.rand.Float64())*float64(cfg.Spread+ideal)), calling(n.die))
	})
	for _, n := range s.nodes {
		if n.counts() {
			s.waiting++
		}
	}
}

func (s *Sim) result() Result {
	r := Result{Ideal: s.cfg.Ideal(), Events: s.seq}
	var spans []time.Duration
	var came, used int64
	for _, n := range s.nodes {
		sent := float64(n.up.sent) / float64(s.cfg.Size)
		r.UpMost, r.UpMean = max(r.UpMost, sent), r.UpMean+sent/float64(len(s.nodes))
		if !n.counts() {
			continue
		}
		r.Honest++
		came += n.came
		used += n.plan.Have().Bytes(s.m)
		if n.finished == 0 {
			continue
		}
		r.Finished++
		span := n.finished - n.began
		if !n.slow {
			spans = append(spans, span)
		}
		if n.cut {
			r.CutSpan = max(r.CutSpan, span)
		} else {
			r.HubSpan = max(r.HubSpan, span)
		}
	}
	r.Makespan, r.Median = summit(spans)
	r.Waste = float64(came-used) / float64(max(used, 1))
	for _, o := range s.origins {
		r.Copies += float64(o.up.sent) / float64(s.cfg.Size)
	}
	return r
}
