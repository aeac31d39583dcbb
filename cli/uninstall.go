package cli

import (
	"bufio"
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
	Items   []removable `json:"items"`
	Bytes   int64       `json:"bytes"`
	Stays   []stays     `json:"stays"`
	Deleted bool        `json:"deleted"`

	state   string
	service *manager // nil: none is installed
	files   []string // of the state folder
	trees   []string // folders that go as a whole
}

type removable struct {
	What  string `json:"what"`
	Where string `json:"where"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// stays is what is left alone, and why.
type stays struct {
	Where string `json:"where"`
	Why   string `json:"why"`
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
		return r, err
	}
	if r.files = ours; len(ours) > 0 {
		r.add("state and configuration", r.state, ours...)
	}
	for _, at := range others {
		r.Stays = append(r.Stays, stays{at, "it is not hffs'"})
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
	files, size := weigh(paths)
	r.Items = append(r.Items, removable{what, where, files, size})
	r.Bytes += size
}

// weigh counts files and their bytes, links as nothing.
func weigh(paths []string) (files int, size int64) {
	for _, p := range paths {
		_ = filepath.WalkDir(p, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // what cannot be read is not counted
			}
			files++
			if fi, err := d.Info(); err == nil && fi.Mode().IsRegular() {
				size += fi.Size()
			}
			return nil
		})
	}
	return files, size
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
