package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The stories of programs that know nothing of hffs: real clients of the Hub,
// unchanged, that are told to look for it at the node's API port.

const (
	nodeURL  = "http://127.0.0.1:7768"
	tinyRepo = "acme/tiny"
	dataRepo = "acme/data"
)

// A client is a Python with one version of huggingface_hub.
type client struct {
	version string
	python  string
	big     string // a file that is this client's alone
	newest  bool
}

func clients(t *testing.T) []client {
	return []client{
		{version: "2.4.0", python: python(t), big: "new.safetensors", newest: true},
		{version: "0.34.4", python: legacyPython(t), big: "old.safetensors"},
	}
}

// script is the path of one of the test's programs in Python.
func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	require.NoError(t, err)
	return path
}

// asking is the same host for programs that take the node for the Hub: with a home
// of their own, or with the node's own cache.
func (h *Host) asking(home string) *Host {
	other := *h
	if home != "" {
		other = *h.As(home)
	}
	other.Env = maps.Clone(h.Env)
	if other.Env == nil {
		other.Env = map[string]string{}
	}
	other.Env["HF_ENDPOINT"] = nodeURL
	other.Env["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
	return &other
}

// tinyFiles are files of all kinds: in folders, empty, with a name that has to be
// escaped, large by their name alone.
var tinyFiles = map[string]string{
	"README.md":                    "# tiny\n",
	"config.json":                  `{"model_type": "none"}`,
	"secret.json":                  `{"nobody": "asked for it"}`,
	"empty.txt":                    "",
	"sub/deep/notes.json":          `{"deep": true}`,
	"sub/weights.safetensors":      strings.Repeat("weights ", 5000),
	"sub/a file, #1 & ünïcode?.md": "odd name\n",
}

var dataFiles = map[string]string{
	"README.md":         "# data\n",
	"train-00000.jsonl": strings.Repeat(`{"text": "a line"}`+"\n", 1000),
}

// lay writes files into a folder.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

// manyRepos starts a Hub with the small repos and one big file for each client, all
// of which it offers by Xet, too; its lists come in pages.
func manyRepos(t *testing.T, l *Lab, all []client) *Hub {
	t.Helper()
	dir := t.TempDir()
	lay(t, filepath.Join(dir, "models", tinyRepo), tinyFiles)
	lay(t, filepath.Join(dir, "datasets", dataRepo), dataFiles)
	args := []string{"--dir", dir, "--xet", "--page-size", "3"}
	for i, c := range all {
		args = append(args, "--synthetic", fmt.Sprintf("%s/%s=%d@%d", bigRepo, c.big, bigSize, i+1))
	}
	hub := l.NewHub(args...)
	proposal := maps.Clone(tinyFiles)
	proposal["proposal.txt"] = "what if\n"
	hub.Post("commits", map[string]any{"repo": tinyRepo, "type": "model", "revision": "refs/pr/1", "text": proposal})
	return hub
}

// reportJSON is what testdata/client.py prints.
type reportJSON struct {
	Version, Cache string
	HasXet         bool `json:"has_xet"`
	Big            string
	Head           struct {
		Commit, ETag string
		Size         int64
		Location     string
		Xet          bool
	}
	Tiny, Data, PR string
	Part           []string
	PRFile         string `json:"pr_file"`
	Ranges         [][3]any
	Info           string
	Listed         []string
	XetHashes      []string `json:"xet_hashes"`
	Paths          []string
	PullRequests   []string `json:"pull_requests"`
	Exists         []bool
	Errors         []string
	KnownMissing   bool `json:"known_missing"`
	Scan           scanJSON
}

type scanJSON struct {
	Warnings []string
	Repos    map[string][]string
}

// read decodes what a program printed last, and demands that it succeeded.
func read[V any](t *testing.T, r Result) (v V) {
	t.Helper()
	require.Zero(t, r.Code, "%s", r)
	lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &v), "%s", r)
	return v
}

