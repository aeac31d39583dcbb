package lab

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// model is the files of a small model.
var model = map[string]string{
	"config.json": "700", "tokenizer.json": "40000", "model.safetensors": "3000000", "onnx/config.json": "600",
}

// modelArgs is the stand-in's arguments for models; each has files of its own.
func modelArgs(repos ...string) (args []string) {
	for i, repo := range repos {
		for file, size := range model {
			args = append(args, "--synthetic", fmt.Sprintf("%s/%s=%s@%d%s", repo, file, size, i+1, size))
		}
	}
	return args
}

// optional are files that programs look for in every model, and do not mind when
// they are not there: what from_pretrained asks for beside the rest.
var optional = []string{
	"adapter_config.json", "added_tokens.json", "chat_template.jinja", "chat_template.json", "generation_config.json",
	"model.safetensors.index.json", "preprocessor_config.json", "processor_config.json", "special_tokens_map.json", "vocab.txt",
}

// knowsFiles waits until hosts know that some neighbour has so many files. Nobody is
// asked about any of them for that.
func knowsFiles(t *testing.T, want int, hosts ...*Host) {
	t.Helper()
	for _, h := range hosts {
		Eventually(t, 15*time.Second, fmt.Sprintf("%s knows of a neighbour with %d files", h.Name, want), func() bool {
			var s struct{ Peers []struct{ Files int } }
			h.HffsJSON(&s, "status")
			for _, p := range s.Peers {
				if p.Files == want {
					return true
				}
			}
			return false
		})
	}
}

// sumsIn is what lies in a host's cache of a repo, as a snapshot has it.
func sumsIn(t *testing.T, h *Host, repo string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for file := range model {
		found, err := filepath.Glob(filepath.Join(h.Cache(), "models--"+strings.ReplaceAll(repo, "/", "--"), "snapshots", "*", file))
		require.NoError(t, err)
		require.Len(t, found, 1, "%s of %s", file, repo)
		sums[file] = sumOf(t, found[0])
	}
	return sums
}

