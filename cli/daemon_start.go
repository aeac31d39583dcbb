package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/environ"
	"hffs/cli/node"
	"hffs/cli/ui"
)

const (
	// startWithin is how long a node may take to be ready. One that has a large cache
	// on a slow disk takes its time.
	startWithin = 2 * time.Minute
	startPoll   = 20 * time.Millisecond
)

func (a *app) daemonStart(c *cli.Context) error {
	if err := noArgs(c, "daemon start"); err != nil {
		return err
	}
	return a.start(c)
}

// start runs "hffs up" in the background and waits until that is ready.
func (a *app) start(c *cli.Context) error {
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	if err := checkPorts(c); err != nil {
		return err
	}
	release, err := node.HoldStart(c.Context, cfg.Place.State)
	if err != nil {
		return err
	}
	defer release()
	if alive, _ := a.lives(cfg); len(alive) > 0 {
		a.alreadyUp(c, alive[0])
		return nil
	}
	return a.inBackground(c, cfg)
}

// inBackground starts a node and returns when it is ready, or another one is.
func (a *app) inBackground(c *cli.Context, cfg node.Config) error {
	b, err := a.launch(c, cfg)
	if err != nil {
		return err
	}
	return b.await(c)
}

// onlyNode makes this process the node on our cache. A nil release without an error
// means that one runs already, which has been told then. Of two that start at the same
// moment the second waits for what becomes of the first.
func (a *app) onlyNode(c *cli.Context, cfg node.Config) (release func(), err error) {
	long := time.After(time.Second)
	for {
		if alive, _ := a.lives(cfg); len(alive) > 0 {
			a.alreadyUp(c, alive[0])
			return nil, nil
		}
		release, err := node.HoldCache(cfg.Place.State, cfg.Place.Hub)
		if release != nil || err != nil {
			return release, err
		}
		select {
		case <-c.Context.Done():
			return nil, nil
		case <-long:
			a.say("another node is starting or ending on this cache; waiting for it")
		case <-time.After(startPoll):
		}
	}
}

// alreadyUp says which node is there, and what was asked for that it does not have.
func (a *app) alreadyUp(c *cli.Context, l node.Life) {
	line := fmt.Sprintf("a node is running already: pid %d, for %s", l.PID, ui.Duration(time.Since(l.Began)))
	st, err := l.Status(c.Context)
	if _, port, cut := net.SplitHostPort(st.Listen.Gossip); err == nil && cut == nil {
		line += ", on port " + port
	}
	a.say(line)
	if left := a.unmet(c, st); len(left) > 0 {
		a.say(strings.Join(left, " ") + " is left to it; \"hffs down\" ends it first")
	}
	a.say("\"hffs status\" tells more about it, \"hffs down\" ends it")
}

// unmet are the flags of the command line that a running node may have otherwise.
func (a *app) unmet(c *cli.Context, st control.Status) (left []string) {
	met := map[string]string{"swarm": st.Swarm, "name": st.Node}
	for name, addr := range map[string]string{"port": st.Listen.Gossip, "api-port": st.Listen.API} {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			met[name] = port
		}
	}
	for name, value := range met {
		if value != fmt.Sprint(c.Value(name)) {
			delete(met, name)
		}
	}
	return a.chosenFlags(c, nodeLifeFlags(), slices.Collect(maps.Keys(met))...)
}

// background is a node that was started a moment ago.
type background struct {
	*app
	cfg   node.Config
	cmd   *exec.Cmd
	log   string
	from  int64 // where its part of the log begins
	ended chan struct{}
}

// launch starts the process, which has the log for its output from the first moment.
func (a *app) launch(c *cli.Context, cfg node.Config) (*background, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &background{app: a, cfg: cfg, log: logPath(c, cfg), ended: make(chan struct{})}
	out, err := openAppend(b.log)
	if err != nil {
		return nil, noLog(b.log, err)
	}
	defer out.Close()
	if fi, err := out.Stat(); err == nil {
		b.from = fi.Size()
	}
	b.cmd = exec.Command(self, a.upArgs(c, b.log)...)
	b.cmd.Stdout, b.cmd.Stderr = out, out
	b.cmd.Dir = cfg.Place.State
	b.cmd.Env = a.environFor(cfg)
	detached(b.cmd)
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(b.ended)
		_ = b.cmd.Wait() // its code is read from ProcessState
	}()
	return b, nil
}

