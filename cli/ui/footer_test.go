package ui

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// grid is a terminal whose last rows may be kept from scrolling, shared by the footer
// and another program. It fails the test on any sequence that it does not know.
type grid struct {
	t      testing.TB
	w, h   int
	rows   [][]rune
	gone   []string // what has scrolled out
	x, y   int      // from 0
	bottom int      // the last row that scrolls
	savedX int
	savedY int
}

func newGrid(t testing.TB, w, h int) *grid {
	g := &grid{t: t, w: w, h: h, bottom: h - 1}
	for range h {
		g.rows = append(g.rows, nil)
	}
	return g
}

func (g *grid) streams() Streams {
	return Streams{Err: g, ErrTTY: true, Width: func() int { return g.w }, Height: func() int { return g.h }}
}

func (g *grid) Write(b []byte) (int, error) {
	for s := string(b); s != ""; {
		if rest, ok := strings.CutPrefix(s, "\x1b"); ok {
			s = g.escape(rest)
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		switch r {
		case '\r':
			g.x = 0
		case '\n':
			g.x = 0
			g.down()
		default:
			g.put(r)
		}
	}
	return len(b), nil
}

func (g *grid) escape(s string) (rest string) {
	switch s[0] {
	case 'D':
		g.down()
		return s[1:]
	case '7':
		g.savedX, g.savedY = g.x, g.y
		return s[1:]
	case '8':
		g.x, g.y = g.savedX, g.savedY
		return s[1:]
	}
	end := strings.IndexAny(s, "ABCDEFGHJKmrhl")
	require.True(g.t, s[0] == '[' && end > 0, "unknown escape sequence %.10q", s)
	var args []int
	for _, a := range strings.Split(s[1:end], ";") {
		n, _ := strconv.Atoi(a)
		args = append(args, n)
	}
	switch s[end] {
	case 'A':
		g.y = max(0, g.y-1)
	case 'K':
		g.rows[g.y] = g.rows[g.y][:min(g.x, len(g.rows[g.y]))]
	case 'H':
		g.y, g.x = args[0]-1, args[1]-1
	case 'r':
		g.bottom, g.x, g.y = g.h-1, 0, 0
		if len(args) == 2 {
			require.Equal(g.t, 1, args[0])
			g.bottom = args[1] - 1
		}
	default:
		require.Fail(g.t, "unknown escape sequence", "%.10q", s)
	}
	return s[end+1:]
}

func (g *grid) down() {
	switch {
	case g.y != g.bottom:
		g.y = min(g.h-1, g.y+1)
	default:
		g.gone = append(g.gone, string(g.rows[0]))
		copy(g.rows, g.rows[1:g.bottom+1])
		g.rows[g.bottom] = nil
	}
}

func (g *grid) put(r rune) {
	if g.x == g.w {
		g.x = 0
		g.down()
	}
	for len(g.rows[g.y]) <= g.x {
		g.rows[g.y] = append(g.rows[g.y], ' ')
	}
	g.rows[g.y][g.x] = r
	g.x++
}

// text is what is and was on the terminal, but for blanks and empty lines at the end.
func (g *grid) text() []string {
	all := append([]string{}, g.gone...)
	for _, r := range g.rows {
		all = append(all, string(r))
	}
	for i := range all {
		all[i] = strings.TrimRight(all[i], " ")
	}
	for len(all) > 0 && all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

func (g *grid) last() string { return strings.TrimRight(string(g.rows[g.h-1]), " ") }

// clock is moved by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) tick(f *Footer, st *State) {
	c.at = c.at.Add(footerEvery)
	f.Update(st)
}

func fetching(done int64) *State {
	return &State{File: "hffs: model.safetensors", Done: done, Total: 1000e6, LAN: done}
}

// Whatever another program has written, wherever its cursor was, is on the screen
// afterwards as if there had been no footer.
func TestFooterLeavesAnotherProgramsOutputAlone(t *testing.T) {
	t.Parallel()
	programs := map[string]func(i int) string{
		"lines":       func(i int) string { return fmt.Sprintf("line %d\n", i) },
		"a bar":       func(i int) string { return fmt.Sprintf("\rdownloading %d%% ###", i) },
		"a bar above": func(i int) string { return fmt.Sprintf("\n\rlower %d\x1b[A\rupper %d", i, i) },
		"dots":        func(int) string { return "." },
		"long lines":  func(i int) string { return strings.Repeat(strconv.Itoa(i%10), 37) },
		"nothing":     func(int) string { return "" },
	}
	for name, write := range programs {
		for _, before := range []int{0, 3, 6, 7, 30} { // lines on the screen at the start
			t.Run(fmt.Sprintf("%s after %d", name, before), func(t *testing.T) {
				t.Parallel()
				alone, shared := newGrid(t, 30, 8), newGrid(t, 30, 8)
				both := func(s string) { fmt.Fprint(alone, s); fmt.Fprint(shared, s) }
				c := &clock{time.Unix(0, 0)}
				f := NewFooter(shared.streams(), Options{Now: c.now})
				for i := range before {
					both(fmt.Sprintf("before %d\n", i))
				}
				both("prompt> ")
				seen := 0
				for i := range 40 {
					both(write(i))
					switch {
					case i < 15, i > 25:
						c.tick(f, fetching(int64(i)*20e6))
					default:
						c.tick(f, nil)
					}
					if strings.HasPrefix(shared.last(), "hffs: ") {
						seen++
					}
				}
				require.Greater(t, seen, 15)
				f.Finish()
				c.tick(f, fetching(1))
				both("!\n")
				require.Equal(t, alone.text(), shared.text())
			})
		}
	}
}

func TestFooterIsShownOnlyWhileThereIsWork(t *testing.T) {
	t.Parallel()
	g := newGrid(t, 80, 10)
	c := &clock{time.Unix(0, 0)}
	f := NewFooter(g.streams(), Options{Now: c.now})
	c.tick(f, nil)
	c.tick(f, fetching(0))
	c.tick(f, fetching(100e6))
	require.Empty(t, g.text(), "what is over soon is not shown")
	c.tick(f, fetching(200e6))
	require.Contains(t, g.last(), "hffs: model.safetensors")
	require.Contains(t, g.last(), " 20%")
	c.tick(f, nil)
	require.NotEmpty(t, g.last(), "another file may follow")
	c.tick(f, nil)
	require.Empty(t, g.text())
	require.Equal(t, g.h-1, g.bottom)
	c.tick(f, fetching(300e6))
	require.Empty(t, g.text(), "a new beginning")
}

func TestFooterTellsWhereBytesComeFromOnAWideTerminal(t *testing.T) {
	t.Parallel()
	g := newGrid(t, 120, 10)
	c := &clock{time.Unix(0, 0)}
	f := NewFooter(g.streams(), Options{Now: c.now})
	for i := range 10 {
		st := fetching(int64(i) * 100e6)
		st.Hub = st.LAN / 4
		c.tick(f, st)
	}
	require.Contains(t, g.last(), "LAN 80% · Hub 20%")
	require.Contains(t, g.last(), "200 MB/s")
	require.Less(t, cells(g.last()), 120)
}

func TestFooterFollowsTheWindow(t *testing.T) {
	t.Parallel()
	g := newGrid(t, 60, 10)
	c := &clock{time.Unix(0, 0)}
	f := NewFooter(g.streams(), Options{Now: c.now})
	for range 4 {
		c.tick(f, fetching(1e6))
	}
	require.NotEmpty(t, g.last())
	g.h, g.rows = 12, append(g.rows, nil, nil)
	c.tick(f, fetching(1e6))
	require.Equal(t, 10, g.bottom)
	require.NotEmpty(t, g.last())
	g.h, g.rows, g.y = 4, g.rows[:4], min(g.y, 3)
	c.tick(f, fetching(1e6))
	require.Equal(t, 3, g.bottom, "too low a window")
}

func TestFooterIsSilentWithoutATerminal(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Streams, *Options){
		"a pipe": func(s *Streams, _ *Options) { s.ErrTTY = false },
		"quiet":  func(_ *Streams, o *Options) { o.Quiet = true },
		"height": func(s *Streams, _ *Options) { s.Height = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGrid(t, 60, 10)
			c := &clock{time.Unix(0, 0)}
			s, o := g.streams(), Options{Now: c.now}
			change(&s, &o)
			f := NewFooter(s, o)
			for range 9 {
				c.tick(f, fetching(1e6))
			}
			f.Finish()
			require.Empty(t, g.text())
		})
	}
}

func TestFootersNoteHasALineOfItsOwn(t *testing.T) {
	t.Parallel()
	for before, want := range map[string][]string{
		"":           {`hffs: 1 file\x1b`},
		"line\n":     {"line", `hffs: 1 file\x1b`},
		"no newline": {"no newline", `hffs: 1 file\x1b`},
	} {
		g := newGrid(t, 30, 6)
		fmt.Fprint(g, before)
		f := NewFooter(g.streams(), Options{})
		f.Finish()
		f.Note("hffs: 1 file\x1b")
		require.Equal(t, want, g.text())
		require.Zero(t, g.x)
	}
}
