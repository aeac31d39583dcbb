package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// fixed are the settings of Go that change what it builds. They are set here, so
// that nobody's own get in.
var fixed = []string{"GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GOWORK=off", "CGO_ENABLED=0"}

// build makes the program for a system. Neither its folder (-trimpath) nor the
// state of the work tree (-buildvcs) is in it, nor what the linker calls its work
// (-buildid).
func (r release) build(program, goos, arch string) error {
	_, err := r.golang(goos, arch, "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid= -X hffs/cli.Version="+r.version, "-o", program, ".")
	return err
}

// golang runs the go command in the source, for a system.
func (r release) golang(goos, arch string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = r.source
	cmd.Env = append(append(os.Environ(), fixed...), "GOOS="+goos, "GOARCH="+arch)
	return output(cmd)
}

func output(cmd *exec.Cmd) (string, error) {
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}

// file is one in an archive.
type file struct {
	name    string // its path in there
	content []byte
	runs    bool // it is a program
}

// printed are files that hffs itself prints.
var printed = map[string][]string{
	"completions/hffs.bash": {"completion", "bash"},
	"completions/_hffs":     {"completion", "zsh"}, // zsh looks for this name
	"completions/hffs.fish": {"completion", "fish"},
	"completions/hffs.ps1":  {"completion", "powershell"},
	"man/man1/hffs.1":       {"man"},
}

// common are the files that are the same for all systems.
func (r release) common(work string) (files []file, err error) {
	for _, name := range []string{"LICENSE", "README.md", "README.zh.md"} {
		b, err := os.ReadFile(filepath.Join(r.source, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: name, content: b})
	}
	here := filepath.Join(work, "hffs"+suffix(runtime.GOOS))
	if err := r.build(here, runtime.GOOS, runtime.GOARCH); err != nil {
		return nil, err
	}
	for name, args := range printed {
		cmd := exec.Command(here, args...)
		// Nothing of the user who builds gets in.
		cmd.Env = []string{"HOME=" + work, "USERPROFILE=" + work, "HF_HOME=" + filepath.Join(work, "hf"), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.when.Unix())}
		out, err := output(cmd)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: name, content: []byte(out)})
	}
	return files, nil
}
