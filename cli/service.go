package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hffs/cache"
	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/service"
)

func (a *app) serviceCommand() *cli.Command {
	return group("service", "have the system run a node whenever you are logged in: install, uninstall, status",
		&cli.Command{
			Name:  "install",
			Usage: "have the system start a node now, at each login, and after a crash",
			Description: "Writes a user unit for systemd, an agent for launchd or a task for Windows, and starts it;\n" +
				"it needs no rights but yours. The flags are those of \"hffs up\" and are kept, and so are the\n" +
				"variables that say where the cache is and whom to ask; tokens are not. A node that runs\n" +
				"already makes way once the system has shown that it listens. Done again, it takes the\n" +
				"new flags.\n\n" +
				"Example: hffs service install --swarm lab3" +
				exits(helpUsage, helpStorage, helpStopped, "1 the system did not start it, or anything else"),
			Flags:  nodeLifeFlags(),
			Action: a.serviceInstall,
		},
		&cli.Command{
			Name:        "uninstall",
			Usage:       "undo that: end the node and remove the service",
			Description: "Example: hffs service uninstall" + exits(helpUsage, helpNoService, helpOther),
			Action:      a.serviceUninstall,
		},
		&cli.Command{
			Name:        "status",
			Usage:       "tell whether a service is installed, and whether its node is running",
			Description: "Example: hffs service status --json" + exits("0 also means that a node is running", helpUsage, helpNoService, helpNoNode, helpOther),
			Flags:       []cli.Flag{jsonFlag()},
			Action:      a.serviceStatus,
		})
}

const helpNoService = "3 no service is installed"

// manager is that of this system, for a service with the flags of a command.
func (a *app) manager(c *cli.Context, cfg node.Config) (manager, []string, error) {
	self, err := os.Executable()
	if err != nil {
		return manager{}, nil, err
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return manager{}, nil, err
	}
	log := c.String("log-file")
	if log == "" && runtime.GOOS != "linux" {
		log = node.LogName(1)
		log = filepath.Join(cfg.Place.State, log)
	} else if log != "" {
		log = absolute(log)
	}
	vars, left := service.Keep(a.environFor(cfg), a.needless(cfg)...)
	if runtime.GOOS == "windows" {
		for _, v := range vars {
			left = append(left, v.Name)
		}
	}
	spec := service.Spec{Program: self, Args: a.upArgs(c, log), Env: vars}
	return managerFor(runtime.GOOS, a.getenv, home, cfg.Place.State, os.Getuid(), spec), left, nil
}

// needless are variables that say nothing to a service: where the cache is, when it
// is where it would be anyway.
func (a *app) needless(cfg node.Config) []string {
	list := []string{"HFFS_BEFORE"}
	usual, err := cache.Locate(func(name string) string {
		if name == "HOME" || name == "USERPROFILE" {
			return a.getenv(name)
		}
		return ""
	})
	if err == nil && usual == cfg.Place {
		list = append(list, "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH", "HFFS_HOME")
	}
	return list
}

