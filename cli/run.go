package cli

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/environ"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "run a program whose downloads from the Hub go through the swarm",
		ArgsUsage: "-- COMMAND [ARGUMENTS]",
		Description: "Starts any program that honours HF_ENDPOINT, unchanged, with the environment under which\n" +
			"it downloads through the running node; where none runs, through one that lives for as\n" +
			"long as the program, for which the flags about nodes are. The program keeps its input and\n" +
			"output, its terminal and the signals sent to it. While something is fetched, the last row\n" +
			"of the terminal tells how it goes, and a line at the end what came from whom; where\n" +
			"standard error is no terminal nothing is told, except with -v.\n\n" +
			"Programs wait until the node has a file, for a day if need be (HF_HUB_ETAG_TIMEOUT,\n" +
			"HF_HUB_DOWNLOAD_TIMEOUT), and take no other way to it (HF_HUB_DISABLE_XET); \"hffs env\"\n" +
			"prints all of the environment. HF_HUB_OFFLINE keeps them from asking even the node.\n\n" +
			"Example: hffs run -- hf download sentence-transformers/all-MiniLM-L6-v2" +
			exits("the program's own, 128+N when signal N ended it", "126 it cannot be started", "127 there is no such program",
				helpUsage, helpStorage, helpPort, helpStopped, helpOther),
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
			shareFlag(),
		}, append(limitFlags(), nodeFlags()...)...),
		Action: a.runProgram,
	}
}

func (a *app) runProgram(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) == 0 {
		return usage("hffs run takes a command, and got none", "for example: hffs run -- python train.py")
	}
	program, err := findChild(args)
	if err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	a.warnOffline()
	anyone := cfg
	anyone.Hub.Token = "" // whatever the node's own is: programs show theirs
	if p, client := a.running(c.Context, c, anyone); client != nil {
		a.leftToNode(c)
		return a.through(c, program, nodeAt(*p), client)
	}
	return a.throughOwn(c, program, cfg)
}

// through runs the program with a node that runs.
func (a *app) through(c *cli.Context, program child, n environ.Node, engine control.Engine) error {
	if c.Context.Err() != nil {
		return &control.Error{Code: control.CodeStopped, Message: "stopped before the command was started"}
	}
	stop := a.watch(c, n.Cache, engine.Status)
	defer stop()
	all := a.environ()
	return a.runChild(program, environ.Apply(all, environ.For(n, environ.List(all))))
}

// throughOwn runs the program with a node that lives as long.
func (a *app) throughOwn(c *cli.Context, program child, cfg node.Config) error {
	if a.level() > 0 {
		cfg.Say = a.say // else the terminal is the program's
	}
	n, err := a.newNode(cfg)
	if err != nil {
		return err
	}
	defer n.Close()
	var outcome error
	stop := func() {}
	failed := n.RunBriefly(c.Context, func() (hurry context.Context) {
		place := environ.Node{Addr: n.API(), Cache: cfg.Place.Hub, Upstream: n.Endpoints()}
		outcome = a.through(c, program, place, n)
		hurry, stop = untilTold(context.Background())
		return hurry
	})
	stop()
	if failed != nil {
		a.say("the node ended before the command: " + explain(failed).Message)
	}
	return outcome
}

// nodeAt is a running node as programs see it.
func nodeAt(p control.Place) environ.Node {
	return environ.Node{Addr: p.Addr, Cache: p.Cache, Upstream: p.Env.Endpoints}
}

// leftToNode says which flags have no effect because a node runs already.
func (a *app) leftToNode(c *cli.Context) {
	var names []string
	for _, name := range []string{"share-gated", "limit-down", "limit-up", "limit-hub"} {
		if a.given(c, name) {
			names = append(names, "--"+name)
		}
	}
	if names != nil {
		a.say(strings.Join(names, ", ") + " is left to the running node")
	}
}

// warnOffline tells of what keeps programs from asking the node.
func (a *app) warnOffline() {
	for _, name := range []string{"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"} {
		if truth(a.getenv(name)) {
			a.say(name + " is set: with it programs ask nobody for files, not even the node on this machine")
			return
		}
	}
}

// watch shows what the node fetches, until it is stopped.
func (a *app) watch(c *cli.Context, cache string, status func(context.Context) (control.Status, error)) (stop func()) {
	if c.Bool("quiet") || !a.ui.ErrTTY && a.level() == 0 {
		return func() {}
	}
	w := newWatcher(ui.NewFooter(a.ui, ui.Options{}), cache)
	if a.level() > 0 {
		w.each = a.say
	}
	return w.start(status)
}
