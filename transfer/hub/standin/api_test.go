package standin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func apiHub(t *testing.T) (*Hub, *Running, ref.Commit) {
	t.Helper()
	h := New()
	commit := h.Add(tiny, "", map[string]Content{
		"config.json": String("{}"), "model.bin": Synthetic(1, 1000).Xet(ref.XetHash(strings.Repeat("5a", 32))), "onnx/a.txt": String("a"), "onnx/deep/b.txt": String("b"),
	})
	h.Tag(tiny, "v1", commit)
	h.Add(tiny, "refs/pr/1", map[string]Content{"x": String("x")})
	h.Add(data, "", map[string]Content{"t.csv": String("1")})
	return h, begin(t, h), commit
}

func TestInfo(t *testing.T) {
	t.Parallel()
	h, run, commit := apiHub(t)
	for _, path := range []string{"", "/revision/main", "/revision/v1", "/revision/" + string(commit)} {
		var info struct {
			ID, SHA  string
			Gated    any
			Siblings []sibling
		}
		get(t, run.URL()+"/api/models/acme/tiny"+path+"?blobs=true").json(t, &info)
		require.Equal(t, "acme/tiny", info.ID)
		require.Equal(t, string(commit), info.SHA)
		require.Equal(t, false, info.Gated)
		require.Len(t, info.Siblings, 4)
		require.Equal(t, "model.bin", info.Siblings[1].RFilename)
		require.EqualValues(t, 1000, info.Siblings[1].LFS.Size)
		require.EqualValues(t, 2, *info.Siblings[0].Size)
		require.Nil(t, info.Siblings[0].LFS)
	}
	plain := get(t, run.URL()+"/api/models/acme/tiny").body
	require.Contains(t, plain, `"siblings":[{"rfilename":"config.json"},`)
	require.Contains(t, get(t, run.URL()+"/api/datasets/acme/data").body, `"id":"acme/data"`)

	a := get(t, run.URL()+"/api/models/acme/tiny?expand=sha&expand=xetEnabled&expand=unheardOf")
	require.Equal(t, fmt.Sprintf(`{"_id":%q,"id":"acme/tiny","sha":%q,"xetEnabled":true}`, objectID("acme/tiny"), commit), a.body)
	require.Equal(t, weakETag([]byte(a.body)), a.Header.Get("Etag"))

	h.Gate(tiny, "manual")
	require.Contains(t, get(t, run.URL()+"/api/models/acme/tiny").body, `"gated":"manual"`, "the API of a gated repo is public")
}

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	h, run, _ := apiHub(t)
	h.Token("hf_good")
	a := get(t, run.URL()+"/api/models/acme/none")
	require.Equal(t, 401, a.StatusCode)
	require.Equal(t, `{"error":"Invalid username or password."}`, a.body)
	require.Empty(t, a.Header.Get("X-Error-Code"))
	a = get(t, run.URL()+"/api/models/acme/none", "Authorization: Bearer hf_good")
	require.Equal(t, 404, a.StatusCode)
	require.Equal(t, "RepoNotFound", a.Header.Get("X-Error-Code"))
	a = get(t, run.URL()+"/api/models/acme/tiny/revision/does-not-exist")
	require.Equal(t, "RevisionNotFound", a.Header.Get("X-Error-Code"))
	require.Equal(t, `{"error":"Invalid rev id: does-not-exist"}`, a.body)
	a = get(t, run.URL()+"/api/models/acme/tiny/tree/main/additional_chat_templates?recursive=false&expand=false")
	require.Equal(t, 404, a.StatusCode)
	require.Equal(t, "EntryNotFound", a.Header.Get("X-Error-Code"))
	require.Equal(t, `{"error":"additional_chat_templates does not exist on \"main\""}`, a.body)
	require.Len(t, a.body, 64, "as many bytes as on record")
	require.Contains(t, a.Header.Get("Ratelimit"), `"api";r=`)
}

