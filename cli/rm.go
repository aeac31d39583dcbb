package cli

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) rmCommand() *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove a file, a revision or a repo from the cache",
		ArgsUsage: "REPO [FILE]",
		Description: "Without a file all of the repo goes, or of a revision of it; then it asks first. Content\n" +
			"goes only when no other revision of the repo has it, and other repos keep their own. What\n" +
			"somebody reads or fetches just now stays: after some seconds it gives up, and nothing is\n" +
			"removed. Others in the swarm are told at once.\n\n" +
			"Example: hffs rm openai-community/gpt2 pytorch_model.bin" +
			exits(helpUsage, "3 nothing of that name is here", helpStorage, helpBusy, helpStopped, helpOther),
		Flags: append(namedFlags(),
			&cli.StringFlag{Name: "revision", Usage: "only of this branch, tag or commit `REV`", DefaultText: "for a file: main; else all"},
			&cli.BoolFlag{Name: "all", Usage: "the file at all revisions"},
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only say what would go"},
			&cli.BoolFlag{Name: "wait", Usage: "wait for as long as somebody reads or fetches it"},
		),
		Action: a.rm,
	}
}

func (a *app) rm(c *cli.Context) error {
	repo, file, err := needRepo(c)
	if err != nil {
		return err
	}
	ask := control.RemoveAsk{Repo: repo.ID, RepoType: string(repo.Type), File: file, Revision: c.String("revision"), Wait: c.Bool("wait")}
	switch {
	case c.Bool("all") && ask.Revision != "":
		return usage("--all and --revision exclude each other", "--all is for all revisions that are here")
	case file != "" && ask.Revision == "" && !c.Bool("all"):
		ask.Revision = "main"
	}
	if ask.Revision != "" {
		if err := ref.CheckRevision(ask.Revision); err != nil {
			return err
		}
	}
	engine, done, err := a.keeper(c)
	if err != nil {
		return err
	}
	defer done()
	if file == "" && !c.Bool("yes") && !c.Bool("dry-run") {
		if err := a.confirmRemoval(c.Context, engine, ask, repo); err != nil {
			return err
		}
	}
	ask.DryRun = c.Bool("dry-run")
	gone, err := engine.Remove(c.Context, ask)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(a.ui, gone)
	}
	a.printRemoved(repo, file, gone)
	return nil
}

// keeper is whoever looks after the cache: the node that runs on it, whatever swarm it
// belongs to, or this command itself.
func (a *app) keeper(c *cli.Context) (control.Models, func(), error) {
	cfg, err := a.config(c)
	if err != nil {
		return nil, nil, err
	}
	if p := node.Running(cfg.Place.State, cfg.Place.Hub); p != nil {
		if client := control.NewClient(p.Addr, p.Key); client.Alive(c.Context) {
			return client, func() {}, nil
		}
	}
	p, err := node.NewPasserby(cfg)
	if err != nil {
		return nil, nil, err
	}
	return p, p.Close, nil
}

// confirmRemoval tells what would go, and asks.
func (a *app) confirmRemoval(ctx context.Context, engine control.Models, ask control.RemoveAsk, repo ref.Repo) error {
	ask.DryRun = true
	would, err := engine.Remove(ctx, ask)
	if err != nil {
		return err
	}
	what := "all of " + repoNamed(repo)
	if ask.Revision != "" {
		what = repoNamed(repo) + " at " + ask.Revision
	}
	return a.confirm(ctx, fmt.Sprintf("remove %s: %s, %s?", what, countOf(len(would.Files), "file"), ui.Size(would.Freed)))
}

func (a *app) printRemoved(repo ref.Repo, file string, gone control.Removed) {
	verb, freed := "removed", "freed"
	if gone.DryRun {
		verb, freed = "would remove", "would be freed"
		for _, f := range gone.Files {
			fmt.Fprintf(a.ui.Out, "%s %s\n", ui.Clean(revisionLabel(f.Commit, nil)), ui.Clean(f.File))
		}
	}
	what := countOf(len(gone.Files), "file") + " of " + repoNamed(repo)
	switch {
	case gone.Whole:
		what = "all of " + repoNamed(repo) + ", " + countOf(len(gone.Files), "file")
	case file != "" && len(gone.Files) == 1:
		what = ui.Clean(file) + " of " + repoNamed(repo)
	}
	fmt.Fprintf(a.ui.Out, "%s %s: %s %s\n", verb, what, ui.Size(gone.Freed), freed)
	kept := 0
	for _, f := range gone.Files {
		if f.Kept {
			kept++
		}
	}
	if kept > 0 {
		a.say(fmt.Sprintf("the content of %s stays: other revisions have it too", countOf(kept, "file")))
	}
}

func countOf(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
