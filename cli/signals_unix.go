//go:build !windows

package cli

import (
	"os"
	"syscall"
)

// passedOn are signals that are sent to a process alone, so that its child must be
// told. SIGUSR1 and SIGUSR2 are what batch systems announce an end with.
var passedOn = []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}

// fromKeyboard are signals that the terminal sends to all of its foreground at once.
var fromKeyboard = []os.Signal{syscall.SIGINT, syscall.SIGQUIT}