// Whatever way a neighbour has come by a model: where the Hub is out of reach, tools
// of a machine that has never heard of it load it as ever.
func TestModelNeverSeenAndNoHub(t *testing.T) {
	l := New(t, Options{Hosts: 4})
	ways := []string{"acme/through-the-node", "acme/from-the-hub", "acme/by-hffs-get"}
	hub := l.NewHub(modelArgs(ways...)...)
	b := l.Hosts[1]
	owner := b.Up()
	for _, r := range ask(t, tool(t, owner, "client"), 1, job{Do: "snapshot", Repo: ways[0]}) {
		require.Empty(t, r.Error, r.Says)
	}
	direct := *b // whose cache is the node's
	direct.Env = map[string]string{"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
	require.Empty(t, ask(t, &direct, 1, job{Do: "snapshot", Repo: ways[1]})[0].Says)
	for file := range model {
		get(t, b, ways[2], file)
	}
	want := map[string]map[string]string{}
	for _, repo := range ways {
		want[repo] = sumsIn(t, b, repo)
	}
	away := []struct {
		how  string
		host *Host
		make func(*Host)
		asks []string // for which models: an Internet that is silent takes its time with each
	}{
		{"nothing comes back", l.Hosts[2], func(h *Host) { h.BarHub(true) }, ways[:1]},
		{"its cable is out", l.Hosts[3], func(*Host) { hub.Host.Unplug() }, ways[1:2]},
		{"its process has died", l.Hosts[0], func(*Host) { hub.Host.Plug(); hub.Down() }, ways},
	}
	nodes := map[*Host]*Process{}
	for _, a := range away {
		nodes[a.host] = a.host.Up("-vv")
	}
	meet(t, 10*time.Second, 3, l.Hosts...)
	for _, a := range away {
		knowsFiles(t, len(ways)*len(model), a.host)
	}
	for _, a := range away {
		t.Run(a.how, func(t *testing.T) {
			a.make(a.host)
			loads(t, nodes[a.host], b, a.asks, want)
		})
	}
}

// serving is what the log says when a neighbour's word serves: whose, and how old.
var serving = regexp.MustCompile(`last known answer serves.* repo=(\S+) .*from=(\S+).* learnt="([^"]+ ago)"`)

// loads does what programs do with models, through a node without a Hub.
func loads(t *testing.T, node *Process, from *Host, repos []string, want map[string]map[string]string) {
	t.Helper()
	h := tool(t, node, "client")
	var jobs []job
	for _, repo := range repos {
		jobs = append(jobs, files(repo, "config.json")...)
		jobs = append(jobs, files(repo, optional...)...)
		jobs = append(jobs, files(repo, "tokenizer.json", "model.safetensors")...)
		jobs = append(jobs, job{Do: "snapshot", Repo: repo})
	}
	var longest, all float64
	for i, r := range ask(t, h, 1, jobs...) {
		j := jobs[i]
		longest, all = max(longest, r.Seconds), all+r.Seconds
		if r.Seconds > 0.5 {
			t.Logf("%.1f s for %s %s", r.Seconds, j.Do, j.File)
		}
		require.Less(t, r.Seconds, 10.0, "%s: clients wait no longer for an answer", j.File)
		switch {
		case j.Do == "snapshot":
			require.Empty(t, r.Error, "%s: %s", j.Repo, r.Says)
			require.Equal(t, want[j.Repo], r.Sums, j.Repo)
		case model[j.File] != "":
			require.Empty(t, r.Error, "%s: %s", j.File, r.Says)
			require.Equal(t, want[j.Repo][j.File], r.Sums[filepath.Base(j.File)], j.File)
		default:
			require.NotEmpty(t, r.Error, j.File)
			require.Equal(t, "RemoteEntryNotFoundError", r.Error[0], "%s: %s", j.File, r.Says)
		}
	}
	t.Logf("%d questions in %.1f s, the longest %.1f s", len(jobs), all, longest)
	said := serving.FindAllStringSubmatch(node.Err.String(), -1)
	t.Logf("said %d times: %v", len(said), said)
	told := map[string]bool{}
	for _, s := range said {
		told[s[1]] = true
		require.Contains(t, s[2], from.Hostname(), "who says so is named")
	}
	require.Len(t, told, len(repos), "of each model")
}

// Neighbours may have heard different things of a branch.
func TestNeighboursDisagree(t *testing.T) {
	l := New(t, Options{Hosts: 4})
	const repo = "acme/moving"
	hub := l.NewHub(modelArgs(repo)...)
	a, b, c, seen := l.Hosts[0], l.Hosts[1], l.Hosts[2], l.Hosts[3]
	for _, h := range []*Host{b, c, seen} {
		h.Up("-vv")
	}
	first := get(t, b, repo, "config.json")
	get(t, seen, repo, "tokenizer.json")
	second := decodeText[struct{ Commit string }](t, hub.curl("/_standin/commits", "--data-binary",
		`{"repo":"acme/moving","revision":"main","synthetic":{"config.json":"700@77","tokenizer.json":"4000@78"}}`)).Commit
	require.NotEqual(t, first.Commit, second)
	require.Equal(t, second, get(t, c, repo, "config.json").Commit)
	fresh := a.Up("-vv")
	meet(t, 10*time.Second, 3, l.Hosts...)
	passedOn(t, a.As("asker"), repo, "config.json", "--revision", second)
	knowsFiles(t, 1, a, seen)
	hub.Down()

	config := func(t *testing.T, node *Process) reply {
		r := ask(t, tool(t, node, "client"), 1, files(repo, "config.json")...)[0]
		require.Empty(t, r.Error, r.Says)
		return r
	}
	t.Run("who has heard nothing takes what was heard last", func(t *testing.T) {
		require.Contains(t, config(t, fresh).Path, "/snapshots/"+second+"/")
		require.Regexp(t, `level=WARN msg="lab-[bd]-\w+ knows another commit, `+first.Commit[:8]+`; the newer answer is used"`, fresh.Err.String())
	})
	t.Run("who has heard something keeps to that", func(t *testing.T) {
		node := seen.node(t)
		require.Contains(t, config(t, node).Path, "/snapshots/"+first.Commit+"/")
		require.Regexp(t, `level=WARN msg="lab-c-\w+ knows a newer main, `+second[:8]+`, learnt .* ago`, node.Err.String())
	})
}

// decodeText reads JSON.
func decodeText[T any](t *testing.T, text string) T {
	t.Helper()
	return decode[T](t, Result{Stdout: text})
}
