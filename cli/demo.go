package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
)

func (a *app) demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "show what hffs does, on this machine alone",
		Description: "A stand-in Hub and three nodes on loopback, without internet: the first node has a model\n" +
			"from the Hub, the second one from the first, the third one from both at once, and a table\n" +
			"tells which bytes came from whom. All parts are the real ones; only the links are slowed\n" +
			"down, so that there is something to see. It needs 500 MB of disk for a moment.\n\n" +
			"Example: hffs demo" + exits(helpUsage, helpStorage, helpOther),
		Action: func(c *cli.Context) error { return a.demo(c.Context) },
	}
}

// What is shown: rates in bytes per second, sizes in bytes.
const (
	demoHubRate  = 12e6 // of one request; a node has four under way
	demoNodeRate = 60e6
	demoRepo     = "demo/tiny-llama"
	demoPatience = 20 * time.Second // for the nodes to find each other
)

var demoFiles = []struct {
	path string
	size int64
}{
	{"config.json", 612},
	{"tokenizer.json", 2_100_000},
	{"model-00001-of-00002.safetensors", 96_000_000},
	{"model-00002-of-00002.safetensors", 64_000_000},
}

// stage is everything that runs during the demo.
type stage struct {
	ui    ui.Streams
	dir   string
	hub   *standin.Hub
	url   string
	nodes []*node.Node
	table [][]string
}

// demo plays in a folder that it removes at the end.
func (a *app) demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "hffs-demo-")
	if err != nil {
		return &control.Error{Code: control.CodeStorage, Message: err.Error(), Hint: "the demo needs a folder for what lasts a moment; TMPDIR chooses it"}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &stage{ui: a.ui, dir: dir}
	running, err := s.openHub()
	if err != nil {
		return err
	}
	defer running.Close()
	s.say("A stand-in Hub at %s has %s: %d files, %s.", s.url, demoRepo, len(demoFiles), ui.Size(demoTotal()))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, live := errgroup.WithContext(ctx)
	err = s.openNodes(live, g)
	if err == nil {
		err = s.play(live)
	}
	stop()
	if ended := g.Wait(); ended != nil {
		return ended // a node's own error says more than that it was missed
	}
	return err
}

func (s *stage) openHub() (*standin.Running, error) {
	s.hub = standin.New()
	content := map[string]standin.Content{}
	for i, f := range demoFiles {
		content[f.path] = standin.Synthetic(uint64(i+1), f.size)
	}
	s.hub.Add(ref.Repo{Type: ref.Model, ID: demoRepo}, "main", content)
	if err := s.hub.Break(standin.Fault{Do: standin.FaultThrottle, N: demoHubRate, Host: "cdn"}); err != nil {
		return nil, err
	}
	running, err := s.hub.Start("127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.url = running.URL()
	return running, nil
}

// openNodes starts three nodes that find each other by multicast on loopback.
func (s *stage) openNodes(ctx context.Context, g *errgroup.Group) error {
	swarm := fmt.Sprintf("demo-%d", os.Getpid())
	for _, name := range []string{"desk-a", "desk-b", "desk-c"} {
		home := filepath.Join(s.dir, name)
		n, err := node.New(node.Config{
			Place: cache.Place{Home: home, Hub: filepath.Join(home, "hub"), State: filepath.Join(home, "hffs")},
			Name:  name, Swarm: swarm, Loopback: true, LimitUp: demoNodeRate, Version: Version,
			Hub: hub.Config{Endpoints: []string{s.url}},
		})
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
		g.Go(func() error { defer n.Close(); return n.Run(ctx) })
	}
	began := time.Now()
	for _, n := range s.nodes {
		if err := awaitPeers(ctx, n, len(s.nodes)-1); err != nil {
			return err
		}
	}
	s.say("Three nodes, %s, %s and %s, found each other in %.1f s.", s.nodes[0].Name(), s.nodes[1].Name(), s.nodes[2].Name(), time.Since(began).Seconds())
	return nil
}

func awaitPeers(ctx context.Context, n *node.Node, want int) error {
	enough := time.After(demoPatience)
	for {
		st, err := n.Status(ctx)
		if err != nil || len(st.Peers) >= want {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // a node has ended, and says why
		case <-enough:
			return &control.Error{
				Code: control.CodeNoSource, Message: "the nodes did not find each other by multicast on loopback",
				Hint: "does a firewall on this machine drop UDP 5353?",
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// play has one node after the other get the model.
func (s *stage) play(ctx context.Context) error {
	for i, n := range s.nodes {
		before := s.hub.AllBodyBytes()
		s.say("\n%s gets the model%s:", n.Name(), []string{", which nobody has yet", ", which one other has", ", which two others have"}[i])
		if err := s.getAll(ctx, n); err != nil {
			return err
		}
		s.say("  the Hub sent %s of the files meanwhile", ui.Size(s.hub.AllBodyBytes()-before))
	}
	s.say("\nWhich bytes came from whom:\n")
	ui.Table(s.ui.Out, []string{"NODE", "FILE", "SOURCE", "BYTES"}, s.table)
	copies := float64(s.hub.AllBodyBytes()) / float64(demoTotal())
	s.say("\nThree machines have the model; the Hub sent it %.2f times. Now try \"hffs up\" on yours.", copies)
	return nil
}

func (s *stage) getAll(ctx context.Context, n *node.Node) error {
	for _, f := range demoFiles {
		progress := ui.NewProgress(s.ui, ui.Options{})
		ask := control.Ask{Repo: demoRepo, File: f.path}
		got, err := n.Get(ctx, ask, func(p control.Progress) {
			progress.Update(display(ask, p))
		})
		progress.Finish()
		if err != nil {
			return err
		}
		s.say("  %-34s %8s  %.1f s", f.path, ui.Size(got.Size), got.Seconds)
		for _, src := range got.Sources {
			s.table = append(s.table, []string{n.Name(), f.path, src.Name, ui.Size(src.Bytes)})
		}
	}
	return nil
}

func demoTotal() (n int64) {
	for _, f := range demoFiles {
		n += f.size
	}
	return n
}

func (s *stage) say(format string, args ...any) { fmt.Fprintf(s.ui.Out, format+"\n", args...) }
