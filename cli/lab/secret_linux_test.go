package lab

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	openRepo, gatedRepo, hiddenRepo = "acme/open", "acme/gated", "acme/hidden"
	secretToken                     = "hf_opensesameopensesameopensesameopen"
	wrongToken                      = "hf_wrongwrongwrongwrongwrongwrongwrongwr"
	stranger                        = "hf_strangerstrangerstrangerstrangerstran"
	decoy                           = "hf_decoydecoydecoydecoydecoydecoydecoyde"
)

// secrets is a lab with a Hub that has an open, a gated and a private repo, and
// listens by https: a token goes to no other that is not on this machine.
type secrets struct {
	*testing.T
	*Lab
	hub, mirror *Hub
	ear         *Process // on all cables
	a           *Process // the node of host A, whose user has the token
	b, c        *Host    // B's user has none; C's has it, and shares what is gated
}

// args are the stand-in's for the three repos.
func (s *secrets) args(more ...string) (args []string) {
	for i, repo := range []string{openRepo, gatedRepo, hiddenRepo} {
		args = append(args, "--synthetic", fmt.Sprintf("%s/config.json=700@%d", repo, i),
			"--synthetic", fmt.Sprintf("%s/model.safetensors=3000000@%d", repo, i))
	}
	return append(args, more...)
}

func newSecrets(t *testing.T) *secrets {
	t.Helper()
	s := &secrets{T: t, Lab: New(t, Options{Hosts: 3})}
	s.hub = s.NewHub(s.args("--tls", "--xet", "--token", secretToken, "--gated", gatedRepo, "--private", hiddenRepo)...)
	s.hub.TrustedBy(s.Hosts...)
	a := s.Hosts[0]
	s.b, s.c = s.Hosts[1], s.Hosts[2]
	s.mirror = s.b.NewHub(s.b.Addr, s.args()...) // gives everything to everybody
	a.Env["HF_TOKEN"], s.c.Env["HF_TOKEN"] = secretToken, secretToken
	a.Env["HF_ENDPOINT"] += ",http://" + s.b.Addr
	s.ear = s.sniffed(strings.Join([]string{secretToken, wrongToken, stranger, decoy}, " "))
	s.ear.WaitFor("listening", 10*time.Second)
	s.a = a.Up("-vv")
	s.b.Up()
	meet(t, 10*time.Second, 1, a, s.b)
	return s
}

// both are jobs for the two files of a repo.
func both(repo, token string) (jobs []job) {
	for _, j := range files(repo, "config.json", "model.safetensors") {
		j.Token = token
		jobs = append(jobs, j)
	}
	return jobs
}

// asks has a tool that keeps nothing ask A's node; it wants the same of all jobs: the
// file, where kind is empty, or that kind of error.
func (s *secrets) asks(kind string, jobs ...job) {
	s.Helper()
	h := tool(s.T, s.a, fmt.Sprint("client-", time.Now().UnixNano()))
	for i, r := range ask(s.T, h, 1, jobs...) {
		j := jobs[i]
		require.NotContains(s, r.Says, "hf_", "no token is said")
		if kind == "" {
			require.Empty(s, r.Error, "%s %s: %s", j.Repo, j.File, r.Says)
			require.Equal(s, s.sum(j), r.Sums[j.File])
			continue
		}
		require.Contains(s, r.Error, kind, "%s %s: %s", j.Repo, j.File, r.Says)
		s.Logf("%s %s: %s: %s", j.Repo, j.File, r.Error[0], r.Says)
	}
}

// sum is the sha256 of a file as the mirror gives it to everybody.
func (s *secrets) sum(j job) string {
	s.Helper()
	r := s.b.Run("sh", "-c", "curl -sSL --fail http://"+s.b.Addr+"/"+j.Repo+"/resolve/main/"+j.File+" | sha256sum")
	require.Zero(s, r.Code, "%s", r)
	sum, _, _ := strings.Cut(r.Stdout, " ")
	return sum
}

func TestWhatIsNotPublic(t *testing.T) {
	s := newSecrets(t)
	t.Run("who shows no token, or a wrong one, gets nothing", func(t *testing.T) { s.in(t).shut() })
	t.Run("who shows the right one gets the file", func(t *testing.T) {
		s := s.in(t)
		s.asks("", both(gatedRepo, secretToken)...)
		s.asks("", both(hiddenRepo, secretToken)...)
		s.asks("", both(openRepo, "")...)
	})
	t.Run("to others it stays shut when the files are here", func(t *testing.T) { s.in(t).shut() })
	t.Run("neighbours are told nothing of it", func(t *testing.T) { s.in(t).silent() })
	t.Run("unless the user wants to share it", func(t *testing.T) { s.in(t).shared() })
	answers := s.hub.Answers()
	s.hub.Down()
	t.Run("the Hub is away", func(t *testing.T) { s.in(t).without() })
	t.Run("the token has gone to the Hub alone", func(t *testing.T) { s.in(t).kept(answers) })
}

// in is the same in a part of the story.
func (s *secrets) in(t *testing.T) *secrets { part := *s; part.T = t; return &part }

func (s *secrets) shut() {
	s.Helper()
	s.asks("GatedRepoError", both(gatedRepo, "")...)
	s.asks("RepositoryNotFoundError", both(hiddenRepo, "")...)
	s.asks("HfHubHTTPError", append(both(gatedRepo, wrongToken), both(hiddenRepo, wrongToken)...)...)
}

