package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"hffs/cli/doctor"
	"hffs/cli/environ"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "find out why machines do not see each other",
		Description: "Looks at the network, the ports, the peers, the Hub, the clock and the disk, with a node\n" +
			"running here or without, changes nothing, and is done within 15 seconds. Each line is ok,\n" +
			"warn or fail, and says what to try. Other nodes are asked to connect back.\n\n" +
			"Example: hffs doctor" +
			exits("0 also means that there are only warnings", "1 something fails", helpUsage, helpStopped),
		Flags:  append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print it as JSON"}}, nodeFlags()...),
		Action: a.doctor,
	}
}

// doctorTime is what all checks together may take: with the last words of a check that
// hangs it stays within what is promised.
const doctorTime = 13 * time.Second

func (a *app) doctor(c *cli.Context) error {
	if err := noArgs(c, "doctor"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(c.Context)
	defer stop()
	world, done, err := node.Examine(ctx, cfg, a.getenv, a.asItIs)
	if err != nil {
		return err
	}
	defer done()
	world.Settings = func() (string, error) { return settingsIn(cfg.Place.State), a.unsettled }
	tell := a.tellLine
	if c.Bool("json") {
		tell = func(doctor.Line) {}
	}
	report := doctor.Run(ctx, world, doctor.Checks(), doctorTime, tell)
	if err := c.Context.Err(); err != nil {
		return err
	}
	if c.Bool("json") {
		if err := printJSON(a.ui, report); err != nil {
			return err
		}
	}
	if !report.OK {
		return &childEnded{exitFailed} // all is said
	}
	return nil
}

// asItIs reads the environment that programs see.
func (a *app) asItIs(name string) string {
	if a.environ == nil {
		return os.Getenv(name)
	}
	v, _ := environ.List(a.environ())(name)
	return v
}

func (a *app) tellLine(l doctor.Line) {
	mark := ui.Good
	switch l.State {
	case doctor.Warn:
		mark = ui.Doubtful
	case doctor.Fail:
		mark = ui.Bad
	}
	fmt.Fprintf(a.ui.Out, "%s  %-10s  %s\n", a.ui.Mark(mark, fmt.Sprintf("%-4s", l.State)), l.Check, ui.Clean(l.Text))
	if l.Hint != "" {
		fmt.Fprintf(a.ui.Out, "%18stry: %s\n", "", ui.Clean(l.Hint))
	}
}