func (a *app) serviceInstall(c *cli.Context) error {
	if err := noArgs(c, "service install"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	if err := checkPorts(c); err != nil {
		return err
	}
	m, left, err := a.manager(c, cfg)
	if err != nil {
		return err
	}
	if err := m.write(); err != nil {
		return err
	}
	a.say("wrote " + m.file)
	a.warnLeft(left)
	if _, err := exec.LookPath(m.query[0]); err != nil {
		a.say(fmt.Sprintf("there is no %s here; where there is, type: %s", m.query[0], typed(m.install())))
		return nil
	}
	return a.startService(c, cfg, m)
}

// startService has the system start the node. The one that runs goes on until the
// system has shown that it listens, and is started again where that does not help.
func (a *app) startService(c *cli.Context, cfg node.Config, m manager) error {
	alive, _ := a.lives(cfg)
	if err := carryOut(c.Context, m.prepare); err != nil {
		if len(alive) > 0 {
			a.say(fmt.Sprintf("the node that is running (pid %d) goes on", alive[0].PID))
		}
		return notStarted(m, err)
	}
	for _, l := range alive {
		if err := a.end(c, l, leaveWithin); err != nil {
			return err
		}
	}
	l, err := a.takeOver(c.Context, cfg, m)
	if err != nil {
		if len(alive) > 0 && c.Context.Err() == nil {
			a.say("a node was running before, so one is started in the background, with these flags")
			_ = a.inBackground(c, cfg) // it says itself why it does not
		}
		return err
	}
	a.say(fmt.Sprintf("the service is running: pid %d, API %s; what it says: %s", l.PID, l.Addr, m.log))
	a.hintLinger()
	return nil
}

// takeOver starts the service and waits for its node.
func (a *app) takeOver(ctx context.Context, cfg node.Config, m manager) (*node.Life, error) {
	if err := carryOut(ctx, m.start); err != nil {
		return nil, notStarted(m, err)
	}
	if l := a.appears(ctx, cfg); l != nil {
		return l, nil
	}
	if ctx.Err() != nil {
		return nil, notStarted(m, ctx.Err())
	}
	return nil, &control.Error{Code: control.CodeInternal, Message: "the service is installed, but its node is not to be seen", Hint: "what it says: " + m.log}
}

func notStarted(m manager, err error) error {
	if errors.Is(err, context.Canceled) {
		return &control.Error{
			Code: control.CodeStopped, Message: fmt.Sprintf("stopped; %s is written", m.file),
			Hint: "\"hffs service status\" tells whether its node runs; the same command goes on",
		}
	}
	return &control.Error{
		Code: control.CodeInternal, Message: fmt.Sprintf("%s is written, but the system does not start it: %v", m.file, err),
		Hint: m.without + "; \"hffs up -d\" runs a node until then. In a session of your own, type: " + typed(m.install()),
	}
}

// leaveWithin is how long a node gets to leave that makes way for something else, and
// seenWithin how long a service may take until its node is there.
const (
	leaveWithin = 20 * time.Second
	seenWithin  = 15 * time.Second
)

// appears waits for a node on our cache.
func (a *app) appears(ctx context.Context, cfg node.Config) *node.Life {
	ctx, cancel := context.WithTimeout(ctx, seenWithin)
	defer cancel()
	for {
		if alive, _ := a.lives(cfg); len(alive) > 0 {
			return &alive[0]
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(startPoll):
		}
	}
}

// warnLeft tells of variables that the service will not see.
func (a *app) warnLeft(names []string) {
	for _, name := range names {
		hint := "a file in ~/.config/environment.d can set it for services"
		switch {
		case strings.HasSuffix(name, "TOKEN"):
			hint = "\"hf auth login\" keeps a token where the service finds it"
		case runtime.GOOS == "darwin":
			hint = "\"launchctl setenv " + name + " …\" sets it for services"
		case runtime.GOOS == "windows":
			hint = "\"setx " + name + " …\" sets it for your account"
		}
		a.say(fmt.Sprintf("%s is not written into the service: %s", name, hint))
	}
}

// hintLinger tells how a service outlives its user's session.
func (a *app) hintLinger() {
	me, err := user.Current()
	if runtime.GOOS != "linux" || err != nil {
		return
	}
	if _, err := os.Stat(filepath.Join("/var/lib/systemd/linger", me.Username)); errors.Is(err, fs.ErrNotExist) {
		a.say("it runs while you are logged in; to have it run always: loginctl enable-linger")
	}
}

func (a *app) serviceUninstall(c *cli.Context) error {
	if err := noArgs(c, "service uninstall"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	m, _, err := a.manager(c, cfg)
	if err != nil {
		return err
	}
	if !m.installed() {
		return noService()
	}
	return a.removeService(c, m)
}

func noService() error {
	return &control.Error{Code: control.CodeNotFound, Message: "no service is installed", Hint: "\"hffs service install\" installs one"}
}

// removeService goes on where the system does not: what is left then is only a name.
func (a *app) removeService(c *cli.Context, m manager) error {
	if _, err := exec.LookPath(m.query[0]); err == nil {
		if err := carryOut(c.Context, m.remove); err != nil {
			a.say("the system does not let go of the service: " + err.Error())
		}
		defer func() { _ = carryOut(c.Context, m.removed) }()
	}
	if err := os.Remove(m.file); err != nil {
		return err
	}
	a.say("the service is gone: " + m.file)
	return nil
}

// serviceState is what "hffs service status --json" prints.
type serviceState struct {
	Installed bool   `json:"installed" doc:"whether a service is installed"`
	File      string `json:"file" doc:"the file that describes it to the system, or would"`
	State     string `json:"state,omitempty" doc:"what the system says of it, in its own words; absent where none is installed"`
	Running   bool   `json:"running" doc:"whether a node runs on this cache, as a service or not"`
	PID       int    `json:"pid,omitempty" doc:"its process; absent where none runs"`
	Log       string `json:"log" doc:"where to read what it says: a path or a command"`
}

func (a *app) serviceStatus(c *cli.Context) error {
	if err := noArgs(c, "service status"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	m, _, err := a.manager(c, cfg)
	if err != nil {
		return err
	}
	s := serviceState{Installed: m.installed(), File: m.file, Log: m.log}
	alive, dead := a.lives(cfg)
	if len(alive) > 0 {
		s.Running, s.PID = true, alive[0].PID
	}
	if s.Installed {
		s.State = ask(c.Context, m.query)
	}
	if c.Bool("json") {
		err = printJSON(a.ui, s)
	} else if s.Installed {
		fmt.Fprintf(a.ui.Out, "file     %s\nstate    %s\nlog      %s\n", s.File, s.State, s.Log)
	}
	switch {
	case err != nil:
		return err
	case !s.Installed:
		return noService()
	case !s.Running:
		return notRunning(dead)
	case !c.Bool("json"):
		fmt.Fprintf(a.ui.Out, "pid      %d\n", s.PID)
	}
	return nil
}
