package lab

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// doneJSON is what hffs get prints of many files.
type doneJSON struct {
	Repos []struct {
		Commit, Path string
		Files        []struct {
			File, Path, ETag, How string
			Size                  int64
		}
	}
	Files, Failed int
	Bytes         int64
	Sources       []sourceJSON
	Warnings      []string
}

func (d doneJSON) from(kind string) int64 { return gotJSON{Sources: d.Sources}.from(kind) }

// getAll has a host get many files and proves that each is right.
func getAll(t *testing.T, h *Host, args ...string) doneJSON {
	t.Helper()
	var d doneJSON
	h.HffsJSON(&d, append([]string{"get"}, args...)...)
	require.Zero(t, d.Failed)
	for _, r := range d.Repos {
		for _, f := range r.Files {
			right(t, gotJSON{Path: f.Path, Size: f.Size, ETag: f.ETag})
		}
	}
	return d
}

// layRepo writes files of a repo where the stand-in Hub takes them from.
func layRepo(t *testing.T, dir, repo string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(repo), filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// sameRepo proves that a folder has exactly the files of a repo, byte by byte.
func sameRepo(t *testing.T, dir, repo, folder string) {
	t.Helper()
	from := filepath.Join(dir, filepath.FromSlash(repo))
	n := 0
	require.NoError(t, fs.WalkDir(os.DirFS(from), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want, err := os.ReadFile(filepath.Join(from, path))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(folder, path))
		require.NoError(t, err)
		require.Equal(t, want, got, path)
		n++
		return nil
	}))
	require.NoError(t, fs.WalkDir(os.DirFS(folder), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path == ".cache" {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() {
			n--
		}
		return err
	}))
	require.Zero(t, n, "there are other files in %s", folder)
}

// odd are names that people do give their files.
func odd() map[string]string {
	files := map[string]string{}
	for _, name := range []string{
		"a b.txt", "dir with space/x y.json", "ünï/模型.txt", "emoji😀.bin", "100%.txt", "50%25.txt", "%2e%2e.txt", "hash#1.txt",
		"README.md", "readme.md", "ReadMe.MD", "q?x.txt", "[set].txt", "star*.txt", "plus+plus.txt", "a&b=c;d.txt", ".hidden",
		"~tilde.txt", "dots...txt", "quote'\".txt", "empty.txt", "@at.txt", "comma,.txt", "main/resolve/main/x.txt",
	} {
		files[name] = "the content of " + name
	}
	files["empty.txt"] = ""
	return files
}

const (
	manyRepo   = "acme/many"
	oddRepo    = "acme/odd"
	shardsRepo = "acme/shards"
)

// TestWholeRepos: a model with shards, a dataset of 1,200 files, and odd names, first
// from the Hub, then from a neighbour, then without the Hub.
func TestWholeRepos(t *testing.T) {
	py, dir := python(t), t.TempDir()
	l := New(t, Options{Hosts: 3})
	rows := map[string]string{}
	for i := range 1200 {
		rows[fmt.Sprintf("data/part-%05d.json", i)] = strings.Repeat(fmt.Sprintf("{\"row\": %d}\n", i), 1+i%97)
	}
	layRepo(t, dir, "datasets/"+manyRepo, rows)
	layRepo(t, dir, "models/"+oddRepo, odd())
	shards := map[string]string{"config.json": "{}"}
	for i := range 4 {
		shards[fmt.Sprintf("model-%05d-of-00004.safetensors", i+1)] = strings.Repeat(fmt.Sprint("weights ", i), 2<<20)
	}
	layRepo(t, dir, "models/"+shardsRepo, shards)
	hub := l.NewHub("--dir", dir)
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	a.Up()

	all := func(h *Host, kind string, warnings int) {
		t.Helper()
		for _, args := range [][]string{{manyRepo, "--repo-type", "dataset"}, {oddRepo}, {shardsRepo}} {
			d := getAll(t, h, args...)
			require.Equal(t, d.Bytes, d.from(kind), "%s: %v", args[0], d.Sources)
			require.Len(t, d.Warnings, warnings)
			folder := "models/"
			if len(args) > 1 {
				folder = "datasets/"
			}
			sameRepo(t, dir, folder+args[0], d.Repos[0].Path)
		}
		r := h.Run(py, "-c", "import sys, huggingface_hub as h; s = h.scan_cache_dir(sys.argv[1]); print(len(s.repos), s.warnings)", h.Cache())
		require.Equal(t, "3 []\n", r.Stdout, "%s", r)
	}
	all(a, "hub", 0)
	b.Up()
	meet(t, 5*time.Second, 1, b)
	announced(t, b, a, shardsRepo, "config.json")
	hub.Reset()
	all(b, "peer", 0)
	require.Zero(t, hub.Bytes("datasets/"+manyRepo, "data/part-00000.json"))
	require.Less(t, len(hub.Answers()), 20, "the Hub is asked what there is, not for each file")
	hub.Down()
	all(c, "peer", 1) // without a node, by what the others know
	offline(t, b, py)
}

