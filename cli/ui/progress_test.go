package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pass lets time go by in the bubble and everybody do what it brings about.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// fetch plays a transfer at a steady rate from one peer, ten updates a second.
func fetch(p *Progress, file string, from, to, perSecond int64) {
	for done := from; done < to; done += perSecond / 10 {
		p.Update(State{
			File: file, Done: done, Total: to, Peers: 1, LAN: done - from, Local: from,
			Sources: []SourceState{{Name: "lab-desk3", Kind: "peer", Bytes: done - from}},
		})
		pass(100 * time.Millisecond)
	}
}

func TestProgressAtWidths(t *testing.T) {
	t.Parallel()
	for width, want := range map[int]string{
		20:  "mode…etensors   60%\n1 peer · LAN 100%",
		40:  "model.safetensors   60%  ETA 20s\n1 peer · LAN 100% · 1.0 GB already here",
		80:  "model.safetensors   60%  ━━━━━━━━━━━────────  3.0/5.0 GB  100 MB/s  ETA 20s\n1 peer · LAN 100% · 1.0 GB already here (lab-desk3 100 MB/s)",
		200: "model.safetensors   60%  ━━━━━━━━━━━━━━━━━━━━━━━━────────────────  3.0/5.0 GB  100 MB/s  ETA 20s\n1 peer · LAN 100% · 1.0 GB already here (lab-desk3 100 MB/s)",
	} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				term := newEmulator(t, width, 24)
				p := NewProgress(term.streams(), Options{})
				defer p.Finish()
				for done := int64(1e9); done <= 3e9; done += 10e6 {
					p.Update(State{
						File: "model.safetensors", Done: done, Total: 5e9, Peers: 1, LAN: done - 1e9, Local: 1e9,
						Sources: []SourceState{{Name: "lab-desk3", Kind: "peer", Bytes: done - 1e9}},
					})
					pass(100 * time.Millisecond)
				}
				require.Equal(t, want, term.text())
				require.False(t, term.wrapped())
				require.False(t, term.colours())
				p.Finish()
				require.Empty(t, term.text(), "no litter")
				require.True(t, term.cursorHome())
			})
		})
	}
}

func TestProgressPhases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		term := newEmulator(t, 80, 24)
		p := NewProgress(term.streams(), Options{})
		defer p.Finish()
		p.Update(State{File: "config.json", Phase: "resolving"})
		synctest.Wait()
		require.Empty(t, term.text(), "what is quick does not flash up")
		pass(redrawEvery)
		require.Equal(t, "config.json\nresolving", term.text())
		p.Update(State{File: "config.json", Phase: "looking for peers", Total: 570})
		pass(redrawEvery)
		require.Equal(t, "config.json    0%  ──────────────────────────    0/570 B\nlooking for peers", term.text())
	})
}

func TestProgressDrawsTenTimesASecondAtMost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		term := newEmulator(t, 80, 24)
		p := NewProgress(term.streams(), Options{})
		defer p.Finish()
		for i := range int64(10_000) {
			p.Update(State{File: "f", Done: i * 1e6, Total: 10e9})
			time.Sleep(100 * time.Microsecond)
		}
		synctest.Wait()
		require.LessOrEqual(t, term.writeCount(), 10)
		require.Contains(t, term.text(), "99%")

		before := term.writeCount()
		pass(10 * time.Second) // the rate falls to nothing, and then there is nothing to redraw
		settled := term.writeCount()
		require.Greater(t, settled, before)
		require.Contains(t, term.text(), " 0 B/s")
		pass(10 * time.Second)
		require.Equal(t, settled, term.writeCount())
	})
}

func TestProgressNotes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		term := newEmulator(t, 60, 4) // so low that the notes scroll
		p := NewProgress(term.streams(), Options{})
		defer p.Finish()
		p.Note("before")
		p.Update(State{File: "f", Done: 1, Total: 2, Phase: "fetching"})
		pass(redrawEvery)
		for i := range 5 {
			p.Note(fmt.Sprintf("note %d", i))
			pass(redrawEvery)
		}
		p.Note("peer evil\x1b[2J\r\n sent wrong bytes and was dropped, which takes more than a line to say")
		pass(redrawEvery)
		want := "before\nnote 0\nnote 1\nnote 2\nnote 3\nnote 4\n" +
			`peer evil\x1b[2J\r\n sent wrong bytes and was dropped, which` + "\n takes more than a line to say"
		require.Contains(t, term.text(), want+"\nf   50%")
		p.Finish()
		require.Equal(t, want, term.text())
		p.Note("after")
		require.Equal(t, want+"\nafter", term.text())
	})
}

