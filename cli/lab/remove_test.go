package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const exitBusy = 10

type removedJSON struct {
	Files []struct {
		Commit, File string
		Kept         bool
	}
	Refs  []string
	Freed int64
	Whole bool
}

type foundJSON struct {
	Holders []struct {
		Node, Addr, Commit string
		Here               bool
		Refs               []string
		Files              int
		OfFiles            *int `json:"of_files"`
		Complete           *bool
	}
}

func remove(t *testing.T, h *Host, args ...string) (gone removedJSON) {
	t.Helper()
	h.HffsJSON(&gone, append([]string{"rm", "--yes"}, args...)...)
	sound(t, h)
	return gone
}

// sound has the real huggingface_hub look through a host's cache: it must find nothing
// wrong with it.
func sound(t *testing.T, h *Host) (repos int) {
	t.Helper()
	if _, err := os.Stat(h.Cache()); err != nil {
		return 0
	}
	r := h.Run(python(t), "-c", "import sys, json, huggingface_hub as h\n"+
		"i = h.scan_cache_dir(sys.argv[1])\n"+
		"print(json.dumps({'warnings': [str(w) for w in i.warnings], 'repos': len(i.repos)}))", h.Cache())
	require.Zero(t, r.Code, "%s", r)
	var scan struct {
		Warnings []string
		Repos    int
	}
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &scan), "%s", r)
	require.Empty(t, scan.Warnings)
	return scan.Repos
}

// A file that a peer is fetching from here stays until the peer has it.
func TestRemoveUnderAReader(t *testing.T) {
	const size = 14 << 20
	l := New(t, Options{Hosts: 3})
	hub := l.NewHub(synthetic("acme/tiny", "model.safetensors", size)...)
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	a.Up("--limit-up", "2MB/s")
	get(t, a, "acme/tiny", "model.safetensors")
	passedOn(t, b, "acme/tiny", "model.safetensors")
	hub.Down()

	before := b.Received()
	reader := b.Start(Binary(t), "get", "acme/tiny", "model.safetensors", "--json")
	Eventually(t, 15*time.Second, "the peer reads", func() bool { return b.Received()-before > 1<<20 })
	r := a.Hffs("rm", "acme/tiny", "model.safetensors")
	refused(t, a, r, exitBusy, "rm")
	require.False(t, reader.Ended(), "it was read all the time")
	require.Contains(t, r.Stderr, "model.safetensors is being read")

	remover := a.Start(Binary(t), "rm", "acme/tiny", "--yes", "--wait", "--json")
	g := finish(t, reader)
	require.EqualValues(t, size, g.from("peer"), "the reader got all of it")
	require.Zero(t, remover.Wait(Limit), remover.report())
	require.NoDirExists(t, filepath.Join(a.Cache(), "models--acme--tiny"))
	require.Zero(t, sound(t, a))

	r = c.Hffs("get", "acme/tiny", "model.safetensors")
	refused(t, c, r, exitNoSource, "get")
}

// What is being fetched stays too.
func TestRemoveUnderAFetch(t *testing.T) {
	const size = 12 << 20
	l := New(t, Options{Hosts: 1})
	l.NewHub(append(synthetic("acme/tiny", "model.safetensors", size), synthetic("acme/tiny", "config.json", 700)...)...)
	a := l.Hosts[0]
	a.Up()
	get(t, a, "acme/tiny", "config.json")
	for _, how := range []string{"the node's own", "a command's own"} {
		t.Run(how, func(t *testing.T) {
			args := []string{"get", "acme/tiny", "model.safetensors", "--limit-down", "2MB/s", "--json"}
			if how == "a command's own" {
				args = append(args, "--no-mdns")
			}
			fetch := a.Start(Binary(t), args...)
			Eventually(t, 15*time.Second, "it is being fetched", func() bool {
				found, _ := filepath.Glob(filepath.Join(a.Cache(), "models--acme--tiny", ".hffs", "*.part"))
				return len(found) == 1
			})
			r := a.Hffs("rm", "acme/tiny", "--yes")
			refused(t, a, r, exitBusy, "rm")
			finish(t, fetch)
			require.EqualValues(t, size, remove(t, a, "acme/tiny", "model.safetensors").Freed)
			require.Equal(t, 1, sound(t, a))
		})
	}
}

// The swarm does not list a holder any more who has removed what it held, and content
// that another revision has is not lost.
func TestTheSwarmForgetsWhatWasRemoved(t *testing.T) {
	l := New(t, Options{Hosts: 3})
	hub := l.NewHub(synthetic("acme/tiny", "model.safetensors", 3<<20)...)
	commit := func(readme string) {
		hub.Post("commits", map[string]any{"repo": "acme/notes", "type": "model", "revision": "main",
			"text": map[string]string{"README.md": readme, "LICENSE": "do what you like\n"}})
	}
	commit("one\n")
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	a.Up()
	b.Up()
	meet(t, 5*time.Second, 1, a, b)
	old := get(t, a, "acme/notes", "LICENSE")
	get(t, a, "acme/notes", "README.md")
	commit("two\n")
	now := get(t, a, "acme/notes", "LICENSE")
	require.NotEqual(t, old.Commit, now.Commit)
	announced(t, b, a, "acme/notes", "LICENSE")

	search := func(h *Host) (commits []string) {
		var f foundJSON
		r := h.Hffs("search", "--json", "acme/notes")
		require.NoError(t, json.Unmarshal([]byte(r.Stdout), &f), "%s", r)
		for _, o := range f.Holders {
			require.False(t, o.Here)
			commits = append(commits, o.Commit)
		}
		return commits
	}
	Eventually(t, 5*time.Second, "all revisions are found", func() bool { return len(search(b)) == 2 && len(search(c)) == 2 })

	gone := remove(t, a, "acme/notes", "LICENSE", "--revision", old.Commit)
	require.True(t, gone.Files[0].Kept)
	require.FileExists(t, now.Path)
	require.True(t, where(t, b, "acme/notes", "LICENSE").holds(a), "main has it still")

	gone = remove(t, a, "acme/notes", "LICENSE")
	require.Equal(t, []string{"main"}, gone.Refs)
	began := time.Now()
	Eventually(t, 2*time.Second, "the swarm has forgotten the file", func() bool { return !where(t, b, "acme/notes", "LICENSE").holds(a) })
	Eventually(t, 2*time.Second, "and the revision", func() bool { return len(search(b)) == 1 })
	t.Logf("forgotten after %v", time.Since(began))
	require.True(t, remove(t, a, "acme/notes").Whole)
	Eventually(t, 2*time.Second, "and the repo", func() bool { return len(search(b)) == 0 })
	require.Equal(t, exitNotFound, c.Hffs("search", "acme/notes").Code)

	get(t, a, "acme/tiny", "model.safetensors")
	passedOn(t, c, "acme/tiny", "model.safetensors")
	hub.Down()
	for _, h := range []*Host{b, c} {
		r := h.Hffs("get", "acme/tinny", "model.safetensors")
		refused(t, h, r, exitNoSource, "get")
		require.Contains(t, r.Stderr, "did you mean acme/tiny?")
	}
}
