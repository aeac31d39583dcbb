package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The stories of a shelf of models that many read and few may write to.

// shelve has a host's Hugging Face home be one that can only be read from now on.
func shelve(t *testing.T, h *Host) {
	t.Helper()
	run(t, "mount", "--bind", h.Home(), h.Home())
	t.Cleanup(func() { run(t, "umount", "--lazy", h.Home()) })
	run(t, "mount", "-o", "remount,ro,bind", h.Home())
	require.Error(t, os.Mkdir(filepath.Join(h.Home(), "x"), 0o755), "it can be written")
}

// hf is the Hub's own program on a host, run through hffs.
func hf(t *testing.T, h *Host, args ...string) Result {
	t.Helper()
	program := filepath.Join(filepath.Dir(python(t)), "hf")
	return h.Hffs(append([]string{"run", "--", program}, args...)...)
}

// shelf is a host with a file on its shelf, and another one that has nothing.
func shelf(t *testing.T) (hub *Hub, a, b *Host, known gotJSON) {
	t.Helper()
	l := New(t, Options{Hosts: 2})
	hub = l.NewHub(slices.Concat(synthetic(tinyRepo, "model.safetensors", 3<<20),
		synthetic("acme/copy", "model.safetensors", 3<<20), synthetic("acme/new", "config.json", 900))...)
	a, b = l.Hosts[0], l.Hosts[1]
	known = get(t, a, tinyRepo, "model.safetensors")
	shelve(t, a)
	return hub, a, b, known
}

func TestShelfWithoutANode(t *testing.T) {
	_, a, _, known := shelf(t)
	usable := func(t *testing.T) {
		g := get(t, a, tinyRepo, "model.safetensors")
		require.Equal(t, known.Path, g.Path)
		require.Equal(t, g.Size, g.from("local"))
		w := where(t, a, tinyRepo, "model.safetensors")
		require.NotNil(t, w.Local)
		require.Equal(t, known.Path, *w.Local)
		r := a.Hffs("ls", tinyRepo, "model.safetensors")
		require.Equal(t, known.Path, strings.TrimSpace(r.Stdout), "%s", r)
		require.Zero(t, a.Hffs("get", tinyRepo).Code, "all of a repo")
		refused(t, a, a.Hffs("get", "acme/new", "config.json"), exitStorage, "get")
		refused(t, a, a.Hffs("get", "acme/new"), exitStorage, "get")
		require.Equal(t, known.Path, strings.TrimSpace(a.Hffs("get", tinyRepo, "model.safetensors").Stdout))
	}
	t.Run("state of the user's own", func(t *testing.T) {
		usable(t)
		require.DirExists(t, filepath.Join(a.Dir, ".cache", "hffs"), "what was hashed is not hashed again")
	})
	t.Run("no place for any state", func(t *testing.T) {
		a.Env = map[string]string{"HFFS_HOME": filepath.Join(a.Home(), "hffs")}
		defer func() { a.Env = nil }()
		usable(t)
		left, err := filepath.Glob(filepath.Join(a.Dir, "hffs-*"))
		require.NoError(t, err)
		require.Empty(t, left, "what it was in has gone")
		refused(t, a, a.Hffs("up"), exitStorage, "up")
	})
	t.Run("doctor", func(t *testing.T) {
		r := a.Hffs("doctor")
		require.Regexp(t, `(?m)can be read and shared, not written`, r.Stdout, "%s", r)
		require.NotRegexp(t, `(?mi)fail.*(cache|what hffs keeps)`, r.Stdout, "%s", r)
	})
}

func TestShelfUnderAProgram(t *testing.T) {
	_, a, _, known := shelf(t)
	a.Env = map[string]string{"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
	r := hf(t, a, "download", tinyRepo, "model.safetensors")
	require.Zero(t, r.Code, "%s", r)
	require.Contains(t, r.Stdout, known.Path)
	require.Contains(t, r.Stderr, "can be read and shared, not written")

	into := filepath.Join(a.Dir, "elsewhere")
	r = hf(t, a, "download", "acme/new", "config.json", "--local-dir", into)
	require.Zero(t, r.Code, "what goes past the shelf comes from the Hub: %s", r)
	info, err := os.Stat(filepath.Join(into, "config.json"))
	require.NoError(t, err)
	require.Equal(t, int64(900), info.Size())
}

func TestShelfIsShared(t *testing.T) {
	hub, a, b, known := shelf(t)
	node := a.Up()
	t.Run("bytes that lie there under another name", func(t *testing.T) {
		w := where(t, a, "acme/copy", "model.safetensors")
		require.NotNil(t, w.Local)
		require.Equal(t, known.ETag, etagOf(t, *w.Local, len(known.ETag)))
		into := filepath.Join(a.Dir, "copy")
		r := a.Run("curl", "-sSfL", "-o", into, asHub(t, node)+"/acme/copy/resolve/main/model.safetensors")
		require.Zero(t, r.Code, "%s", r)
		require.Equal(t, known.ETag, etagOf(t, into, len(known.ETag)))
		require.Equal(t, int64(0), hub.Bytes("acme/copy", "model.safetensors"), "the Hub sent nothing of it")
		refused(t, a, a.Hffs("get", "acme/copy", "model.safetensors"), exitStorage, "get")
	})
	require.True(t, node.Said("can be read and shared, not written"), node.report())
	require.True(t, node.Said(filepath.Join(a.Dir, ".cache", "hffs")), "where its state is: %s", node.report())
	require.Equal(t, known.Size, get(t, a, tinyRepo, "model.safetensors").from("local"))
	refused(t, a, a.Hffs("get", "acme/new", "config.json"), exitStorage, "get")
	require.False(t, node.Ended(), node.report())

	b.Up()
	meet(t, 10*time.Second, 1, a, b)
	announced(t, b, a, tinyRepo, "model.safetensors")
	hub.Down()
	g := get(t, b, tinyRepo, "model.safetensors")
	require.Equal(t, g.Size, g.from("peer"))
	r := a.Hffs("down")
	require.Zero(t, r.Code, "the node is found without a word where its state is: %s", r)
}