// offline proves that huggingface_hub knows whole snapshots without the Hub, and those
// that are not.
func offline(t *testing.T, h *Host, py string) {
	t.Helper()
	off := *h
	off.Env = map[string]string{"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
	ask := "import sys, huggingface_hub as h; print(h.snapshot_download(sys.argv[1], repo_type=sys.argv[2]))"
	r := off.Run(py, "-c", ask, manyRepo, "dataset")
	require.Zero(t, r.Code, "%s", r)
	lost := filepath.Join(strings.TrimSpace(r.Stdout), "data", "part-00007.json")
	require.NoError(t, os.Remove(lost))
	r = off.Run(py, "-c", ask, manyRepo, "dataset")
	require.NotZero(t, r.Code, "%s", r)
	require.Contains(t, r.Stderr, "IncompleteSnapshotError")
	d := getAll(t, &off, manyRepo, "--repo-type", "dataset")
	require.FileExists(t, lost)
	require.Equal(t, d.Bytes, d.from("local"))
}

// TestLocalDirIsTakenOver: the real hf fetches nothing into a folder that hffs filled,
// nor does hffs into one that hf filled.
func TestLocalDirIsTakenOver(t *testing.T) {
	py, dir := python(t), t.TempDir()
	l := New(t, Options{Hosts: 1})
	h := l.Hosts[0]
	h.Env = map[string]string{"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
	layRepo(t, dir, "models/"+oddRepo, odd())
	layRepo(t, dir, "models/"+shardsRepo, map[string]string{"config.json": "{}", "onnx/w.safetensors": strings.Repeat("weights ", 3<<20)})
	hub := l.NewHub("--dir", dir)
	fetched := func() (files []string) {
		for _, s := range hub.Answers() {
			if s.File != "" && s.Bytes > 0 {
				files = append(files, s.File)
			}
		}
		return files
	}
	hf := filepath.Join(filepath.Dir(py), "hf")
	for _, repo := range []string{oddRepo, shardsRepo} {
		ours, theirs := filepath.Join(h.Dir, "ours", repo), filepath.Join(h.Dir, "theirs", repo)
		d := getAll(t, h, repo, "--local-dir", ours, "--hard-links")
		require.Equal(t, ours, d.Repos[0].Path)
		sameRepo(t, dir, "models/"+repo, ours)
		hub.Reset()
		r := h.Run(hf, "download", repo, "--local-dir", ours)
		require.Zero(t, r.Code, "%s", r)
		require.Empty(t, fetched())
		sameRepo(t, dir, "models/"+repo, ours)

		r = h.Run(hf, "download", repo, "--local-dir", theirs)
		require.Zero(t, r.Code, "%s", r)
		hub.Reset()
		other := h.As("other")
		d = getAll(t, other, repo, "--local-dir", theirs)
		require.Equal(t, d.Bytes, d.from("local"))
		require.Empty(t, fetched())
		for _, f := range d.Repos[0].Files {
			require.Equal(t, "kept", f.How)
		}
	}
	changed := filepath.Join(h.Dir, "ours", shardsRepo, "config.json")
	require.NoError(t, os.WriteFile(changed, []byte("[]"), 0o644))
	require.NoError(t, os.Chtimes(changed, time.Now().Add(time.Minute), time.Now().Add(time.Minute)))
	getAll(t, h, shardsRepo, "--local-dir", filepath.Dir(changed))
	sameRepo(t, dir, "models/"+shardsRepo, filepath.Dir(changed))
}

// TestInterruptedOrderGoesOn: what had come is not fetched again.
func TestInterruptedOrderGoesOn(t *testing.T) {
	t.Parallel()
	l := New(t, Options{Hosts: 1})
	h := l.Hosts[0]
	var args []string
	for i := range 6 {
		args = append(args, synthetic(shardsRepo, fmt.Sprintf("%d.safetensors", i), int64(5_000_000+i))...)
	}
	hub := l.NewHub(args...)
	p := h.Start(Binary(t), "get", shardsRepo, "--limit-down", "4MB/s", "--no-mdns")
	Eventually(t, 20*time.Second, "some of it has come", func() bool { return hub.AllBytes() > 8_000_000 })
	p.Interrupt()
	require.Equal(t, exitStopped, p.Wait(Limit), p.report())
	sent := hub.AllBytes()
	d := getAll(t, h, shardsRepo, "--no-mdns")
	require.Equal(t, 6, d.Files)
	require.Less(t, hub.AllBytes()-sent, d.Bytes, "it goes on from there")
	require.Positive(t, d.from("local"))
}

// TestLimitsHoldForAllFilesTogether: files at a time do not multiply what is allowed.
func TestLimitsHoldForAllFilesTogether(t *testing.T) {
	t.Parallel()
	l := New(t, Options{Hosts: 1})
	h := l.Hosts[0]
	var args []string
	for i := range 8 {
		args = append(args, synthetic(shardsRepo, fmt.Sprintf("%d.safetensors", i), int64(3_000_000+i))...)
	}
	l.NewHub(args...)
	before := time.Now()
	getAll(t, h, shardsRepo, "--no-mdns", "--limit-down", "8MB/s")
	require.GreaterOrEqual(t, time.Since(before), 2500*time.Millisecond, "24 MB at 8 MB/s")
}
