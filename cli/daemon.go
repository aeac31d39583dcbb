package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

// daemonCommand is the life of a node in the background. "hffs up --detach" and
// "hffs down" are its short forms.
func (a *app) daemonCommand() *cli.Command {
	return group("daemon", "run a node in the background: start, stop, status",
		&cli.Command{
			Name:  "start",
			Usage: "run a node in the background, the same as \"hffs up --detach\"",
			Description: "Returns when the node is ready, or says why it did not get so. What the node says is in\n" +
				"its log, whose place is told. A node that runs already is left alone, and that is no error.\n\n" +
				"Example: hffs daemon start --port 7766" +
				exits("0 also when a node runs already", helpUsage, helpStorage, helpPort, helpStopped, helpOther),
			Flags:  nodeLifeFlags(),
			Action: a.daemonStart,
		},
		a.stopCommand("stop", "daemon stop", "have the running node leave the swarm and end, the same as \"hffs down\""),
		&cli.Command{
			Name:  "status",
			Usage: "tell whether a node is running, and where its log is",
			Description: "\"hffs status\" tells more about one that runs.\n\n" +
				"Example: hffs daemon status --json" +
				exits("0 also means that it runs", helpUsage, helpNoNode, "1 it runs and does not answer, or anything else"),
			Flags:  []cli.Flag{jsonFlag()},
			Action: a.daemonStatus,
		})
}

func (a *app) downCommand() *cli.Command {
	return a.stopCommand("down", "down", "have the running node leave the swarm and end")
}

func (a *app) stopCommand(name, called, what string) *cli.Command {
	return &cli.Command{
		Name:  name,
		Usage: what,
		Description: "Returns when the node has ended, however it was started. One that does not leave in time is\n" +
			"killed; what it was fetching is kept.\n\n" +
			"Example: hffs " + called + exits(helpUsage, helpNoNode, helpStopped, helpOther),
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", Value: 20 * time.Second, Usage: "kill it when it has not left after `TIME`"},
		},
		Action: func(c *cli.Context) error { return a.stop(c, called) },
	}
}

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print it as JSON"} }

// lives are the nodes on our cache that stay, and those that were killed.
func (a *app) lives(cfg node.Config) (alive []node.Life, dead []control.Place) {
	for _, p := range node.Tidy(cfg.Place.State) {
		if p.Cache == cfg.Place.Hub && !p.Brief {
			dead = append(dead, p)
		}
	}
	for _, l := range node.Lives(cfg.Place.State) {
		if l.Cache == cfg.Place.Hub && !l.Brief {
			alive = append(alive, l)
		}
	}
	return alive, dead
}

func (a *app) stop(c *cli.Context, called string) error {
	if err := noArgs(c, called); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	alive, dead := a.lives(cfg)
	if len(alive) == 0 {
		return notRunning(dead)
	}
	for _, l := range alive {
		if err := a.end(c, l, c.Duration("timeout")); err != nil {
			return err
		}
	}
	node.Tidy(cfg.Place.State) // what one has left that was killed
	return nil
}

// end ends one node and says how it went.
func (a *app) end(c *cli.Context, l node.Life, patience time.Duration) error {
	killed, err := l.End(c.Context, patience)
	switch {
	case stopped(c.Context, err):
		return &control.Error{Code: control.CodeStopped, Message: fmt.Sprintf("stopped waiting for the node to end (pid %d)", l.PID), Hint: "it was told to; \"hffs daemon status\" tells whether it has"}
	case errors.Is(err, os.ErrPermission):
		return &control.Error{Code: control.CodeInternal, Message: fmt.Sprintf("the node (pid %d) is not ours to end: %v", l.PID, err), Hint: "it was started by another user: sudo, perhaps?"}
	case err != nil:
		return &control.Error{Code: control.CodeInternal, Message: fmt.Sprintf("the node (pid %d) does not end: %v", l.PID, err), Hint: "is its disk out of reach?"}
	case killed:
		a.say(fmt.Sprintf("the node (pid %d) did not leave, and was killed", l.PID))
	default:
		a.say(fmt.Sprintf("the node (pid %d) has left the swarm", l.PID))
	}
	return nil
}

