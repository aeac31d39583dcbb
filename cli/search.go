package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) searchCommand() *cli.Command {
	return &cli.Command{
		Name:      "search",
		Usage:     "tell who in the swarm has a repo, or a file of it",
		ArgsUsage: "REPO [FILE]",
		Description: "Lists the machines that have something of the repo: at which revision, how many files,\n" +
			"and how much of the whole that is. With a file it lists who has that, at whichever\n" +
			"revision. The Hub is asked at most what files a revision has.\n\n" +
			"Example: hffs search openai-community/gpt2" +
			exits(helpUsage, "3 nobody has any of it", helpStorage, helpOther),
		Flags:  append(namedFlags(), nodeFlags()...),
		Action: a.search,
	}
}

func (a *app) search(c *cli.Context) error {
	repo, file, err := needRepo(c)
	if err != nil {
		return err
	}
	engine, done, err := a.engine(c.Context, c, a.say)
	if err != nil {
		return err
	}
	defer done()
	models, ok := engine.(control.Models)
	if !ok {
		return fmt.Errorf("search for %s: %T does not look after models", repo, engine)
	}
	found, err := models.Search(c.Context, control.SearchAsk{Repo: repo.ID, RepoType: string(repo.Type), File: file})
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := printJSON(a.ui, found); err != nil {
			return err
		}
		if len(found.Holders) == 0 {
			return &control.Error{Code: codeQuiet}
		}
		return nil
	}
	if len(found.Holders) == 0 {
		return nobodyHas(repo, file, found)
	}
	a.printFound(found)
	return nil
}

func nobodyHas(repo ref.Repo, file string, found control.Found) error {
	what := repo.String()
	if file != "" {
		what = file + " of " + what
	}
	hint := "is another node running? \"hffs status\" shows the peers; \"hffs get\" asks the Hub as well"
	var near []ref.Repo
	for _, n := range found.Near {
		if t, err := ref.ParseType(n.RepoType); err == nil {
			near = append(near, ref.Repo{Type: t, ID: n.Repo})
		}
	}
	if len(near) > 0 {
		hint = node.DidYouMean(repo, near)
	}
	return &control.Error{Code: control.CodeNotFound, Message: "nobody here has " + what, Hint: hint}
}

func (a *app) printFound(found control.Found) {
	var rows [][]string
	for _, h := range found.Holders {
		rows = append(rows, []string{h.Node, revisionLabel(h.Commit, h.Refs), fmt.Sprint(h.Files), ui.Size(h.Bytes), partOf(h), h.Addr})
	}
	ui.Table(a.ui.Out, []string{"WHO", "REVISION", "FILES", "SIZE", "PART", "WHERE"}, rows)
}

// partOf says how much of the whole somebody has, where that is known.
func partOf(h control.RepoHolder) string {
	switch {
	case h.Complete == nil || h.OfBytes == nil:
		return "-"
	case *h.Complete:
		return "whole"
	}
	return fmt.Sprintf("%d%%", min(99, 100*h.Bytes/max(1, *h.OfBytes)))
}
