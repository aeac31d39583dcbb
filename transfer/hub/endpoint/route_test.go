package endpoint

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]ask{
		"/gpt2/resolve/main/a/b":                    {askResolve, gpt2, []string{"main", "a", "b"}},
		"/org/model/resolve/refs%2Fpr%2F1/a%2Fb":    {askResolve, model, []string{"refs/pr/1", "a/b"}},
		"//datasets/org/data/resolve/main/a":        {askResolve, data, []string{"main", "a"}},
		"/spaces/org/app/raw/main/app.py":           {askRaw, space, []string{"main", "app.py"}},
		"/org/resolve/resolve/main/a":               {askResolve, ref.Repo{Type: ref.Model, ID: "org/resolve"}, []string{"main", "a"}},
		"/api/models/gpt2":                          {askInfo, gpt2, nil},
		"/api/models/org/model/":                    {askInfo, model, nil},
		"//api/datasets/org/data/revision/v1":       {askRevision, data, []string{"v1"}},
		"/api/models/gpt2/tree/main":                {askTree, gpt2, []string{"main"}},
		"/api/models/gpt2/tree/refs/pr/1":           {askTree, gpt2, []string{"refs", "pr", "1"}},
		"/api/models/org/model/tree/main/a%2Fb":     {askTree, model, []string{"main", "a/b"}},
		"/api/models/org/tree/tree/main":            {askTree, ref.Repo{Type: ref.Model, ID: "org/tree"}, []string{"main"}},
		"/api/models/org/model/refs":                {askRefs, model, []string{}},
		"/api/models/gpt2/refs":                     {askRefs, gpt2, []string{}},
		"/api/spaces/org/app/paths-info/main":       {askPaths, space, []string{"main"}},
		"/api/models/org/model/auth-check":          {askAuth, model, []string{}},
		"/api/models/org%2Fmodel":                   {askInfo, model, nil},
		"/api/telemetry/a/b":                        {verb: askTelemetry},
		"/api/agent-harnesses":                      {verb: askHarnesses},
		"/v2/org/model/manifests/latest":            {askManifest, model, []string{"latest"}},
		"/v2/gpt2/manifests/Q8_0":                   {askManifest, gpt2, []string{"Q8_0"}},
		"/api/resolve-cache/models/gpt2/main/a":     {},
		"/":                                         {},
		"/org/model":                                {},
		"/org/model/resolve/main":                   {},
		"/org/model/blob/main/a":                    {},
		"/kernels/org/kernel/resolve/main/a":        {},
		"/buckets/org/b/resolve/a":                  {},
		"/api":                                      {},
		"/api/models":                               {},
		"/api/whoami-v2":                            {},
		"/api/models/org/model/commits/main":        {},
		"/api/models/org/model/xet-read-token/main": {},
		"/api/models/org/model/refs/x":              {},
		"/api/models/org/model/revision":            {},
		"/api/spaces/semantic-search":               {},
		"/api/spaces/zero-gpu/quota":                {},
		"/api/kernels/org/kernel/revision/main":     {},
		"/api/buckets/org/b/tree":                   {},
		"/v2/org/model/blobs/sha256:00":             {},
		"/org/model.git/info/lfs/objects/batch":     {},
		"/v2/":                                      {},
	} {
		got, err := parse(path)
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	split := func(s string, atLeast int) []place { return places(strings.Split(s, "/"), atLeast) }
	require.Equal(t, []place{{"refs/pr/1", "a/b"}}, split("refs/pr/1/a/b", 1))
	require.Equal(t, []place{{"refs/pr/1", ""}}, split("refs/pr/1", 0))
	require.Equal(t, []place{{"refs", "pr/1"}, {"refs/pr", "1"}}, split("refs/pr/1", 1))
	require.Equal(t, []place{{"main", "a"}}, split("main/a", 1))
	require.Equal(t, []place{{"main", "a"}, {"main/a", ""}}, split("main/a", 0))
	require.Equal(t, []place{{"a", "b/c/d/e"}, {"a/b", "c/d/e"}, {"a/b/c", "d/e"}}, split("a/b/c/d/e", 1), "no end of guesses")
	require.Equal(t, []place{{string(main1), "a/b"}}, split(string(main1)+"/a/b", 1), "a commit needs no guessing")
	require.Equal(t, []place{{"a/b", "c/d"}}, places([]string{"a/b", "c", "d"}, 1), "nor does what came as one")
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/gpt2/resolve/main/a", "/api/models/gpt2/tree/refs/pr/1", "/api/resolve-cache/models/a/b/c/d", "/v2/a/manifests/b",
		"//api//models///", "/datasets/", "/%2e%2e/x", "/api/models/a%2Fb/revision/main", "/org/model/resolve/%ff/%00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		a, err := parse(u.EscapedPath())
		if err != nil || a.repo.ID == "" {
			return
		}
		again, err := ref.ParseRepo(a.repo.Type, a.repo.ID)
		if err != nil || again != a.repo {
			t.Fatalf("%q names a repo that is none: %+v", path, a)
		}
		for _, s := range a.rest {
			if s == ".." || strings.Contains(s, "../") {
				t.Fatalf("%q leads out: %q", path, a.rest)
			}
		}
		if len(a.rest) > 0 {
			for _, p := range places(a.rest, 0) {
				if p.revision+"/"+p.path != strings.Join(a.rest, "/") && p.revision != strings.Join(a.rest, "/") {
					t.Fatalf("%q: %+v loses something", path, p)
				}
			}
		}
	})
}
