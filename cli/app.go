// Package cli is the command line: flags to calls, errors to words. One file has
// one command; app.go has what they share, errors.go the exit codes.
//
// A command that works on files asks the running node of this user, or, where
// none runs, builds a short-lived one that does the same; running.go finds the
// first. What was set for good, by variables or a file, is in settings.go and
// settingsfile.go; complete.go has what shells are told. Other programs are led to a
// node by run.go, child.go and watch.go, and by env.go; package environ says how.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"hffs/cache"
	"hffs/cli/control"
	"hffs/cli/environ"
	"hffs/cli/node"
	"hffs/cli/ui"
	"hffs/transfer/hub"
)

// Version is set by the build.
var Version = "dev"

func init() {
	// The library's -v for the version is in the way of -v for more words.
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
}

// app is what every command has at hand.
type app struct {
	ui ui.Streams
	// getenv reads the user's own environment: where "hffs run" or "hffs env" has
	// changed it, as it was before.
	getenv func(string) string
	// environ is all of it as it is, for commands that are started.
	environ func() []string
	// verbose is how often -v was given, or what was set for good (verboseFrom).
	verbose     int
	verboseFrom *origin
	// origins are where flags have their values from that were set for good.
	origins map[string]origin
	// unsettled is what is wrong with what was set for good, for commands that do without it.
	unsettled error
}

// Main runs the command line args (the program's name first) and returns its
// exit code.
func Main(args []string) int {
	ctx, stop := untilTold(context.Background())
	defer stop()
	log.SetOutput(io.Discard) // libraries' own lines may carry what a stranger sent
	a := &app{ui: ui.System(), getenv: environ.Before(os.LookupEnv), environ: os.Environ}
	return a.run(ctx, args)
}

// untilTold ends when the user or the system wants an end.
func untilTold(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

func (a *app) run(ctx context.Context, args []string) int {
	if len(args) > 1 && args[1] == completeWord {
		a.complete(ctx, args[2:])
		return exitOK
	}
	program := a.commands()
	for _, c := range program.Commands {
		a.strict(c)
	}
	err := a.allTold(program.RunContext(ctx, reorder(program, args)))
	if err == nil {
		return exitOK
	}
	var ended *childEnded
	if errors.As(err, &ended) {
		return ended.code
	}
	e := explain(err)
	if e.Code != codeQuiet {
		ui.PrintError(a.ui, e, e.Hint)
	}
	return exitCode(e.Code)
}

func (a *app) commands() *cli.App {
	return &cli.App{
		Name:    "hffs",
		Usage:   "share Hugging Face files among the machines of one network",
		Version: Version,
		Description: "Run \"hffs up\" on each machine. Then \"hffs get REPO FILE\" fetches a file from the\n" +
			"machines that have it, and from the Hub only when none does. It lands in the standard\n" +
			"Hugging Face cache, where transformers, hf, vLLM and llama.cpp find it. \"hffs run -- CMD\"\n" +
			"has such a program do its own downloads that way. Every flag can be set for good, by a\n" +
			"variable (HFFS_LIMIT_UP for --limit-up) or a file: see \"hffs config --help\".",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Count: &a.verbose, DisableDefaultText: true, Usage: "log what is done to stderr; -vv logs all that helps to find a fault"},
		},
		Commands: []*cli.Command{
			a.upCommand(), a.downCommand(), a.daemonCommand(), a.serviceCommand(), a.uninstallCommand(), a.runCommand(), a.envCommand(), a.getCommand(), a.lsCommand(), a.rmCommand(), a.searchCommand(), a.whereCommand(), a.modelCommand(), a.statusCommand(), a.peerCommand(), a.doctorCommand(), a.configCommand(), a.completionCommand(), a.manCommand(), a.demoCommand(), a.debugCommand(),
		},
		Writer: a.ui.Out, ErrWriter: a.ui.Err,
		Suggest:         true,
		OnUsageError:    usageError,
		CommandNotFound: nil,
		ExitErrHandler:  func(*cli.Context, error) {}, // run decides
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return unknown(c, c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// strict has a command say what is wrong with its flags in our words, and take over
// what was set for good.
func (a *app) strict(c *cli.Command) {
	c.OnUsageError, c.HideHelpCommand, c.Before = usageError, true, a.settle
	for _, sub := range c.Subcommands {
		a.strict(sub)
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	hint := "\"hffs --help\" lists the commands, \"hffs COMMAND --help\" the flags"
	if _, wrong, ok := strings.Cut(err.Error(), "not defined: -"); ok && c.Command != nil {
		if near := nearFlag(c.Command.Flags, strings.TrimLeft(wrong, "-")); near != "" {
			hint = "did you mean --" + near + "? " + hint
		}
	}
	return usage(strings.Replace(err.Error(), "flag provided but not defined: -", "there is no flag -", 1), hint)
}

func unknown(c *cli.Context, name string) error {
	hint := "\"hffs --help\" lists the commands"
	if near := nearCommand(c.App.Commands, name); near != "" {
		hint = fmt.Sprintf("did you mean \"hffs %s\"? ", near) + hint
	}
	return usage(fmt.Sprintf("there is no command %q", name), hint)
}

// nodeFlags choose which swarm a command belongs to.
func nodeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "peer", Usage: "a node to join besides those that are found, `HOST[:PORT]`; may be repeated"},
		&cli.StringFlag{Name: "swarm", Value: "default", Usage: "`NAME` of the swarm; nodes of another name are not seen"},
		&cli.BoolFlag{Name: "no-mdns", Usage: "neither announce nor look for nodes by multicast"},
		&cli.BoolFlag{Name: "loopback", Usage: "keep to 127.0.0.1: try hffs out on one machine", Hidden: true},
	}
}

