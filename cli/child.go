package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"

	"hffs/cli/control"
)

// childEnded is how a command ends that has run another one: with that one's exit
// code and no word of its own.
type childEnded struct{ code int }

func (e *childEnded) Error() string { return fmt.Sprintf("the command ended with %d", e.code) }

// child is a command that runs as if it had been typed without us: it has our
// streams and our terminal, and lives in our process group.
type child struct {
	name, path string
	args       []string
}

// findChild looks for a program as a shell does.
func findChild(args []string) (child, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return child{}, noChild(args[0], err)
	}
	return child{name: args[0], path: path, args: args[1:]}, nil
}

// noChild is why a command was not run, by the exit codes of shells.
func noChild(name string, err error) error {
	e := &control.Error{Code: codeNoRun, Message: fmt.Sprintf("%q cannot be run: %v", name, rootCause(err)), Hint: "is it a program, and may you run it?"}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrDot) {
		e = &control.Error{Code: codeNoProg, Message: fmt.Sprintf("there is no command %q", name), Hint: "hffs run starts what stands behind \"--\", without a shell: hffs run -- sh -c \"…\""}
	}
	return e
}

func rootCause(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// run runs the child with an environment, to its end.
func (a *app) runChild(c child, env []string) error {
	cmd := exec.Command(c.path, c.args...)
	cmd.Args[0] = c.name
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.ui.In, a.ui.Stdout(), a.ui.Err
	told := hear()
	defer signal.Stop(told)
	if err := cmd.Start(); err != nil {
		return noChild(c.name, err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go relay(told, cmd.Process, ended)
	err := cmd.Wait()
	if cmd.ProcessState == nil {
		return err
	}
	return &childEnded{outcome(cmd.ProcessState)}
}

// hear takes the signals that would end us before the child.
func hear() chan os.Signal {
	told := make(chan os.Signal, 16)
	for _, s := range slices.Concat(passedOn, fromKeyboard) {
		if !signal.Ignored(s) { // as nohup wants it, and the child inherits that
			signal.Notify(told, s)
		}
	}
	return told
}

// relay passes signals on to the child. What was typed it has got already, and once
// is enough: the second one would interrupt its cleaning up. Without a terminal
// nobody has typed.
func relay(told <-chan os.Signal, p *os.Process, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case s := <-told:
			if slices.Contains(passedOn, s) || !onTerminal() {
				_ = p.Signal(s) // it may have ended
			}
		}
	}
}

// onTerminal tells whether there is a terminal that controls us.
func onTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// outcome is the exit code of a process, as shells have it.
func outcome(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return s.ExitCode()
}
