package ui

import (
	"slices"
	"sync"
	"time"
)

const (
	redrawEvery = 100 * time.Millisecond
	plainEvery  = 10 * time.Second
)

// State is one update of one file's transfer, or of many files as one.
type State struct {
	File        string
	Done, Total int64  // bytes; Total is zero while nobody knows it
	Phase       string // "resolving", "looking for peers", "fetching", "checking"; empty means fetching
	Peers       int    // sources delivering right now that are peers

	// LAN, Hub and Local are the bytes so far by where they came from. Local
	// includes what an interrupted fetch had left here.
	LAN, Hub, Local int64

	Sources []SourceState

	// Count is for many files: how many are done. File is then what stands for all of
	// them, and Parts are those under way that are worth a line of their own.
	Count string
	Parts []PartState
}

// PartState is one of many files that are fetched at the same time.
type PartState struct {
	Name        string
	Done, Total int64
}

// SourceState is what one source has delivered so far.
type SourceState struct {
	Name string
	Kind string // "peer", "hub" or "local"
	// Bytes is the count so far.
	Bytes int64
	// Rate is in bytes per second; zero means: measured here, from Bytes.
	Rate float64
}

// Options says how progress is shown. The zero value is for people: a live
// display on a terminal, silence elsewhere.
type Options struct {
	// Now is time.Now; tests have other ideas.
	Now func() time.Time
	// Quiet means no progress at all. Notes are still written.
	Quiet bool
	// Plain means a line every ten seconds where there is no terminal, for logs.
	Plain bool
}

// Progress shows how one transfer after another goes. Its methods may be called
// from any goroutine.
//
// Update only leaves the newest state behind for a goroutine that looks ten
// times a second, measures and draws; so it costs the transfer nothing, not even
// when somebody has stopped the terminal with Ctrl-S, and a transfer that stalls
// is seen to.
type Progress struct {
	streams Streams
	opts    Options
	screen  screen
	live    bool // draw, as opposed to print lines

	mu       sync.Mutex // guards what follows
	state    State
	stop     chan struct{} // closed by Finish; nil as long as nothing runs
	stopped  chan struct{} // closed when the goroutine has ended
	finished bool
}

// NewProgress starts nothing; the first Update does.
func NewProgress(s Streams, o Options) *Progress {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Progress{streams: s, opts: o, screen: screen{w: s.Err}, live: s.ErrTTY}
}

// Update says how things stand.
func (p *Progress) Update(st State) {
	if p.opts.Quiet || !p.live && !p.opts.Plain {
		return
	}
	st.Sources, st.Parts = slices.Clone(st.Sources), slices.Clone(st.Parts) // the caller may go on using its own
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = st
	if p.stop == nil && !p.finished {
		p.stop, p.stopped = make(chan struct{}), make(chan struct{})
		go p.run(p.stop, p.stopped)
	}
}

// Note writes a line that stays, such as a warning, above the display.
func (p *Progress) Note(line string) { p.screen.print(Clean(line)) }

// Finish takes the display away and returns when nothing more will be drawn.
// Further updates are ignored; notes are still written.
func (p *Progress) Finish() {
	p.mu.Lock()
	stop, stopped, again := p.stop, p.stopped, p.finished
	p.finished = true
	p.mu.Unlock()
	if stop == nil {
		return
	}
	if !again {
		close(stop)
	}
	<-stopped
}

// run draws until it is stopped. The first look is a tenth of a second away, so
// that what is quick never flashes up.
func (p *Progress) run(stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	defer p.screen.clear()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	var ms meters
	printed := p.opts.Now()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		now := p.opts.Now()
		v := ms.observe(now, p.latest())
		switch {
		case p.live:
			width := p.streams.width()
			p.screen.draw(width, v.fit(width, p.streams.height(), p.streams.paint))
		case now.Sub(printed) >= plainEvery:
			printed = now
			p.screen.print(v.plain())
		}
	}
}

func (p *Progress) latest() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}
