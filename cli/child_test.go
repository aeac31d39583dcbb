//go:build !windows

package cli

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A signal that is sent to hffs reaches the program, and hffs lives until that has
// had its say. There is no terminal, so an interrupt is not from a keyboard.
func TestSignalsReachTheProgram(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "USR1": syscall.SIGUSR1, "QUIT": syscall.SIGQUIT,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := `trap "echo heard; exit 3" ` + name + `; echo ready; while :; do read -r line; done`
			p := startRun(t, "sh", "-c", script)
			require.Equal(t, "ready\n", p.line(t))
			require.NoError(t, p.cmd.Process.Signal(sig))
			require.Equal(t, "heard\n", p.line(t))
			require.Equal(t, 3, p.wait(t))
		})
	}
}

// Who does not heed a signal ends by it, and so do we, in the words of a shell.
func TestAProgramEndedByASignal(t *testing.T) {
	t.Parallel()
	p := startRun(t, "sh", "-c", `echo ready; exec cat`)
	require.Equal(t, "ready\n", p.line(t))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 128+15, p.wait(t))
}

// A program that has asked not to hear of hang-ups, by nohup, does not.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	t.Parallel()
	p := startIn(t, exec.Command("sh", "-c", `trap "" HUP; exec hffs run --loopback --no-mdns -- sh -c 'echo ready; kill -HUP $PPID $$; read -r x; echo $x; exit 4'`))
	require.Equal(t, "ready\n", p.line(t))
	_, err := io.WriteString(p.in, "alive\n")
	require.NoError(t, err)
	require.Equal(t, "alive\n", p.line(t))
	require.Equal(t, 4, p.wait(t))
}

// running is an hffs with a program in it.
type running struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err *bytes.Buffer
}

func startRun(t *testing.T, command ...string) *running {
	return startIn(t, exec.Command("hffs", append([]string{"run", "--loopback", "--no-mdns", "--"}, command...)...))
}

// startIn starts a command that has no terminal.
func startIn(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	p := &running{cmd: cmd, err: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), "HF_HOME="+t.TempDir(), "HF_ENDPOINT=http://127.0.0.1:1", "GORACE="+quickEnd)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.cmd.Stderr = p.err
	in, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.in, p.out = in, bufio.NewReader(out)
	return p
}

func (p *running) line(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(t, err, p.err)
	return line
}

func (p *running) wait(t *testing.T) int {
	t.Helper()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return p.cmd.ProcessState.ExitCode()
}
