package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/node"
)

// A flag that is not on the command line may have been set for good: by a variable,
// HFFS_LIMIT_DOWN for --limit-down, or, for some of them, in the settings file
// (settingsfile.go). The command line comes before the variable, that before the file.
//
// The library has variables of its own, which are not used: its errors do not name them
// as we do, and it does not tell them from the command line, as [app.given] must.

// origin is where a flag's value came from when not from the command line.
type origin struct {
	variable string // its name, or
	path     string // the file
	line     int
}

func (o origin) String() string {
	if o.variable != "" {
		return o.variable
	}
	return fmt.Sprintf("%s:%d", o.path, o.line)
}

// variableOf is the variable that stands for a flag of a command, such as "hffs up".
func variableOf(command, flag string) string {
	if flag == "port" && strings.HasPrefix(command, "hffs peer ") {
		flag = "peer-port" // somebody else's port, not the one that HFFS_PORT gives this node
	}
	return "HFFS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// keyOf is the name of a variable's flag in the settings file.
func keyOf(variable string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "HFFS_"), "_", "-"))
}

// heedless are commands that do not read the settings file, so that a wrong one can be
// found, written anew, or removed.
var heedless = []string{"hffs config path", "hffs config init", "hffs uninstall", "hffs completion", "hffs man"}

// lenient are commands that do without settings when those are wrong: what runs can
// still be seen, ended and examined.
var lenient = []string{
	"hffs status", "hffs down", "hffs daemon status", "hffs daemon stop",
	"hffs service status", "hffs service uninstall", "hffs doctor",
}

// settle gives a command's flags the values that were set for good.
func (a *app) settle(c *cli.Context) error {
	if len(c.Command.Subcommands) > 0 && c.Args().Present() {
		return nil // the command below does it
	}
	file, err := a.settingsFor(c)
	if err == nil {
		err = a.settleAll(c, file)
	}
	if err != nil && slices.Contains(lenient, commandName(c)) {
		a.unsettled = err
		if commandName(c) != "hffs doctor" { // it says so among the rest
			a.say(err.Error() + "; this command does without")
		}
		return a.settleAll(c, settingsFile{}) // variables were meant for this very command
	}
	return err
}

// settingsFor reads the settings file, where the command goes by it.
func (a *app) settingsFor(c *cli.Context) (file settingsFile, err error) {
	path, err := a.settingsPath()
	if err != nil || slices.Contains(heedless, commandName(c)) {
		return file, nil // who needs the folder will say what is wrong with it
	}
	return readSettings(path)
}

func (a *app) settleAll(c *cli.Context, file settingsFile) error {
	for _, f := range c.Command.Flags {
		if f == cli.HelpFlag || c.IsSet(f.Names()[0]) {
			continue
		}
		if err := a.settleFlag(c, f, file); err != nil {
			return err
		}
	}
	return a.settleLevel(file)
}

// settingsPath is where the settings file is, or would be.
func (a *app) settingsPath() (string, error) {
	place, err := cache.Locate(a.getenv)
	return settingsIn(place.State), err
}

func (a *app) settleFlag(c *cli.Context, f cli.Flag, file settingsFile) error {
	name := f.Names()[0]
	values, from, err := a.settled(f, variableOf(commandName(c), name), file)
	if err != nil || from == nil {
		return err
	}
	for _, v := range values {
		if err := c.Set(name, v); err != nil {
			return badSetting(*from, name, v, err)
		}
	}
	if a.origins == nil {
		a.origins = map[string]origin{}
	}
	a.origins[name] = *from
	return nil
}

// settled are the values that a flag was given for good, and where; from is nil where
// it was not.
func (a *app) settled(f cli.Flag, variable string, file settingsFile) (values []string, from *origin, err error) {
	name := f.Names()[0]
	if v := a.getenv(variable); v != "" {
		from, values = &origin{variable: variable}, []string{v}
		if listed(f) {
			values = strings.Split(v, ",")
		}
	} else if s, ok := file.all[keyOf(variable)]; ok {
		from, values = &origin{path: file.path, line: s.line}, s.values
	}
	for i, v := range values {
		if values[i], err = checked(f, strings.TrimSpace(v)); err != nil {
			return nil, nil, badSetting(*from, name, v, err)
		}
	}
	return values, from, nil
}