// check proves that what the client reported is what the Hub would have told and sent.
func (c client) check(t *testing.T, r reportJSON, xet bool) {
	t.Helper()
	require.Equal(t, c.version, r.Version)
	require.Equal(t, xet, r.HasXet, "the story is of a client that could use Xet, or cannot")
	require.EqualValues(t, bigSize, r.Head.Size)
	require.Equal(t, r.Head.ETag, etagOf(t, r.Big, 64))
	require.Equal(t, r.Head.Commit, filepath.Base(filepath.Dir(r.Big)))
	require.False(t, r.Head.Xet, "the client hears of Xet")
	require.Empty(t, r.XetHashes, "the client hears of Xet")
	require.Equal(t, []string{"config.json", "sub/a file, #1 & ünïcode?.md", "sub/deep/notes.json", "sub/weights.safetensors"}, r.Part)
	proposal := maps.Clone(tinyFiles)
	proposal["proposal.txt"] = "what if\n"
	same(t, r.Tiny, tinyFiles)
	same(t, r.Data, dataFiles)
	same(t, r.PR, proposal)
	require.Equal(t, r.PR, filepath.Dir(r.PRFile))
	require.Len(t, r.Ranges, 4)
	for _, got := range r.Ranges {
		sameRange(t, r.Big, int64(got[0].(float64)), int64(got[1].(float64)), got[2].(string))
	}
	require.Equal(t, r.Info, filepath.Base(r.Tiny))
	require.Subset(t, r.Listed, slices.Collect(maps.Keys(tinyFiles)))
	require.Len(t, r.Listed, len(tinyFiles))
	require.Equal(t, []string{"config.json", "sub"}, r.Paths)
	require.Equal(t, []string{"refs/pr/1"}, r.PullRequests)
	require.Equal(t, []bool{true, false}, r.Exists)
	require.True(t, r.KnownMissing, "the client remembers what is not there")
	missing := "EntryNotFoundError"
	if c.newest {
		missing = "RemoteEntryNotFoundError"
	}
	require.Equal(t, []string{missing, "RevisionNotFoundError", "RepositoryNotFoundError", "RepositoryNotFoundError"}, r.Errors)
	c.clean(t, r)
	require.Equal(t, []string{"datasets/" + dataRepo, "models/" + bigRepo, "models/" + tinyRepo}, slices.Sorted(maps.Keys(r.Scan.Repos)))
}

// clean proves that the client's scanner finds the cache as it should be. The tag that
// the newest clients put into each cache is not ours.
func (c client) clean(t *testing.T, r reportJSON) {
	t.Helper()
	require.Empty(t, r.Scan.Warnings, "the cache is as it should be")
}

// same proves that a snapshot has these files and no others.
func same(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		got[filepath.ToSlash(name)] = string(text)
		return err
	}))
	require.Equal(t, want, got)
}

// sameRange proves that n bytes of a file have a hash.
func sameRange(t *testing.T, path string, off, n int64, sum string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, io.NewSectionReader(f, off, n))
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString(h.Sum(nil)), sum, "%d bytes at %d", n, off)
}

func TestHuggingfaceHub(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	all := clients(t)
	hub := manyRepos(t, l, all)
	a, b := l.Hosts[0], l.Hosts[1]
	b.Up()
	for _, c := range all {
		t.Run(c.version, func(t *testing.T) {
			t.Run("what nobody has leaves the Hub once", func(t *testing.T) { c.cold(t, hub, a) })
			get(t, b, bigRepo, c.big)
			t.Run("what a neighbour has comes from there", func(t *testing.T) { c.near(t, hub, a, b) })
		})
	}
	onlyNodes(t, hub)
}

// cold has the client, with a cache of its own, ask a node that has nothing.
func (c client) cold(t *testing.T, hub *Hub, a *Host) {
	node := a.As(c.version + "-cold")
	defer node.Up("-vv").Stop()
	sent := hub.AllBytes()
	r := read[reportJSON](t, node.asking("client").Run(c.python, script(t, "client.py"), bigRepo, c.big))
	c.check(t, r, true)
	require.True(t, strings.HasPrefix(r.Cache, node.Dir+"/client/"), "%s is the client's own", r.Cache)
	require.True(t, strings.HasPrefix(r.Big, r.Cache), "and so is %s", r.Big)
	sent = hub.AllBytes() - sent
	t.Logf("the Hub sent %d bytes", sent)
	require.InDelta(t, bigSize, sent, bigSize/20, "one copy")
}

