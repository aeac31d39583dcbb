package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// The escape sequences of the footer, beside those of the display.
const (
	index         = "\x1bD" // IND: one row down in the same column, scrolling at the bottom
	saveCursor    = "\x1b7" // DECSC
	restoreCursor = "\x1b8" // DECRC
	wholeScreen   = "\x1b[r"
)

// keepRows has all but the last of so many rows scroll (DECSTBM). The terminal then
// puts its cursor into the corner.
func keepRows(rows int) string { return fmt.Sprintf("\x1b[1;%dr", rows-1) }

// toRow puts the cursor at the beginning of a row (CUP).
func toRow(row int) string { return fmt.Sprintf("\x1b[%d;1H", row) }

const (
	footerEvery  = 500 * time.Millisecond
	footerAfter  = time.Second // what is over sooner is never shown
	footerBeyond = time.Second // and it stays as long, for what comes next
	footerRows   = 5           // in a lower window a row is too much to take
	footerShares = 100         // columns from which it tells also where bytes come from
)

// A Footer is one line about our work below the output of another program that has
// the same terminal.
//
// We cannot know where that program's cursor is, or whether it is in the middle of a
// bar of its own that it redraws. So the footer takes the last row out of the part
// of the screen that scrolls, as apt does: the program goes on above it, and neither
// overwrites the other. The row is taken while something is going on and given back
// when nothing is. Nothing is drawn where there is no terminal.
type Footer struct {
	streams Streams
	quiet   bool
	now     func() time.Time

	mu       sync.Mutex // guards what follows, and keeps writes from mixing
	meters   meters
	since    time.Time // when work began; zero: there is none
	busy     time.Time // when there was some last
	rows     int       // of the window when its last row was taken; 0: it is not
	shown    string
	finished bool
}

// NewFooter draws nothing before there is work. Options.Plain means nothing here.
func NewFooter(s Streams, o Options) *Footer {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Footer{streams: s, quiet: o.Quiet || !s.ErrTTY || s.height() == 0, now: o.Now}
}

// Every is how often it should be updated.
func (f *Footer) Every() time.Duration { return footerEvery }

// Update says how things stand; nil: nothing is going on.
func (f *Footer) Update(st *State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.quiet || f.finished {
		return
	}
	now := f.now()
	if st == nil {
		if now.Sub(f.busy) >= footerBeyond {
			f.since = time.Time{}
			f.leave()
		}
		return
	}
	f.busy = now
	if f.since.IsZero() {
		f.since, f.meters = now, meters{}
	}
	line := f.line(now, *st)
	if now.Sub(f.since) >= footerAfter {
		f.draw(line)
	}
}

// line is the state in one line. The label may change from file to file while one
// rate is measured over all.
func (f *Footer) line(now time.Time, st State) string {
	label := st.File
	st.File, st.Phase = "", ""
	v := f.meters.observe(now, st)
	v.File = label
	cols := max(1, f.streams.width()-1)
	if shares := strings.Join(v.shares(), " · "); shares != "" && cols >= footerShares {
		return v.top(cols-len(gap)-cells(shares), f.streams.paint) + gap + shares
	}
	return v.top(cols, f.streams.paint)
}

func (f *Footer) draw(line string) {
	rows := f.streams.height()
	if rows != f.rows && f.rows != 0 { // the window has changed under it
		f.write(saveCursor + wholeScreen + restoreCursor)
		f.rows = 0
	}
	if rows < footerRows || f.rows == rows && line == f.shown {
		return
	}
	text := saveCursor
	if f.rows == 0 { // make sure that the cursor is not in the row that is taken
		text = index + cursorUp + saveCursor + keepRows(rows)
	}
	f.rows, f.shown = rows, line
	f.write(text + toRow(rows) + line + eraseLine + restoreCursor)
}

// leave gives the row back, empty.
func (f *Footer) leave() {
	if f.rows != 0 {
		f.write(saveCursor + wholeScreen + toRow(f.rows) + eraseLine + restoreCursor)
		f.rows = 0
	}
}

// Finish takes the footer away for good.
func (f *Footer) Finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leave()
	f.finished = true
}

// Note writes a line that stays, after Finish: on a line of its own, wherever the
// other program has left the cursor. Blanks as wide as the window wrap unless they
// begin at its edge (zsh does so before its prompt).
func (f *Footer) Note(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edge, rest := "", ""
	if f.streams.ErrTTY {
		edge, rest = strings.Repeat(" ", f.streams.width()-1)+"\r", eraseLine
	}
	f.write(edge + Clean(line) + rest + "\n")
}

// write drops the error: when the terminal has gone, there is nobody to tell.
func (f *Footer) write(text string) { _, _ = f.streams.Err.Write([]byte(text)) }
