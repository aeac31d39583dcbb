package ui

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// defaultWidth is assumed where nobody says how wide the window is.
const defaultWidth = 80

// Streams is where a command reads and writes. The zero value of each field
// works, except that something is needed to write to.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer

	// OutTTY and ErrTTY tell terminals from files and pipes. A terminal that
	// does not understand escape sequences counts as a file.
	OutTTY, ErrTTY bool

	// Width is the width of the window in cells, asked anew for each redraw;
	// nil means 80.
	Width func() int

	// Height is the height of the window in rows, likewise; 0 or nil means that
	// nobody knows.
	Height func() int

	// Color is whether colours are wanted on terminals.
	Color bool
}

// System returns the streams of this process. NO_COLOR (https://no-color.org)
// and TERM=dumb are respected; COLUMNS counts where the system does not know
// the width.
func System() Streams {
	return Streams{
		In:     os.Stdin,
		Out:    NewOutput(os.Stdout),
		Err:    os.Stderr,
		OutTTY: isTerminal(os.Stdout),
		ErrTTY: isTerminal(os.Stderr),
		Width:  func() int { return windowWidth(os.Stderr, os.Getenv("COLUMNS")) },
		Height: func() int { return windowHeight(os.Stderr) },
		Color:  os.Getenv("NO_COLOR") == "",
	}
}

func isTerminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && understandsEscapes(f, os.Getenv("TERM"))
}

func windowWidth(f *os.File, columns string) int {
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		return w
	}
	if w, err := strconv.Atoi(columns); err == nil && w > 0 {
		return w
	}
	return defaultWidth
}

func windowHeight(f *os.File) int {
	_, h, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return h
}

func (s Streams) height() int {
	if s.Height == nil {
		return 0
	}
	return s.Height()
}

func (s Streams) width() int {
	if s.Width == nil {
		return defaultWidth
	}
	return max(1, s.Width())
}

// paint wraps text in a colour where standard error shows colours.
func (s Streams) paint(sgr, text string) string {
	if !s.ErrTTY || !s.Color || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// The colours, as the parameters of the SGR sequence: few, and from the basic
// set, which follows whatever theme the user has.
const (
	sgrError = "1;31" // bold red
	sgrHint  = "36"   // cyan
	sgrDone  = "32"   // green
	sgrFaint = "2"
)
