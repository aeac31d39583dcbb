// Package doctor finds out why machines do not see each other, and says what to do.
//
// A check is a function with a name (network.go, ports.go, peers.go, hub.go, machine.go)
// that looks at one thing and says what it saw in lines; it changes nothing. What it
// looks at it is given in a [World], so that tests can make one up. [Run] has all checks
// look at once and tells their lines in order.
//
// What it promises: it ends in time, whatever hangs; a line that warns or fails says
// what to try; no secret is in any of them.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// State is how bad a line is.
type State string

// The states.
const (
	OK   State = "ok"
	Warn State = "warn" // works, perhaps not as it could
	Fail State = "fail"
)

// Line is one thing that a check has found.
type Line struct {
	Check string `json:"check" doc:"the name of the check"`
	State State  `json:"state" doc:"ok, warn (works, perhaps not as it could) or fail"`
	Text  string `json:"text" doc:"what was seen, in words for people"`
	Hint  string `json:"hint,omitempty" doc:"what to try"`
}

// Check looks at one thing.
type Check struct {
	Name string
	Look func(context.Context, World) []Line
}

// Checks are all of them, in the order in which they are told.
func Checks() []Check {
	return []Check{
		{"node", node}, {"settings", settings}, {"endpoint", endpoint}, {"proxy", proxy},
		{"interfaces", interfaces}, {"multicast", multicast}, {"names", names},
		{"ports", ports}, {"reach", reach}, {"firewall", firewall},
		{"peers", peers}, {"versions", versions},
		{"hub", hub}, {"token", token}, {"clock", clock},
		{"disk", disk},
	}
}

// Report is what all checks have found, as `hffs doctor --json` prints it.
type Report struct {
	OK    bool   `json:"ok" doc:"true where nothing fails; warnings do not count"`
	Lines []Line `json:"lines" doc:"what was found, in the order in which it is told"`
}

// Run has all checks look at the same time and tells their lines in order, each as soon
// as those before it are told. A check that is not done within the limit is left behind.
func Run(ctx context.Context, w World, checks []Check, limit time.Duration, tell func(Line)) Report {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	results := make([]chan []Line, len(checks))
	for i, c := range checks {
		results[i] = make(chan []Line, 1)
		go func() { results[i] <- c.Look(ctx, w) }()
	}
	r := Report{OK: true, Lines: []Line{}}
	for i, c := range checks {
		for _, l := range await(ctx, results[i], limit) {
			l.Check = c.Name
			r.OK = r.OK && l.State != Fail
			r.Lines = append(r.Lines, l)
			tell(l)
		}
	}
	return r
}

// lastWords is what checks get whose time has run out, to say what they have: those that
// keep an eye on their context have it ready.
const lastWords = 500 * time.Millisecond

func await(ctx context.Context, result <-chan []Line, limit time.Duration) []Line {
	select {
	case lines := <-result:
		return lines
	case <-ctx.Done():
	}
	select {
	case lines := <-result:
		return lines
	case <-time.After(lastWords):
	}
	return []Line{warn("was not done after "+limit.String(), "something hangs: a disk, a name server, a program that was asked")}
}

func ok(format string, args ...any) Line { return Line{State: OK, Text: fmt.Sprintf(format, args...)} }

func warn(text, hint string) Line { return Line{State: Warn, Text: text, Hint: hint} }

func fail(text, hint string) Line { return Line{State: Fail, Text: text, Hint: hint} }

// list puts names into a line, not too many of them.
func list(names []string) string {
	const most = 6
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
