package cli

import (
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"
)

func (a *app) upCommand() *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "run a node: find the others, share this machine's cache with them",
		Description: "Runs until it is interrupted. Nodes find each other by multicast DNS; --peer names those\n" +
			"that it does not reach. Only files whose hash was checked are shared. Limits hold for all\n" +
			"connections together, without them as much as goes is sent and fetched. A node that runs\n" +
			"already on this cache is left alone, and that is no error.\n\n" +
			"Example: hffs up --swarm lab3" +
			exits("0 also when a node runs already", helpUsage, helpStorage, helpPort, helpOther),
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "run in the background, as \"hffs daemon start\" does; \"hffs down\" ends it"},
		}, nodeLifeFlags()...),
		Action: a.up,
	}
}

// nodeLifeFlags are for commands that start a node that stays.
func nodeLifeFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.IntFlag{Name: "port", DefaultText: "7766, or the next free one", Usage: "gossip `PORT`, TCP and UDP; peers' HTTP takes the next port up"},
		&cli.StringFlag{Name: "bind", Usage: "listen on this `ADDRESS` only"},
		&cli.IntFlag{Name: "api-port", DefaultText: "7768, or the next free one", Usage: "local API `PORT` on 127.0.0.1"},
		&cli.StringFlag{Name: "name", Usage: "what others call this node", DefaultText: "the host's name"},
		&cli.StringFlag{Name: "log-file", Usage: "write what is said to `FILE` as well, with the time; it is kept short"},
		shareFlag(),
	}, append(limitFlags(), nodeFlags()...)...)
}

func (a *app) up(c *cli.Context) error {
	if c.Args().Present() {
		return usage(fmt.Sprintf("hffs up takes no arguments, and got %q", c.Args().First()), "\"hffs up --help\" lists its flags")
	}
	if c.Bool("detach") {
		return a.start(c)
	}
	if path := c.String("log-file"); path != "" {
		if err := a.logTo(path); err != nil {
			return err
		}
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	if err := checkPorts(c); err != nil {
		return err
	}
	cfg.Log = a.logFor(slog.LevelWarn)
	cfg.Port, cfg.APIPort, cfg.Bind, cfg.Name = c.Int("port"), c.Int("api-port"), c.String("bind"), c.String("name")
	cfg.Say = a.say
	if path := c.String("log-file"); path != "" {
		cfg.LogFile = absolute(path)
	}
	release, err := a.onlyNode(c, cfg)
	if release == nil {
		return err
	}
	defer release()
	n, err := a.newNode(cfg)
	if err != nil {
		return err
	}
	defer n.Close()
	if err := n.Run(c.Context); err != nil {
		return err
	}
	cfg.Say("left the swarm")
	return nil
}

func checkPorts(c *cli.Context) error {
	for _, name := range []string{"port", "api-port"} {
		if p := c.Int(name); c.IsSet(name) && (p < 1 || p > 65534) {
			return usage(fmt.Sprintf("--%s %d is not a port", name, p), "ports are numbers from 1 to 65534")
		}
	}
	return nil
}
