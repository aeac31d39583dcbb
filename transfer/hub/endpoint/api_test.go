package endpoint

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

var discard = slog.New(slog.DiscardHandler)

// recordedHeaders are those of the answer of the real Hub that begins with line.
func recordedHeaders(t *testing.T, name, line string) http.Header {
	b, err := os.ReadFile("../testdata/recorded/" + name)
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(b), line+"\n")
	require.True(t, ok)
	h := http.Header{}
	for l := range strings.Lines(rest) {
		k, v, ok := strings.Cut(strings.TrimSpace(l), ": ")
		if !ok || strings.HasPrefix(l, "#") {
			break
		}
		h.Set(textproto.CanonicalMIMEHeaderKey(k), v)
	}
	return h
}

func recordedJSON(t *testing.T, name string) any {
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	var v any
	require.NoError(t, json.Unmarshal(b, &v))
	return v
}

// keys are the names in a JSON object, and with it of those inside.
func keys(v any) map[string][]string {
	all := map[string][]string{}
	for k, inner := range v.(map[string]any) {
		all[""] = append(all[""], k)
		if m, ok := inner.(map[string]any); ok {
			all[k] = slices.Sorted(maps.Keys(m))
		}
	}
	slices.Sort(all[""])
	return all
}

func paths(list any) (all []string) {
	for _, e := range list.([]any) {
		all = append(all, e.(map[string]any)["path"].(string))
	}
	return all
}

func TestATreeHasTheShapeOfTheHubs(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	got := d.json("/api/models/org/model/tree/main?recursive=true&expand=false").([]any)
	recorded := recordedJSON(t, "api-tree.json").([]any)
	delete(recorded[2].(map[string]any), "xetHash") // what leads around us is left out
	require.Equal(t, keys(recorded[0]), keys(got[0]), "a folder")
	require.Equal(t, keys(recorded[1]), keys(got[1]), "a small file")
	require.Equal(t, keys(recorded[2]), keys(got[3]), "a large file")
	large := got[3].(map[string]any)
	b := blobOf("model.safetensors", d.files[main1]["model.safetensors"])
	require.Equal(t, b.OID(), large["oid"], "the pointer's")
	require.Equal(t, string(b.ETag), large["lfs"].(map[string]any)["oid"])
}

func TestTreesComeWholeInOnePage(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.branches["refs/pr/1"] = main1
	d.files[main1]["onnx/int8/model.onnx"] = []byte("q")
	all := []string{"onnx", "onnx/int8", "config.json", "empty.txt", "model.safetensors", "onnx/int8/model.onnx", "onnx/model.onnx"}
	for path, want := range map[string][]string{
		"main?recursive=True&expand=False":       all,
		"main?recursive=1&limit=2":               all,
		"refs/pr/1?recursive=true":               all,
		"refs%2Fpr%2F1/onnx?recursive=true":      {"onnx/int8", "onnx/int8/model.onnx", "onnx/model.onnx"},
		"main":                                   {"onnx", "config.json", "empty.txt", "model.safetensors"},
		"main/?recursive=false":                  {"onnx", "config.json", "empty.txt", "model.safetensors"},
		"main/onnx":                              {"onnx/int8", "onnx/model.onnx"},
		"main/onnx%2Fint8/":                      {"onnx/int8/model.onnx"},
		"main?recursive=true&cursor=ZXlKbWFXeGw": nil,
	} {
		got := d.get("/api/models/org/model/tree/" + path)
		require.Equal(t, 200, got.StatusCode)
		require.Empty(t, got.Header.Get("Link"), "a link would lead to the Hub")
		require.NotContains(t, got.body, "xet")
		require.Equal(t, want, paths(d.json("/api/models/org/model/tree/"+path)), path)
	}
	require.Equal(t, "[]", d.get("/api/models/org/model/tree/main?cursor=x").body, "no null")
}

