package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/cli/environ"
	"hffs/cli/node"
)

// completeWord is what shells call to complete a command line: the words behind "hffs"
// follow, the last is what is being typed. Each answer is a line, a tab and what it
// is; ":files" or ":folders" alone leaves it to the shell.
const completeWord = "__complete"

// swarmPatience is how long the running node may take: who types does not wait.
const swarmPatience = 300 * time.Millisecond

type candidate struct{ word, what string }

var (
	leaveFiles   = []candidate{{word: ":files"}}
	leaveFolders = []candidate{{word: ":folders"}}
)

func (a *app) complete(ctx context.Context, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	l := a.typedSoFar(words[:len(words)-1])
	front := "" // of what is typed that stays as it is
	if name, value, ok := strings.Cut(last, "="); ok && strings.HasPrefix(last, "-") && l.open == nil && !l.ended {
		l.open, last, front = l.flag(name), value, name+"="
	}
	for _, c := range a.candidates(ctx, l, last) {
		switch {
		case strings.HasPrefix(c.word, ":"):
			fmt.Fprintln(a.ui.Out, c.word)
		case strings.HasPrefix(c.word, last) && !strings.ContainsAny(c.word, "\t\n\r"):
			fmt.Fprintf(a.ui.Out, "%s%s\t%s\n", front, c.word, c.what)
		}
	}
}

// typedWords is a command line as far as it is typed.
type typedWords struct {
	program *cli.App
	command string // the names of the commands, such as "model ls"
	below   []*cli.Command
	flags   []cli.Flag
	args    []string
	values  map[string]string
	open    cli.Flag // whose value comes next
	ended   bool     // by "--": no flags any more
	foreign bool     // it is the command line of another program
}

func (a *app) typedSoFar(words []string) *typedWords {
	program := a.commands()
	l := &typedWords{program: program, below: program.Commands, flags: slices.Clone(program.Flags), values: map[string]string{}}
	for _, w := range words {
		l.next(w)
	}
	return l
}

func (l *typedWords) next(w string) {
	switch {
	case l.foreign:
	case l.open != nil:
		l.values[l.open.Names()[0]], l.open = w, nil
	case w == "--" && !l.ended:
		l.ended, l.foreign = true, l.command == "run"
	case len(w) > 1 && w[0] == '-' && !l.ended:
		l.flagTyped(w)
	case len(l.args) == 0 && find(l.below, w) != nil:
		c := find(l.below, w)
		l.command = strings.TrimSpace(l.command + " " + c.Name)
		l.below, l.flags = c.Subcommands, append(slices.Clone(c.Flags), l.program.Flags...)
	default:
		l.foreign = l.command == "run"
		l.args = append(l.args, w)
	}
}

func (l *typedWords) flagTyped(w string) {
	f := l.flag(w)
	if f == nil {
		return
	}
	if _, value, ok := strings.Cut(w, "="); ok {
		l.values[f.Names()[0]] = value
	} else if takesValue(l.flags, w) {
		l.open = f
	}
}

func (l *typedWords) flag(w string) cli.Flag { return flagOf(l.flags, w) }

// candidates are what may stand next.
func (a *app) candidates(ctx context.Context, l *typedWords, last string) []candidate {
	switch {
	case l.foreign:
		return leaveFiles
	case l.open != nil:
		return a.values(ctx, l)
	case strings.HasPrefix(last, "-") && !l.ended:
		return l.flagNames()
	case len(l.below) > 0 && len(l.args) == 0:
		return commandNames(l.below)
	}
	return a.arguments(ctx, l)
}

func commandNames(all []*cli.Command) (list []candidate) {
	for _, c := range all {
		if !c.Hidden {
			list = append(list, candidate{c.Name, c.Usage})
		}
	}
	return list
}

func (l *typedWords) flagNames() (list []candidate) {
	for _, f := range append(l.flags, cli.HelpFlag) {
		if v, ok := f.(cli.VisibleFlag); ok && v.IsVisible() {
			list = append(list, candidate{"--" + f.Names()[0], described(f)})
		}
	}
	return list
}

