package cli

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/environ"
	"hffs/cli/node"
)

func (a *app) envCommand() *cli.Command {
	return &cli.Command{
		Name:  "env",
		Usage: "print the environment for a shell in which downloads go through the node",
		Description: "Prints shell code; what was set before is kept in HFFS_BEFORE, for --unset:\n\n" +
			"  eval \"$(hffs env)\"                    bash, zsh, sh\n" +
			"  hffs env | source                     fish\n" +
			"  hffs env | Invoke-Expression          PowerShell\n\n" +
			"It is the environment of \"hffs run\", for the node of \"hffs up\": programs started in that\n" +
			"shell wait for the node for as long as it takes. Which shell it is, is found out where\n" +
			"--shell does not say. With json it is an object, where null means not set.\n\n" +
			"Example: eval \"$(hffs env)\"" +
			exits(helpUsage, helpNoNode, helpOther),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "shell", DefaultText: "the one that runs hffs", Usage: "`SHELL`: " + strings.Join(environ.Shells, ", ")},
			&cli.BoolFlag{Name: "unset", Usage: "print what takes it back"},
		},
		Action: a.env,
	}
}

func (a *app) env(c *cli.Context) error {
	if c.Args().Present() {
		return usage(fmt.Sprintf("hffs env takes no arguments, and got %q", c.Args().First()), "to start a command there is \"hffs run -- COMMAND\"")
	}
	shell, err := a.shell(c)
	if err != nil {
		return err
	}
	own := environ.List(a.environ())
	vars := environ.Undo(own)
	if !c.Bool("unset") {
		n, err := a.nodeForShell(c)
		if err != nil {
			return err
		}
		vars = environ.For(n, own)
	}
	code, err := environ.Shell(shell, vars)
	if err != nil {
		return err
	}
	fmt.Fprint(a.ui.Out, code)
	if a.ui.OutTTY {
		a.explainEnv(c, shell)
	}
	return nil
}

// nodeForShell is the running node: rather one that asks the Hub that the user
// means, with the user's token.
func (a *app) nodeForShell(c *cli.Context) (environ.Node, error) {
	cfg, err := a.config(c)
	if err != nil {
		return environ.Node{}, err
	}
	places := a.lasting(cfg)
	slices.SortStableFunc(places, func(x, y control.Place) int {
		return boolOrder(!a.agrees(cfg, x.Env), !a.agrees(cfg, y.Env))
	})
	for _, p := range places {
		if control.NewClient(p.Addr, p.Key).Alive(c.Context) {
			a.warnOffline()
			a.warnOther(cfg, p)
			return nodeAt(p), nil
		}
	}
	return environ.Node{}, &control.Error{Code: control.CodeNoNode, Message: "no node is running on this cache", Hint: "start one with \"hffs up\", or a single command with \"hffs run -- COMMAND\""}
}

// warnOther tells of a node that asks another Hub than the user's environment names.
func (a *app) warnOther(cfg node.Config, p control.Place) {
	if a.getenv("HF_ENDPOINT") != "" && !slices.Equal(cfg.Hub.Endpoints, p.Env.Endpoints) {
		a.say(fmt.Sprintf("the running node asks %s, HF_ENDPOINT is %s", strings.Join(p.Env.Endpoints, ", "), strings.Join(cfg.Hub.Endpoints, ", ")))
	}
}

func boolOrder(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}

// explainEnv is for who only looks at the code.
func (a *app) explainEnv(c *cli.Context, shell string) {
	call := "hffs env"
	if c.Bool("unset") {
		call += " --unset"
	}
	switch shell {
	case "json":
		return
	case "fish":
		call += " | source"
	case "powershell":
		call += " | Invoke-Expression"
	default:
		call = fmt.Sprintf("eval \"$(%s)\"", call)
	}
	a.say("to have this shell do so: " + call)
}

// shell is the shell to write for.
func (a *app) shell(c *cli.Context) (string, error) {
	if !c.IsSet("shell") {
		return guessShell(a.getenv, runtime.GOOS, parent), nil
	}
	shell, ok := environ.Known(c.String("shell"))
	if !ok {
		return "", usage(fmt.Sprintf("there is no code for the shell %q", c.String("shell")), "--shell takes "+strings.Join(environ.Shells, ", "))
	}
	return shell, nil
}

// guessShell finds the shell that runs hffs: the process that started us where that
// is one, else what the environment says. SHELL names the user's login shell and
// PSModulePath is handed down to whatever PowerShell starts, so each may be wrong; on
// Windows the second is set everywhere, the first only by Unix shells.
func guessShell(getenv func(string) string, system string, parent func() string) string {
	if system != "windows" {
		if shell, ok := environ.Known(parent()); ok {
			return shell
		}
	}
	if shell, ok := environ.Known(getenv("SHELL")); ok {
		return shell
	}
	if system == "windows" || getenv("PSModulePath") != "" {
		return "powershell"
	}
	return "sh"
}

// parent is the program of the process that started us, or nothing.
func parent() string {
	pid := strconv.Itoa(os.Getppid())
	if path, err := os.Readlink("/proc/" + pid + "/exe"); err == nil {
		return path
	}
	out, _ := exec.Command("ps", "-o", "comm=", "-p", pid).Output()
	return string(out)
}
