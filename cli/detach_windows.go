package cli

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// detached has a command live without our console: neither its end nor what is typed
// there is anything to it.
func detached(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS,
		HideWindow:    true,
	}
}