func TestAFolderThatIsNotThere(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, name := range []string{"additional_chat_templates", "config.json"} {
		got := d.get("/api/models/org/model/tree/main/" + name + "?recursive=false&expand=false")
		require.Equal(t, 404, got.StatusCode)
		require.Equal(t, "EntryNotFound", got.Header.Get("X-Error-Code"))
		require.Equal(t, name+` does not exist on "main"`, got.Header.Get("X-Error-Message"))
		require.Equal(t, `{"error":"`+name+` does not exist on \"main\""}`, got.body)
		require.Equal(t, string(main1), got.Header.Get("X-Repo-Commit"))
	}
	d.partial = true
	got := d.get("/api/models/org/model/tree/main/additional_chat_templates")
	require.Equal(t, 404, got.StatusCode)
	require.Empty(t, got.Header.Get("X-Repo-Commit"))
	got = d.get("/api/models/org/model/tree/nope/folder")
	require.Equal(t, "RevisionNotFound", got.Header.Get("X-Error-Code"))
	require.Equal(t, 404, d.get("/api/models/org/model/tree/..x").StatusCode)
}

func TestAPartialListIsNotGivenToWhoKeepsIt(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.partial = true
	path := "/api/models/org/model/tree/" + string(main1) + "?recursive=true"
	require.Equal(t, 503, d.get(path, agentPython).StatusCode)
	require.Equal(t, 200, d.get(path).StatusCode, "others make do with what there is")
	require.Equal(t, 200, d.get("/api/models/org/model/tree/"+string(main1)+"/onnx?recursive=true", agentPython).StatusCode)
	d.partial = false
	require.Equal(t, 200, d.get(path, agentPython).StatusCode)
}

func TestFoldersHaveGitsIds(t *testing.T) {
	t.Parallel()
	// A repo made by git, with names that sort unlike their folders would without
	// the slash, and empty files.
	const empty = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
	var files []ref.Listed
	for _, p := range []string{"z", "a/b/c", "a/b.txt", "a/b0", "a/x", "d/e"} {
		files = append(files, ref.Listed{Path: p, Blob: ref.Blob{ETag: empty}})
	}
	require.Equal(t, []folder{
		{"a", "70cb8c1d37ecc659632761934748ebc633346a5d"}, {"a/b", "587ff082e0b98914788500eae5dd6a33f04883c9"}, {"d", "aa09f3cb5dbbb431d96a0055dc96a6861f3ce7de"},
	}, folders(files))
	require.Empty(t, folders(nil))
}

func TestExpandedTrees(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	got := d.json("/api/models/org/model/tree/main?expand=true").([]any)
	last := got[1].(map[string]any)["lastCommit"]
	require.Equal(t, map[string]any{"id": string(main1), "title": "", "date": "2026-01-02T03:04:05.000Z"}, last)
	d.hub = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", `<http://here/next>; rel="next"`)
		_, _ = io.WriteString(w, "[]")
	}
	answer := d.get("/api/models/org/model/tree/main?expand=true")
	require.Equal(t, "[]", answer.body, "the Hub knows better")
	require.NotEmpty(t, answer.Header.Get("Link"))
	d.get("/api/models/org/model/tree/main?expand=true&cursor=abc")
	require.Contains(t, d.did(), "forward GET /api/models/org/model/tree/main?expand=true&cursor=abc", "its second page is its own, too")
	d.hub = nil
	require.Equal(t, 502, d.get("/api/models/org/model/tree/main?expand=true&cursor=abc").StatusCode)
}

