package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
)

// xetHub has one large file over Xet.
func xetHub(t *testing.T) (*Hub, *Running, Content) {
	t.Helper()
	h := New()
	c, err := h.OverXet(Synthetic(1, 400_000), chunk.Current)
	require.NoError(t, err)
	h.Add(tiny, "", map[string]Content{"model.bin": c})
	h.Writer("hf_writer")
	return h, begin(t, h), c
}

type tokenAnswer struct {
	CASURL      string `json:"casUrl"`
	AccessToken string `json:"accessToken"`
	Exp         int64  `json:"exp"`
}

func xetTokenFor(t *testing.T, run *Running, repo, kind string, headers ...string) string {
	t.Helper()
	a := get(t, run.URL()+"/api/models/"+repo+"/xet-"+kind+"-token/main", headers...)
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	var said tokenAnswer
	a.json(t, &said)
	require.Equal(t, run.CASURL(), said.CASURL)
	require.Equal(t, said.CASURL, a.Header.Get("X-Xet-Cas-Url"))
	require.Equal(t, said.AccessToken, a.Header.Get("X-Xet-Access-Token"))
	require.Equal(t, fmt.Sprint(said.Exp), a.Header.Get("X-Xet-Token-Expiration"))
	return "Authorization: Bearer " + said.AccessToken
}

func TestXetIsAnnounced(t *testing.T) {
	t.Parallel()
	_, run, c := xetHub(t)
	a := do(t, http.MethodHead, run.URL()+"/acme/tiny/resolve/main/model.bin", "")
	require.Equal(t, http.StatusFound, a.StatusCode)
	require.Equal(t, string(c.xet), a.Header.Get("X-Xet-Hash"))
	commit := a.Header.Get("X-Repo-Commit")
	require.Equal(t, fmt.Sprintf(`<%s/api/models/acme/tiny/xet-read-token/%s>; rel="xet-auth", <%s/v1/reconstructions/%s>; rel="xet-reconstruction-info"`,
		run.URL(), commit, run.CASURL(), c.xet), a.Header.Get("Link"))
	require.Contains(t, get(t, run.URL()+"/api/models/acme/tiny/tree/main").body, `"xetHash":"`+string(c.xet)+`"`)
}

// A token opens what its repo holds, for what it was made for, while it lasts.
func TestWhoMayAtTheCAS(t *testing.T) {
	t.Parallel()
	h, run, c := xetHub(t)
	other := ref.Repo{Type: ref.Model, ID: "acme/other"}
	h.Add(other, "", map[string]Content{"x": String("x")})
	recipe := run.CASURL() + "/v2/reconstructions/" + string(c.xet)
	read, write := xetTokenFor(t, run, "acme/tiny", "read"), xetTokenFor(t, run, "acme/tiny", "write", "Authorization: Bearer hf_writer")
	stranger := xetTokenFor(t, run, "acme/other", "read")
	for _, tt := range []struct {
		name   string
		status int
		answer answer
	}{
		{"a reader", 200, get(t, recipe, read)},
		{"nobody", 401, get(t, recipe)},
		{"the Hub's token", 401, get(t, recipe, "Authorization: Bearer hf_writer")},
		{"a token that was changed", 401, get(t, recipe, read+"0")},
		{"another repo's", 404, get(t, recipe, stranger)},
		{"an unknown file", 404, get(t, run.CASURL()+"/v2/reconstructions/"+strings.Repeat("a", 64), read)},
		{"no hash", 400, get(t, run.CASURL()+"/v2/reconstructions/x", read)},
		{"behind the end", 416, get(t, recipe, read, "Range: bytes=400000-400001")},
		{"a reader that writes", 403, do(t, "POST", run.CASURL()+"/v1/xorbs/default/"+string(c.xet), "x", read)},
		{"a writer of nonsense", 400, do(t, "POST", run.CASURL()+"/v1/xorbs/default/"+string(c.xet), "x", write)},
		{"a writer of a bad shard", 400, do(t, "POST", run.CASURL()+"/v1/shards", "x", write)},
		{"a search for chunks of others", 404, get(t, run.CASURL()+"/v1/chunks/default/"+string(c.xet), write)},
		{"a writer's token for a reader", 403, get(t, run.URL()+"/api/models/acme/tiny/xet-write-token/main")},
		{"no such revision", 404, get(t, run.URL()+"/api/models/acme/tiny/xet-read-token/nope")},
	} {
		require.Equal(t, tt.status, tt.answer.StatusCode, "%s: %s", tt.name, tt.answer.body)
	}
	h.ExpireXetTokens()
	require.Equal(t, http.StatusUnauthorized, get(t, recipe, read).StatusCode)
	require.Equal(t, http.StatusOK, get(t, recipe, xetTokenFor(t, run, "acme/tiny", "read")).StatusCode)
}

