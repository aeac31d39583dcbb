package cli

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) peerCommand() *cli.Command {
	return group("peer", "name nodes that multicast does not reach, and list all there are",
		a.peerAddCommand(), a.peerListCommand(), a.peerRemoveCommand())
}

func peerPort() cli.Flag {
	return &cli.IntFlag{Name: "port", DefaultText: strconv.Itoa(node.DefaultPort), Usage: "gossip `PORT` of the node there"}
}

func (a *app) peerAddCommand() *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "have all nodes and commands of this user know a node for good",
		ArgsUsage: "HOST[:PORT]",
		Description: "For other subnets, VPNs, WSL2 and networks without multicast. It is enough that one of two\n" +
			"machines names the other. A running node takes it up at once and goes on trying for as\n" +
			"long as it is on the list; names are looked up anew each time.\n\n" +
			"Example: hffs peer add 10.20.0.7" +
			exits("0 also means that it was added before, or that nobody answers there yet", helpUsage, helpStorage, helpOther),
		Flags:  []cli.Flag{peerPort()},
		Action: a.peerAdd,
	}
}

func (a *app) peerRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Aliases:   []string{"remove"},
		Usage:     "take an added node off the list",
		ArgsUsage: "HOST[:PORT]",
		Description: "Running nodes stop looking for it. While it is a member of the swarm it stays one, and it\n" +
			"may be found in other ways.\n\n" +
			"Example: hffs peer rm 10.20.0.7" +
			exits(helpUsage, "3 it is not on the list", helpStorage, helpOther),
		Flags:  []cli.Flag{peerPort()},
		Action: a.peerRemove,
	}
}

func (a *app) peerListCommand() *cli.Command {
	return &cli.Command{
		Name:    "ls",
		Aliases: []string{"list"},
		Usage:   "list the nodes that were found or added",
		Description: "Asks each of them: whether it answers, how long a round trip takes, its version, what it\n" +
			"holds. Where no node runs only added ones are known. How it was found is one or more of:\n" +
			"added, named (by --peer), mdns, remembered, and gossip, which is by the others.\n\n" +
			"Example: hffs peer ls --json" +
			exits(helpUsage, helpStorage, helpOther),
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print it as JSON"}},
		Action: a.peerList,
	}
}

// peerOf is the peer that a command is about; the port is 0 where none was given.
func peerOf(c *cli.Context) (host string, port int, err error) {
	what := "hffs peer " + c.Command.Name
	hint := "for example: " + what + " 10.20.0.7"
	if c.NArg() != 1 {
		return "", 0, usage(fmt.Sprintf("%s takes one host, and got %d", what, c.NArg()), hint)
	}
	host = c.Args().First()
	if name, text, splitErr := net.SplitHostPort(host); splitErr == nil {
		if port, err = strconv.Atoi(text); err != nil {
			return "", 0, usage(fmt.Sprintf("%q has no port that is a number", host), hint)
		}
		host = name
		if port < 1 || port > 65534 {
			return "", 0, usage(fmt.Sprintf("%d is not a port", port), "ports are numbers from 1 to 65534")
		}
	}
	if err := checkPorts(c); err != nil {
		return "", 0, err
	}
	if given := c.Int("port"); given != 0 && port != 0 && given != port {
		return "", 0, usage(fmt.Sprintf("two ports are given: %d and %d", port, given), hint)
	}
	port = cmp.Or(port, c.Int("port"))
	_, err = canonical(host, port)
	return host, port, err
}

// canonical is the peer as the list has it.
func canonical(host string, port int) (string, error) {
	return node.PeerName(strings.Trim(host, "[]"), cmp.Or(port, node.DefaultPort))
}

func (a *app) peerAdd(c *cli.Context) error {
	host, port, err := peerOf(c)
	if err != nil {
		return err
	}
	peer, err := canonical(host, port)
	if err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	fresh, err := node.AddedPeers(cfg.Place).Add(peer)
	switch {
	case err != nil:
		return node.ListError(err)
	case fresh:
		fmt.Fprintln(a.ui.Out, "added", peer)
	default:
		fmt.Fprintln(a.ui.Out, peer, "was added before")
	}
	a.sayWhoIs(node.AskPeer(c.Context, cfg, peer))
	return nil
}

// sayWhoIs tells who was found at a place that was added.
func (a *app) sayWhoIs(p control.KnownPeer) {
	if p.Alive {
		a.say(fmt.Sprintf("%s answers there, hffs %s, with %d files (%s)", p.Node, cmp.Or(p.Version, "?"), p.Files, ui.Size(p.Bytes)))
		return
	}
	a.say("nobody answers there yet (" + p.Problem + "); nodes here keep trying")
}

func (a *app) peerRemove(c *cli.Context) error {
	host, port, err := peerOf(c)
	if err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	list := node.AddedPeers(cfg.Place)
	on, err := list.On(host, port, node.DefaultPort)
	switch {
	case err != nil:
		return node.ListError(err)
	case len(on) == 0:
		return &control.Error{Code: control.CodeNotFound, Message: fmt.Sprintf("%s is not among the added peers", c.Args().First()), Hint: "\"hffs peer ls\" lists them"}
	case len(on) > 1:
		return usage(fmt.Sprintf("%s was added with several ports: %s", host, strings.Join(on, ", ")), "say which, with --port")
	}
	if _, err := list.Remove(on[0]); err != nil {
		return node.ListError(err)
	}
	fmt.Fprintln(a.ui.Out, "removed", on[0])
	return nil
}

func (a *app) peerList(c *cli.Context) error {
	if err := noArgs(c, "peer ls"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	peers, err := peersOf(c, cfg)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(a.ui, peers)
	}
	a.printPeers(peers)
	return nil
}

// peersOf asks the running node, on whatever cache it works, and else the added peers.
func peersOf(c *cli.Context, cfg node.Config) (control.Peers, error) {
	if p := node.Running(cfg.Place.State, cfg.Place.Hub); p != nil {
		client := control.NewClient(p.Addr, p.Key)
		if client.Alive(c.Context) {
			return client.Peers(c.Context)
		}
	}
	return node.AskAdded(c.Context, cfg)
}

func (a *app) printPeers(p control.Peers) {
	if p.Node == "" {
		a.say("no node is running here: only added peers are known; start one with \"hffs up\"")
	}
	if len(p.Peers) == 0 {
		a.say("no peers")
		return
	}
	var rows [][]string
	for _, k := range p.Peers {
		rows = append(rows, peerRow(k))
	}
	ui.Table(a.ui.Out, []string{"PEER", "ADDRESS", "STATE", "ROUND TRIP", "VERSION", "FILES", "SIZE", "FOUND"}, rows)
	for _, k := range p.Peers {
		if k.Problem != "" {
			a.say(cmp.Or(k.Node, k.Addr) + ": " + k.Problem)
		}
	}
}

func peerRow(k control.KnownPeer) []string {
	row := []string{cmp.Or(k.Node, "-"), k.Addr, "no answer", "-", cmp.Or(k.Version, "-"), "-", "-", strings.Join(k.Found, ", ")}
	switch {
	case k.Member && k.Alive:
		row[2] = "member"
	case k.Member:
		row[2] = "member, silent"
	case k.Alive:
		row[2] = "alive"
	}
	if k.Trip != nil {
		row[3] = strconv.FormatFloat(*k.Trip, 'f', 1, 64) + "ms"
	}
	if k.Alive || k.Member {
		row[5], row[6] = strconv.Itoa(k.Files), ui.Size(k.Bytes)
	}
	return row
}