func TestPathsInfo(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	const path = "/api/models/org/model/paths-info/main"
	const form, asJSON = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	for _, c := range []struct{ name, kind, body string }{
		{"form", form, "paths=onnx&paths=nope&paths=model.safetensors&expand=False"},
		{"json", asJSON, `{"paths":["onnx/","nope","/model.safetensors","onnx"],"expand":false}`},
	} {
		got := d.ask("POST", path, header("Content-Type", c.kind), c.body)
		require.Equal(t, 200, got.StatusCode, c.name)
		var list []listed
		require.NoError(t, json.Unmarshal([]byte(got.body), &list))
		require.Len(t, list, 2, c.name)
		require.Equal(t, "directory", list[0].Type)
		require.Len(t, list[0].OID, 40)
		require.Equal(t, "model.safetensors", list[1].Path)
		require.EqualValues(t, 1000, list[1].LFS.Size)
		require.Nil(t, list[1].LastCommit)
	}
	require.Equal(t, "[]", d.ask("POST", path, header("Content-Type", asJSON), `{"paths":["nope"]}`).body)
	require.Equal(t, 400, d.ask("POST", path, header("Content-Type", asJSON), `{"paths":`).StatusCode)
	require.Equal(t, 413, d.ask("POST", path, header("Content-Type", form), strings.Repeat("paths=x&", maxAsk/8+1)).StatusCode)
	require.Equal(t, 404, d.ask("POST", "/api/models/org/model/paths-info/nope", header("Content-Type", form), "paths=x").StatusCode)
}

func TestExpandedPathsInfo(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	ask := func() said {
		return d.ask("POST", "/api/models/org/model/paths-info/main", header("Content-Type", "application/json"), `{"paths":["config.json"],"expand":true}`)
	}
	require.Contains(t, ask().body, `"lastCommit":{"id":"`+string(main1), "the name of the snapshot")
	d.hub = func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	}
	require.JSONEq(t, `{"paths":["config.json"],"expand":true}`, ask().body, "the Hub got the question")
}

func TestInfoIsTheHubsWithoutXet(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.info = `{"id":"org/model","sha":"` + string(main1) + `","likes":12345678901234567890,"xetHash":"a","siblings":[{"rfilename":"x","xetHash":"b"}]}`
	for _, path := range []string{"/api/models/org/model", "/api/datasets/org/data/revision/main", "/api/spaces/org/app?blobs=false"} {
		got := d.get(path)
		require.JSONEq(t, `{"id":"org/model","sha":"`+string(main1)+`","likes":12345678901234567890,"siblings":[{"rfilename":"x"}]}`, got.body)
		require.Contains(t, got.body, "12345678901234567890", "numbers stay what they are")
	}
	require.Equal(t, []string{"info org/model@main", "info datasets/org/data@main", "info spaces/org/app@main"}, d.did())
	d.info = `{"id":"org/model", "as it came":true, "siblings":[]}`
	require.Equal(t, d.info, d.get("/api/models/org/model").body)
}

func TestInfoHasTheFilesWhereTheHubCannotSay(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	names := func(path string) (all []string) {
		for _, s := range d.json(path).(map[string]any)["siblings"].([]any) {
			all = append(all, s.(map[string]any)["rfilename"].(string))
		}
		slices.Sort(all)
		return all
	}
	want := []string{"config.json", "empty.txt", "model.safetensors", "onnx/model.onnx"}
	require.Equal(t, want, names("/api/models/org/model"))
	require.NotContains(t, d.get("/api/models/org/model").body, "blobId")
	require.Equal(t, want, names("/api/models/org/model?blobs=True"))
	recorded := recordedJSON(t, "api-model-revision-blobs.json").(map[string]any)["siblings"].([]any)
	for _, said := range []string{"", `{"sha":"` + string(main1) + `","siblings":[{"rfilename":"config.json"},{"rfilename":"model.safetensors"}]}`} {
		d.info = said
		for _, s := range d.json("/api/models/org/model/revision/main?securityStatus=true").(map[string]any)["siblings"].([]any) {
			switch s.(map[string]any)["rfilename"] {
			case "config.json":
				require.Equal(t, keys(recorded[0]), keys(s))
			case "model.safetensors":
				require.Equal(t, keys(recorded[5]), keys(s))
			}
		}
	}
	d.info = `{"id":"org/model","sha":"` + string(main1) + `","private":false}`
	require.Equal(t, d.info, d.get("/api/models/org/model?expand=private&expand=sha").body, "who asks for some gets those")
}