// notRunning says that there is no node, and what is known of the last one.
func notRunning(dead []control.Place) error {
	e := &control.Error{Code: control.CodeNoNode, Message: "no node is running on this cache", Hint: "start one with \"hffs daemon start\""}
	if len(dead) > 0 {
		last := dead[len(dead)-1]
		e.Message += fmt.Sprintf("; the last one (pid %d) ended without a word", last.PID)
		if last.Log != "" {
			e.Hint += "; the log of the last one is " + last.Log
		}
	}
	return e
}

// life is a node's state, as "hffs daemon status --json" prints it.
type life struct {
	Running bool       `json:"running" doc:"whether a node runs on this cache"`
	Answers bool       `json:"answers" doc:"whether it answers"`
	PID     int        `json:"pid,omitempty" doc:"its process; absent where no node runs"`
	Node    string     `json:"node,omitempty" doc:"its name; absent where it does not answer"`
	Version string     `json:"version,omitempty" doc:"of its hffs; absent where no node runs"`
	Began   *time.Time `json:"began,omitempty" doc:"when it was started; absent where no node runs"`
	Seconds float64    `json:"uptime_seconds,omitempty" doc:"since it was started, in seconds; absent where no node runs"`
	API     string     `json:"api,omitempty" doc:"HOST:PORT on loopback, what HF_ENDPOINT can point at; absent where no node runs"`
	Gossip  string     `json:"gossip,omitempty" doc:"HOST:PORT; absent where it does not answer"`
	Log     string     `json:"log,omitempty" doc:"the path of its log; absent where that is its terminal, or no node runs"`
	Cache   string     `json:"cache" doc:"the folder of the Hugging Face cache"`
	State   string     `json:"state" doc:"the folder in which hffs keeps its own state"`
}

func (a *app) daemonStatus(c *cli.Context) error {
	if err := noArgs(c, "daemon status"); err != nil {
		return err
	}
	cfg, err := a.config(c)
	if err != nil {
		return err
	}
	alive, dead := a.lives(cfg)
	s := life{Cache: cfg.Place.Hub, State: cfg.Place.State}
	if len(alive) > 0 {
		s = a.lifeOf(c, s, alive[0])
	}
	if c.Bool("json") {
		err = printJSON(a.ui, s)
	} else if s.Running {
		a.printLife(s)
	}
	switch {
	case err != nil:
		return err
	case !s.Running:
		return notRunning(dead)
	case !s.Answers:
		return silentNode(s.PID)
	}
	return nil
}

func (a *app) lifeOf(c *cli.Context, s life, l node.Life) life {
	s.Running, s.PID, s.Version, s.Began = true, l.PID, l.Version, &l.Began
	s.Seconds, s.API, s.Log = time.Since(l.Began).Seconds(), l.Addr, l.Log
	if st, err := l.Status(c.Context); err == nil {
		s.Answers, s.Node, s.Gossip = true, st.Node, st.Listen.Gossip
	}
	return s
}

func (a *app) printLife(s life) {
	log := s.Log
	if log == "" {
		log = "its terminal, or the service's"
	}
	rows := [][]string{
		{"node", s.Node}, {"pid", fmt.Sprint(s.PID)}, {"version", s.Version}, {"up", ui.Duration(time.Duration(s.Seconds * float64(time.Second)))},
		{"gossip", s.Gossip}, {"API", s.API}, {"log", log}, {"cache", s.Cache},
	}
	for _, r := range rows {
		if r[1] != "" {
			fmt.Fprintf(a.ui.Out, "%-8s %s\n", r[0], strings.TrimSpace(ui.Clean(r[1])))
		}
	}
}
