package lab

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const sickRepo = "acme/sick"

// ailment is what goes wrong with a file at the Hub.
type ailment struct {
	file   string
	faults []faultJSON // on the file's own path
	says   string      // words of the cause, to the client; empty where the file comes all the same
}

var ailments = []ailment{
	{"well.bin", nil, ""},
	{"cut-once.bin", []faultJSON{{Do: "cut", N: 1_000_000, Host: "cdn", Times: 1}}, ""},
	{"stalls-once.bin", []faultJSON{{Do: "stall", N: 1_000_000, Host: "cdn", Times: 1}}, ""},
	{"flips-once.bin", []faultJSON{{Do: "flip", N: 500_000, Host: "cdn", Times: 1}}, ""},
	{"page-once.bin", []faultJSON{{Do: "html", Host: "cdn", Times: 1}}, ""},
	{"busy-once.bin", []faultJSON{{Do: "rate-limit", N: 1, Host: "hub", Times: 1}}, ""},
	{"fails-once.bin", []faultJSON{{Do: "status", N: 503, Host: "hub", Times: 1}}, ""},
	{"short-of-breath.bin", []faultJSON{{Do: "cut", N: 700_000, Host: "cdn"}}, ""},

	{"cut.bin", []faultJSON{{Do: "cut", Host: "cdn"}}, "broke off"},
	{"stalls.bin", []faultJSON{{Do: "stall", N: 1000, Host: "cdn"}}, "sent nothing"},
	{"flips.bin", []faultJSON{{Do: "flip", N: 2_000_000, Host: "cdn"}}, "hash that the Hub states"},
	{"page.bin", []faultJSON{{Do: "html", Host: "cdn"}}, "web page"},
	{"page-in-front.bin", []faultJSON{{Do: "html", Host: "hub"}}, "web page"},
	{"too-long.bin", []faultJSON{{Do: "length", N: 1000, Host: "cdn"}}, "bytes where"},
	{"too-short.bin", []faultJSON{{Do: "length", N: -1000, Host: "cdn"}}, "bytes where"},
	{"packed.bin", []faultJSON{{Do: "gzip", Host: "cdn"}}, "another encoding"},
	{"fails.bin", []faultJSON{{Do: "status", N: 500, Host: "hub"}}, "500"},
	{"fails-behind.bin", []faultJSON{{Do: "status", N: 500, Host: "cdn"}}, "500"},
	{"refused.bin", []faultJSON{{Do: "refuse", Host: "cdn"}}, "reset"},
	{"small-page.json", []faultJSON{{Do: "html", Method: "GET"}}, "web page"},
	{"small-flips.json", []faultJSON{{Do: "flip", N: 3}}, "hash that the Hub states"},
	{"small-short.json", []faultJSON{{Do: "length", N: -7, Method: "GET"}}, "bytes where"},
}

// crises are what goes wrong with all that the Hub says of a repo.
var crises = map[string]struct {
	fault faultJSON
	says  string // to the client
}{
	"acme/limited": {faultJSON{Do: "rate-limit", N: 1, Host: "hub"}, "429"},
	"acme/portal":  {faultJSON{Do: "html", Host: "hub"}, "web page"},
	"acme/broken":  {faultJSON{Do: "status", N: 500, Host: "hub"}, "500"},
	"acme/cut":     {faultJSON{Do: "cut", N: 10, Host: "hub"}, "broke off"},
}

