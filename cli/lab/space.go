package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// keeper is the first process of a namespace. It takes a host name of its own,
// says when it is there, waits for the pipe to close, and ends whatever else
// lives in its namespace: twice, for a process may have started another in
// between.
const keeper = `echo "$0" >/proc/sys/kernel/hostname; echo here; cat >/dev/null
for round in 1 2; do
  for p in $(find -L /proc/[0-9]*/ns/net -samefile /proc/self/ns/net 2>/dev/null); do
    p=${p#/proc/}; p=${p%%/*}
    [ "$p" = $$ ] || kill -9 "$p" 2>/dev/null
  done
done`

// space is a network namespace with a host name, kept by a process of ours.
type space struct {
	cmd  *exec.Cmd
	pipe io.Closer
}

func (l *Lab) newSpace(hostname string) *space {
	l.t.Helper()
	cmd := exec.Command("unshare", "--net", "--uts", "sh", "-c", keeper, hostname)
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatalf("keep a namespace: %v", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatalf("keep a namespace: %v", err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatalf("keep a namespace: %v", err)
	}
	s := &space{cmd, in}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		s.close()
		l.t.Fatalf("keep a namespace: it said %q: %v", line, err)
	}
	return s
}

func (s *space) pid() int { return s.cmd.Process.Pid }

func (s *space) close() {
	if s == nil {
		return
	}
	_ = s.pipe.Close()
	_ = s.cmd.Wait() // its last kill makes its exit code whatever it is
}

// command runs something in the namespace. nsenter becomes the command itself,
// so that its process id is the command's.
func (s *space) command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", fmt.Sprint(s.pid()), "-n", "-u", "--", name}, args...)...)
}

// ip runs a batch of ip's subcommands in the namespace.
func (l *Lab) ip(s *space, lines ...string) {
	l.t.Helper()
	cmd := s.command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v: %s", strings.Join(lines, "; "), err, out)
	}
}

func (l *Lab) sysctl(s *space, settings ...string) {
	l.t.Helper()
	if out, err := s.command("sysctl", append([]string{"-qw"}, settings...)...).CombinedOutput(); err != nil {
		l.t.Fatalf("sysctl %s: %v: %s", strings.Join(settings, " "), err, bytes.TrimSpace(out))
	}
}
