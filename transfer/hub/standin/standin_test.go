package standin

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

var (
	tiny = ref.Repo{Type: ref.Model, ID: "acme/tiny"}
	data = ref.Repo{Type: ref.Dataset, ID: "acme/data"}
)

func begin(t *testing.T, h *Hub) *Running {
	t.Helper()
	r, err := h.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// answer is what came, with the body read.
type answer struct {
	*http.Response
	body string
}

// do makes a request without following redirects. headers are "Name: value".
func do(t *testing.T, method, url, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for _, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp, string(b)}
}

func get(t *testing.T, url string, headers ...string) answer {
	t.Helper()
	return do(t, http.MethodGet, url, "", headers...)
}

func (a answer) json(t *testing.T, into any) {
	t.Helper()
	require.Equal(t, "application/json; charset=utf-8", a.Header.Get("Content-Type"), a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), into))
}

// The bodies and etags that the real Hub was seen to send.
func TestErrorBodiesAsRecorded(t *testing.T) {
	t.Parallel()
	sam, llama := ref.Repo{Type: ref.Model, ID: "facebook/sam3.1"}, ref.Repo{Type: ref.Model, ID: "meta-llama/Llama-3.1-8B-Instruct"}
	h := New()
	for _, r := range []ref.Repo{tiny, sam, llama} {
		h.Add(r, "", map[string]Content{"x.bin": String("x")})
	}
	h.Gate(sam, "manual")
	h.Gate(llama, "manual")
	h.Token("hf_good")
	run := begin(t, h)
	const realm = `Bearer realm="Authentication required", charset="UTF-8"`
	for _, tt := range []struct {
		path                      string
		header                    string
		status                    int
		code, message, etag, auth string
	}{
		{"/acme/tiny/resolve/main/nope", "", 404, "EntryNotFound", "Entry not found", `W/"f-mY2VvLxuxB7KhsoOdQTlMTccuAQ"`, ""},
		{"/acme/none/resolve/main/x", "", 401, "", "Invalid username or password.", `W/"1d-DMkJvg8tpLoaQbsiq9Mz7l2CJyI"`, realm},
		{"/facebook/sam3.1/resolve/main/x.bin", "", 401, "GatedRepo", "", `W/"7b-/G/Qyv99jo+3WP/wvrDk8jMPQ1U"`, realm},
		{"/meta-llama/Llama-3.1-8B-Instruct/resolve/main/x.bin", "", 401, "GatedRepo", "", `W/"8c-6WrD95JiXZalWmyM/8wvo3ELvyY"`, realm},
		{"/acme/tiny/resolve/nope/x.bin", "", 404, "RevisionNotFound", "Invalid rev id: nope", "", ""},
		{"/acme/none/resolve/main/x", "Authorization: Bearer hf_good", 404, "RepoNotFound", "Repository not found", "", ""},
		{"/facebook/sam3.1/resolve/main/x.bin", "Authorization: Bearer hf_good", 403, "GatedRepo", "", "", ""},
		{"/acme/tiny/resolve/main/x.bin", "Authorization: Bearer hf_bad", 401, "", "Invalid credentials in Authorization header", "", realm},
		{"/acme/tiny/resolve/main/x.bin", "Authorization: Basic eDp5", 401, "", "Invalid credentials in Authorization header", "", realm},
	} {
		t.Run(tt.path+" "+tt.header, func(t *testing.T) {
			a := get(t, run.URL()+tt.path, tt.header)
			require.Equal(t, tt.status, a.StatusCode)
			require.Equal(t, tt.code, a.Header.Get("X-Error-Code"))
			require.Equal(t, a.Header.Get("X-Error-Message"), a.body)
			require.Equal(t, tt.auth, a.Header.Get("Www-Authenticate"))
			if tt.message != "" {
				require.Equal(t, tt.message, a.body)
			}
			if tt.etag != "" {
				require.Equal(t, tt.etag, a.Header.Get("Etag"))
			}
			require.Equal(t, tt.code == "EntryNotFound", a.Header.Get("X-Repo-Commit") != "")
			require.Equal(t, "huggingface-moon", a.Header.Get("X-Powered-By"))
			require.Regexp(t, `^"resolvers";r=\d+;t=\d+$`, a.Header.Get("Ratelimit"))
		})
	}
}

