package ui

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"
)

// The display is two lines, here at 80 columns:
//
//	model.safetensors   47%  ━━━━━━━━╸─────────  1.2/2.6 GB   94 MB/s  ETA 15s
//	2 peers · LAN 98% · Hub 2% (lab-desk3 51 MB/s, lab-desk7 43 MB/s)
//
// Of many files, the first line is of all of them, and those under way have a line
// each below the second, as far as the window is high.
//
// Where the window is too narrow, the first line gives up the bar, then the
// sizes, the rate, the ETA, and last the file's name; the second gives up its
// sources, then its parts from the end. Parts that change have room reserved,
// so that nothing jumps from one redraw to the next.
const (
	gap        = "  "
	minBar     = 8
	maxBar     = 40
	minName    = 12 // less of a name says nothing
	rateCells  = 8  // "999 MB/s"
	etaCells   = 11 // "ETA 23h 59m"
	maxSources = 6  // more than this nobody reads
	maxParts   = 4  // likewise
	freeRows   = 3  // of the window: a low one is not filled
)

// A view is a State with what was measured of it.
type view struct {
	State
	rate  float64 // bytes per second
	rated bool
}

// lines lays the view out for a window of the given width. One column stays
// free: a character in the last one leaves the cursor in limbo, each kind of
// terminal in its own.
func (v view) lines(width int, paint func(sgr, text string) string) []string {
	cols := max(1, width-1)
	return []string{v.top(cols, paint), v.bottom(cols)}
}

// fit is lines with those of the parts that there is room for; rows is 0 where nobody
// knows how high the window is.
func (v view) fit(width, rows int, paint func(sgr, text string) string) []string {
	lines := v.lines(width, paint)
	room := maxParts
	if rows > 0 {
		room = max(0, min(room, rows-freeRows-len(lines)))
	}
	parts := v.Parts
	more := 0
	if len(parts) > room && room > 0 {
		more = len(parts) - room + 1
		parts = parts[:room-1]
	}
	if room == 0 {
		return lines
	}
	cols := max(1, width-1)
	for _, p := range parts {
		lines = append(lines, p.line(cols))
	}
	if more > 0 {
		lines = append(lines, cut(fmt.Sprintf("  and %d more", more), cols))
	}
	return lines
}

// line is a part without a bar: shards tell themselves apart by the middle of their
// names, which is what is cut first. Folders go before that.
func (p PartState) line(cols int) string {
	v := view{State: State{Done: p.Done, Total: max(1, p.Total)}}
	behind := fmt.Sprintf("%s%3d%%", gap, v.percent())
	if room := cols - 2 - cells(behind) - cells(gap+sizes(p.Total, p.Total)); room >= minName {
		behind += gap + sizes(v.done(), p.Total)
	}
	name, room := Clean(p.Name), max(0, cols-2-cells(behind))
	if cells(name) > room {
		name = path.Base(name)
	}
	return cut("  "+cutMiddle(name, room)+behind, cols)
}

// A field is a part of the first line with the room that is kept for it.
type field struct {
	text  string
	cells int
}

func (v view) top(cols int, paint func(sgr, text string) string) string {
	name := Clean(v.File)
	fields, bar := v.fields(), v.Total > 0
	for {
		if nameCells, barCells, ok := share(cols, cells(name), bar, fields); ok {
			return v.compose(cutMiddle(name, nameCells), barCells, fields, paint)
		}
		switch {
		case bar:
			bar = false
		case len(fields) > 1:
			fields = dropField(fields)
		case len(fields) == 1:
			return cut(strings.TrimSpace(fields[0].text), cols)
		default:
			return cutMiddle(name, cols)
		}
	}
}

// fields are the parts right of the name: the percentage, where there is one,
// and then in the order in which they are given up.
func (v view) fields() []field {
	if v.Total <= 0 {
		if v.Done <= 0 {
			return nil
		}
		return []field{{Size(v.Done), rateCells}, {v.rateText(), rateCells}}
	}
	room := cells(sizes(v.Total, v.Total))
	return []field{
		{fmt.Sprintf("%3d%%", v.percent()), 4},
		{padLeft(sizes(v.done(), v.Total), room), room},
		{padLeft(v.rateText(), rateCells), rateCells},
		{v.etaText(), etaCells},
	}
}

func dropField(fields []field) []field { return slices.Delete(slices.Clone(fields), 1, 2) }

// share deals the columns that the fields leave over to name and bar; it is not
// ok when that leaves too little of either.
func share(cols, name int, bar bool, fields []field) (nameCells, barCells int, ok bool) {
	for _, f := range fields {
		cols -= len(gap) + max(f.cells, cells(f.text))
	}
	if bar {
		cols -= len(gap) + minBar
	}
	if cols < min(name, minName) {
		return 0, 0, false
	}
	nameCells = min(name, cols)
	if bar {
		barCells = min(maxBar, minBar+cols-nameCells)
	}
	return nameCells, barCells, true
}

