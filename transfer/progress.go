package transfer

import (
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/transfer/pace"
	"hffs/transfer/source"
)

// Phases of a download, as people read them.
const (
	PhaseResolve = "resolving"
	PhaseLocate  = "looking for peers"
	PhaseFetch   = "fetching"
	PhaseCheck   = "checking"
)

// Progress is one look at a running download. Values are never changed after
// they were given away.
type Progress struct {
	Phase   string        `json:"phase"`
	Entry   ref.Entry     `json:"entry"`
	Done    int64         `json:"done"`  // bytes here and, as far as can be told, right
	Total   int64         `json:"total"` // bytes of the blob
	Sources []SourceState `json:"sources"`
	Notes   []Note        `json:"notes"` // all so far; only ever appended to
	// Limits are what those ask for who wait, in [Transfer.Active] alone.
	Limits pace.Rates `json:"-"`
}

// SourceState is what one source has brought.
type SourceState struct {
	Kind   source.Kind `json:"kind"`
	Name   string      `json:"name"`
	Bytes  int64       `json:"bytes"`          // kept in the file
	Rate   float64     `json:"rate,omitempty"` // bytes per second now
	Active bool        `json:"active,omitempty"`
}

// Note is something the user should know although the download goes on.
type Note struct {
	Source string `json:"source,omitempty"`
	Text   string `json:"text"`
	// Dropped says that the source is not asked any more for this blob.
	Dropped bool `json:"dropped,omitempty"`
	// Conflict says that somebody contradicts the answer that is used.
	Conflict bool `json:"conflict,omitempty"`
}

// Result is how a download ended.
type Result struct {
	Path    string
	Entry   ref.Entry
	Took    time.Duration
	Sources []SourceState
	Notes   []Note
}

// board carries the latest Progress from the one who works to those who watch.
type board struct {
	mu   sync.Mutex // guards last and wake
	last Progress
	wake chan struct{}
}

func newBoard() *board { return &board{wake: make(chan struct{})} }

// update changes the progress and wakes whoever watches.
func (b *board) update(change func(*Progress)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.last)
	close(b.wake)
	b.wake = make(chan struct{})
}

// look is the latest progress and a channel that closes when there is a newer one.
func (b *board) look() (Progress, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last, b.wake
}

func (b *board) note(n Note) {
	b.update(func(p *Progress) { p.Notes = append(p.Notes[:len(p.Notes):len(p.Notes)], n) })
}
