package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The stories of other people's tools, which know of hffs only that the Hub is to be
// found on this machine.

var apiAt = regexp.MustCompile(`API: (127\.0\.0\.1:\d+)`)

// asHub is the address by which a node answers as the Hub does.
func asHub(t *testing.T, node *Process) string {
	t.Helper()
	said := apiAt.FindStringSubmatch(node.Out.String() + node.Err.String())
	require.NotNil(t, said, node.report())
	return "http://" + said[1]
}

// tool is a user of the node's host who has a cache of their own, and the node for
// a Hub.
func tool(t *testing.T, node *Process, name string) *Host {
	t.Helper()
	h := node.host.As(name)
	h.Env = map[string]string{
		"HF_ENDPOINT": asHub(t, node), "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
		"NODE_PATH": filepath.Join(npmFolder(t), "node_modules"),
	}
	return h
}

// npmFolder is where "make venv" has installed the JavaScript client.
func npmFolder(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("HFFS_NPM"); dir != "" {
		return dir
	}
	home, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(home, "hffs-test", "npm")
}

// A job is something to be done with huggingface_hub; see testdata/ask.py.
type job struct {
	Do       string `json:"do"` // file, snapshot
	Repo     string `json:"repo"`
	File     string `json:"file,omitempty"`
	Revision string `json:"revision,omitempty"`
	Token    string `json:"token,omitempty"`
}

// A reply is what came of a job: a path and the sha256 of what lies there, or the
// kinds of the error, the narrowest first, and its text.
type reply struct {
	Path    string
	Sums    map[string]string // by path inside the snapshot
	Error   []string
	Says    string
	Seconds float64
}

// ask has huggingface_hub do jobs, so many at a time, in one process.
func ask(t *testing.T, h *Host, threads int, jobs ...job) []reply {
	t.Helper()
	script, err := filepath.Abs("testdata/ask.py")
	require.NoError(t, err)
	list := filepath.Join(h.Dir, "jobs.json")
	text, err := json.Marshal(map[string]any{"threads": threads, "jobs": jobs})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(list, text, 0o644))
	r := h.Run(python(t), script, list)
	require.Zero(t, r.Code, "%s", r)
	said := decode[[]reply](t, r)
	require.Len(t, said, len(jobs))
	return said
}

// files are jobs that get files of a repo one by one.
func files(repo string, names ...string) (jobs []job) {
	for _, name := range names {
		jobs = append(jobs, job{Do: "file", Repo: repo, File: name})
	}
	return jobs
}

// sumOf is a file's sha256.
func sumOf(t *testing.T, path string) string { t.Helper(); return etagOf(t, path, 64) }
