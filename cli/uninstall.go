package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) uninstallCommand() *cli.Command {
	return &cli.Command{
		Name:  "uninstall",
		Usage: "remove what hffs keeps on this machine; the models stay",
		Description: "Tells what will be deleted and how much, asks, ends the node and the service, and deletes:\n" +
			"hffs' own state and configuration, and what it has fetched in part. The models are in a\n" +
			"cache that other programs use as well, so they go only with --models; the token and\n" +
			"whatever else lies there stays even then.\n\n" +
			"Example: hffs uninstall --dry-run" +
			exits(helpUsage, helpStorage, "10 a command of hffs is at work", "130 nothing was deleted, by your wish", helpOther),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&cli.BoolFlag{Name: "models", Usage: "delete the repos in the Hugging Face cache as well"},
			&cli.BoolFlag{Name: "dry-run", Usage: "only tell what would be deleted"},
			&cli.BoolFlag{Name: "json", Usage: "print it as JSON"},
		},
		Action: a.uninstall,
	}
}

// removal is what "hffs uninstall" deletes, as --json prints it.
type removal struct {
	Items   []removable `json:"items" doc:"what is deleted, or with --dry-run would be"`
	Bytes   int64       `json:"bytes" doc:"of all that together"`
	Stays   []stays     `json:"stays" doc:"what is left alone"`
	Deleted bool        `json:"deleted" doc:"true where it was deleted; false with --dry-run, and where there is nothing to delete"`

	state   string
	service *manager // nil: none is installed
	files   []string // of the state folder
	trees   []string // folders that go as a whole
}

type removable struct {
	What  string `json:"what" doc:"what it is, in words for people"`
	Where string `json:"where" doc:"an absolute path"`
	Files int    `json:"files" doc:"how many files"`
	Bytes int64  `json:"bytes" doc:"their bytes"`

	biggest []weighed
}

// weighed is a file that is to be deleted.
type weighed struct {
	path string
	size int64
}

// maxNamed is how many files of each kind are named before they are deleted.
const maxNamed = 10

// stays is what is left alone, and why.
type stays struct {
	Where string `json:"where" doc:"an absolute path"`
	Why   string `json:"why" doc:"why, in words for people"`
}

func (a *app) uninstall(c *cli.Context) error {
	if err := noArgs(c, "uninstall"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	r, err := a.removal(c, cfg)
	if err != nil {
		return err
	}
	if !c.Bool("json") {
		a.printRemoval(r)
	}
	if !c.Bool("dry-run") && len(r.Items) > 0 {
		if err := a.carryOutRemoval(c, &r); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return printJSON(a.ui, r)
	}
	return nil
}

// removal finds out what there is to delete.
func (a *app) removal(c *cli.Context, cfg node.Config) (removal, error) {
	r := removal{state: cfg.Place.State, Items: []removable{}, Stays: []stays{}}
	m, _, err := a.manager(c, cfg)
	if err == nil && m.installed() {
		r.service = &m
		r.add("the service", m.file, m.file)
	}
	ours, others, err := node.Belongings(r.state)
	if err != nil {
		return r, unreadable(r.state, err)
	}
	if r.files = ours; len(ours) > 0 {
		r.add("state and configuration", r.state, ours...)
	}
	for _, at := range others {
		r.Stays = append(r.Stays, stays{at, "it is not hffs'"})
	}
	if len(ours) > 0 && len(others) == 0 && !node.MadeByUs(r.state) {
		r.Stays = append(r.Stays, stays{r.state, "the folder itself may have been there before hffs"})
	}
	for _, hub := range cachesOf(cfg) {
		r.addTrees("what was fetched in part", hub, node.Unfinished(hub))
	}
	hub := cfg.Place.Hub
	repos := len(node.RepoFolders(hub))
	switch {
	case c.Bool("models"):
		r.addTrees(fmt.Sprintf("%d repos", repos), hub, node.Models(hub))
	case repos > 0:
		_, size := weigh(node.Models(hub))
		r.Stays = append(r.Stays, stays{hub, fmt.Sprintf("%d repos, %s: other programs use them too; --models deletes them", repos, ui.Size(size))})
	}
	return r, nil
}

// unreadable is what to say where nobody can tell what there is.
func unreadable(state string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &control.Error{
		Code: control.CodeStorage, Message: fmt.Sprintf("what hffs keeps in %s cannot be read: %v", state, err),
		Hint: "is it another account's? run \"hffs uninstall\" as that one; nothing was deleted",
	}
}

// cachesOf are our cache and those that nodes with the same state folder work on.
func cachesOf(cfg node.Config) []string {
	all := []string{cfg.Place.Hub}
	for _, p := range node.Places(cfg.Place.State) {
		if !slices.Contains(all, p.Cache) {
			all = append(all, p.Cache)
		}
	}
	return all
}

func (r *removal) addTrees(what, where string, trees []string) {
	if len(trees) > 0 {
		r.trees = append(r.trees, trees...)
		r.add(what, where, trees...)
	}
}

func (r *removal) add(what, where string, paths ...string) {
	all, size := weigh(paths)
	r.Items = append(r.Items, removable{what, where, len(all), size, biggest(all)})
	r.Bytes += size
}

// weigh finds files and their bytes, links as nothing.
func weigh(paths []string) (all []weighed, size int64) {
	for _, p := range paths {
		_ = filepath.WalkDir(p, func(at string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // what cannot be read is not counted
			}
			w := weighed{path: at}
			if fi, err := d.Info(); err == nil && fi.Mode().IsRegular() {
				w.size = fi.Size()
			}
			all = append(all, w)
			size += w.size
			return nil
		})
	}
	return all, size
}