// silent proves that B learns nothing from A's node of what is not public, though it
// asks for the very blobs.
func (s *secrets) silent() {
	s.Helper()
	announced(s.T, s.b, s.Hosts[0], openRepo, "config.json")
	for _, repo := range []string{gatedRepo, hiddenRepo} {
		code := map[string]int{gatedRepo: exitAccess, hiddenRepo: exitNotFound}[repo]
		for _, command := range []string{"get", "where"} {
			refused(s.T, s.b, s.b.Hffs(command, repo, "config.json"), code, command)
		}
		require.NotContains(s, s.door("/v1/lookup?type=model&repo="+repo+"&revision=main&path=config.json"), "lab-a")
		for _, file := range []string{"config.json", "model.safetensors"} {
			for _, method := range []string{"GET", "HEAD"} {
				require.Equal(s, "404", s.blob(method, repo, file), "%s %s %s", method, repo, file)
			}
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		require.Equal(s, "200", s.blob(method, openRepo, "model.safetensors"), method)
	}
	require.Contains(s, s.door("/v1/lookup?type=model&repo="+openRepo+"&revision=main&path=config.json"), "lab-a")
}

// door asks A's door for neighbours, from B.
func (s *secrets) door(path string) string {
	s.Helper()
	r := s.b.Run("curl", "-sS", "--max-time", "20", "http://"+s.Hosts[0].Addr+":7767"+path)
	require.Zero(s, r.Code, "%s", r)
	return r.Stdout
}

// blob is what A's door answers to who asks for the file by its content's name.
func (s *secrets) blob(method, repo, file string) string {
	s.Helper()
	found, err := filepath.Glob(filepath.Join(s.Hosts[0].Cache(), "models--"+strings.ReplaceAll(repo, "/", "--"), "snapshots", "*", file))
	require.NoError(s, err)
	require.Len(s, found, 1)
	etag := filepath.Base(blobOf(s.T, found[0]))
	args := []string{"-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "http://" + s.Hosts[0].Addr + ":7767/v1/blobs/" + etag}
	if method == "HEAD" {
		args = append(args, "-I")
	}
	return s.b.Run("curl", args...).Stdout
}

// shared proves that a node does hand it on when its user says so, to who may have it.
func (s *secrets) shared() {
	s.Helper()
	s.c.Up("--share-gated")
	meet(s.T, 10*time.Second, 2, s.c)
	g := get(s.T, s.c, gatedRepo, "model.safetensors")
	require.Equal(s, g.Size, g.from("hub"), "A's node keeps its own to itself: %v", g.Sources)
	announced(s.T, s.Hosts[0], s.c, gatedRepo, "model.safetensors")
	friend := s.b.As("friend")
	friend.Env["HF_TOKEN"] = secretToken
	g = get(s.T, friend, gatedRepo, "model.safetensors")
	require.Equal(s, g.Size, g.from("peer"), "%v", g.Sources)
	refused(s.T, s.b, s.b.Hffs("get", gatedRepo, "model.safetensors"), exitAccess, "get")
}

// without the Hub the files serve who was let in before, and the machine's own user:
// nobody else, and neither after a restart.
func (s *secrets) without() {
	s.Helper()
	for range 2 {
		s.asks("", both(gatedRepo, secretToken)...)
		s.asks("", both(hiddenRepo, secretToken)...)
		s.asks("", both(openRepo, "")...)
		for _, repo := range []string{gatedRepo, hiddenRepo} {
			for _, token := range []string{"", wrongToken, stranger} {
				require.Contains(s, []string{"401", "403", "503"}, s.status(repo, token), "%s, %q", repo, token)
			}
		}
		s.a.Stop()
		s.a = s.Hosts[0].Up("-vv")
	}
}

// status is how A's node answers as the Hub to a caller with a token.
func (s *secrets) status(repo, token string) string {
	s.Helper()
	args := []string{"-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", asHub(s.T, s.a) + "/" + repo + "/resolve/main/config.json"}
	if token != "" {
		args = append(args, "-H", "Authorization: Bearer "+token)
	}
	return s.Hosts[0].Run("curl", args...).Stdout
}

// kept proves it where the token would have arrived.
func (s *secrets) kept(atHub []Sent) {
	s.Helper()
	answers, with := map[string]int{}, 0
	for _, a := range atHub {
		answers[a.Host]++
		if a.User {
			with++
			require.Equal(s, "hub", a.Host, "%s", a.Path)
		}
	}
	for _, a := range s.mirror.Answers() {
		answers["mirror"]++
		require.False(s, a.User, "a mirror is shown none: %s", a.Path)
	}
	s.Logf("answers: %v, %d of them to somebody with a token", answers, with)
	require.Positive(s, with)
	for _, host := range []string{"hub", "cdn", "cas", "mirror"} {
		require.Positive(s, answers[host], host)
	}
	s.b.Run("curl", "-sS", "-H", "Authorization: Bearer "+decoy, "http://"+s.Hosts[0].Addr+":7767/v1/members")
	s.ear.WaitFor("Seen: "+decoy, 10*time.Second)
	for _, token := range []string{secretToken, wrongToken, stranger} {
		require.False(s, s.ear.Said("Seen: "+token), "on a cable, readable for all")
		for _, p := range s.procs {
			require.False(s, strings.HasSuffix(p.name, " up -vv") && p.Said(token), "in a node's log")
		}
	}
}
