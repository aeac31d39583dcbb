package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cli/environ"
	"hffs/cli/node"
	"hffs/cli/ui"
)

func (a *app) configCommand() *cli.Command {
	path := &cli.Command{
		Name: "path", Usage: "print where the settings file is, or would be",
		Description: "Example: $EDITOR \"$(hffs config path)\"" + exits(helpUsage),
		Action:      a.configPath,
	}
	begin := &cli.Command{
		Name: "init", Usage: "write a settings file that says nothing yet, with all that it could say as comments",
		Description: "Prints its path. A file that is there already is left alone.\n\n" +
			"Example: hffs config init" + exits("2 wrong input, or there is a file already", helpStorage, helpOther),
		Action: a.configInit,
	}
	g := group("config", "show the settings and where each comes from; init, path", begin, path)
	showing := g.Action
	g.Description = "A setting is a flag that is set for good. The flag itself counts first, then its variable,\n" +
		"then the settings file, then the default. Every flag of every command has a variable:\n" +
		"--limit-down is HFFS_LIMIT_DOWN, --no-mdns is HFFS_NO_MDNS; several values are separated by\n" +
		"commas. (--port of \"hffs peer\" is HFFS_PEER_PORT: it is another machine's.) The settings\n" +
		"file, hffs.toml in HFFS_HOME, has what is listed here. Nothing needs to be set. A running\n" +
		"node keeps what it was started with.\n\n" +
		"Example: hffs config --json" +
		exits("2 wrong input, or a setting that is wrong", helpOther)
	g.Flags = append(lastingFlags(), jsonFlag())
	g.Action = func(c *cli.Context) error {
		if c.Args().Present() {
			return showing(c)
		}
		return a.showConfig(c)
	}
	return g
}

func (a *app) configPath(c *cli.Context) error {
	if err := noArgs(c, "config path"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.ui.Out, settingsIn(cfg.Place.State))
	return nil
}

