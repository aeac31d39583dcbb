package lab

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is something that runs on a host, with what it has said so far.
type Process struct {
	Out, Err *output

	name  string
	host  *Host
	cmd   *exec.Cmd
	heard *bell
	done  chan struct{} // closed when it has ended and all its output is here
}

// Start starts a command on the host and does not wait for it.
func (h *Host) Start(name string, args ...string) *Process {
	h.lab.t.Helper()
	ring := newBell()
	p := &Process{Out: &output{ring: ring}, Err: &output{ring: ring}, heard: ring, host: h, done: make(chan struct{})}
	p.name = h.Name + ": " + name[strings.LastIndexByte(name, '/')+1:] + " " + strings.Join(args, " ")
	p.cmd = h.space.command(name, args...)
	p.cmd.Env = h.environment()
	p.cmd.Dir = h.Dir
	p.cmd.Stdout, p.cmd.Stderr = p.Out, p.Err
	if err := p.cmd.Start(); err != nil {
		h.lab.t.Fatalf("start %s: %v", p.name, err)
	}
	h.lab.mu.Lock()
	h.lab.procs = append(h.lab.procs, p)
	h.lab.mu.Unlock()
	go func() {
		_ = p.cmd.Wait() // its code is read from ProcessState
		close(p.done)
		ring.strike()
	}()
	return p
}

// Pid is the process id, the same inside and outside.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended reports whether it has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits for the process to end by itself and returns its exit code, -1
// when a signal ended it.
func (p *Process) Wait(limit time.Duration) int {
	p.host.lab.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.host.lab.t.Fatalf("%s has not ended after %v\n%s", p.name, limit, p.report())
	}
	return p.cmd.ProcessState.ExitCode()
}

// WaitFor waits until the process has said a text, on either stream, in
// whatever case. That it ends without is a failure.
func (p *Process) WaitFor(text string, limit time.Duration) {
	p.host.lab.t.Helper()
	late := time.After(limit)
	for {
		next, ended := p.heard.next(), p.Ended()
		switch {
		case p.Said(text):
			return
		case ended:
			p.host.lab.t.Fatalf("%s ended without saying %q\n%s", p.name, text, p.report())
		}
		select {
		case <-next:
		case <-late:
			p.host.lab.t.Fatalf("%s has not said %q after %v\n%s", p.name, text, limit, p.report())
		}
	}
}

// Said reports whether the process has said a text, on either stream, in
// whatever case.
func (p *Process) Said(text string) bool {
	all := strings.ToLower(p.Out.String() + "\n" + p.Err.String())
	return strings.Contains(all, strings.ToLower(text))
}

// Stop asks the process to end (SIGTERM), waits, and returns its exit code.
func (p *Process) Stop() int {
	p.host.lab.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	return p.Wait(20 * time.Second)
}

// Interrupt is what Ctrl-C does.
func (p *Process) Interrupt() { _ = p.cmd.Process.Signal(syscall.SIGINT) }

// Kill ends the process with no chance to say goodbye (SIGKILL).
func (p *Process) Kill() {
	p.host.lab.t.Helper()
	_ = p.cmd.Process.Kill()
	p.Wait(20 * time.Second)
}

// Pause freezes the process: its connections stay open and fall silent.
func (p *Process) Pause() { p.host.lab.t.Helper(); p.signal("STOP") }

// Resume undoes [Process.Pause].
func (p *Process) Resume() { p.host.lab.t.Helper(); p.signal("CONT") }

// signal sends what Go's syscall package knows on some systems only.
func (p *Process) signal(name string) {
	if out, err := exec.Command("kill", "-"+name, fmt.Sprint(p.Pid())).CombinedOutput(); err != nil {
		p.host.lab.t.Fatalf("send %s to %s: %v: %s", name, p.name, err, out)
	}
}

// broken is what the Go runtime says of a process only when its code is wrong,
// or nothing.
func (p *Process) broken() string {
	said := "\n" + p.Err.String()
	for _, word := range []string{"WARNING: DATA RACE", "\npanic: ", "\nfatal error: "} {
		if _, rest, found := strings.Cut(said, word); found {
			return strings.TrimSpace(word) + " " + rest[:min(len(rest), 3000)]
		}
	}
	return ""
}

// report is the end of what the process said, for a failed test.
func (p *Process) report() string {
	return fmt.Sprintf("--- %s\nstdout: %s\nstderr: %s", p.name, tail(p.Out.String()), tail(p.Err.String()))
}

func tail(s string) string {
	const most = 6000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// output keeps what a process writes on one stream.
type output struct {
	mu   sync.Mutex // guards text
	text strings.Builder
	ring *bell
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ring.strike()
	return o.text.Write(b)
}

// String is all of it so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// bell wakes everybody who waits for the next strike.
type bell struct {
	mu sync.Mutex // guards ch
	ch chan struct{}
}

func newBell() *bell { return &bell{ch: make(chan struct{})} }

func (b *bell) strike() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}

// next is closed at the next strike after this call.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}
