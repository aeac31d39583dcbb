package cli

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/ui"
)

func (a *app) getCommand() *cli.Command {
	return &cli.Command{
		Name:      "get",
		Usage:     "bring a file, several, or a whole repo into the cache and print the path",
		ArgsUsage: "REPO [FILE|PATTERN]...",
		Description: "Fetches what is asked for from the machines of this network that have it, from several at\n" +
			"once, and from the Hub only when they cannot give it. What was fetched before an\n" +
			"interruption is kept: the same command goes on. With --json: paths, commit, etags, and\n" +
			"which bytes came from whom. Limits are this command's own; those of a running node hold\n" +
			"as well.\n\n" +
			"REPO may be org/name, datasets/org/name, org/name@revision or the address of a page. Alone\n" +
			"it means all of its files. In a pattern * also stands for a \"/\", and a folder is\n" +
			"written with one at its end. For one file its path is printed, else that of the snapshot\n" +
			"or of --local-dir, as \"hf download\" does. One file that fails does not stop the others;\n" +
			"the exit code is that of the worst.\n\n" +
			"In --local-dir a file is a reflink of the cache's where the disk can (btrfs, XFS, APFS),\n" +
			"else a copy, or with --hard-links a hard link where it is large; it is said which. Later\n" +
			"\"hf download --local-dir\" takes the folder over as it is.\n\n" +
			"Example: hffs get sentence-transformers/all-MiniLM-L6-v2 model.safetensors\n" +
			"         hffs get Qwen/Qwen3-0.6B '*.safetensors' '*.json' --local-dir ./qwen\n" +
			"         hffs get --repo-type dataset rajpurkar/squad --dry-run" +
			exits(helpUsage, helpNotFound, helpAccess, helpNoSource, helpStorage, helpMismatch, helpStopped, helpOther),
		Flags: append(append(append(fileFlags(), orderFlags()...),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
			shareFlag(),
		), append(limitFlags(), nodeFlags()...)...),
		Action: a.get,
	}
}

func (a *app) get(c *cli.Context) error {
	if !wantsOne(c) {
		return a.getMany(c)
	}
	ask, err := askOf(c)
	if err != nil {
		return err
	}
	limits, err := limitsOf(c)
	if err != nil {
		return err
	}
	ask.LimitDown, ask.LimitHub = limits.Down, limits.Hub
	progress := ui.NewProgress(a.ui, ui.Options{Quiet: c.Bool("quiet")})
	defer progress.Finish()
	say := func(line string) { progress.Note("hffs: " + line) }
	engine, done, err := a.engine(c.Context, c, say)
	if err != nil {
		return err
	}
	defer done()
	if _, running := engine.(*control.Client); running && a.given(c, "limit-up") {
		say("--limit-up is left to the running node: it sends for this command")
	}
	told := 0
	got, err := engine.Get(c.Context, ask, func(p control.Progress) {
		for _, n := range p.Notes[min(told, len(p.Notes)):] {
			say(n.Text)
			told++
		}
		progress.Update(display(ask, p))
	})
	progress.Finish()
	if err != nil {
		return err
	}
	for _, w := range got.Warnings[min(told, len(got.Warnings)):] {
		say(w)
	}
	if !c.Bool("quiet") && !c.Bool("json") {
		say(closing(control.Done{Files: 1, Bytes: got.Size, Sources: got.Sources}))
	}
	if c.Bool("json") {
		return printJSON(a.ui, got)
	}
	fmt.Fprintln(a.ui.Out, got.Path)
	return nil
}

// display is a download's progress as the terminal shows it.
func display(ask control.Ask, p control.Progress) ui.State {
	s := ui.State{File: ask.File, Done: p.Done, Total: p.Total, Phase: p.Phase}
	addSources(&s, p.Sources)
	return s
}

// addSources tells who has brought how much.
func addSources(s *ui.State, sources []control.Source) {
	for _, src := range sources {
		switch src.Kind {
		case "peer":
			s.LAN += src.Bytes
			if src.Active {
				s.Peers++
			}
		case "hub":
			s.Hub += src.Bytes
		default:
			s.Local += src.Bytes
		}
		s.Sources = append(s.Sources, ui.SourceState{Name: src.Name, Kind: src.Kind, Bytes: src.Bytes, Rate: src.Rate})
	}
}

func printJSON(s ui.Streams, v any) error {
	enc := json.NewEncoder(s.Out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
