package ui

import (
	"os"

	"golang.org/x/sys/windows"
)

// understandsEscapes switches the console to interpreting escape sequences;
// consoles before Windows 10 refuse. The switch stays on: shells set their own
// modes when a program ends.
func understandsEscapes(f *os.File, term string) bool {
	if term == "dumb" {
		return false
	}
	var mode uint32
	console := windows.Handle(f.Fd())
	if windows.GetConsoleMode(console, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
