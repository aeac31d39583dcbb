package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cli/control"
	"hffs/cli/ui"
)

func under(file string, done, total int64, sources ...control.Source) control.Progress {
	return control.Progress{Phase: "fetching", Repo: "acme/tiny", File: file, Done: done, Total: total, Sources: sources}
}

func from(kind, name string, n int64) control.Source {
	return control.Source{Kind: kind, Name: name, Bytes: n}
}

// looking is a watcher whose clock goes on by a second with each look.
func looking(t *testing.T) (w *watcher, out *bytes.Buffer, lines *[]string) {
	t.Helper()
	out, lines = &bytes.Buffer{}, &[]string{}
	w = newWatcher(ui.NewFooter(ui.Streams{Err: out}, ui.Options{}), t.TempDir())
	at := time.Unix(0, 0)
	w.now = func() time.Time { at = at.Add(time.Second); return at }
	w.each = func(line string) { *lines = append(*lines, line) }
	return w, out, lines
}

func TestWatcherSumsUp(t *testing.T) {
	t.Parallel()
	w, out, lines := looking(t)
	w.observe([]control.Progress{under("a.bin", 10e6, 100e6, from("peer", "lab-2", 10e6)), under("b.bin", 0, 50e6)})
	w.observe([]control.Progress{
		under("a.bin", 100e6, 100e6, from("peer", "lab-2", 80e6), from("hub", "huggingface.co", 20e6)),
		under("b.bin", 20e6, 50e6, from("hub", "cdn.example", 20e6)),
	})
	w.observe([]control.Progress{under("b.bin", 50e6, 50e6, from("hub", "cdn.example", 30e6), from("local", "part", 20e6))})
	w.observe(nil)
	require.Equal(t, []string{
		"a.bin 100 MB, 80% from lab-2, 20% from the Hub, 50 MB/s",
		"b.bin 50 MB, 60% from the Hub, 40% already here, 15 MB/s",
	}, *lines)
	w.finish()
	require.Equal(t, "hffs: 2 files, 150 MB, 53% from lab-2, 33% from the Hub, 13% already here\n", out.String())
}

// The last look may come before the end, and it does not say how it went.
func TestWatcherTellsADoneFileFromAFailedOne(t *testing.T) {
	t.Parallel()
	w, out, _ := looking(t)
	snapshot := filepath.Join(w.cache, "datasets--acme--tiny", "snapshots", "607a30d783dfa663caf39e06633721c8d4cfcd7e", "sub")
	require.NoError(t, os.MkdirAll(snapshot, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(snapshot, "done.bin"), make([]byte, 1000), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(snapshot, "other.bin"), make([]byte, 999), 0o600))
	w.observe([]control.Progress{
		under("sub/done.bin", 400, 1000, from("peer", "lab-2", 400)),
		under("sub/other.bin", 400, 1000, from("peer", "lab-3", 400)),
		under("sub/none.bin", 400, 1000, from("peer", "lab-4", 400)),
	})
	w.observe(nil)
	w.finish()
	require.Equal(t, "hffs: 1 file, 1.0 kB, 100% from lab-2\n", out.String())
}

func TestWatcherSaysNothingOfNothing(t *testing.T) {
	t.Parallel()
	w, out, lines := looking(t)
	w.observe(nil)
	w.observe([]control.Progress{under("a", 1, 2)})
	w.observe(nil)
	w.finish()
	require.Empty(t, out.String())
	require.Empty(t, *lines)
}

// What is shown goes on from file to file as if it were one.
func TestWatcherShowsAllFilesAsOne(t *testing.T) {
	t.Parallel()
	w, _, _ := looking(t)
	require.Nil(t, w.state())
	w.observe([]control.Progress{under("a", 100, 100, from("peer", "x", 100))})
	w.observe([]control.Progress{under("b", 30, 50, from("hub", "h", 30)), under("c", 20, 50, from("hub", "h", 20))})
	require.Equal(t, &ui.State{File: "hffs: 2 files", Done: 150, Total: 200, LAN: 100, Hub: 50}, w.state())
	w.observe([]control.Progress{under("c", 20, 50, from("hub", "h", 20))})
	require.Equal(t, "hffs: c", w.state().File)
	w.observe(nil)
	w.observe(nil)
	w.observe([]control.Progress{under("d", 5, 10)})
	require.Equal(t, &ui.State{File: "hffs: d", Done: 5, Total: 10}, w.state(), "a new beginning")
}

func TestManySourcesAreSummedUp(t *testing.T) {
	t.Parallel()
	var one tally
	one.add(under("a", 1000, 1000, from("peer", "a", 400), from("peer", "b", 300), from("peer", "c", 200),
		from("peer", "d", 60), from("peer", "e", 37), from("peer", "f", 3), from("peer", "g", 0)))
	require.Equal(t, []string{"40% from a", "30% from b", "20% from c", "6% from d", "4% from 3 others"}, one.origins())
	var tiny tally
	tiny.add(under("a", 1000, 1000, from("peer", "a", 999), from("hub", "h", 1)))
	require.Equal(t, []string{"100% from a", "<1% from the Hub"}, tiny.origins())
}

func TestGuessShell(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, system, parent, shell, ps, want string }{
		{"who started us", "linux", "/usr/bin/fish", "/bin/bash", "", "fish"},
		{"PowerShell on Linux", "linux", "/opt/microsoft/powershell/7/pwsh", "/bin/bash", "/opt", "powershell"},
		{"by ps", "darwin", "-zsh\n", "/bin/bash", "", "zsh"},
		{"out of make", "linux", "/usr/bin/make", "/bin/zsh", "", "zsh"},
		{"nothing known", "linux", "", "", "", "sh"},
		{"only PowerShell's mark", "linux", "", "", "/opt", "powershell"},
		{"Windows", "windows", "", "", `C:\`, "powershell"},
		{"Git's bash on Windows", "windows", "", "/usr/bin/bash", `C:\`, "bash"},
	} {
		getenv := func(name string) string { return map[string]string{"SHELL": c.shell, "PSModulePath": c.ps}[name] }
		require.Equal(t, c.want, guessShell(getenv, c.system, func() string { return c.parent }), c.name)
	}
}

func TestLeadsTo(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]bool{
		"http://127.0.0.1:7768": true, "http://localhost:7768/": true, " http://LOCALHOST.:7768": true, "http://[::1]:7768/x": true, "http://127.9.9.9:7768": true,
		"http://127.0.0.1:7769": false, "http://127.0.0.1": false, "https://127.0.0.1:7768": false, "http://10.0.0.1:7768": false, "http://localhost.example:7768": false, "": false, "::": false,
	} {
		require.Equal(t, want, leadsTo(endpoint, "127.0.0.1:7768"), endpoint)
	}
	require.False(t, leadsTo("http://127.0.0.1:7768", "nonsense"))
}
