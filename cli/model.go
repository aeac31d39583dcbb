package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cache/ref"
)

// modelCommand has what looks after the cache, by the long names; each has a short one
// of its own beside it.
func (a *app) modelCommand() *cli.Command {
	add := a.getCommand()
	add.Name, add.Usage = "add", "bring a file into the cache: the same as \"hffs get\""
	return group("model", "look after the cache: list, add, remove, search (short: ls, get, rm, search)",
		a.lsCommand(), add, a.rmCommand(), a.searchCommand())
}

// namedFlags are for commands that are about a repo or one of its files.
func namedFlags() []cli.Flag {
	return append(repoFlags(), &cli.BoolFlag{Name: "json", Usage: "print the result as JSON"})
}

// namedBy are the repo and the file that a command line names; empty where it does not.
func namedBy(c *cli.Context) (repo, file string, err error) {
	all, err := named(c)
	if err != nil || len(all) == 0 {
		return "", "", err
	}
	if len(all) > 2 {
		return "", "", usage(fmt.Sprintf("%s takes a repo and a file, and got %q as well", commandName(c), all[2]), hintFor(c))
	}
	if len(all) == 2 {
		return all[0], all[1], ref.CheckPath(all[1])
	}
	return all[0], "", nil
}

// repoOf is the repo of that name, of the type that the flag says.
func repoOf(c *cli.Context, id string) (ref.Repo, error) {
	t, err := ref.ParseType(c.String("repo-type"))
	if err != nil {
		return ref.Repo{}, err
	}
	return ref.ParseRepo(t, id)
}

// needRepo is for commands that cannot do without one.
func needRepo(c *cli.Context) (repo ref.Repo, file string, err error) {
	id, file, err := namedBy(c)
	if err == nil && id == "" {
		err = usage(commandName(c)+" needs a repo", hintFor(c))
	}
	if err == nil {
		repo, err = repoOf(c, id)
	}
	return repo, file, err
}

// commandName is what was called, such as "hffs model ls".
func commandName(c *cli.Context) string { return strings.TrimSpace(c.Command.HelpName) }

func hintFor(c *cli.Context) string {
	return fmt.Sprintf("for example: %s openai-community/gpt2", commandName(c))
}
