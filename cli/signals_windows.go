package cli

import "os"

// passedOn is empty: here a process can be killed, but not told.
var passedOn []os.Signal

// fromKeyboard are what the console sends to all of its processes at once.
var fromKeyboard = []os.Signal{os.Interrupt}