// shareFlag is for commands that serve others.
func shareFlag() cli.Flag {
	return &cli.BoolFlag{Name: "share-gated", Usage: "let peers have files of gated and private repos from here as well"}
}

// config is what environment and flags say.
func (a *app) config(c *cli.Context) (node.Config, error) {
	place, err := cache.Locate(a.getenv)
	if err != nil {
		return node.Config{}, usage(err.Error(), "check HF_HOME, HF_HUB_CACHE and HFFS_HOME")
	}
	endpoints, err := a.upstream(place)
	if err != nil {
		return node.Config{}, err
	}
	limits, err := limitsOf(c)
	if err != nil {
		return node.Config{}, err
	}
	return node.Config{
		LimitDown: limits.Down, LimitUp: limits.Up, LimitHub: limits.Hub,
		Place: place, NoSymlinks: truth(a.getenv("HF_HUB_DISABLE_SYMLINKS")), NoXet: truth(a.getenv("HF_HUB_DISABLE_XET")),
		Peers: c.StringSlice("peer"), Swarm: c.String("swarm"), NoMDNS: c.Bool("no-mdns"), Loopback: c.Bool("loopback"),
		ShareGated: c.Bool("share-gated"),
		Hub:        hub.Config{Endpoints: endpoints, Token: token(a.getenv, place.TokenPath), Offline: offline(a.getenv)},
		Version:    Version, Log: a.logFor(slog.LevelError),
	}, nil
}

// token is the user's Hub token as huggingface_hub finds it, empty for none.
func token(getenv func(string) string, path string) string {
	if truth(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return ""
	}
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if t := cleanToken(getenv(name)); t != "" {
			return t
		}
	}
	const maxToken = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, maxToken))
	return cleanToken(string(b))
}

func cleanToken(s string) string {
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(s))
}

func offline(getenv func(string) string) bool {
	return truth(getenv("HF_HUB_OFFLINE")) || truth(getenv("TRANSFORMERS_OFFLINE"))
}

// truth reads a boolean as huggingface_hub does.
func truth(s string) bool {
	switch strings.ToUpper(s) {
	case "1", "ON", "YES", "TRUE":
		return true
	}
	return false
}

// engine is the running node, or a short-lived one of this command's own. With
// flags that choose a swarm, the running node is not asked: it has chosen.
func (a *app) engine(ctx context.Context, c *cli.Context, say func(string)) (control.Engine, func(), error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, nil, err
	}
	if _, client := a.running(ctx, c, cfg); client != nil {
		return client, func() {}, nil
	}
	cfg.Say = say
	p, err := node.NewPasserby(cfg)
	if err != nil {
		return nil, nil, err
	}
	return p, p.Close, nil
}

// twoArgs are REPO and FILE.
func twoArgs(c *cli.Context) (repo, file string, err error) {
	args, err := named(c)
	if err != nil {
		return "", "", err
	}
	if len(args) != 2 {
		return "", "", usage(fmt.Sprintf("hffs %s takes a repo and a file, and got %s", c.Command.Name, strconv.Itoa(len(args))), "for example: hffs "+c.Command.Name+" openai-community/gpt2 config.json")
	}
	return args[0], args[1], nil
}

// fileFlags say which file is meant, besides its repo and path.
func fileFlags() []cli.Flag {
	return append(namedFlags(), &cli.StringFlag{Name: "revision", Value: "main", Usage: "branch, tag or commit `REV`"})
}

func askOf(c *cli.Context) (control.Ask, error) {
	repo, file, err := twoArgs(c)
	if err != nil {
		return control.Ask{}, err
	}
	ask := control.Ask{Repo: repo, File: file, Revision: c.String("revision"), RepoType: c.String("repo-type")}
	return ask, node.Check(ask)
}

// stopped tells an end by the user's wish from a failure.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
