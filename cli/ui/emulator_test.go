package ui

import (
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// emulator is a small terminal: it does what the sequences of screen.go ask for
// and fails the test on any other. Widths are counted rune by rune, as plain
// terminals do it. Rows above top have scrolled out of sight and stay.
type emulator struct {
	t  testing.TB
	mu sync.Mutex // guards all below: the display writes while the test reads

	w, h       int
	rows       []row
	top, x, y  int // y counts from the first row ever
	noWrap     bool
	writes     int
	sawColours bool
}

type row struct {
	cells []string // a wide character is followed by an empty cell
	wraps bool     // goes on in the next row
}

func newEmulator(t testing.TB, w, h int) *emulator {
	return &emulator{t: t, w: w, h: h, rows: make([]row, 1)}
}

func (e *emulator) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writes++
	for s := string(b); s != ""; {
		if strings.HasPrefix(s, "\x1b") {
			s = e.escape(s)
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch {
		case r == '\r':
			e.x = 0
		case r == '\n': // the terminal driver adds the carriage return
			e.x = 0
			e.lineFeed()
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError:
			e.t.Errorf("control character %q reached the terminal", r)
		default:
			e.put(string(r))
		}
	}
	return len(b), nil
}

func (e *emulator) escape(s string) (rest string) {
	for seq, do := range map[string]func(){
		wrapOff:   func() { e.noWrap = true },
		wrapOn:    func() { e.noWrap = false },
		eraseLine: e.eraseLine,
		eraseDown: func() { e.eraseLine(); e.rows = e.rows[:e.y+1] },
		cursorUp:  func() { e.y = max(e.top, e.y-1) },
	} {
		if rest, ok := strings.CutPrefix(s, seq); ok {
			do()
			return rest
		}
	}
	if params, rest, ok := strings.Cut(s, "m"); ok && strings.Trim(params, "\x1b[0123456789;") == "" {
		e.sawColours = true
		return rest
	}
	e.t.Errorf("unknown escape sequence in %.20q", s)
	return s[1:]
}

func (e *emulator) eraseLine() {
	r := &e.rows[e.y]
	r.cells, r.wraps = r.cells[:min(len(r.cells), e.x)], false
}

func (e *emulator) lineFeed() {
	if e.y++; e.y == len(e.rows) {
		e.rows = append(e.rows, row{})
	}
	e.top = max(e.top, e.y-e.h+1)
}

func (e *emulator) put(char string) {
	n := uniseg.StringWidth(char)
	if n == 0 {
		return
	}
	if e.x+n > e.w {
		if e.noWrap {
			e.x = max(0, e.w-n)
		} else {
			e.rows[e.y].wraps = true
			e.x = 0
			e.lineFeed()
		}
	}
	r := &e.rows[e.y]
	for len(r.cells) < e.x+n {
		r.cells = append(r.cells, " ")
	}
	r.cells[e.x] = char
	for i := 1; i < n; i++ {
		r.cells[e.x+i] = ""
	}
	e.x += n
}

// resize cuts rows off as xterm does, or breaks them anew as most others do; the
// cursor then stays on its character.
func (e *emulator) resize(w int, reflow bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.w = w
	if !reflow {
		for i := range e.rows {
			e.rows[i].cells = e.rows[i].cells[:min(w, len(e.rows[i].cells))]
		}
		return
	}
	var rows []row
	y := 0
	for i, r := range e.rows {
		if i == e.y {
			y = len(rows)
		}
		for len(r.cells) > w {
			rows = append(rows, row{r.cells[:w], true})
			r.cells = r.cells[w:]
		}
		rows = append(rows, r)
	}
	e.rows, e.y = rows, y
	e.top = max(0, len(rows)-e.h)
}

// text is everything on the terminal, scrolled out of sight or not.
func (e *emulator) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, r := range e.rows {
		lines = append(lines, strings.TrimRight(strings.Join(r.cells, ""), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

func (e *emulator) wrapped() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.rows {
		if r.wraps {
			return true
		}
	}
	return false
}

func (e *emulator) writeCount() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.writes
}

func (e *emulator) width() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.w
}

func (e *emulator) cursorHome() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.x == 0 && e.y == 0
}

func (e *emulator) colours() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sawColours
}

// streams is this terminal to a command.
func (e *emulator) streams() Streams { return Streams{Err: e, ErrTTY: true, Width: e.width} }
