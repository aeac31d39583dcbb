package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) statusCommand() *cli.Command {
	return &cli.Command{
		Name:        "status",
		Usage:       "show the running node: its peers, what it shares, what it fetches",
		Description: "Example: hffs status --json" + exits(helpUsage, helpNoNode, helpOther),
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print it as JSON"}},
		Action:      a.status,
	}
}

// statusPatience is for a node that has much to do.
const statusPatience = 5 * time.Second

func (a *app) status(c *cli.Context) error {
	if c.Args().Present() {
		return usage(fmt.Sprintf("hffs status takes no arguments, and got %q", c.Args().First()), "\"hffs status --help\" lists its flags")
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	p := node.Running(cfg.Place.State, cfg.Place.Hub)
	if p == nil {
		return &control.Error{Code: control.CodeNoNode, Message: "no node is running on this cache", Hint: "start one with \"hffs up\""}
	}
	ctx, cancel := context.WithTimeout(c.Context, statusPatience)
	defer cancel()
	s, err := control.NewClient(p.Addr, p.Key).Status(ctx)
	if err != nil && ctx.Err() != nil && c.Context.Err() == nil {
		return silentNode(p.PID)
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(a.ui, s)
	}
	a.printStatus(s)
	return nil
}

func silentNode(pid int) error {
	return &control.Error{
		Code: control.CodeInternal, Message: fmt.Sprintf("the node (pid %d) is there and does not answer", pid),
		Hint: "\"hffs daemon stop\" ends it, in whatever state it is",
	}
}

func (a *app) printStatus(s control.Status) {
	out := a.ui.Out
	fmt.Fprintf(out, "%s, hffs %s, swarm %q, up %s\n", ui.Clean(s.Node), s.Version, ui.Clean(s.Swarm), ui.Duration(time.Duration(s.Seconds*float64(time.Second))))
	fmt.Fprintf(out, "gossip %s, peers' door %s, API %s\n", s.Listen.Gossip, s.Listen.Door, s.Listen.API)
	fmt.Fprintf(out, "shares %d files of %d repos, %s; %s sent to peers\n", s.Shares.Files, s.Shares.Repos, ui.Size(s.Shares.Bytes), ui.Size(s.Shares.Sent))
	if line := limitLine(s.Limits); line != "" {
		fmt.Fprintln(out, line)
	}
	if len(s.Peers) == 0 {
		fmt.Fprintln(out, "no peers")
	} else {
		var rows [][]string
		for _, p := range s.Peers {
			rows = append(rows, []string{p.Node, p.Addr, fmt.Sprint(p.Files), ui.Size(p.Bytes)})
		}
		fmt.Fprintln(out)
		ui.Table(out, []string{"PEER", "ADDRESS", "FILES", "SIZE"}, rows)
	}
	if len(s.Transfers) > 0 {
		var rows [][]string
		for _, t := range s.Transfers {
			rows = append(rows, []string{t.Repo, t.File, t.Phase, ui.Size(t.Done), ui.Size(t.Total)})
		}
		fmt.Fprintln(out)
		ui.Table(out, []string{"FETCHING", "FILE", "STATE", "DONE", "OF"}, rows)
	}
	for _, d := range s.Dropped {
		fmt.Fprintln(out, "dropped:", ui.Clean(d.Text))
	}
}