func (a *app) configInit(c *cli.Context) error {
	if err := noArgs(c, "config init"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	path := settingsIn(cfg.Place.State)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usage("there are settings already: "+path, "edit them, or move them away first")
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(settingsText())
	if err = errors.Join(err, f.Close()); err == nil {
		fmt.Fprintln(a.ui.Out, path)
	}
	return err
}

// settings are what "hffs config --json" prints.
type settings struct {
	File     string    `json:"file" doc:"where the settings file is, or would be"`
	Exists   bool      `json:"file_exists" doc:"whether it is there"`
	Settings []setting `json:"settings" doc:"what is in force"`
}

// setting is one line of "hffs config", as --json prints it.
type setting struct {
	Name     string `json:"name" doc:"the name of the flag, or home, cache, endpoint or verbose"`
	Value    any    `json:"value" doc:"a string, number or boolean, or an array of strings; null where nothing is set and there is no default"`
	From     string `json:"from" doc:"flag, variable, file or default"`
	Variable string `json:"variable,omitempty" doc:"the variable that sets it"`
	Path     string `json:"path,omitempty" doc:"the settings file, where that sets it"`
	Line     int    `json:"line,omitempty" doc:"the line in the file, from 1"`

	usual string // what is without a value, in words
}

func (a *app) showConfig(c *cli.Context) error {
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	list := append(a.places(cfg), a.lastingSettings(c)...)
	list = append(list, a.otherVariables(list)...)
	path := settingsIn(cfg.Place.State)
	if c.Bool("json") {
		_, err := os.Stat(path)
		return printJSON(a.ui, settings{path, err == nil, list})
	}
	var rows [][]string
	for _, s := range list {
		rows = append(rows, []string{s.Name, s.shown(), s.where()})
	}
	ui.Table(a.ui.Out, []string{"SETTING", "VALUE", "FROM"}, rows)
	if _, err := os.Stat(path); err != nil {
		a.say("there is no settings file; \"hffs config init\" writes one: " + path)
	}
	return nil
}

// places are where hffs works and whom it asks: variables that are not its alone.
func (a *app) places(cfg node.Config) []setting {
	return []setting{
		a.place("home", cfg.Place.State, "HFFS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"),
		a.place("cache", cfg.Place.Hub, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"),
		a.place("endpoint", strings.Join(cfg.Hub.Endpoints, ","), environ.Upstream, "HF_ENDPOINT"),
	}
}

func (a *app) place(name, value string, variables ...string) setting {
	s := setting{Name: name, Value: value, From: "default"}
	for _, v := range variables {
		if a.getenv(v) != "" {
			s.From, s.Variable = "variable", v
			break
		}
	}
	return s
}

func (a *app) lastingSettings(c *cli.Context) (list []setting) {
	for _, f := range lastingFlags() {
		name := f.Names()[0]
		s := setting{Name: name, From: "default", usual: usually(f)}
		if from, ok := a.origins[name]; ok {
			s.of(from)
		} else if c.IsSet(name) {
			s.From = "flag"
		}
		s.Value = valueOf(c, f)
		list = append(list, s)
	}
	v := setting{Name: "verbose", Value: a.level(), From: "default"}
	switch {
	case truth(a.getenv("HFFS_DEBUG")):
		v.of(origin{variable: "HFFS_DEBUG"})
	case a.verboseFrom != nil:
		v.of(*a.verboseFrom)
	case a.level() > 0:
		v.From = "flag"
	}
	return append(list, v)
}

// valueOf is a flag's value; nil where it has none.
func valueOf(c *cli.Context, f cli.Flag) any {
	name := f.Names()[0]
	switch v := c.Value(name).(type) {
	case cli.StringSlice:
		return append([]string{}, v.Value()...)
	case string:
		if v == "" {
			return nil
		}
	case int:
		if v == 0 && !c.IsSet(name) {
			return nil
		}
	}
	return c.Value(name)
}

func usually(f cli.Flag) string {
	if d, ok := f.(cli.DocGenerationFlag); ok {
		return d.GetDefaultText()
	}
	return ""
}

func (s *setting) of(o origin) {
	s.From, s.Variable, s.Path, s.Line = "file", o.variable, o.path, o.line
	if o.variable != "" {
		s.From = "variable"
	}
}

func (s setting) shown() string {
	switch v := s.Value.(type) {
	case nil:
		return cmp.Or(s.usual, "-")
	case []string:
		return cmp.Or(strings.Join(v, ", "), "-")
	}
	return cmp.Or(fmt.Sprint(s.Value), "-")
}

func (s setting) where() string {
	switch s.From {
	case "variable":
		return "variable " + s.Variable
	case "file":
		return fmt.Sprintf("file %s:%d", s.Path, s.Line)
	}
	return s.From
}

// otherVariables are those that set flags of single commands. It says which mean
// nothing.
func (a *app) otherVariables(shown []setting) (list []setting) {
	if a.environ == nil {
		return nil
	}
	flags := map[string]bool{}
	eachCommand(a.commands().Commands, "hffs", func(name string, c *cli.Command) {
		for _, f := range c.Flags {
			flags[variableOf(name, f.Names()[0])] = true
		}
	})
	all := a.environ()
	slices.Sort(all)
	for _, kv := range all {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "HFFS_") || value == "" || slices.Contains(ownVariables, name) {
			continue
		}
		key := keyOf(name)
		switch known := slices.ContainsFunc(shown, func(s setting) bool { return s.Name == key && key != "home" }); {
		case known:
		case flags[name]:
			list = append(list, setting{Name: key, Value: value, From: "variable", Variable: name})
		default:
			a.say(name + " is set, and means nothing to hffs")
		}
	}
	return list
}

// ownVariables stand for no flag.
var ownVariables = []string{"HFFS_HOME", "HFFS_DEBUG", environ.Upstream, environ.Record}

// eachCommand visits commands and those below them, with their whole names.
func eachCommand(all []*cli.Command, above string, visit func(name string, c *cli.Command)) {
	for _, c := range all {
		name := above + " " + c.Name
		visit(name, c)
		eachCommand(c.Subcommands, name, visit)
	}
}
