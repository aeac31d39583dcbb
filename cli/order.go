package cli

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

// hffs get for more than a file.

// orderFlags choose files of a repo, and where they go.
func orderFlags() []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "include", Value: &patterns{}, Usage: "only files that match `PATTERN`, such as '*.safetensors' or onnx/; may be repeated"},
		&cli.GenericFlag{Name: "exclude", Value: &patterns{}, Usage: "no files that match `PATTERN`; may be repeated"},
		&cli.StringFlag{Name: "local-dir", Usage: "put the files into `DIR` as well, as \"hf download --local-dir\" does"},
		&cli.BoolFlag{Name: "hard-links", Usage: "with --local-dir: let large files be hard links of the cache's; write into neither then"},
		&cli.StringFlag{Name: "list", Usage: "get the repos that stand in `FILE`, one a line: [type/]repo[@revision] [patterns…]; - reads them from stdin"},
		&cli.BoolFlag{Name: "dry-run", Usage: "only tell what would come from whom"},
	}
}

// wantsOne tells whether a command is about exactly one file by its name.
func wantsOne(c *cli.Context) bool {
	for _, f := range []string{"include", "exclude", "local-dir", "list", "dry-run"} {
		if c.IsSet(f) {
			return false
		}
	}
	all, err := named(c)
	return err == nil && len(all) == 2 && !node.IsPattern(all[1])
}

// orderOf is what the command line asks for.
func (a *app) orderOf(c *cli.Context) (o control.Order, err error) {
	limits, err := limitsOf(c)
	if err != nil {
		return o, err
	}
	o = control.Order{HardLinks: c.Bool("hard-links"), LimitDown: limits.Down, LimitHub: limits.Hub}
	if o.Wants, err = a.wantsOf(c); err != nil {
		return o, err
	}
	if c.IsSet("local-dir") {
		if c.String("local-dir") == "" {
			return o, usage("--local-dir is empty", "name the folder, such as --local-dir ./model")
		}
		if o.LocalDir, err = filepath.Abs(c.String("local-dir")); err != nil {
			return o, usage(err.Error(), "name the folder, such as --local-dir ./model")
		}
		if len(o.Wants) > 1 {
			return o, usage("--local-dir takes the files of one repo, and the list has several", "get them one by one, each into a folder of its own")
		}
	}
	return o, node.CheckOrder(o)
}

func (a *app) wantsOf(c *cli.Context) ([]control.Want, error) {
	include, exclude := *c.Generic("include").(*patterns), *c.Generic("exclude").(*patterns)
	if c.IsSet("list") {
		if c.Args().Present() || c.IsSet("repo-id") || c.IsSet("file") || len(include)+len(exclude) > 0 {
			return nil, usage("--list names the repos and their files", "leave out other arguments, --include and --exclude")
		}
		return a.readList(c.String("list"))
	}
	all, err := named(c)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, usage("hffs get takes a repo, and got nothing", "for example: hffs get openai-community/gpt2 config.json")
	}
	return []control.Want{{
		Repo: all[0], RepoType: c.String("repo-type"), Revision: c.String("revision"),
		Include: append(all[1:], include...), Exclude: exclude,
	}}, nil
}

func (a *app) getMany(c *cli.Context) error {
	o, err := a.orderOf(c)
	if err != nil {
		return err
	}
	quiet := c.Bool("quiet")
	progress := ui.NewProgress(a.ui, ui.Options{Quiet: quiet, Plain: true})
	defer progress.Finish()
	say := func(line string) { progress.Note("hffs: " + line) }
	engine, done, err := a.engine(c.Context, c, say)
	if err != nil {
		return err
	}
	defer done()
	orders, ok := engine.(control.Orderer)
	if !ok {
		return usage("the running node takes no orders of many files", "is it of an older version? restart it")
	}
	if c.Bool("dry-run") {
		return a.survey(c, orders, o)
	}
	if _, running := engine.(*control.Client); running && c.String("limit-up") != "" {
		say("--limit-up is left to the running node: it sends for this command")
	}
	told := map[string]bool{}
	tell := func(text string) {
		if !told[text] {
			told[text] = true
			say(text)
		}
	}
	d, err := orders.Order(c.Context, o, func(p control.OrderProgress) {
		for _, n := range p.Notes {
			tell(n.Text)
		}
		progress.Update(displayMany(o, p))
	})
	progress.Finish()
	if err != nil {
		return err
	}
	for _, text := range d.Warnings {
		tell(text)
	}
	return a.delivered(c, o, d)
}

// displayMany is an order's progress as the terminal shows it.
func displayMany(o control.Order, p control.OrderProgress) ui.State {
	s := ui.State{File: o.Wants[0].Repo, Done: p.Done, Total: p.Total}
	if len(o.Wants) > 1 {
		s.File = fmt.Sprintf("%d repos", len(o.Wants))
	}
	if p.Files > 0 {
		s.Count = fmt.Sprintf("%d/%d files", p.FilesDone, p.Files)
	} else {
		s.Phase = p.Phase
	}
	addSources(&s, p.Sources)
	for _, a := range p.Active {
		s.Parts = append(s.Parts, ui.PartState{Name: a.File, Done: a.Done, Total: a.Total})
	}
	return s
}

// delivered tells what came: paths to stdout, the rest to stderr.
func (a *app) delivered(c *cli.Context, o control.Order, d control.Done) error {
	if !c.Bool("quiet") {
		if line := closing(d); line != "" {
			a.say(line)
		}
	}
	if c.Bool("json") {
		if err := printJSON(a.ui, d); err != nil {
			return err
		}
		return a.failures(d)
	}
	for i, r := range d.Repos {
		if r.Error == nil && !slices.ContainsFunc(r.Files, func(f control.DoneFile) bool { return f.Error != nil }) {
			fmt.Fprintln(a.ui.Out, pathOf(o.Wants[i], r))
		}
	}
	return a.failures(d)
}

