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

// namedFlags say which repo and file is meant, for who prefers flags to arguments.
func namedFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "repo-id", Aliases: []string{"repo_id"}, Usage: "`REPO`, in place of the argument"},
		&cli.StringFlag{Name: "file", Usage: "`FILE`, in place of the argument"},
		&cli.StringFlag{Name: "repo-type", Value: "model", Usage: "`TYPE` of the repo: model, dataset or space"},
		&cli.BoolFlag{Name: "json", Usage: "print the result as JSON"},
	}
}

// named are the repo and the file that a command line names, each by its flag or as an
// argument; empty where it does not.
func namedBy(c *cli.Context) (repo, file string, err error) {
	args := c.Args().Slice()
	given := map[string]*string{"repo-id": &repo, "file": &file}
	for _, name := range []string{"repo-id", "file"} {
		switch {
		case c.IsSet(name):
			*given[name] = c.String(name)
			if *given[name] == "" {
				return "", "", usage("--"+name+" is empty", "leave it out, or name one")
			}
		case len(args) > 0:
			*given[name], args = args[0], args[1:]
			if *given[name] == "" {
				return "", "", usage("an argument is empty", hintFor(c))
			}
		}
	}
	if len(args) > 0 {
		return "", "", usage(fmt.Sprintf("%s takes a repo and a file, and got %q as well", commandName(c), args[0]), hintFor(c))
	}
	if file != "" && repo == "" {
		return "", "", usage("there is a file and no repo", hintFor(c))
	}
	if file != "" {
		err = ref.CheckPath(file)
	}
	return repo, file, err
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