// badSetting says which setting is wrong, and where.
func badSetting(from origin, name, value string, err error) error {
	where, hint := from.String(), "unset it, or set it to what \"hffs config\" would show"
	if from.variable == "" {
		where += ": " + name
	}
	if hinted, ok := errors.AsType[wrongValue](err); ok {
		hint = hinted.hint
	}
	return usage(fmt.Sprintf("%s: %q %v", where, value, err), hint)
}

// wrongValue is why a value will not do, and what would.
type wrongValue struct{ why, hint string }

func (w wrongValue) Error() string { return w.why }

// listed tells flags that may be given more than once.
func listed(f cli.Flag) bool {
	switch f.(type) {
	case *cli.StringSliceFlag, *cli.GenericFlag:
		return true
	}
	return false
}

// checked is a value for a flag as the flag takes it.
func checked(f cli.Flag, v string) (string, error) {
	switch f.(type) {
	case *cli.BoolFlag:
		return yes(v)
	case *cli.IntFlag:
		if _, err := strconv.Atoi(v); err != nil {
			return "", wrongValue{"is not a number", "such as 7766"}
		}
	case *cli.DurationFlag:
		if _, err := time.ParseDuration(v); err != nil {
			return "", wrongValue{"is not a time", "such as 20s or 2m"}
		}
	}
	if check := checks[f.Names()[0]]; check != nil {
		return v, check(v)
	}
	return v, nil
}

// yes reads a boolean as huggingface_hub does, and its opposites.
func yes(v string) (string, error) {
	switch strings.ToLower(v) {
	case "1", "true", "yes", "on":
		return "true", nil
	case "0", "false", "no", "off":
		return "false", nil
	}
	return "", wrongValue{"is neither true nor false", "1, true, yes or on; 0, false, no or off"}
}

// checks are what values of some flags must be, for an error that can name where they
// came from.
var checks = map[string]func(string) error{
	"port": checkPort, "api-port": checkPort,
	"peer":       checkPeer,
	"limit-down": checkRate, "limit-up": checkRate, "limit-hub": checkRate,
	"bind": func(v string) error {
		if _, err := netip.ParseAddr(v); err != nil {
			return wrongValue{"is not an IP address", "an address of this machine, such as 192.168.1.7"}
		}
		return nil
	},
	"repo-type": func(v string) error {
		if _, err := ref.ParseType(v); err != nil {
			return wrongValue{"is not a type of repo", "model, dataset or space"}
		}
		return nil
	},
}

func checkPort(v string) error {
	if p, err := strconv.Atoi(v); err != nil || p < 1 || p > 65534 {
		return wrongValue{"is not a port", "ports are numbers from 1 to 65534"}
	}
	return nil
}

func checkPeer(v string) error {
	if err := node.CheckPeer(v); err != nil {
		e := explain(err)
		return wrongValue{"will not do: " + e.Message, e.Hint}
	}
	return nil
}

func checkRate(v string) error {
	if _, err := parseRate(v); err != nil {
		return wrongValue{err.Error(), rateHint}
	}
	return nil
}

// given tells whether a flag is on the command line: what was set for good is no word
// about this one run.
func (a *app) given(c *cli.Context, name string) bool {
	_, settled := a.origins[name]
	return c.IsSet(name) && !settled
}

// settleLevel finds out how much is to be logged, where the command line does not say.
func (a *app) settleLevel(file settingsFile) error {
	if a.level() > 0 {
		return nil
	}
	values, from, err := a.settled(verboseSetting(), variableOf("", "verbose"), file)
	if err != nil || from == nil {
		return err
	}
	n, err := strconv.Atoi(values[0])
	if err != nil || n < 0 || n > 2 {
		return badSetting(*from, "verbose", values[0], wrongValue{"is not 0, 1 or 2", "1 is -v, 2 is -vv"})
	}
	a.verbose, a.verboseFrom = n, from
	return nil
}

// verboseSetting is -v as it is set for good.
func verboseSetting() cli.Flag {
	return &cli.IntFlag{Name: "verbose", Usage: "log what is done to stderr: 1 as with -v, 2 as with -vv"}
}

// level is how much is logged: 1 with -v, 2 with -vv.
func (a *app) level() int {
	if truth(a.getenv("HFFS_DEBUG")) {
		return 2
	}
	return max(a.verbose, 0) // the library counts from below where there are short names
}
