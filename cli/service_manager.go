package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/service"
	"hffs/cli/ui"
)

// manager is what a system takes to run a service: a file, and what is typed then.
type manager struct {
	file    string
	content []byte
	prepare [][]string // while the node that runs goes on
	start   [][]string // once it has made way
	remove  [][]string // before the file goes
	removed [][]string // and after it
	query   []string
	log     string // how to read what the node says
	without string // what to do where the system has no manager for this session
}

// install is all of it, in order.
func (m manager) install() [][]string { return slices.Concat(m.prepare, m.start) }

// forgiven marks a command that may fail: there may be nothing to be done.
const forgiven = "-"

// onlyAsked marks a command whose failure says that the rest is of no use here; nobody
// needs to type it.
const onlyAsked = "?"

// managerFor is what the system named goos takes for a service.
func managerFor(goos string, getenv func(string) string, home, state string, uid int, s service.Spec) manager {
	logFile := filepath.Join(state, node.LogName(1))
	switch goos {
	case "darwin":
		domain := fmt.Sprintf("gui/%d", uid)
		name := domain + "/" + service.Label
		file := filepath.Join(home, "Library", "LaunchAgents", service.Label+".plist")
		return manager{
			file: file, content: []byte(service.Agent(s)), log: logFile,
			prepare: [][]string{{onlyAsked, "launchctl", "print", domain}},
			start:   [][]string{{forgiven, "launchctl", "bootout", name}, {"launchctl", "bootstrap", domain, file}},
			without: "log in at this Mac's own screen: an ssh session alone has no launchd of its own",
			remove:  [][]string{{forgiven, "launchctl", "bootout", name}},
			query:   []string{"launchctl", "print", name},
		}
	case "windows":
		file, owner := filepath.Join(state, node.TaskName), getenv("USERDOMAIN")+`\`+getenv("USERNAME")
		return manager{
			file: file, content: service.UTF16(service.Task(s, owner)), log: logFile,
			prepare: [][]string{{"schtasks", "/create", "/tn", service.TaskName, "/xml", file, "/f"}},
			start:   [][]string{{"schtasks", "/run", "/tn", service.TaskName}},
			without: "may this account have scheduled tasks?",
			remove:  [][]string{{forgiven, "schtasks", "/end", "/tn", service.TaskName}, {"schtasks", "/delete", "/tn", service.TaskName, "/f"}},
			query:   []string{"schtasks", "/query", "/tn", service.TaskName},
		}
	}
	config := getenv("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	systemctl := func(args ...string) []string { return append([]string{"systemctl", "--user"}, args...) }
	return manager{
		file: filepath.Join(config, "systemd", "user", service.UnitName), content: []byte(service.Unit(s)),
		prepare: [][]string{systemctl("daemon-reload"), systemctl("enable", service.UnitName)},
		start:   [][]string{systemctl("restart", service.UnitName)},
		without: "su and containers have no systemd for you: log in by ssh or \"machinectl shell NAME@\", or have root type \"loginctl enable-linger NAME\"",
		remove:  [][]string{systemctl("disable", "--now", service.UnitName)},
		removed: [][]string{systemctl("daemon-reload")},
		query:   systemctl("is-active", service.UnitName),
		log:     "journalctl --user -u " + service.UnitName,
	}
}

func (m manager) write() error {
	err := os.MkdirAll(filepath.Dir(m.file), 0o755)
	if err == nil {
		err = os.WriteFile(m.file, m.content, 0o644)
	}
	if err != nil {
		return &control.Error{Code: control.CodeStorage, Message: fmt.Sprintf("the service cannot be written: %v", err), Hint: "the system looks for it there, so this folder must be yours to write"}
	}
	return nil
}

func (m manager) installed() bool {
	_, err := os.Stat(m.file)
	return err == nil
}

// carryOut runs commands, and says of the first that fails what it said.
func carryOut(ctx context.Context, commands [][]string) error {
	for _, words := range commands {
		may := words[0] == forgiven
		if may || words[0] == onlyAsked {
			words = words[1:]
		}
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !may:
			return fmt.Errorf("%s: %s", strings.Join(words, " "), firstLine(out, err))
		}
	}
	return nil
}

// firstLine is what a command said, or else how it ended.
func firstLine(out []byte, err error) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	if len(line) > 0 {
		return ui.Clean(string(line))
	}
	return err.Error()
}

// typed is commands as they are typed.
func typed(commands [][]string) string {
	var lines []string
	for _, words := range commands {
		if words[0] != forgiven && words[0] != onlyAsked {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	return strings.Join(lines, " && ")
}

// ask is the system's answer in a word: "active", or why there is none.
func ask(ctx context.Context, query []string) string {
	out, err := exec.CommandContext(ctx, query[0], query[1:]...).CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "unknown: there is no " + query[0]
	case err == nil && query[0] != "systemctl":
		return "known to " + query[0]
	}
	return firstLine(out, err)
}