// values are those of a flag.
func (a *app) values(ctx context.Context, l *typedWords) []candidate {
	switch l.open.Names()[0] {
	case "repo-type":
		return plain("model", "dataset", "space")
	case "shell":
		return plain(environ.Shells...)
	case "rule":
		return plain("current", "legacy")
	case "repo-id":
		return a.repoNames(ctx, l)
	case "file":
		return a.fileNames(ctx, l)
	case "revision":
		return a.revisionNames(l)
	case "list", "log-file":
		return leaveFiles
	case "local-dir":
		return leaveFolders
	}
	return nil
}

func plain(words ...string) (list []candidate) {
	for _, w := range words {
		list = append(list, candidate{word: w})
	}
	return list
}

// arguments are those of a command.
func (a *app) arguments(ctx context.Context, l *typedWords) []candidate {
	_, named := l.values["repo-id"]
	switch strings.TrimPrefix(l.command, "model ") {
	case "get", "add", "ls", "rm", "search", "where":
		if len(l.args) == 0 && !named {
			return a.repoNames(ctx, l)
		}
		return a.fileNames(ctx, l)
	case "completion":
		return plain(shells()...)
	case "run":
		return leaveFiles
	}
	return nil
}

// repoNames are those here and in the swarm. Where --repo-type says nothing, repos are
// models.
func (a *app) repoNames(ctx context.Context, l *typedWords) (list []candidate) {
	place, err := cache.Locate(a.getenv)
	if err != nil {
		return nil
	}
	kind, what := l.repoType(), map[string]string{}
	for _, r := range a.swarmNames(ctx, place, control.NamesAsk{}).Repos {
		if r.RepoType == string(kind) {
			what[r.Repo] = "in the swarm"
		}
	}
	for _, dir := range node.RepoFolders(place.Hub) {
		if r, err := ref.ParseFolder(filepath.Base(dir)); err == nil && r.Type == kind {
			what[r.ID] = "here"
		}
	}
	return inOrder(what)
}

func inOrder(what map[string]string) (list []candidate) {
	for _, word := range slices.Sorted(maps.Keys(what)) {
		list = append(list, candidate{word, what[word]})
	}
	return list
}

func (l *typedWords) repoType() ref.Type {
	if t, err := ref.ParseType(l.values["repo-type"]); err == nil && l.values["repo-type"] != "" {
		return t
	}
	return ref.Model
}

// repo is the one that the command line names.
func (l *typedWords) repo() (ref.Repo, bool) {
	id := l.values["repo-id"]
	if id == "" && len(l.args) > 0 {
		id = l.args[0]
	}
	r, err := ref.ParseRepo(l.repoType(), id)
	return r, err == nil
}

// fileNames are those of the repo that the command line names.
func (a *app) fileNames(ctx context.Context, l *typedWords) []candidate {
	repo, ok := l.repo()
	place, err := cache.Locate(a.getenv)
	if err != nil || !ok {
		return nil
	}
	what := map[string]string{}
	for _, name := range a.swarmNames(ctx, place, control.NamesAsk{Repo: repo.ID, RepoType: string(repo.Type)}).Files {
		what[name] = "in the swarm"
	}
	if s, ok := cache.StoredOf(place.Hub, repo); ok {
		for _, r := range s.Revisions {
			for _, f := range r.Files {
				what[f.Path] = "here"
			}
		}
	}
	for _, used := range l.args[min(1, len(l.args)):] {
		delete(what, used)
	}
	return inOrder(what)
}

// revisionNames are the branches and tags that are here.
func (a *app) revisionNames(l *typedWords) (list []candidate) {
	repo, ok := l.repo()
	place, err := cache.Locate(a.getenv)
	if err != nil || !ok {
		return nil
	}
	s, _ := cache.StoredOf(place.Hub, repo)
	for _, r := range s.Revisions {
		list = append(list, plain(r.Refs...)...)
	}
	return list
}

// swarmNames asks the running node; without one there is nobody to ask in time.
func (a *app) swarmNames(ctx context.Context, place cache.Place, ask control.NamesAsk) control.Names {
	p := node.Running(place.State, place.Hub)
	if p == nil {
		return control.Names{}
	}
	ctx, cancel := context.WithTimeout(ctx, swarmPatience)
	defer cancel()
	names, err := control.NewClient(p.Addr, p.Key).Names(ctx, ask)
	if err != nil {
		return control.Names{}
	}
	return names
}