// pathOf is what is printed for a repo: as "hf download" does, the path of a single
// file that was asked for by its name, else that of the folder.
func pathOf(w control.Want, r control.DoneRepo) string {
	if len(w.Include) == 1 && len(r.Files) == 1 && r.Files[0].File == w.Include[0] {
		return r.Files[0].Path
	}
	return r.Path
}

// closing sums up where the bytes came from.
func closing(d control.Done) string {
	if d.Files == 0 {
		return ""
	}
	t := tally{}
	t.sources(control.Progress{Sources: d.Sources}, 1)
	files := "1 file"
	if d.Files > 1 {
		files = fmt.Sprintf("%d files", d.Files)
	}
	words := []string{fmt.Sprintf("%s, %s", files, ui.Size(d.Bytes))}
	words = append(words, t.origins()...)
	if ways := placed(d); ways != "" {
		words = append(words, ways)
	}
	return strings.Join(words, ", ")
}

// placed says how files were put into the folder.
func placed(d control.Done) string {
	count := map[string]int{}
	for _, r := range d.Repos {
		for _, f := range r.Files {
			count[f.How]++
		}
	}
	var words []string
	for _, way := range []struct{ how, one, many string }{
		{"reflink", "1 reflink", "%d reflinks"}, {"hardlink", "1 hard link", "%d hard links"},
		{"copy", "1 copy", "%d copies"}, {"kept", "1 there before", "%d there before"},
	} {
		switch n := count[way.how]; {
		case n == 1:
			words = append(words, way.one)
		case n > 1:
			words = append(words, fmt.Sprintf(way.many, n))
		}
	}
	if words == nil {
		return ""
	}
	return "in the folder: " + strings.Join(words, " and ")
}

// worst orders the ways to fail: what the user can do something about at once first.
var worst = []control.Code{
	control.CodeStorage, control.CodeMismatch, control.CodeInternal, control.CodeAccess,
	control.CodeNoSource, control.CodeNotFound, control.CodeUsage,
}

// maxFailures is how many are named: a full disk fails thousands of files in the same
// way. --json has them all.
const maxFailures = 10

// failures names files that failed; the error is that of the worst.
func (a *app) failures(d control.Done) error {
	type failure struct {
		what string
		err  *control.Error
	}
	var all []failure
	for _, r := range d.Repos {
		if r.Error != nil {
			all = append(all, failure{r.Repo, r.Error})
		}
		for _, f := range r.Files {
			if f.Error != nil {
				all = append(all, failure{f.File, f.Error})
			}
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0].err
	}
	for i, f := range all {
		if i == maxFailures {
			a.say(fmt.Sprintf("… %d more", len(all)-i))
			break
		}
		a.say(f.what + ": " + f.err.Message)
	}
	rank := func(f failure) int {
		if i := slices.Index(worst, f.err.Code); i >= 0 {
			return i
		}
		return len(worst)
	}
	w := slices.MinFunc(all, func(a, b failure) int { return cmp.Compare(rank(a), rank(b)) })
	return &control.Error{
		Code: w.err.Code, Message: fmt.Sprintf("%d of %d could not be had", len(all), d.Files+d.Failed),
		Hint: cmp.Or(w.err.Hint, "the same command tries again; what was fetched is kept"),
	}
}

// survey tells what would come from whom.
func (a *app) survey(c *cli.Context, engine control.Orderer, o control.Order) error {
	s, err := engine.Survey(c.Context, o)
	if err != nil {
		return err
	}
	for _, text := range s.Warnings {
		a.say(text)
	}
	if c.Bool("json") {
		err = printJSON(a.ui, s)
	} else {
		a.printSurvey(s)
	}
	if err != nil {
		return err
	}
	d := control.Done{}
	for _, r := range s.Repos {
		d.Repos = append(d.Repos, control.DoneRepo{Repo: r.Repo, Error: r.Error, Files: r.Lacking})
	}
	d.Failed = len(d.Repos)
	return a.failures(d)
}

func (a *app) printSurvey(s control.Survey) {
	if !slices.ContainsFunc(s.Repos, func(r control.SurveyRepo) bool { return len(r.Files) > 0 }) {
		return // why not is said
	}
	from := map[string]string{"here": "this machine", "hub": theHub, "nobody": "nobody"}
	var files [][]string
	for _, r := range s.Repos {
		for _, f := range r.Files {
			who := from[f.From]
			if f.From == "lan" {
				who = strings.Join(f.Nodes, ", ")
			}
			files = append(files, []string{f.File, ui.Size(f.Size), who})
		}
	}
	ui.Table(a.ui.Out, []string{"FILE", "SIZE", "FROM"}, files)
	fmt.Fprintln(a.ui.Out)
	row := func(who string, n control.Share) []string {
		return []string{who, fmt.Sprint(n.Files), ui.Size(n.Bytes)}
	}
	rows := [][]string{row("this machine", s.Here), row("the LAN", s.LAN)}
	for _, n := range s.Nodes {
		rows = append(rows, row("  of which "+n.Node+" has", n.Share))
	}
	rows = append(rows, row(theHub, s.Hub))
	if s.Nobody.Files > 0 {
		rows = append(rows, row("nobody", s.Nobody))
	}
	ui.Table(a.ui.Out, []string{"WHO", "FILES", "SIZE"}, rows)
}
