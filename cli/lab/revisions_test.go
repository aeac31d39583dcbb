package lab

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The stories of what is not sent twice. Real clients have uploaded the files,
// so their chunks and hashes are none of ours: see testdata/revisions.py.

const (
	weightsRepo = "acme/weights"
	weightsFile = "model.safetensors"
	writer      = "hf_writerwriterwriterwriterwriterwriter"
	// newShare is the part of a file, in percent, that may travel for a revision
	// of which two percent are new.
	newShare = 4
)

// revisions are the commits of a file's three revisions.
type revisions struct {
	first, second, third string
	size                 int64 // of the first
}

// upload has a real client put the revisions into the stand-in Hub.
func upload(t *testing.T, h *Host, py, repo string, tensors int) (r revisions) {
	t.Helper()
	script, err := filepath.Abs("testdata/revisions.py")
	require.NoError(t, err)
	client := h.As("uploads-" + filepath.Base(repo))
	client.Env = map[string]string{"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
	report := filepath.Join(client.Dir, "commits.json")
	done := client.Run(py, script, "http://"+h.lab.hub.Addr, writer, repo, fmt.Sprint(tensors), report)
	require.Zero(t, done.Code, "%s", done)
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	var commits []string
	require.NoError(t, json.Unmarshal(text, &commits), "%s", text)
	require.Len(t, commits, 3)
	return revisions{commits[0], commits[1], commits[2], int64(tensors) * 1_000_000}
}

// legacyPython is the interpreter with a client of former times.
func legacyPython(t *testing.T) string {
	t.Helper()
	venv := os.Getenv("HFFS_VENV_LEGACY")
	if venv == "" {
		home, err := os.UserCacheDir()
		require.NoError(t, err)
		venv = filepath.Join(home, "hffs-test", "venv-legacy")
	}
	return interpreter(t, venv)
}

// revision has a host get a revision of the file, and tells how many bytes the
// Hub sent for it, by whatever way, and how many came in over the host's cable.
func revision(t *testing.T, hub *Hub, h *Host, repo, commit string) (g gotJSON, sent, received int64) {
	t.Helper()
	before, came := hub.AllBytes(), h.Received()
	g = get(t, h, repo, weightsFile, "--revision", commit)
	require.Equal(t, commit, g.Commit)
	return g, hub.AllBytes() - before, h.Received() - came
}

// reusesItsOwn proves that a revision was put together from the one before it.
func reusesItsOwn(t *testing.T, hub *Hub, h *Host, repo, commit string) {
	t.Helper()
	g, sent, received := revision(t, hub, h, repo, commit)
	t.Logf("the Hub sent %d of %d bytes, %d came in over the cable: %v", sent, g.Size, received, g.Sources)
	require.LessOrEqual(t, sent, g.Size*newShare/100, "%v", g.Sources)
	require.LessOrEqual(t, received, g.Size*newShare/100, "%v", g.Sources)
	require.GreaterOrEqual(t, g.from("reuse"), g.Size*(100-newShare)/100, "%v", g.Sources)
}

func TestNewRevisions(t *testing.T) {
	l := New(t, Options{Hosts: 4})
	alone, holder, member, passer := l.Hosts[0], l.Hosts[1], l.Hosts[2], l.Hosts[3]
	hub := l.NewHub("--writer", writer)
	r := upload(t, hub.Host, python(t), weightsRepo, 200)

	t.Run("the old one is here, without a node", func(t *testing.T) {
		g, _, _ := revision(t, hub, alone, weightsRepo, r.first)
		require.Equal(t, g.Size, g.from("hub"))
		copyCache(t, alone, member, passer)
		reusesItsOwn(t, hub, alone, weightsRepo, r.second)
		reusesItsOwn(t, hub, alone, weightsRepo, r.third)
	})
	t.Run("the old one is here, through a node", func(t *testing.T) {
		node := member.Up()
		reusesItsOwn(t, hub, member, weightsRepo, r.second)
		reusesItsOwn(t, hub, member, weightsRepo, r.third)
		node.Stop()
		forget(t, member)
	})
	t.Run("the fetcher is killed", func(t *testing.T) {
		defer forget(t, passer)
		killedBetweenRevisions(t, passer, r)
	})
	holder.Up()
	revision(t, hub, holder, weightsRepo, r.first)
	t.Run("the old one is with a neighbour, without a node", func(t *testing.T) {
		passedOn(t, passer, weightsRepo, weightsFile, "--revision", r.first)
		takesItsNeighbours(t, hub, passer, r)
	})
	t.Run("the old one is with a neighbour, through a node", func(t *testing.T) {
		member.Up()
		meet(t, 5*time.Second, 1, member)
		announced(t, member, holder, weightsRepo, weightsFile, "--revision", r.first)
		takesItsNeighbours(t, hub, member, r)
	})
}

// takesItsNeighbours proves that the second revision, which only the Hub has, is
// put together from the first one, which only a neighbour has.
func takesItsNeighbours(t *testing.T, hub *Hub, h *Host, r revisions) {
	t.Helper()
	g, sent, _ := revision(t, hub, h, weightsRepo, r.second)
	t.Logf("the Hub sent %d of %d bytes: %v", sent, g.Size, g.Sources)
	require.LessOrEqual(t, sent, g.Size*newShare/100, "%v", g.Sources)
	require.GreaterOrEqual(t, g.from("peer"), g.Size*(100-newShare)/100, "%v", g.Sources)
}

// killedBetweenRevisions kills a fetch of the second revision again and again in
// the middle of what is new, eight times at most: one that went on each time is
// done before. All kills together may cost what one span of a plan does.
func killedBetweenRevisions(t *testing.T, h *Host, r revisions) {
	t.Helper()
	const blows, pace, cost = 8, "30mbit", 4 << 20
	h.Rate(pace)
	defer h.Rate("")
	began, died := h.Received(), 0
	for range blows {
		before, enough := h.Received(), 1_000_000+rand.N[int64](400_000)
		p := h.Start(Binary(t), "get", weightsRepo, weightsFile, "--revision", r.second, "--json")
		Eventually(t, Limit, "the fetch is under way or over", func() bool {
			return p.Ended() || h.Received()-before > enough
		})
		if p.Ended() {
			break // nothing is left to kill
		}
		died++
		p.Kill()
		nothingWrong(t, h.Cache())
	}
	g := get(t, h, weightsRepo, weightsFile, "--revision", r.second)
	nothingWrong(t, h.Cache())
	came := h.Received() - began
	t.Logf("killed %d times in the middle, %d of %d bytes came in: %v", died, came, g.Size, g.Sources)
	require.Positive(t, died)
	require.LessOrEqual(t, came, g.Size*newShare/100+cost, "what was fetched before a kill is not fetched again")
}

// copyCache gives hosts what another has in its cache, as a person would: by
// cp -a, with the state that hffs keeps left behind.
func copyCache(t *testing.T, from *Host, into ...*Host) {
	t.Helper()
	for _, h := range into {
		require.NoError(t, os.MkdirAll(h.Home(), 0o755))
		run(t, "cp", "-a", from.Cache(), h.Cache())
	}
}

func TestNewRevisionsOfAnOldUpload(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	hub := l.NewHub("--writer", writer)
	a := l.Hosts[0]
	r := upload(t, hub.Host, legacyPython(t), weightsRepo, 40)
	revision(t, hub, a, weightsRepo, r.first)
	reusesItsOwn(t, hub, a, weightsRepo, r.second)
	reusesItsOwn(t, hub, a, weightsRepo, r.third)
}