func TestTree(t *testing.T) {
	t.Parallel()
	_, run, _ := apiHub(t)
	base := run.URL() + "/api/models/acme/tiny/tree/main"
	paths := func(url string) (list []string) {
		var entries []treeEntry
		get(t, url).json(t, &entries)
		for _, e := range entries {
			list = append(list, e.Type[:1]+" "+e.Path)
		}
		return list
	}
	require.Equal(t, []string{"d onnx", "f config.json", "f model.bin"}, paths(base))
	require.Equal(t, []string{"d onnx", "d onnx/deep", "f config.json", "f model.bin", "f onnx/a.txt", "f onnx/deep/b.txt"}, paths(base+"?recursive=True"))
	require.Equal(t, []string{"d onnx/deep", "f onnx/a.txt"}, paths(base+"/onnx?recursive=false"))
	require.Equal(t, []string{"f onnx/deep/b.txt"}, paths(base+"/onnx%2Fdeep"))
	require.Equal(t, []string{"f x"}, paths(run.URL()+"/api/models/acme/tiny/tree/refs%2Fpr%2F1"))
	require.Equal(t, []string{"f x"}, paths(run.URL()+"/api/models/acme/tiny/tree/refs/pr/1"))
	require.Empty(t, paths(base+"?cursor=nonsense"), "no client may loop")

	var entries []treeEntry
	get(t, base+"?expand=true").json(t, &entries)
	require.Equal(t, "Upload 4 files", entries[1].LastCommit.Title)
	require.EqualValues(t, 1000, entries[2].LFS.Size)
	require.NotEqual(t, entries[2].OID, entries[2].LFS.OID)
	require.Equal(t, strings.Repeat("5a", 32), string(entries[2].XetHash))
}

func TestTreePages(t *testing.T) {
	t.Parallel()
	h := New()
	h.PageSize = 2
	h.Add(tiny, "", map[string]Content{"1": String(""), "2": String(""), "3": String(""), "4": String(""), "5": String("")})
	run := begin(t, h)
	at, seen := run.URL()+"/api/models/acme/tiny/tree/main?recursive=true", 0
	for pages := 1; ; pages++ {
		a := get(t, at)
		var entries []treeEntry
		a.json(t, &entries)
		seen += len(entries)
		link, ok := strings.CutSuffix(a.Header.Get("Link"), `>; rel="next"`)
		if !ok {
			require.Equal(t, 3, pages)
			break
		}
		at = strings.TrimPrefix(link, "<")
		require.True(t, strings.HasPrefix(at, run.URL()), "absolute, with the Hub's own host: %s", at)
	}
	require.Equal(t, 5, seen)
}

func TestPathsInfo(t *testing.T) {
	t.Parallel()
	_, run, commit := apiHub(t)
	at := run.URL() + "/api/models/acme/tiny/paths-info/main"
	var form, asJSON []treeEntry
	do(t, http.MethodPost, at, "paths=config.json&paths=onnx&paths=nope&expand=true", "Content-Type: application/x-www-form-urlencoded").json(t, &form)
	do(t, http.MethodPost, at, `{"paths":["config.json","onnx","nope"],"expand":true}`, "Content-Type: application/json").json(t, &asJSON)
	require.Equal(t, form, asJSON)
	require.Len(t, form, 2)
	require.Equal(t, "config.json", form[0].Path)
	require.Equal(t, commit, form[0].LastCommit.ID)
	require.Equal(t, "directory", form[1].Type)
	require.Equal(t, 400, do(t, http.MethodPost, at, `{"paths":`, "Content-Type: application/json").StatusCode)
}

func TestRefs(t *testing.T) {
	t.Parallel()
	_, run, commit := apiHub(t)
	at := run.URL() + "/api/models/acme/tiny/refs"
	require.Equal(t, fmt.Sprintf(`{"tags":[{"name":"v1","ref":"refs/tags/v1","targetCommit":%q}],`+
		`"branches":[{"name":"main","ref":"refs/heads/main","targetCommit":%q}],"converts":[]}`, commit, commit), get(t, at).body)
	require.Contains(t, get(t, at+"?include_prs=1").body, `"pullRequests":[{"name":"1","ref":"refs/pr/1",`)
}

func TestWhoMay(t *testing.T) {
	t.Parallel()
	h, run, _ := apiHub(t)
	h.Token("hf_good", tiny)
	h.Token("hf_other")
	h.Gate(tiny, "auto")
	h.Private(data)
	for _, tt := range []struct {
		token, path string
		status      int
	}{
		{"", "/api/whoami-v2", 401},
		{"hf_bad", "/api/whoami-v2", 401},
		{"hf_good", "/api/whoami-v2", 200},
		{"", "/api/models/acme/tiny/auth-check", 401},
		{"hf_other", "/api/models/acme/tiny/auth-check", 403},
		{"hf_good", "/api/models/acme/tiny/auth-check", 200},
		{"", "/api/models/acme/tiny/tree/main", 200},
		{"", "/api/datasets/acme/data", 401},
		{"hf_other", "/api/datasets/acme/data", 404},
	} {
		var headers []string
		if tt.token != "" {
			headers = []string{"authorization: bearer " + tt.token}
		}
		require.Equal(t, tt.status, get(t, run.URL()+tt.path, headers...).StatusCode, "%s as %q", tt.path, tt.token)
	}
}