func TestRefs(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	got := d.json("/api/models/org/model/refs")
	require.Equal(t, keys(recordedJSON(t, "api-refs.json")), keys(got))
	require.Equal(t, string(main1), got.(map[string]any)["branches"].([]any)[0].(map[string]any)["targetCommit"])
	require.Contains(t, d.get("/api/models/org/model/refs?include_prs=1").body, `"pullRequests":[]`)
	for _, status := range []int{500, 503, 429} {
		d.hub = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "trouble", status) }
		require.Equal(t, got, d.json("/api/models/org/model/refs"), "trouble at the Hub is as good as no Hub")
	}
	for _, status := range []int{200, 401, 404} {
		d.hub = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Error-Code", "RepoNotFound")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(status)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "the Hub's word")
		}
		answer := d.get("/api/models/org/model/refs")
		require.Equal(t, status, answer.StatusCode)
		require.Equal(t, "the Hub's word", answer.body)
		require.Equal(t, "RepoNotFound", answer.Header.Get("X-Error-Code"))
	}
	d.hub = func(http.ResponseWriter, *http.Request) {}
	require.Equal(t, got, d.json("/api/models/org/model/refs"), "nothing is no answer")
}

func TestAccessIsAsked(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	require.Equal(t, 200, d.get("/api/datasets/org/data/auth-check").StatusCode)
	require.Equal(t, []string{"may datasets/org/data"}, d.did())
	d.may = &Failure{Status: 403, Code: "GatedRepo", Message: "Access to model org/model is restricted"}
	got := d.get("/api/models/org/model/auth-check")
	require.Equal(t, 403, got.StatusCode)
	require.Equal(t, "GatedRepo", got.Header.Get("X-Error-Code"))
}

func TestOldLlama(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	llama := header("User-Agent", "llama-cpp")
	ask := func(tag string) said { return d.get("/v2/org/model/manifests/"+tag, llama) }
	got := ask("latest")
	require.Equal(t, 400, got.StatusCode, "no model there")
	require.Contains(t, got.body, "The specified tag is not available")
	for _, name := range []string{"m-Q2_K.gguf", "m-Q8_0.gguf", "imatrix-Q4_K_M.gguf", "Q6_K/m-Q6_K-00001-of-00002.gguf", "Q6_K/m-Q6_K-00002-of-00002.gguf"} {
		d.files[main1][name] = []byte(name)
	}
	for _, c := range []struct{ add, tag, want string }{
		{"", "latest", "Q6_K/m-Q6_K-00001-of-00002.gguf"},
		{"", "q8_0", "m-Q8_0.gguf"},
		{"", "Q6_K", "Q6_K/m-Q6_K-00001-of-00002.gguf"},
		{"m-Q4_0.gguf", "latest", "m-Q4_0.gguf"},
		{"m.Q4_K_M.gguf", "Latest", "m.Q4_K_M.gguf"},
		{"mmproj-F32.gguf", "Q2_K", "m-Q2_K.gguf"},
		{"mmproj-model-f16.gguf", "m-Q2_K", "m-Q2_K.gguf"},
	} {
		if c.add != "" {
			d.files[main1][c.add] = []byte(c.add)
		}
		var said struct{ GGUFFile, MmprojFile sibling }
		require.NoError(t, json.Unmarshal([]byte(ask(c.tag).body), &said))
		require.Equal(t, c.want, said.GGUFFile.RFilename, c.tag)
		require.EqualValues(t, len(c.want), said.GGUFFile.LFS.Size)
		if strings.HasPrefix(c.add, "mmproj") {
			require.Equal(t, c.add, said.MmprojFile.RFilename)
		}
	}
	require.Equal(t, 400, ask("Q4_K").StatusCode, "a part of a name is another quantisation")
	require.Equal(t, 502, d.get("/v2/org/model/manifests/latest", header("User-Agent", "ollama/0.9")).StatusCode, "others need what the Hub alone has")
	d.hub = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }
	require.Equal(t, "{}", ask("latest").body)
}
