package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cache/ref"
)

// reorder lets flags stand anywhere, as people write them: the library parses
// them only in front of a command's arguments. Flags of the whole program may
// stand behind the command as well. What follows "--" is left alone.
func reorder(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	global, rest := split(app.Flags, nil, args[1:], true)
	if len(rest) == 0 {
		return args
	}
	front := append([]string{args[0]}, global...)
	behind := command(app.Commands, app.Flags, rest, &front)
	return append(front, behind...)
}

// command reorders what stands behind a command's name, args[0]. Flags of the
// whole program are moved to the front of all.
func command(cmds []*cli.Command, globals []cli.Flag, args []string, front *[]string) []string {
	cmd := find(cmds, args[0])
	if cmd == nil || cmd.SkipFlagParsing {
		return args
	}
	if len(cmd.Subcommands) > 0 && len(args) > 1 && !strings.HasPrefix(args[1], "-") {
		return append([]string{args[0]}, command(cmd.Subcommands, globals, args[1:], front)...)
	}
	flags, rest := split(cmd.Flags, globals, args[1:], wraps(cmd))
	var own []string
	for i := 0; i < len(flags); i++ {
		f := flags[i]
		if boolean(globals, f) && !boolean(cmd.Flags, f) {
			*front = append(*front, f)
			continue
		}
		own = append(own, f)
		if takesValue(cmd.Flags, f) && i+1 < len(flags) { // which may be called like a flag
			i++
			own = append(own, flags[i])
		}
	}
	out := append([]string{args[0]}, own...)
	if len(rest) > 0 {
		out = append(out, "--")
	}
	return append(out, rest...)
}

// wraps tells a command whose arguments are a command line of their own: the flags in
// it are not ours.
func wraps(cmd *cli.Command) bool { return cmd.Name == "run" }

// split takes flags with their values out of args. With first, it stops at the
// first argument that is none. A flag that lacks its value comes last, with nothing
// behind it.
func split(own, globals []cli.Flag, args []string, first bool) (flags, rest []string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return flags, append(rest, args[i+1:]...)
		case len(a) < 2 || a[0] != '-':
			if first {
				return flags, args[i:]
			}
			rest = append(rest, a)
		default:
			if short, n := repeated(a); n > 1 && flagOf(own, a) == nil {
				flags = append(flags, slices.Repeat([]string{short}, n)...)
				continue
			}
			flags = append(flags, a)
			if !takesValue(own, a) {
				continue
			}
			if i++; i == len(args) || isLong(own, args[i]) || isLong(globals, args[i]) {
				return flags, nil // the library will say what is missing
			}
			flags = append(flags, args[i])
		}
	}
	return flags, rest
}

// isLong tells one of the flags, or the end of all, from a value: where it stands in a
// value's place there is none, such as behind a variable that a script never set.
func isLong(flags []cli.Flag, arg string) bool {
	return arg == "--" || strings.HasPrefix(arg, "--") && flagOf(flags, arg) != nil
}

// repeated takes a flag such as -vv apart.
func repeated(arg string) (short string, n int) {
	letters := arg[1:]
	if letters[0] == '-' || strings.Trim(letters, letters[:1]) != "" {
		return "", 0
	}
	return "-" + letters[:1], len(letters)
}

func takesValue(flags []cli.Flag, arg string) bool {
	f := flagOf(flags, arg)
	if f == nil || strings.Contains(arg, "=") {
		return false
	}
	_, isBool := f.(*cli.BoolFlag)
	return !isBool
}

func boolean(flags []cli.Flag, arg string) bool {
	_, ok := flagOf(flags, arg).(*cli.BoolFlag)
	return ok
}

func flagOf(flags []cli.Flag, arg string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				return f
			}
		}
	}
	return nil
}

// nearCommand is the name of the command that may be meant by a name that is none; empty
// when there is no such.
func nearCommand(cmds []*cli.Command, name string) (near string) {
	least := len(name)
	for _, c := range cmds {
		for _, n := range c.Names() {
			if far, ok := ref.Slip(name, n); ok && far < least && !c.Hidden {
				near, least = n, far
			}
		}
	}
	return near
}

// nearFlag is the name of the flag that may be meant by a name that is none; empty when
// there is no such.
func nearFlag(flags []cli.Flag, name string) (near string) {
	least := len(name)
	for _, f := range flags {
		if far, ok := ref.Slip(name, f.Names()[0]); ok && far < least {
			near, least = f.Names()[0], far
		}
	}
	return near
}

func find(cmds []*cli.Command, name string) *cli.Command {
	for _, c := range cmds {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}