// Whatever the Hub does, a client ends with the right file or with an error that says
// why: never with another file, or a part of one.
func TestSickHub(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := New(t, Options{Hosts: 2})
	hub := l.NewHub(sickArgs()...)
	want := map[string]string{}
	for _, a := range ailments {
		want[a.file] = sumOf(t, get(t, l.Hosts[1], sickRepo, a.file).Path)
	}
	node := l.Hosts[0].Up("-vv")
	var jobs []job
	var faults []faultJSON
	unbroken := map[string]bool{}
	for _, a := range ailments {
		unbroken[a.file] = true
		jobs = append(jobs, files(sickRepo, a.file)...)
		for _, f := range a.faults {
			f.Path = sickRepo + "/" + a.file
			faults = append(faults, f)
		}
	}
	delete(unbroken, "well.bin")
	for repo, c := range crises {
		jobs = append(jobs, job{Do: "file", Repo: repo, File: "config.json"}, job{Do: "snapshot", Repo: repo})
		c.fault.Path = "*" + repo + "*"
		faults = append(faults, c.fault)
	}
	hub.Post("faults", faults)
	replies := ask(t, tool(t, node, "client"), len(jobs), jobs...)
	for i, r := range replies {
		t.Logf("%s %s: %.1f s, %v %s", jobs[i].Repo, jobs[i].File, r.Seconds, r.Error, strings.Join(strings.Fields(r.Says), " "))
	}
	for _, a := range hub.Answers() {
		if a.Fault != "" {
			delete(unbroken, a.File)
		}
	}
	require.Empty(t, unbroken, "all faults were met")
	for i, r := range replies {
		if i < len(ailments) {
			ailments[i].shown(t, r, want[ailments[i].file], node.Err.String())
			continue
		}
		require.NotEmpty(t, r.Error)
		require.Contains(t, r.Says, crises[jobs[i].Repo].says, "%s %s", jobs[i].Repo, jobs[i].Do)
	}
}

// sickArgs are the stand-in's arguments for all that.
func sickArgs() (args []string) {
	for i, a := range ailments {
		size := 3_000_000
		switch {
		case strings.HasSuffix(a.file, ".json"):
			size = 900
		case strings.HasPrefix(a.file, "flips-"):
			size = 900_000 // which the node fetches by one request
		}
		args = append(args, "--synthetic", fmt.Sprintf("%s/%s=%d@%d", sickRepo, a.file, size, i))
	}
	for repo := range crises {
		args = append(args, "--synthetic", repo+"/config.json=700")
	}
	return args
}

// shown proves that a client ended as it should, and the node's log names the cause.
func (a ailment) shown(t *testing.T, r reply, want, log string) {
	t.Helper()
	if a.says == "" {
		require.Empty(t, r.Error, "%s: %s", a.file, r.Says)
		require.Equal(t, want, r.Sums[a.file], a.file)
		return
	}
	require.Contains(t, r.Error, "HfHubHTTPError", "%s: %s", a.file, r.Says)
	require.Contains(t, r.Says, "hffs: ", a.file)
	require.Contains(t, r.Says, a.says, a.file)
	require.Regexp(t, `source dropped.*`+regexp.QuoteMeta(a.file), log)
}

// Wrong bytes of the Hub that nothing proves are noticed only at the end of a file, or
// when the same is asked for twice. A client has most of it by then, and comes back for
// the rest.
func TestWrongBytesAreNotMadeWhole(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := New(t, Options{Hosts: 2})
	const repo, some = "acme/flips", 24
	var args []string
	var jobs []job
	var faults []faultJSON
	for i := range some {
		file := fmt.Sprintf("part-%d.bin", i)
		args = append(args, "--synthetic", fmt.Sprintf("%s/%s=900000@%d", repo, file, i)) // comes by one request
		jobs = append(jobs, files(repo, file)...)
		faults = append(faults, faultJSON{Do: "flip", N: 500_000, Host: "cdn", Times: 1 + i%2, Path: repo + "/" + file})
	}
	hub := l.NewHub(args...)
	want := map[string]string{}
	for _, j := range jobs {
		want[j.File] = sumOf(t, get(t, l.Hosts[1], repo, j.File).Path)
	}
	node := l.Hosts[0].Up()
	hub.Post("faults", faults)
	right := 0
	for i, r := range ask(t, tool(t, node, "client"), some/2, jobs...) {
		if len(r.Error) > 0 {
			require.Contains(t, r.Says, "hash that the Hub states", jobs[i].File)
			continue
		}
		require.Equal(t, want[jobs[i].File], r.Sums[jobs[i].File], jobs[i].File)
		right++
	}
	t.Logf("%d of %d came in the end", right, some)
	require.GreaterOrEqual(t, hub.Broken(), some)
}