func (v view) compose(name string, barCells int, fields []field, paint func(sgr, text string) string) string {
	parts := []string{name}
	for i, f := range fields {
		parts = append(parts, padRight(f.text, f.cells))
		if i == 0 && barCells > 0 {
			parts = append(parts, v.bar(barCells, paint))
		}
	}
	return strings.TrimRight(strings.Join(parts, gap), " ")
}

// bar draws in half cells.
func (v view) bar(n int, paint func(sgr, text string) string) string {
	halves := int(float64(v.done()) / float64(v.Total) * float64(2*n))
	done := strings.Repeat("━", halves/2)
	if halves%2 == 1 {
		done += "╸"
	}
	return paint(sgrDone, done) + paint(sgrFaint, strings.Repeat("─", n-(halves+1)/2))
}

func (v view) done() int64 { return max(0, min(v.Done, v.Total)) }

// percent rounds down: 100 means that everything is there.
func (v view) percent() int { return int(float64(v.done()) / float64(v.Total) * 100) }

func (v view) rateText() string {
	if !v.rated {
		return ""
	}
	return Rate(v.rate)
}

func (v view) etaText() string {
	left := float64(v.Total - v.done())
	if !v.rated || v.rate < 1 || left == 0 {
		return ""
	}
	seconds := math.Ceil(left / v.rate)
	if seconds > 100*24*3600 { // it does not move, in other words
		return ""
	}
	return "ETA " + Duration(time.Duration(seconds)*time.Second)
}

func (v view) bottom(cols int) string {
	parts := v.summary()
	for line := range v.withSources(strings.Join(parts, " · ")) {
		if cells(line) <= cols {
			return line
		}
	}
	for len(parts) > 1 && cells(strings.Join(parts, " · ")) > cols {
		parts = parts[:len(parts)-1]
	}
	return cut(strings.Join(parts, " · "), cols)
}

// summary is who delivers and how much has come from where. The phase is said
// as long as there is nothing better to say, or when it is not the usual one.
func (v view) summary() []string {
	var parts []string
	if v.Count != "" {
		parts = append(parts, v.Count)
	}
	if v.Phase != "" && v.Phase != "fetching" {
		parts = append(parts, Clean(v.Phase))
	}
	if v.Peers > 0 {
		parts = append(parts, plural(v.Peers, "peer"))
	}
	parts = append(parts, v.shares()...)
	if v.Local > 0 {
		parts = append(parts, Size(v.Local)+" already here")
	}
	if len(parts) == 0 {
		parts = append(parts, "fetching")
	}
	return parts
}

// shares splits what came over the network. Nobody who sent something is said
// to have sent 0%.
func (v view) shares() []string {
	switch {
	case v.LAN <= 0 && v.Hub <= 0:
		return nil
	case v.Hub <= 0:
		return []string{"LAN 100%"}
	case v.LAN <= 0:
		return []string{"Hub 100%"}
	}
	part := float64(v.LAN) / (float64(v.LAN) + float64(v.Hub))
	lan := max(1, min(99, int(math.Round(part*100))))
	return []string{fmt.Sprintf("LAN %d%%", lan), fmt.Sprintf("Hub %d%%", 100-lan)}
}

// withSources yields the line with as many of the sources that deliver right
// now as are worth showing, then with fewer and fewer, down to none. Who sent
// most comes first, which is steadier than who is fastest this moment.
func (v view) withSources(line string) func(yield func(string) bool) {
	active := slices.DeleteFunc(slices.Clone(v.Sources), func(s SourceState) bool { return s.Rate < 1 || s.Kind == "local" })
	slices.SortFunc(active, func(a, b SourceState) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	return func(yield func(string) bool) {
		for n := min(len(active), maxSources); n > 0; n-- {
			if !yield(line + " (" + listSources(active, n) + ")") {
				return
			}
		}
		yield(line)
	}
}

func listSources(all []SourceState, n int) string {
	var words []string
	for _, s := range all[:n] {
		words = append(words, cutMiddle(Clean(s.Name), 24)+" "+Rate(s.Rate))
	}
	if rest := len(all) - n; rest > 0 {
		words = append(words, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(words, ", ")
}

// plain is the view as one line for a log, of whatever length.
func (v view) plain() string {
	words := []string{Clean(v.File)}
	for _, f := range v.fields() {
		if t := strings.TrimSpace(f.text); t != "" {
			words = append(words, t)
		}
	}
	return strings.Join(words, gap) + gap + strings.Join(v.summary(), " · ")
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
