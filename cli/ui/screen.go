package ui

import (
	"io"
	"slices"
	"strings"
	"sync"
)

// The escape sequences of the display, named as in ECMA-48 and DEC's manuals.
const (
	wrapOff   = "\x1b[?7l" // DECAWM: what does not fit is lost instead of wrapped
	wrapOn    = "\x1b[?7h"
	eraseLine = "\x1b[K" // EL: from the cursor to the end of the line
	eraseDown = "\x1b[J" // ED: from the cursor to the end of the screen
	cursorUp  = "\x1b[A" // CUU
)

// A screen is the lower end of a terminal with a few lines that change in
// place. Between two redraws the cursor rests at the beginning of the first of
// them. That is what makes resizing harmless: a terminal that breaks our lines
// anew moves the cursor along with its character, and whatever the lines have
// become, they begin at the cursor and end with the screen.
//
// Each change is one Write, so that nobody sees half of it. The cursor is not
// hidden: were we killed, it would stay so.
type screen struct {
	mu    sync.Mutex // guards all below, and keeps writes from mixing
	w     io.Writer
	lines []string // as drawn last; none: nothing is on the screen
	width int      // of the window then
}

// draw shows lines in place of the last ones; each must be narrower than width.
func (s *screen) draw(width int, lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if width == s.width && slices.Equal(lines, s.lines) {
		return // leave the terminal alone: somebody may be marking text in it
	}
	s.lines, s.width = lines, width
	s.write(frame(lines))
}

// print puts a line above the display, to stay.
func (s *screen) print(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) > 0 {
		line = wipe(len(s.lines)) + line
	}
	s.write(line + "\n" + frame(s.lines))
}

// clear takes the display away.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.lines); n > 0 {
		s.lines = nil
		s.write(wipe(n))
	}
}

// write drops the error: when the terminal has gone, there is nobody to tell.
func (s *screen) write(text string) { _, _ = io.WriteString(s.w, text) }

// wipe takes lines away, each by itself before what is left of them: erasing all from
// the first row on has tmux keep what was there in its history.
func wipe(n int) string {
	return "\r" + strings.Repeat(eraseLine+"\r\n", n-1) + eraseLine + strings.Repeat(cursorUp, n-1) + eraseDown
}

// frame draws over what is there and erases only what is left beside it, which
// does not flicker; then it goes back up to where it began.
func frame(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return wrapOff + "\r" +
		strings.Join(lines, eraseLine+"\r\n") + eraseDown +
		"\r" + strings.Repeat(cursorUp, len(lines)-1) + wrapOn
}
