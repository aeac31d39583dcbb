package lab

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refused proves that a command failed as the house wants it: with a line that
// says what happened, one that says what to try, and an exit code of its own
// that the command's help has.
func refused(t *testing.T, h *Host, r Result, code int, command string) {
	t.Helper()
	require.Equal(t, code, r.Code, "%s", r)
	require.Regexp(t, `(?m)^hffs: \S`, r.Stderr)
	require.Regexp(t, `(?m)^hint: \S`, r.Stderr)
	require.Empty(t, r.Stdout)
	help := h.Hffs(command, "--help").Stdout
	require.True(t, documented(help, code), "exit code %d is documented in %s", code, help)
}

// smallDisk puts a host's Hugging Face home on a disk of a few megabytes.
func smallDisk(t *testing.T, h *Host, options string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(h.Home(), 0o755))
	run(t, "mount", "-t", "tmpfs", "-o", options, "hffs-lab", h.Home())
	t.Cleanup(func() { run(t, "umount", "--lazy", h.Home()) })
}

func TestDiskIsFull(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	l.NewHub(append(synthetic(bigRepo, bigFile, 50_000_000), synthetic(bigRepo, "config.json", 700)...)...)
	a := l.Hosts[0]
	smallDisk(t, a, "size=24m")
	t.Run("said before anything is fetched", func(t *testing.T) {
		before := a.Received()
		r := a.Hffs("get", bigRepo, bigFile)
		refused(t, a, r, exitStorage, "get")
		require.Regexp(t, `(?i)space|full`, r.Stderr)
		require.Less(t, a.Received()-before, int64(5_000_000))
	})
	t.Run("what fits still comes", func(t *testing.T) {
		get(t, a, bigRepo, "config.json")
	})
	t.Run("filled by somebody else meanwhile", func(t *testing.T) {
		a.Rate("100mbit")
		run(t, "mount", "-o", "remount,size=80m", a.Home())
		p := a.Start(Binary(t), "get", bigRepo, bigFile)
		halfway(t, a, a.Received(), 10_000_000)
		run(t, "mount", "-o", "remount,size=30m", a.Home())
		p.Wait(Limit)
		refused(t, a, Result{Stdout: p.Out.String(), Stderr: p.Err.String(), Code: p.cmd.ProcessState.ExitCode()}, exitStorage, "get")
		nothingWrong(t, a.Cache())
		run(t, "mount", "-o", "remount,size=80m", a.Home())
		g := get(t, a, bigRepo, bigFile)
		require.Positive(t, g.from("local"), "what was fetched before is used")
	})
}

func TestCacheIsNotWritable(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	l.NewHub(synthetic("acme/tiny", "config.json", 700)...)
	a := l.Hosts[0]
	smallDisk(t, a, "size=24m,ro")
	refused(t, a, a.Hffs("get", "acme/tiny", "config.json"), exitStorage, "get")
	refused(t, a, a.Hffs("up"), exitStorage, "up")
}

func TestPortIsTaken(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	a := l.Hosts[0]
	for _, taken := range []struct{ port, flag, value string }{
		{"9000", "--port", "9000"},
		{"9101", "--port", "9100"}, // the door is the next port up
		{"9200", "--api-port", "9200"},
	} {
		t.Run(taken.flag+" "+taken.value, func(t *testing.T) {
			act(a, "occupy 0.0.0.0:"+taken.port).WaitFor("listening", 10*time.Second)
			r := a.Hffs("up", taken.flag, taken.value)
			refused(t, a, r, exitPort, "up")
			require.Contains(t, r.Stderr, taken.port)
		})
	}
	t.Run("the usual one gives way", func(t *testing.T) {
		act(a, "occupy 0.0.0.0:7766").WaitFor("listening", 10*time.Second)
		p := a.Up()
		require.True(t, p.Said("7766"), "that it is taken is said: %s", p.report())
	})
}

func TestGarbageToEveryPort(t *testing.T) {
	l := New(t, Options{Hosts: 3})
	l.NewHub(synthetic("acme/tiny", "model.safetensors", 3<<20)...)
	a, b, stranger := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	node := a.Up()
	b.Up()
	meet(t, 5*time.Second, 1, a, b)
	g := get(t, a, "acme/tiny", "model.safetensors")
	for _, port := range []string{"7766", "7767"} {
		p := act(stranger, "garbage "+a.Addr+":"+port)
		require.Zero(t, p.Wait(Limit), p.report())
	}
	p := act(a, "garbage 127.0.0.1:7768")
	require.Zero(t, p.Wait(Limit), p.report())
	require.False(t, node.Ended(), node.report())
	meet(t, 20*time.Second, 1, a, b)
	announced(t, b, a, "acme/tiny", "model.safetensors")
	require.Equal(t, g.Size, get(t, b, "acme/tiny", "model.safetensors").from("peer"))
	require.Less(t, peakMemory(t, node.Pid()), int64(400<<20))
	require.Less(t, len(node.Err.String()), 1<<20, "a stranger cannot fill the log")
}

// peakMemory is the most that a process has had in memory, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			require.NoError(t, err)
			return kib << 10
		}
	}
	require.FailNow(t, "no VmHWM")
	return 0
}

func TestAPIIsForThisUserAlone(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	a, b := l.Hosts[0], l.Hosts[1]
	a.Up()
	require.NotZero(t, b.Run("curl", "-sS", "--max-time", "5", "http://"+a.Addr+":7768/control/v1/status").Code, "not from outside")
	for _, args := range [][]string{
		{"http://127.0.0.1:7768/control/v1/status"},
		{"-H", "Host: evil.example", "http://127.0.0.1:7768/control/v1/status"},
		{"-X", "POST", "-d", `{"repo":"acme/tiny","file":"x"}`, "http://127.0.0.1:7768/control/v1/get"},
	} {
		r := a.Run("curl", append([]string{"-sS", "-o", "/dev/null", "-w", "%{http_code}"}, args...)...)
		require.Regexp(t, `^4\d\d$`, r.Stdout, "%v: %s", args, r)
	}
	require.Zero(t, a.Hffs("status").Code)
}

func TestLyingPeers(t *testing.T) {
	l := New(t, Options{Hosts: 3})
	l.NewHub(synthetic("acme/tiny", "model.safetensors", 3<<20)...)
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	node := a.Up("-vv")
	b.Up()
	meet(t, 5*time.Second, 1, a, b)
	kinds := []string{"absurd", "noise", "endless", "bomb", "silent"}
	for _, kind := range kinds {
		act(c, "liar "+kind+" "+c.Addr+" "+a.Addr+":7766").WaitFor("lying", 20*time.Second)
	}
	get(t, b, "acme/tiny", "model.safetensors")
	announced(t, a, b, "acme/tiny", "model.safetensors")
	g := get(t, a, "acme/tiny", "model.safetensors")
	require.Equal(t, g.Size, g.from("peer"))
	for _, kind := range []string{"noise", "endless", "bomb"} {
		Eventually(t, 20*time.Second, "the log names liar-"+kind, func() bool { return node.Said("liar-" + kind) })
	}
	w := where(t, a, "acme/tiny", "model.safetensors")
	require.Len(t, w.Holders, 1, "%v", w.Holders)
	require.Less(t, peakMemory(t, node.Pid()), int64(400<<20))
	require.False(t, node.Ended(), node.report())
}
