package cli

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// TestMain has the test program be hffs where it is called by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hffs": func() { os.Exit(Main(os.Args)) }})
}

// quickEnd, as GORACE, has a program with the race detector not wait for a second
// before it ends.
const quickEnd = "atexit_sleep_ms=0"

// TestScripts tells the stories in testdata/script, on loopback alone. Beside the
// usual commands they have:
//
//	code N CMD…   run CMD; its exit code must be N
//	await CMD…    run CMD until it succeeds
//	described …   what was printed last is what the manual says of that command
//
// and $PORT, which is free.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("HF_HOME", filepath.Join(e.WorkDir, "hf"))
			e.Setenv("HF_ENDPOINT", "http://127.0.0.1:1") // nobody
			e.Setenv("GORACE", quickEnd)
			e.Setenv("PORT", freePort(t))
			e.Defer(func() { endNodes(e) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": code, "await": await, "described": asDescribed},
	})
}

// freePort is one that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func code(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := "exit status 0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = err.Error()
	}
	if got != fmt.Sprintf("exit status %d", want) {
		ts.Fatalf("%s: %s, want exit status %d", strings.Join(args[1:], " "), got, want)
	}
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(20 * time.Second); ; {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
	}
}