// The data of a xorb comes for the ranges that were signed, each by itself or all
// at once, while the signature is good.
func TestSignedRanges(t *testing.T) {
	t.Parallel()
	h, run, c := xetHub(t)
	read := xetTokenFor(t, run, "acme/tiny", "read")
	var said struct {
		Skip  int64 `json:"offset_into_first_range"`
		Xorbs map[string][]jsonFetchV2
	}
	ask := func() (string, jsonRange) {
		a := get(t, run.CASURL()+"/v2/reconstructions/"+string(c.xet), read, "Range: bytes=150000-250000")
		require.NoError(t, json.Unmarshal([]byte(a.body), &said))
		require.Len(t, said.Xorbs, 1)
		for _, list := range said.Xorbs {
			require.Len(t, list, 1)
			return list[0].URL, list[0].Ranges[0].Bytes
		}
		return "", jsonRange{}
	}
	address, span := ask()
	require.True(t, strings.HasPrefix(address, run.CDNURL()+"/xorbs/default/"))
	require.Positive(t, span.Start)
	header := func(first, last int64) string { return fmt.Sprintf("Range: bytes=%d-%d", first, last) }
	good := get(t, address, header(span.Start, span.End))
	require.Equal(t, http.StatusPartialContent, good.StatusCode)
	require.Len(t, good.body, int(span.End-span.Start+1))
	require.EqualValues(t, len(good.body), h.XorbBytes())

	u, err := url.Parse(address)
	require.NoError(t, err)
	for name, a := range map[string]answer{
		"no range":        get(t, address),
		"a part of it":    get(t, address, header(span.Start, span.End-1)),
		"more":            get(t, address, header(span.Start-1, span.End)),
		"one more range":  get(t, address, fmt.Sprintf("Range: bytes=%d-%d,0-1", span.Start, span.End)),
		"another range":   get(t, strings.Replace(address, "bytes%3D", "bytes%3D9", 1), header(span.Start, span.End)),
		"no signature":    get(t, run.CDNURL()+u.Path, header(span.Start, span.End)),
		"an unknown xorb": get(t, run.CDNURL()+"/xorbs/default/x", header(span.Start, span.End)),
	} {
		require.Equal(t, http.StatusForbidden, a.StatusCode, name)
	}
	h.LinkLife = time.Nanosecond
	address, span = ask()
	a := get(t, address, header(span.Start, span.End))
	require.Equal(t, http.StatusForbidden, a.StatusCode)
	require.Contains(t, a.body, "expired")
}

// Uploads without Xet: repos are made, small files come with the commit, files
// and folders go.
func TestCommits(t *testing.T) {
	t.Parallel()
	h := New()
	h.Writer("hf_writer")
	run := begin(t, h)
	const token = "Authorization: Bearer hf_writer"
	create := func(headers ...string) answer {
		return do(t, "POST", run.URL()+"/api/repos/create", `{"name":"new","organization":"acme"}`, headers...)
	}
	require.Equal(t, http.StatusUnauthorized, create().StatusCode)
	require.Equal(t, http.StatusOK, create(token).StatusCode)
	require.Equal(t, http.StatusConflict, create(token).StatusCode)
	commit := func(lines string, headers ...string) answer {
		return do(t, "POST", run.URL()+"/api/models/acme/new/commit/main", lines, headers...)
	}
	file := func(path string) answer {
		a := get(t, run.URL()+"/acme/new/resolve/main/"+path)
		if a.StatusCode == http.StatusTemporaryRedirect {
			a = get(t, run.URL()+a.Header.Get("Location"))
		}
		return a
	}
	two := `{"key":"header","value":{"summary":"s"}}
{"key":"file","value":{"path":"d/a.txt","content":"aGVsbG8=","encoding":"base64"}}
{"key":"file","value":{"path":"b.txt","content":"aGVsbG8=","encoding":"base64"}}
`
	require.Equal(t, http.StatusForbidden, commit(two).StatusCode)
	require.Equal(t, http.StatusOK, commit(two, token).StatusCode)
	require.Equal(t, "hello", file("d/a.txt").body)
	require.Contains(t, file(".gitattributes").body, "*.safetensors filter=lfs")
	require.Equal(t, http.StatusOK, commit(`{"key":"deletedFolder","value":{"path":"d/"}}
{"key":"deletedFile","value":{"path":"b.txt"}}`, token).StatusCode)
	require.Equal(t, http.StatusNotFound, file("d/a.txt").StatusCode)
	require.Equal(t, http.StatusNotFound, file("b.txt").StatusCode)
	for name, bad := range map[string]string{
		"a path that leads out":     `{"key":"file","value":{"path":"../x","content":"aGVsbG8=","encoding":"base64"}}`,
		"an object never uploaded":  `{"key":"lfsFile","value":{"path":"m.bin","algo":"sha256","oid":"` + strings.Repeat("a", 64) + `"}}`,
		"an operation of nobody":    `{"key":"moveFile","value":{"path":"x"}}`,
		"no JSON":                   `<html>`,
		"content that is no base64": `{"key":"file","value":{"path":"x","content":"?","encoding":"base64"}}`,
	} {
		require.Equal(t, http.StatusBadRequest, commit(bad, token).StatusCode, name)
	}
}

// FuzzCAS: whatever is asked for, there is an answer.
func FuzzCAS(f *testing.F) {
	for _, s := range []string{"/v1/reconstructions/x", "/v2/reconstructions/", "/v1/xorbs/default/x", "/", "//", "/xorbs/default/x"} {
		f.Add(s, "bytes=0-1")
	}
	h := New()
	run := &Running{urls: map[string]string{onHub: "http://hub.example", onCDN: "http://cdn.example", onCAS: "http://cas.example"}}
	f.Fuzz(func(t *testing.T, path, ranges string) {
		first, last, ok := parseRange(ranges, 1000)
		require.True(t, !ok || 0 <= first && first <= last && last < 1000)
		for _, host := range []string{onCAS, onCDN} {
			w := &silent{header: http.Header{}}
			r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}, Host: "x", Header: http.Header{"Range": {ranges}}}
			h.handler(host, run).ServeHTTP(w, r.WithContext(t.Context()))
			require.Contains(t, []int{401, 403, 404}, w.status)
		}
	})
}

type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
func (s *silent) WriteHeader(status int)      { s.status = status }
