package ui

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func uncoloured(_, text string) string { return text }

// halfWay is a transfer from two peers and a little from the Hub.
func halfWay() view {
	return view{
		State: State{
			File: "model.safetensors", Done: 1_222_000_000, Total: 2_600_000_000, Peers: 2,
			LAN: 980e6, Hub: 20e6,
			Sources: []SourceState{
				{Name: "lab-desk7", Kind: "peer", Bytes: 400e6, Rate: 43e6},
				{Name: "lab-desk3", Kind: "peer", Bytes: 580e6, Rate: 51e6},
				{Name: "huggingface.co", Kind: "hub", Bytes: 20e6},
			},
		},
		rate: 94e6, rated: true,
	}
}

func TestLayoutWidths(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		width       int
		top, bottom string
	}{
		{8, "47%", "2 peers"},
		{20, "mode…etensors   47%", "2 peers · LAN 98%"},
		{40, "model.safetensors   47%  ETA 15s", "2 peers · LAN 98% · Hub 2%"},
		{60, "model.safetensors   47%  1.2/2.6 GB   94 MB/s  ETA 15s", "2 peers · LAN 98% · Hub 2% (lab-desk3 51 MB/s, 1 more)"},
		{80, "model.safetensors   47%  ━━━━━━━━╸──────────  1.2/2.6 GB   94 MB/s  ETA 15s", "2 peers · LAN 98% · Hub 2% (lab-desk3 51 MB/s, lab-desk7 43 MB/s)"},
		{200, "model.safetensors   47%  ━━━━━━━━━━━━━━━━━━╸─────────────────────  1.2/2.6 GB   94 MB/s  ETA 15s", "2 peers · LAN 98% · Hub 2% (lab-desk3 51 MB/s, lab-desk7 43 MB/s)"},
	} {
		t.Run(fmt.Sprint(c.width), func(t *testing.T) {
			t.Parallel()
			require.Equal(t, []string{c.top, c.bottom}, halfWay().lines(c.width, uncoloured))
		})
	}
}

func TestLayoutStates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		change      func(*view)
		top, bottom string
	}{
		{"just asked for", func(v *view) { *v = view{State: State{File: "config.json", Phase: "resolving"}} },
			"config.json", "resolving"},
		{"nothing yet", func(v *view) { *v = view{State: State{File: "config.json", Total: 570}} },
			"config.json    0%  ──────────────────────────    0/570 B", "fetching"},
		{"size unknown", func(v *view) { v.Total, v.Sources = 0, nil },
			"model.safetensors  1.2 GB    94 MB/s", "2 peers · LAN 98% · Hub 2%"},
		{"one peer, resumed", func(v *view) { v.Peers, v.Hub, v.Local, v.Sources = 1, 0, 400e6, nil },
			"model.safetensors   47%  ━━━━━━━━╸──────────  1.2/2.6 GB   94 MB/s  ETA 15s", "1 peer · LAN 100% · 400 MB already here"},
		{"stalled", func(v *view) { v.rate, v.Sources = 0, nil },
			"model.safetensors   47%  ━━━━━━━━╸──────────  1.2/2.6 GB     0 B/s", "2 peers · LAN 98% · Hub 2%"},
		{"checking", func(v *view) { v.Done, v.Phase, v.rated, v.Peers, v.Sources = v.Total, "checking", false, 0, nil },
			"model.safetensors  100%  ━━━━━━━━━━━━━━━━━━━  2.6/2.6 GB", "checking · LAN 98% · Hub 2%"},
		{"a trickle from the Hub shows", func(v *view) { v.LAN, v.Hub, v.Sources = 2e9, 1, nil },
			"model.safetensors   47%  ━━━━━━━━╸──────────  1.2/2.6 GB   94 MB/s  ETA 15s", "2 peers · LAN 99% · Hub 1%"},
		{"nearly done is not done", func(v *view) { v.Done, v.rated, v.Sources = v.Total-1, false, nil },
			"model.safetensors   99%  ━━━━━━━━━━━━━━━━━━╸  2.6/2.6 GB", "2 peers · LAN 98% · Hub 2%"},
		{"long name keeps its ends", func(v *view) { v.File, v.Sources = "model-00003-of-00030.safetensors", nil },
			"model-000…-00030.safetensors   47%  ━━━╸────  1.2/2.6 GB   94 MB/s  ETA 15s", "2 peers · LAN 98% · Hub 2%"},
		{"wide name", func(v *view) { v.File, v.Sources = "模型/权重.safetensors", nil },
			"模型/权重.safetensors   47%  ━━━━━━━────────  1.2/2.6 GB   94 MB/s  ETA 15s", "2 peers · LAN 98% · Hub 2%"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := halfWay()
			c.change(&v)
			require.Equal(t, []string{c.top, c.bottom}, v.lines(80, uncoloured))
		})
	}
}

