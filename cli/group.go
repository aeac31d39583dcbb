package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// group is a command that only has others below it.
func group(name, what string, below ...*cli.Command) *cli.Command {
	g := &cli.Command{Name: name, Usage: what, Subcommands: below}
	g.Action = func(c *cli.Context) error {
		if !c.Args().Present() {
			return cli.ShowSubcommandHelp(c)
		}
		wrong := c.Args().First()
		hint := fmt.Sprintf("\"hffs %s --help\" lists what there is", name)
		if near := nearCommand(below, wrong); near != "" {
			hint = fmt.Sprintf("did you mean \"hffs %s %s\"? ", name, near) + hint
		}
		return usage(fmt.Sprintf("there is no command \"%s %s\"", name, wrong), hint)
	}
	return g
}

// noArgs refuses arguments where a command takes none.
func noArgs(c *cli.Context, command string) error {
	if !c.Args().Present() {
		return nil
	}
	return usage(fmt.Sprintf("hffs %s takes no arguments, and got %q", command, c.Args().First()), fmt.Sprintf("\"hffs %s --help\" lists its flags", command))
}