// logPath is the log that was asked for, else the first of our own that no running
// node writes to.
func logPath(c *cli.Context, cfg node.Config) string {
	if path := c.String("log-file"); path != "" {
		return absolute(path)
	}
	taken := map[string]bool{}
	for _, p := range node.Places(cfg.Place.State) {
		taken[p.Log] = true
	}
	for i := 1; ; i++ {
		if path := filepath.Join(cfg.Place.State, node.LogName(i)); !taken[path] {
			return path
		}
	}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// environFor is the user's own environment, which does not lead to a node that is no
// more, with absolute places: the node works in another folder.
func (a *app) environFor(cfg node.Config) []string {
	all := a.environ()
	all = environ.Apply(all, environ.Undo(environ.List(all)))
	return environ.Apply(all, []environ.Var{
		{Name: "HF_HOME", Value: cfg.Place.Home}, {Name: "HF_HUB_CACHE", Value: cfg.Place.Hub},
		{Name: "HF_TOKEN_PATH", Value: cfg.Place.TokenPath}, {Name: "HFFS_HOME", Value: cfg.Place.State},
		{Name: "HFFS_DETACH", Gone: true}, // done by now
	})
}

// upArgs is the command line of "hffs up" with the flags of this one.
func (a *app) upArgs(c *cli.Context, log string) []string {
	var args []string
	if a.verboseFrom == nil {
		args = slices.Repeat([]string{"-v"}, max(0, a.verbose))
	}
	args = append(append(args, "up"), a.chosenFlags(c, nodeLifeFlags(), "log-file")...)
	if log != "" {
		args = append(args, "--log-file="+log)
	}
	return args
}

// chosenFlags are those flags that are on the command line, as they are written: what was
// set for good is so for the node as well.
func (a *app) chosenFlags(c *cli.Context, flags []cli.Flag, but ...string) (args []string) {
	for _, f := range flags {
		name := f.Names()[0]
		if !a.given(c, name) || slices.Contains(but, name) {
			continue
		}
		for _, v := range flagValues(c, name) {
			args = append(args, "--"+name+"="+v)
		}
	}
	return args
}

func flagValues(c *cli.Context, name string) []string {
	if list, ok := c.Value(name).(cli.StringSlice); ok {
		return list.Value()
	}
	return []string{fmt.Sprint(c.Value(name))}
}

// await waits until the node is ready, or has ended, or the user waits no more.
func (b *background) await(c *cli.Context) error {
	ctx := c.Context
	late := time.After(startWithin)
	for {
		if l := b.ready(ctx); l != nil {
			b.say(fmt.Sprintf("a node is running in the background: pid %d, API %s, log %s", l.PID, l.Addr, b.log))
			return b.cmd.Process.Release()
		}
		select {
		case <-b.ended:
			if alive, _ := b.lives(b.cfg); len(alive) > 0 && b.cmd.ProcessState.Success() {
				b.alreadyUp(c, alive[0]) // it came first, in a terminal
				return nil
			}
			return b.whyEnded()
		case <-ctx.Done():
			if b.cmd.Process.Signal(syscall.SIGTERM) != nil { // as on Windows
				_ = b.cmd.Process.Kill()
			}
			return ctx.Err()
		case <-late:
			return &control.Error{Code: control.CodeInternal, Message: fmt.Sprintf("the node (pid %d) is still not ready", b.cmd.Process.Pid), Hint: "it goes on; its log is " + b.log}
		case <-time.After(startPoll):
		}
	}
}

func (b *background) ready(ctx context.Context) *node.Life {
	for _, l := range node.Lives(b.cfg.Place.State) {
		if l.PID == b.cmd.Process.Pid && control.NewClient(l.Addr, l.Key).Alive(ctx) {
			return &l
		}
	}
	return nil
}

// whyEnded has the node's own last words, and its exit code.
func (b *background) whyEnded() error {
	code := outcome(b.cmd.ProcessState)
	message := fmt.Sprintf("the node has ended at once, with exit code %d", code)
	if words := b.lastWords(); len(words) > 0 {
		message += ":\n" + strings.Join(words, "\n")
	} else if err := takesLines(b.log); err != nil {
		message += fmt.Sprintf(", and could not say why, since its log cannot be written: %v", rootCause(err))
	}
	ui.PrintError(b.ui, errors.New(message), "its log is "+b.log)
	return &childEnded{max(code, exitFailed)}
}

// stamp is the time at the beginning of a line of the log.
var stamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\S+ `)

// lastWords is the end of what the node wrote.
func (b *background) lastWords() (lines []string) {
	const maxLines, maxBytes = 12, 8 << 10
	f, err := os.Open(b.log)
	if err != nil {
		return nil
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil
	}
	from := min(b.from, fi.Size())
	from = max(from, fi.Size()-maxBytes)
	text, _ := io.ReadAll(io.NewSectionReader(f, from, maxBytes))
	for line := range strings.Lines(string(text)) {
		lines = append(lines, stamp.ReplaceAllString(strings.TrimRight(line, "\r\n"), ""))
	}
	return lines[max(0, len(lines)-maxLines):]
}
