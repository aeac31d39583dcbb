package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts tells the stories in testdata/script, one a file. Each has a lab
// of one host of its own, and these commands:
//
//	hffs ARGS…              run hffs on the host; it must succeed
//	fails CODE hffs ARGS…   it must fail with a line of what happened, a hint,
//	                        and an exit code that the command's help documents
//	hub ARGS…               start the stand-in Hub; with -local on the host's
//	                        own loopback
func TestScripts(t *testing.T) {
	Require(t)
	hffs := Binary(t)
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: func(e *testscript.Env) error { return stage(e, hffs) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"hffs":  succeeds,
			"fails": fails,
			"hub":   startHub,
		},
	})
}

// stage gives a script its lab, and a command "hffs" that steps into it.
func stage(e *testscript.Env, hffs string) error {
	l := New(e.T().(testing.TB), Options{Hosts: 1, Dir: filepath.Join(e.WorkDir, ".lab")})
	h := l.Hosts[0]
	e.Values["lab"] = l
	bin := filepath.Join(e.WorkDir, ".bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	step := fmt.Sprintf("#!/bin/sh\nexec nsenter -t %d -n -u -- %s \"$@\"\n", h.space.pid(), hffs)
	if err := os.WriteFile(filepath.Join(bin, "hffs"), []byte(step), 0o755); err != nil {
		return err
	}
	e.Vars = append(e.Vars, h.environment()...)
	e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	e.Setenv("CACHE", h.Cache())
	e.Setenv("ESC", "\x1b")
	e.Setenv("LONG", strings.Repeat("long/", 210)+"x")
	return nil
}

func startHub(ts *testscript.TestScript, _ bool, args []string) {
	l := ts.Value("lab").(*Lab)
	if len(args) > 0 && args[0] == "-local" {
		l.Hosts[0].NewHub("127.0.0.1", args[1:]...)
		return
	}
	l.NewHub(args...)
}

func succeeds(ts *testscript.TestScript, neg bool, args []string) {
	if err := ts.Exec("hffs", args...); (err != nil) != neg {
		ts.Fatalf("hffs %s: %v", strings.Join(args, " "), err)
	}
}

// fails runs a command that must fail with the given code, and says so as the
// house wants it: "hffs: …", then "hint: …", and the code in the help.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: fails CODE hffs COMMAND [ARGS]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(ts.Exec(args[1], args[2], "--help"))
	if help := ts.ReadFile("stdout"); !documented(help, want) {
		ts.Fatalf("exit code %d is not documented in %s", want, help)
	}
	if err := ts.Exec(args[1], args[2:]...); err == nil {
		ts.Fatalf("%s succeeded", strings.Join(args[1:], " "))
	} else if got := err.Error(); got != fmt.Sprintf("exit status %d", want) {
		ts.Fatalf("%s: %s, want exit status %d", strings.Join(args[1:], " "), got, want)
	}
	said := ts.ReadFile("stderr")
	for _, line := range []string{`(?m)^hffs: \S`, `(?m)^hint: \S`} {
		if !regexp.MustCompile(line).MatchString(said) {
			ts.Fatalf("no line like %s in %q", line, said)
		}
	}
}