// biggest are the files that are worth a name.
func biggest(all []weighed) []weighed {
	all = slices.SortedStableFunc(slices.Values(all), func(a, b weighed) int { return cmp.Compare(b.size, a.size) })
	return all[:min(len(all), maxNamed)]
}

// names are the biggest files, below the folder where they all are.
func (i removable) names() string {
	var words []string
	for _, w := range i.biggest {
		name := w.path
		if rel, err := filepath.Rel(i.Where, w.path); err == nil {
			name = rel
		}
		words = append(words, fmt.Sprintf("%s (%s)", name, ui.Size(w.size)))
	}
	if more := i.Files - len(words); more > 0 {
		words = append(words, fmt.Sprintf("… %d more", more))
	}
	return strings.Join(words, ", ")
}

func (a *app) printRemoval(r removal) {
	if len(r.Items) == 0 {
		a.say("there is nothing of hffs' to delete")
	} else {
		var rows [][]string
		for _, i := range r.Items {
			rows = append(rows, []string{i.What, fmt.Sprint(i.Files), ui.Size(i.Bytes), i.Where})
		}
		ui.Table(a.ui.Out, []string{"WHAT", "FILES", "SIZE", "WHERE"}, rows)
	}
	for _, i := range r.Items {
		if len(i.biggest) > 0 && i.biggest[0].path != i.Where {
			a.say(fmt.Sprintf("of %s: %s", i.Where, i.names()))
		}
	}
	for _, s := range r.Stays {
		a.say(fmt.Sprintf("%s stays: %s", s.Where, s.Why))
	}
	if self, err := os.Executable(); err == nil {
		a.say("the program itself stays; to remove it: " + deletion(runtime.GOOS, self))
	}
}

// deletion is how one file is deleted by hand.
func deletion(goos, path string) string {
	if goos == "windows" {
		return `del "` + path + `"`
	}
	if strings.ContainsAny(path, " '\"\\$`*?[#~&;|<>()") {
		path = "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return "rm " + path
}

func (a *app) carryOutRemoval(c *cli.Context, r *removal) error {
	if err := a.consent(c, *r); err != nil {
		return err
	}
	if err := notBusy(r.state); err != nil {
		return err
	}
	if r.service != nil {
		if err := a.removeService(c, *r.service); err != nil {
			return err
		}
	}
	for _, l := range node.Lives(r.state) {
		if l.Brief {
			continue
		}
		if err := a.end(c, l, leaveWithin); err != nil {
			return err
		}
	}
	if err := notBusy(r.state); err != nil {
		return err
	}
	return a.deleteAll(r)
}

// notBusy refuses to delete under the hands of others.
func notBusy(state string) error {
	busy, elsewhere := node.Busy(state)
	switch {
	case len(elsewhere) > 0:
		return &control.Error{
			Code: control.CodeBusy, Message: fmt.Sprintf("a node on the machine %q has the same state folder, %s", elsewhere[0].Host, state),
			Hint: "end it there, with \"hffs down\"",
		}
	case len(busy) > 0:
		return &control.Error{
			Code: control.CodeBusy, Message: fmt.Sprintf("another command of hffs is at work in %s", busy[0]),
			Hint: "wait for it or stop it, and try again",
		}
	}
	return nil
}

// deleteAll looks once more at what there is: nodes have written it down when they
// left.
func (a *app) deleteAll(r *removal) error {
	ours, _, err := node.Belongings(r.state)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range r.trees {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err = errors.Join(err, node.Discard(r.state, ours)); err != nil {
		return err
	}
	r.Deleted = true
	a.say("deleted " + ui.Size(r.Bytes))
	return nil
}

// consent asks, unless it was given already. Where there is nobody to ask it is not.
func (a *app) consent(c *cli.Context, r removal) error {
	if c.Bool("yes") {
		return nil
	}
	if f, ok := a.ui.In.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return usage("nobody is there to be asked whether to delete this", "--yes deletes without asking, --dry-run only tells")
	}
	return a.confirm(c.Context, fmt.Sprintf("Delete %s?", ui.Size(r.Bytes)))
}

// typedLine is what the user types, or nothing once ctx has ended.
func typedLine(ctx context.Context, in io.Reader) (string, error) {
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() { // a read of a terminal cannot be called off
		text, err := bufio.NewReader(in).ReadString('\n')
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
