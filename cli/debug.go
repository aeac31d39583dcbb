package cli

import (
	"github.com/urfave/cli/v2"

	"hffs/transfer/hub/standin"
)

// debugCommand holds what developers of hffs need: out of the main help.
func (a *app) debugCommand() *cli.Command {
	return &cli.Command{
		Name:   "debug",
		Usage:  "for developers of hffs",
		Hidden: true,
		Subcommands: []*cli.Command{{
			Name:            "hub",
			Usage:           "run a stand-in Hub; see --help behind it",
			SkipFlagParsing: true,
			Action:          func(c *cli.Context) error { return standin.Main(c.Context, c.Args().Slice(), a.ui.Out) },
		}, a.debugMapCommand()},
	}
}
