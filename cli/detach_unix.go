//go:build !windows

package cli

import (
	"os/exec"
	"syscall"
)

// detached gives a command a session of its own: the end of ours, and of our
// terminal, is nothing to it.
func detached(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
