package cli

import (
	"errors"
	"fmt"

	"hffs/cli/control"
	"hffs/cli/node"
	"hffs/cli/ui"
)

// Exit codes, the same for all commands; each command's help lists its own.
const (
	exitOK       = 0
	exitFailed   = 1   // something else went wrong
	exitUsage    = 2   // the command line or a name in it is wrong
	exitNotFound = 3   // no such repo, revision or file; nobody holds it
	exitAccess   = 4   // gated, private, or the token is refused
	exitNoSource = 5   // nobody who has it can be reached
	exitStorage  = 6   // disk full, cache not writable
	exitPort     = 7   // a port is taken
	exitMismatch = 8   // only wrong bytes could be had
	exitNoNode   = 9   // no node is running
	exitBusy     = 10  // it is being read or fetched just now
	exitNoRun    = 126 // the command cannot be started, as shells have it
	exitNoProg   = 127 // there is no such command
	exitStopped  = 130
)

// codeQuiet ends a command with exitNotFound without another word.
const codeQuiet control.Code = "quiet"

// A command that is to be run may not be there, or be none.
const (
	codeNoProg control.Code = "no_program"
	codeNoRun  control.Code = "no_run"
)

var exitCodes = map[control.Code]int{
	control.CodeUsage:    exitUsage,
	control.CodeNotFound: exitNotFound,
	codeQuiet:            exitNotFound,
	control.CodeAccess:   exitAccess,
	control.CodeNoSource: exitNoSource,
	control.CodeStorage:  exitStorage,
	control.CodePort:     exitPort,
	control.CodeMismatch: exitMismatch,
	control.CodeNoNode:   exitNoNode,
	control.CodeBusy:     exitBusy,
	control.CodeStopped:  exitStopped,
	codeNoProg:           exitNoProg,
	codeNoRun:            exitNoRun,
}

func exitCode(c control.Code) int {
	if code, ok := exitCodes[c]; ok {
		return code
	}
	return exitFailed
}

func explain(err error) *control.Error { return node.Explain(err) }

// allTold is how a command ends, or the failure to write what it had to tell: its
// results have got lost, which must not look like success. Who stops reading them
// knows that.
func (a *app) allTold(err error) error {
	lost := a.ui.Lost()
	switch {
	case lost == nil, err != nil && !errors.Is(err, lost):
		return err
	case ui.ReaderLeft(lost):
		return nil
	}
	return &control.Error{
		Code: control.CodeStorage, Message: fmt.Sprintf("the result could not be written to standard output: %v", rootCause(lost)),
		Hint: "is the disk full that it goes to? the command itself was carried out; run it again for its result",
	}
}

func usage(message, hint string) error {
	return &control.Error{Code: control.CodeUsage, Message: message, Hint: hint}
}

// exits is the part of a command's help that lists its exit codes.
func exits(which ...string) string {
	s := "\n\nExit codes: 0 done"
	for _, w := range which {
		s += "; " + w
	}
	return s + "."
}

// What exit codes mean, as the commands' help has it.
const (
	helpUsage    = "2 wrong input"
	helpNotFound = "3 no such repo, revision or file"
	helpAccess   = "4 no access (gated, private, bad token)"
	helpNoSource = "5 neither Hub nor peers can be reached"
	helpStorage  = "6 disk full or cache not writable"
	helpPort     = "7 port taken"
	helpMismatch = "8 only wrong bytes could be had"
	helpNoNode   = "9 no node is running"
	helpBusy     = "10 it is being read or fetched just now"
	helpStopped  = "130 interrupted"
	helpOther    = "1 anything else"
)