func TestRedirectTextAsRecorded(t *testing.T) {
	t.Parallel()
	r := ref.Repo{Type: ref.Model, ID: "Jackrong/Qwopus3.6-27B-v1-preview"}
	h := New()
	h.Shape307 = WithoutETag
	h.Add(r, "", map[string]Content{"README.md": String("# Qwopus")})
	a := do(t, http.MethodHead, begin(t, h).URL()+"/"+r.ID+"/resolve/main/README.md", "")
	require.Equal(t, 307, a.StatusCode)
	require.EqualValues(t, 266, a.ContentLength, "as long as the real Hub's")
	require.Empty(t, a.Header.Get("Etag"))
	require.Empty(t, a.Header.Get("X-Linked-Etag"))
	require.Equal(t, `inline; filename*=UTF-8''README.md; filename="README.md";`, a.Header.Get("Content-Disposition"))
	require.Contains(t, a.Header.Get("Location"), "/README.md?%2FJackrong%2FQwopus3.6-27B-v1-preview%2Fresolve%2Fmain%2FREADME.md=&etag=%22")
}

func TestResolveLarge(t *testing.T) {
	t.Parallel()
	xet := ref.XetHash(strings.Repeat("5a", 32))
	content := Synthetic(1, 1000)
	h := New()
	commit := h.Add(tiny, "", map[string]Content{"model.bin": content.Xet(xet)})
	run := begin(t, h)
	a := get(t, run.URL()+"/acme/tiny/resolve/main/model.bin")
	require.Equal(t, 302, a.StatusCode)
	require.Equal(t, string(commit), a.Header.Get("X-Repo-Commit"))
	require.Equal(t, `"`+content.SHA256()+`"`, a.Header.Get("X-Linked-Etag"))
	require.Equal(t, "1000", a.Header.Get("X-Linked-Size"))
	require.Equal(t, string(xet), a.Header.Get("X-Xet-Hash"))
	require.Contains(t, a.Header.Get("Link"), run.URL()+"/api/models/acme/tiny/xet-read-token/"+string(commit)+`>; rel="xet-auth", <`)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.Empty(t, a.Header.Get("Etag"))
	link := a.Header.Get("Location")
	require.True(t, strings.HasPrefix(link, run.CDNURL()+"/xet-bridge-us/"), link)

	a = get(t, link)
	require.Equal(t, 200, a.StatusCode)
	require.Equal(t, bytesOf(t, content), []byte(a.body))
	require.Equal(t, `"`+string(xet)+`"`, a.Header.Get("Etag"), "not the sha256")
	require.Empty(t, a.Header.Get("X-Repo-Commit"))
	require.EqualValues(t, 1000, h.BodyBytes(tiny, "model.bin"), "the redirect's text does not count")

	for what, bad := range map[string]string{
		"no signature":   strings.Split(link, "?")[0],
		"a wrong one":    strings.Replace(link, "Signature=", "Signature=00", 1),
		"another object": strings.Replace(link, "/xet-bridge-us/", "/xet-bridge-us/0", 1),
		"another time":   strings.Replace(link, "Expires=1", "Expires=2", 1),
	} {
		require.Equal(t, 403, get(t, bad).StatusCode, what)
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	h := New()
	h.Add(tiny, "", map[string]Content{"a.txt": String("0123456789"), "a.bin": String("0123456789"), "empty": String("")})
	run := begin(t, h)
	for _, file := range []string{"a.txt", "a.bin"} {
		at := follow(t, run, file)
		for asked, want := range map[string]struct {
			status       int
			body, range_ string
		}{
			"bytes=2-4":    {206, "234", "bytes 2-4/10"},
			"bytes=8-":     {206, "89", "bytes 8-9/10"},
			"bytes=0-0":    {206, "0", "bytes 0-0/10"},
			"bytes=-3":     {206, "789", "bytes 7-9/10"},
			"bytes=5-1000": {206, "56789", "bytes 5-9/10"},
			"bytes=10-12":  {416, "", "bytes */10"},
		} {
			a := get(t, at, "Range: "+asked)
			require.Equal(t, want.status, a.StatusCode, asked)
			require.Equal(t, want.range_, a.Header.Get("Content-Range"), asked)
			if want.status == 206 {
				require.Equal(t, want.body, a.body)
			}
		}
	}
	a := get(t, follow(t, run, "empty"), "Range: bytes=0-0")
	require.Equal(t, 200, a.StatusCode)
	require.Equal(t, "0", a.Header.Get("Content-Length"))

	at := follow(t, run, "a.txt")
	etag := get(t, at).Header.Get("Etag")
	require.Equal(t, 304, get(t, at, "If-None-Match: "+etag).StatusCode)
}

// follow is where a file's bytes are.
func follow(t *testing.T, run *Running, file string) string {
	t.Helper()
	a := do(t, http.MethodHead, run.URL()+"/acme/tiny/resolve/main/"+file, "")
	base, err := url.Parse(run.URL())
	require.NoError(t, err)
	at, err := base.Parse(a.Header.Get("Location"))
	require.NoError(t, err)
	return at.String()
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	h := New()
	h.Add(tiny, "", map[string]Content{"sub/a b.txt": String("main"), "m.bin": String("large")})
	old := h.Add(tiny, "refs/pr/1", map[string]Content{"sub/a b.txt": String("pr")})
	h.Add(data, "", map[string]Content{"t.csv": String("1,2")})
	space := ref.Repo{Type: ref.Space, ID: "acme/app"}
	h.Add(space, "", map[string]Content{"app.py": String("run()")})
	gpt := ref.Repo{Type: ref.Model, ID: "openai-community/gpt2"}
	h.Add(gpt, "", map[string]Content{"config.json": String("{}")})
	h.Rename(gpt, ref.Repo{Type: ref.Model, ID: "gpt2"})
	h.Rename(ref.Repo{Type: ref.Model, ID: "gpt2"}, gpt)
	run := begin(t, h)

	for path, want := range map[string]struct {
		status   int
		location string // begins with
	}{
		"/acme/tiny/resolve/main/sub/a%20b.txt":                                     {307, "/api/resolve-cache/models/acme/tiny/"},
		"/acme/tiny/resolve/refs%2Fpr%2F1/sub/a%20b.txt":                            {307, "/api/resolve-cache/models/acme/tiny/" + string(old) + "/sub/a%20b.txt?"},
		"/acme/tiny/resolve/refs/pr/1/sub/a%20b.txt":                                {307, "/api/resolve-cache/models/acme/tiny/" + string(old) + "/"},
		"/acme/tiny/resolve/" + string(old)[:8] + "/sub/a%20b.txt":                  {307, "/api/resolve-cache/models/acme/tiny/" + string(old) + "/"},
		"/datasets/acme/data/resolve/main/t.csv":                                    {307, "/api/resolve-cache/datasets/acme/data/"},
		"/spaces/acme/app/resolve/main/app.py":                                      {307, "/api/resolve-cache/spaces/acme/app/"},
		"/gpt2/resolve/main/config.json":                                            {307, "/openai-community/gpt2/resolve/main/config.json"},
		"/Acme/TINY/resolve/main/m.bin":                                             {307, "/acme/tiny/resolve/main/m.bin"},
		"/api/models/gpt2":                                                          {307, "/api/models/openai-community/gpt2"},
		"/api/models/gpt2/tree/main?recursive=true":                                 {307, "/api/models/openai-community/gpt2/tree/main?recursive=true"},
		"/api/resolve-cache/models/acme/tiny/main/m.bin":                            {400, ""},
		"/api/resolve-cache/models/acme/tiny/" + strings.Repeat("0", 40) + "/x":     {404, ""},
		"/api/resolve-cache/models/openai-community/gpt2/" + string(old) + "/m.bin": {404, ""},
		"/api/telemetry/x/y":                                                        {200, ""},
		"/api/agent-harnesses":                                                      {404, ""},
		"/api/models":                                                               {404, ""},
		"/api/models/acme/tiny/what":                                                {404, ""},
		"/v2/acme/tiny/manifests/x":                                                 {404, ""},
		"/":                                                                         {404, ""},
		"/acme/tiny/resolve/main":                                                   {404, ""},
		"/acme/tiny/raw/main/m.bin":                                                 {200, ""},
	} {
		a := get(t, run.URL()+path)
		require.Equal(t, want.status, a.StatusCode, path)
		require.True(t, strings.HasPrefix(a.Header.Get("Location"), want.location), "%s: %s", path, a.Header.Get("Location"))
	}
	require.Contains(t, get(t, run.URL()+"/acme/tiny/raw/main/m.bin").body, "oid sha256:")
}

func TestGitIDs(t *testing.T) {
	t.Parallel()
	// As git itself computes them: note that "a" sorts behind "a.txt" and before "a0".
	h := New()
	id := h.Add(tiny, "", map[string]Content{
		"a.txt": String("one"), "a/x": String("two"), "a/b/y": String("three"), "a0": String("four"),
	})
	c := h.repos[tiny].commits[id]
	require.Equal(t, "8adcbb13a12cf104bf966ef9c5b6facdebcc17d2", c.trees[""])
	require.Equal(t, ref.Commit("278ccb42f76b916a4af480cf12b55dbab61a9496"), id)
	require.Equal(t, "4b825dc642cb6eb9a060e54bf8d69288fbee4904", gitTrees(nil)[""], "the empty tree")

	second := h.Add(tiny, "", map[string]Content{"a.txt": String("one")})
	require.NotEqual(t, id, second)
	require.Equal(t, id, h.repos[tiny].commits[second].lastChange("a.txt").id)
	require.Equal(t, string(id), string(h.repos[tiny].commits[second].parent.id))

	again := New()
	require.Equal(t, id, again.Add(tiny, "", map[string]Content{
		"a0": String("four"), "a/b/y": String("three"), "a/x": String("two"), "a.txt": String("one"),
	}))
}

// The oid of an LFS file is that of its pointer; this one is openai-community/gpt2's.
func TestPointerAsRecorded(t *testing.T) {
	t.Parallel()
	c := Content{size: 548105171, sha256: "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707", kind: lfs}
	require.Len(t, c.pointer(), 134)
	require.Equal(t, "44b36d6e32d13c8fb28b0feab0ac8bfefa7efeda", c.oid())
}

func TestHowFilesAreStored(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]kind{"a.json": regular, "a.safetensors": lfs, "x/y.gguf": lfs, "events.tfevents.1": lfs, "model.bin.md": regular} {
		require.Equal(t, want, String("some").decided(name).kind, name)
	}
	require.Equal(t, lfs, Content{size: 11 << 20}.decided("a.txt").kind)
	require.Equal(t, regular, String("").decided("a.bin").kind)
	require.Equal(t, regular, String("some").Regular().decided("a.bin").kind)
	require.Equal(t, lfs, String("some").LFS().decided("a.txt").kind)
}

func bytesOf(t *testing.T, c Content) []byte {
	t.Helper()
	r, err := c.Open()
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return b
}

func TestSynthetic(t *testing.T) {
	t.Parallel()
	c := Synthetic(3, 10_001)
	whole := bytesOf(t, c)
	require.Equal(t, whole, bytesOf(t, Synthetic(3, 10_001)))
	require.NotEqual(t, whole, bytesOf(t, Synthetic(4, 10_001)))
	require.Equal(t, whole[:500], bytesOf(t, Synthetic(3, 500)), "a shorter one is the beginning")
	r, err := c.Open()
	require.NoError(t, err)
	for _, off := range []int64{0, 1, 15, 16, 17, 9_000, 33, 10_000} {
		_, err := r.Seek(off, io.SeekStart)
		require.NoError(t, err)
		got := make([]byte, min(40, 10_001-off))
		_, err = io.ReadFull(r, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(whole[off:off+int64(len(got))], got), "at %d", off)
	}
	_, err = r.Seek(-1, io.SeekStart)
	require.Error(t, err)
}