// near has clients ask a node whose neighbour holds the big file: one that has the
// node's own cache, then one without hf_xet that has a cache of its own.
func (c client) near(t *testing.T, hub *Hub, a, b *Host) {
	node := a.As(c.version)
	up := node.Up("-vv")
	defer up.Stop()
	meet(t, 5*time.Second, 1, node)
	announced(t, node, b, bigRepo, c.big)
	sent := hub.AllBytes()
	r := read[reportJSON](t, node.asking("").Run(c.python, script(t, "client.py"), bigRepo, c.big))
	c.check(t, r, true)
	require.Equal(t, node.Cache(), r.Cache)
	require.Less(t, hub.AllBytes()-sent, int64(1_000_000), "the Hub sends nothing of the big file")
	t.Logf("the node sent %d bytes of the big repo's files, some of them for parts that were asked for", served(up, bigRepo))
	require.Zero(t, served(up, tinyRepo), "files are in place when the client is told of them")
	require.Zero(t, served(up, dataRepo))
	oneCopy(t, node.Cache())
	nothingWrong(t, node.Cache())
	c.commands(t, node)

	sent = hub.AllBytes()
	r = read[reportJSON](t, node.asking("client").Run(c.python, script(t, "client.py"), bigRepo, c.big, "no-xet"))
	c.check(t, r, false)
	require.Equal(t, sent, hub.AllBytes(), "the node has it all")
	require.GreaterOrEqual(t, served(up, bigRepo), int64(bigSize), "and sends it")
}

// commands are those that come with huggingface_hub, on the node's own cache.
func (c client) commands(t *testing.T, node *Host) {
	t.Helper()
	hf := filepath.Join(filepath.Dir(c.python), "hf")
	user := node.asking("")
	r := user.Run(hf, "download", tinyRepo, "config.json")
	require.Zero(t, r.Code, "%s", r)
	require.Contains(t, r.Stdout, filepath.Join(node.Cache(), "models--acme--tiny", "snapshots"))
	r = user.Run(hf, "download", dataRepo, "--repo-type", "dataset", "--include", "*.jsonl", "--local-dir", "copy")
	require.Zero(t, r.Code, "%s", r)
	text, err := os.ReadFile(filepath.Join(user.Dir, "copy", "train-00000.jsonl"))
	require.NoError(t, err)
	require.Equal(t, dataFiles["train-00000.jsonl"], string(text))
	if c.newest {
		for _, repo := range []string{bigRepo, tinyRepo} {
			r = user.Run(hf, "cache", "verify", repo)
			require.Zero(t, r.Code, "%s", r)
			require.Contains(t, r.Stdout+r.Stderr, "checksums match", "%s", r)
		}
	}
}

var asked = regexp.MustCompile(`msg="asked as the Hub" method=GET path="?(\S+)/resolve/.* status=20\d bytes=(\d+)`)

// served is how many bytes of a repo's files a node has sent to its own programs, as
// its log has it.
func served(node *Process, repo string) (n int64) {
	for _, m := range asked.FindAllStringSubmatch(node.Err.String(), -1) {
		if strings.HasSuffix(m[1], "/"+repo) {
			bytes, _ := strconv.ParseInt(m[2], 10, 64)
			n += bytes
		}
	}
	return n
}

// oneCopy proves that a cache takes no more of the disk than its files do, and that
// nobody has left anything half done.
func oneCopy(t *testing.T, cache string) {
	t.Helper()
	var blobs int64
	require.NoError(t, filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Base(filepath.Dir(path)) != "blobs" {
			return err
		}
		require.NotContains(t, path, "incomplete")
		info, err := d.Info()
		if err == nil {
			blobs += info.Size()
		}
		return err
	}))
	used, err := strconv.ParseInt(strings.Fields(run(t, "du", "-s", "-B1", cache))[0], 10, 64)
	require.NoError(t, err)
	require.Less(t, used, blobs+1_000_000)
}

// onlyNodes proves that no client has been told of a way around its node: what came to
// the CDN, the CAS and the office that gives tokens for it came from hffs.
func onlyNodes(t *testing.T, hub *Hub) {
	t.Helper()
	for _, r := range hub.Answers() {
		if r.Host != "hub" || strings.Contains(r.Path, "xet") {
			require.True(t, strings.HasPrefix(r.Agent, "hffs"), "%s of %s came from %q", r.Path, r.Host, r.Agent)
		}
	}
}