func TestLayoutKeepsStill(t *testing.T) {
	t.Parallel()
	begin, end := halfWay(), halfWay()
	begin.Done, begin.rate = 0, 1e6 // ETA 43m 20s
	end.Done, end.rate = end.Total-1, 940e6
	column := func(v view) int { return cells(strings.Split(v.lines(80, uncoloured)[0], " GB")[0]) }
	require.Equal(t, column(begin), column(end))
}

func TestPlainLine(t *testing.T) {
	t.Parallel()
	require.Equal(t, "model.safetensors  47%  1.2/2.6 GB  94 MB/s  ETA 15s  2 peers · LAN 98% · Hub 2%", halfWay().plain())
}

// FuzzDisplay throws names, notes and numbers of every kind at the display. The
// emulator fails on any sequence that is not ours.
func FuzzDisplay(f *testing.F) {
	f.Add("model.safetensors", "a note", "lab-desk3", "fetching", 80, int64(1), int64(2))
	f.Add("\x1b]0;owned\x07\x1b[2J", "a\r\nb\x9b31m", "\u202egnp.exe", "\x00", 20, int64(-1), int64(0))
	f.Add("权重👩‍👩‍👧‍👦🇩🇪e\u0301\u0301", "宽\xff\xfe", "名", "校验", 7, int64(9e18), int64(9e18))
	f.Fuzz(func(t *testing.T, file, note, source, phase string, width int, done, total int64) {
		width = 1 + (width&0x7fffffff)%250
		v := view{State: State{
			File: file, Done: done, Total: total, Phase: phase, LAN: done, Hub: total, Local: done / 2,
			Peers: int(done), Sources: []SourceState{{Name: source, Bytes: done, Rate: float64(total)}},
		}, rate: float64(done), rated: true}
		lines := v.lines(width, uncoloured)
		for _, line := range lines {
			require.Less(t, cells(line), max(2, width))
		}
		term := newEmulator(t, width, 10)
		s := screen{w: term}
		s.draw(width, lines)
		require.False(t, term.wrapped())
		require.True(t, term.cursorHome(), "the cursor is back where it began")
		s.clear()
		require.Empty(t, term.text())
		s.print(Clean(note))
	})
}

func TestManyFilesHaveALineEach(t *testing.T) {
	t.Parallel()
	v := halfWay()
	v.File, v.Count, v.Sources = "acme/shards", "3/9 files", nil
	for _, name := range []string{"model-00001-of-00006.safetensors", "b", "c", "模型/d", "e", "f"} {
		v.Parts = append(v.Parts, PartState{Name: name, Done: 500e6, Total: 1e9})
	}
	want := []string{
		"acme/shards   47%  ━━━━━━━━━━━╸─────────────  1.2/2.6 GB   94 MB/s  ETA 15s",
		"3/9 files · 2 peers · LAN 98% · Hub 2%",
	}
	require.Equal(t, want, v.fit(80, 5, uncoloured), "a low window has no room for more")
	lines := v.fit(80, 24, uncoloured)
	require.Equal(t, want, lines[:2])
	require.Len(t, lines, 6)
	require.True(t, strings.HasPrefix(lines[2], "  model-00001-of-00006.safetensors   50%"), lines[2])
	require.Equal(t, "  and 3 more", lines[5])
	for width := 1; width < 130; width++ {
		for _, line := range v.fit(width, 0, uncoloured) {
			require.Less(t, cells(line), max(2, width))
		}
	}
	v.Parts = v.Parts[:2]
	require.Len(t, v.fit(80, 24, uncoloured), 4)
}