func TestProgressResize(t *testing.T) {
	t.Parallel()
	for _, reflow := range []bool{true, false} {
		t.Run(fmt.Sprintf("reflow=%v", reflow), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				term := newEmulator(t, 120, 24)
				p := NewProgress(term.streams(), Options{})
				defer p.Finish() // a second time does no harm
				p.Note("$ hffs get")
				fetch(p, "model.safetensors", 0, 2e9, 100e6)
				for _, w := range []int{30, 100, 20, 61} {
					term.resize(w, reflow)
					fetch(p, "model.safetensors", 0, 1e9, 100e6)
					require.Equal(t, 3, strings.Count(term.text(), "\n")+1, "the note and two lines:\n%s", term.text())
				}
				term.resize(13, reflow)
				p.Finish()
				require.Equal(t, "$ hffs get", term.text())
			})
		})
	}
}

func TestProgressRateIsSmooth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		term := newEmulator(t, 80, 24)
		p := NewProgress(term.streams(), Options{})
		defer p.Finish()
		var done int64
		for i := range 100 { // 100 MB/s, but in lumps of a second
			if i%10 == 0 {
				done += 100e6
			}
			p.Update(State{File: "f", Done: done, Total: 100e9})
			pass(100 * time.Millisecond)
			if i > 60 {
				require.Regexp(t, ` (80|100|120) MB/s`, term.text())
			}
		}
	})
}

func TestProgressIsSilentOffTerminals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []Options{{}, {Quiet: true}, {Quiet: true, Plain: true}} {
			term := newEmulator(t, 80, 24)
			s := term.streams()
			s.ErrTTY = o.Quiet && !o.Plain
			p := NewProgress(s, o)
			fetch(p, "f", 0, 30e6, 1e6)
			require.Empty(t, term.text())
			p.Note("a warning")
			p.Finish()
			require.Equal(t, "a warning", term.text())
		}
	})
}

func TestProgressPlain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		term := newEmulator(t, 120, 24)
		s := term.streams()
		s.ErrTTY, s.Color = false, true
		p := NewProgress(s, Options{Plain: true})
		fetch(p, "f", 0, 25e6, 1e6)
		p.Note("a warning")
		p.Finish()
		p.Update(State{File: "f", Done: 1, Total: 2})
		pass(time.Minute)
		require.Equal(t, "f  39%  9.9/25.0 MB  1.0 MB/s  ETA 16s  1 peer · LAN 100%\n"+
			"f  79%  19.9/25.0 MB  1.0 MB/s  ETA 6s  1 peer · LAN 100%\na warning", term.text())
		require.False(t, term.colours())
	})
}

func TestProgressColours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		term := newEmulator(t, 80, 24)
		s := term.streams()
		s.Color = true
		p := NewProgress(s, Options{})
		fetch(p, "f", 0, 10e6, 1e6)
		p.Finish()
		require.True(t, term.colours())
		require.Empty(t, term.text())
	})
}

// Meant for the race detector; that it ends is half the test.
func TestProgressFromManyGoroutines(t *testing.T) {
	t.Parallel()
	term := newEmulator(t, 80, 24)
	p := NewProgress(term.streams(), Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			sources := make([]SourceState, 3)
			for n := range int64(2000) {
				sources[n%3].Bytes = n
				p.Update(State{File: fmt.Sprint(i), Done: n, Total: 2000, Sources: sources})
			}
			p.Note(fmt.Sprint(i))
			p.Finish()
		})
	}
	wg.Wait()
	require.Len(t, strings.Split(term.text(), "\n"), 8)
}

// A terminal that was stopped with Ctrl-S takes no bytes; the transfer goes on.
func TestUpdateDoesNotWaitForTheTerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		p := NewProgress(Streams{Err: w, ErrTTY: true}, Options{})
		fetch(p, "f", 0, 50e6, 10e6) // would never return
		require.NoError(t, r.Close())
		p.Finish()
	})
}
