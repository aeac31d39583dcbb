package lab

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The stories tell what must be true of the whole product. What they know of it
// is its command line: these are the shapes of its JSON.

type gotJSON struct {
	Path, Repo, Revision, Commit, File, ETag string
	RepoType                                 string `json:"repo_type"`
	Size                                     int64
	Seconds                                  float64
	Sources                                  []sourceJSON
	Dropped                                  []noteJSON
	Warnings                                 []string
}

type sourceJSON struct {
	Kind, Name string
	Bytes      int64
}

type noteJSON struct{ Source, Text string }

type whereJSON struct {
	Repo, Commit, File, ETag string
	Size                     int64
	Local                    *string
	Holders                  []holderJSON
	Hub                      bool
}

type holderJSON struct {
	Node, Addr string
	Bytes      int64
	Complete   bool
}

// Exit codes, as the commands' help has them.
const (
	exitUsage    = 2
	exitNotFound = 3
	exitAccess   = 4
	exitNoSource = 5
	exitStorage  = 6
	exitPort     = 7
	exitStopped  = 130
)

// documented reports whether a command's help lists an exit code.
func documented(help string, code int) bool {
	_, codes, found := strings.Cut(help, "Exit codes:")
	return found && regexp.MustCompile(fmt.Sprintf(`(^|;)\s*%d [a-z]`, code)).MatchString(codes)
}

type statusJSON struct {
	Peers   []json.RawMessage
	Dropped []noteJSON
}

// from is how many bytes came from sources of a kind.
func (g gotJSON) from(kind string) (n int64) {
	for _, s := range g.Sources {
		if s.Kind == kind {
			n += s.Bytes
		}
	}
	return n
}

// synthetic is the stand-in's argument for a file of made-up bytes.
func synthetic(repo, file string, size int64) []string {
	return []string{"--synthetic", fmt.Sprintf("%s/%s=%d@%d", repo, file, size, size)}
}

// get has a host get a file and proves that what it got is right.
func get(t *testing.T, h *Host, args ...string) gotJSON {
	t.Helper()
	g, _ := getSaying(t, h, args...)
	return g
}

// getSaying is get, with what hffs said on stderr.
func getSaying(t *testing.T, h *Host, args ...string) (gotJSON, string) {
	t.Helper()
	var g gotJSON
	r := h.HffsJSON(&g, append([]string{"get"}, args...)...)
	right(t, g)
	return g, r.Stderr
}

// decode reads what a command printed as JSON.
func decode[T any](t *testing.T, r Result) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &v), "%s", r)
	return v
}

// finish waits for a get that was started with --json and proves its result.
func finish(t *testing.T, p *Process) gotJSON {
	t.Helper()
	require.Zero(t, p.Wait(Limit), p.report())
	var g gotJSON
	require.NoError(t, json.Unmarshal([]byte(p.Out.String()), &g), p.report())
	right(t, g)
	return g
}

// right proves that the file has the size and the hash that the Hub states.
func right(t *testing.T, g gotJSON) {
	t.Helper()
	require.True(t, strings.HasPrefix(g.Path, "/"), "%q is absolute", g.Path)
	info, err := os.Stat(g.Path)
	require.NoError(t, err)
	require.Equal(t, g.Size, info.Size())
	require.Equal(t, g.ETag, etagOf(t, g.Path, len(g.ETag)))
}

// etagOf computes a file's sha256 or, for 40 digits, its git blob id.
func etagOf(t *testing.T, path string, digits int) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var h hash.Hash = sha256.New()
	if digits == 40 {
		info, err := f.Stat()
		require.NoError(t, err)
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", info.Size())
	}
	_, err = io.Copy(h, f)
	require.NoError(t, err)
	return hex.EncodeToString(h.Sum(nil))
}

// where asks a host who holds a file; nobody at all is an answer too.
func where(t *testing.T, h *Host, args ...string) whereJSON {
	t.Helper()
	r := h.Hffs(append([]string{"where", "--json"}, args...)...)
	var w whereJSON
	require.NoError(t, json.Unmarshal([]byte(r.Stdout), &w), "%s", r)
	return w
}

// holds reports whether the host with this address is among the holders.
func (w whereJSON) holds(h *Host) bool {
	for _, o := range w.Holders {
		if strings.HasPrefix(o.Addr, h.Addr+":") && o.Complete {
			return true
		}
	}
	return false
}

// peers is how many others a host's node sees.
func peers(t *testing.T, h *Host) int {
	t.Helper()
	var s statusJSON
	h.HffsJSON(&s, "status")
	return len(s.Peers)
}

// meet waits until each of the hosts sees as many peers.
func meet(t *testing.T, deadline time.Duration, want int, hosts ...*Host) {
	t.Helper()
	end := time.Now().Add(deadline)
	for _, h := range hosts {
		what := fmt.Sprintf("%s sees %d peers", h.Name, want)
		Eventually(t, time.Until(end), what, func() bool { return peers(t, h) == want })
	}
}

// announced waits until a host knows that another one holds a file.
func announced(t *testing.T, h, holder *Host, args ...string) {
	t.Helper()
	what := fmt.Sprintf("%s knows that %s holds %v", h.Name, holder.Name, args)
	Eventually(t, 15*time.Second, what, func() bool { return where(t, h, args...).holds(holder) })
}

// passedOn waits until the swarm alone, without the Hub, answers for a file to
// a host that runs no node.
func passedOn(t *testing.T, h *Host, args ...string) {
	t.Helper()
	offline := *h
	offline.Env = map[string]string{"HF_HUB_OFFLINE": "1"}
	Eventually(t, 15*time.Second, fmt.Sprintf("the swarm answers for %v", args), func() bool {
		return offline.Hffs(append([]string{"where"}, args...)...).Code == 0
	})
}

// run runs a command of the machine that plays the lab, outside all its hosts.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
	return string(out)
}

// forget takes everything out of a host's cache, as a person would: by rm -r.
func forget(t *testing.T, h *Host) {
	t.Helper()
	require.NoError(t, os.RemoveAll(h.Cache()))
}
