package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
)

// screen is a terminal of 80 columns and 24 rows in which a host runs a command.
type screen struct {
	t *testing.T
	h *Host
}

// newScreen starts the command in tmux; it ends with the test.
func newScreen(t *testing.T, h *Host, command string) *screen {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("HFFS_REQUIRE_LAB") == "1" {
			require.FailNow(t, "tmux is required here")
		}
		t.Skip("tmux is not installed")
	}
	s := &screen{t, h}
	r := s.tmux("new-session", "-d", "-x", "80", "-y", "24", command)
	require.Zero(t, r.Code, "%s", r)
	t.Cleanup(func() { s.tmux("kill-server") })
	return s
}

func (s *screen) tmux(args ...string) Result {
	h := *s.h
	h.Env = map[string]string{"TMUX_TMPDIR": s.h.Dir, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
	return h.Run("tmux", append([]string{"-u", "-L", "hffs", "-f", "/dev/null"}, args...)...)
}

// lines are what has been and is on the screen, without empty ones.
func (s *screen) lines() (lines []string) {
	s.t.Helper()
	r := s.tmux("capture-pane", "-p", "-S", "-", "-J") // lines that wrapped are joined again
	for line := range strings.Lines(r.Stdout) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestProgressOnATerminal: one display for all files, some of which a neighbour has,
// which neither wraps nor leaves anything behind.
func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	l := New(t, Options{Hosts: 2})
	h, neighbour := l.Hosts[0], l.Hosts[1]
	var args []string
	for i := range 7 {
		name := fmt.Sprintf("a folder with a rather long name/权重-model-%05d-of-00007.safetensors", i+1)
		args = append(args, synthetic(shardsRepo, name, int64(6_000_000+i))...)
	}
	l.NewHub(append(args, synthetic(shardsRepo, "config.json", 300)...)...)
	neighbour.Up()
	r := neighbour.Hffs("get", shardsRepo, "*-0000[123]-*")
	require.Zero(t, r.Code, "%s", r)
	Eventually(t, 15*time.Second, "the neighbour tells what it has", func() bool {
		return h.Hffs("search", shardsRepo).Code == 0
	})
	s := newScreen(t, h, Binary(t)+" get "+shardsRepo+" --limit-down 8MB/s; echo over $?; sleep 600")
	seen := map[string]bool{}
	over := func(lines []string) bool {
		return len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], "over ")
	}
	Eventually(t, 60*time.Second, "it is done", func() bool {
		lines := s.lines()
		all := strings.Join(lines, "\n")
		for _, line := range lines {
			if !strings.HasPrefix(line, "/") { // the path is as long as it is
				require.LessOrEqual(t, uniseg.StringWidth(line), 79, "it wraps: %q", line)
			}
		}
		for _, what := range []string{"acme/shards ", "/8 files", "MB/s", "ETA ", "LAN ", "Hub ", "  权重-model-0000", "and "} {
			seen[what] = seen[what] || strings.Contains(all, what)
		}
		require.LessOrEqual(t, strings.Count(all, shardsRepo+" "), 1, "it is drawn twice: %s", all)
		return over(lines)
	})
	for what, was := range seen {
		require.True(t, was, "%q was never shown", what)
	}
	lines := s.lines()
	require.Len(t, lines, 3, "it leaves something behind: %q", lines)
	require.Regexp(t, `^hffs: 8 files, 42 MB, 57% from the Hub, 43% from lab-b-\w+$`, lines[0])
	require.Contains(t, lines[1], "/snapshots/")
	require.Equal(t, "over 0", lines[2])
}
