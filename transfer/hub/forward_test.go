package hub_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
)

// forwarder serves whatever the client forwards.
func forwarder(t *testing.T, cfg hub.Config) string {
	t.Helper()
	c := client(t, cfg)
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.Forward(w, r, s.URL) }))
	t.Cleanup(s.Close)
	return s.URL
}

// said is an answer, read to its end.
type said struct {
	*http.Response
	body string
	err  error // of reading the body
}

func request(t *testing.T, method, url, body string, headers ...string) said {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) said {
	t.Helper()
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return said{resp, string(b), err}
}

// A recorder is an origin that keeps the requests it gets.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
}

func newRecorder(t *testing.T, answer http.HandlerFunc) *recorder {
	t.Helper()
	rec := &recorder{}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		rec.mu.Lock()
		rec.requests, rec.bodies = append(rec.requests, r), append(rec.bodies, string(b))
		rec.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(rec.Close)
	return rec
}

func (rec *recorder) seen() []*http.Request {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.requests
}

func TestForwardReads(t *testing.T) {
	t.Parallel()
	h, run := guardedHub(t)
	node := forwarder(t, hub.Config{Endpoints: []string{run.URL()}, Token: "hf_good"})
	for _, tt := range []struct {
		path, token string
		status      int
		code        string
		body        string
	}{
		{"/api/whoami-v2", "hf_good", 200, "", `"name":"standin"`},
		{"/api/whoami-v2", "", 401, "", "Invalid username or password."},
		{"/api/whoami-v2", "hf_stale", 401, "", "Invalid credentials"},
		{"/api/models/acme/private/refs", "hf_good", 200, "", "main"},
		{"/api/models/acme/private/refs", "hf_stranger", 404, "RepoNotFound", "Repository not found"},
		{"/api/models/acme/private/refs", "", 401, "RepoNotFound", "Invalid username or password."},
		{"/api/models/acme/private/refs", "hf_stale", 401, "", "Invalid credentials"},
		{"/acme/private/resolve/main/x.bin", "", 401, "RepoNotFound", "Invalid username or password."},
		{"/acme/gated/resolve/main/x.bin", "", 401, "GatedRepo", "restricted"},
		{"/api/models/acme/tiny/tree/refs%2Fpr%2F9", "", 404, "RevisionNotFound", "refs/pr/9"},
		{"/acme/tiny/raw/main/config.json", "", 200, "", `{"tiny":true}`},
		{"/api/datasets/acme/closed", "", 403, "", "disabled"},
		{"/no/such/page", "", 404, "", "Not Found"},
	} {
		var headers []string
		if tt.token != "" {
			headers = []string{"Authorization", "Bearer " + tt.token}
		}
		got := request(t, http.MethodGet, node+tt.path, "", headers...)
		require.Equal(t, tt.status, got.StatusCode, tt)
		require.Equal(t, tt.code, got.Header.Get("X-Error-Code"), tt)
		require.Contains(t, got.body, tt.body, tt)
		require.NotEmpty(t, got.Header.Get("Ratelimit"))
		head := request(t, http.MethodHead, node+tt.path, "", headers...)
		require.Equal(t, tt.status, head.StatusCode)
		require.Empty(t, head.body)
	}
	for _, r := range h.Requests() {
		require.Equal(t, "Go-http-client/1.1", r.Agent, "it is the caller's request")
	}
}

// What goes out: the caller's own token and headers, and nothing of this machine.
func TestForwardedRequest(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "ok") })
	node := forwarder(t, hub.Config{Endpoints: []string{rec.URL + "/api/hf"}, Token: secret})
	require.Equal(t, "ok", request(t, http.MethodPost, node+"//x/a%2Fb%20c?q=1%2F2;3&e", "the body",
		"User-Agent", "llama-cpp/1", "Content-Type", "text/plain", "X-Amzn-Trace-Id", "abc",
		"Cookie", "c", "Origin", "http://evil.example", "Referer", "r", "X-Forwarded-For", "f", "X-Forwarded-Port", "1", "Forwarded", "f",
		"Sec-Fetch-Site", "s", "Via", "1.1 squid", "Proxy-Authorization", "p", "Connection", "X-Hop", "X-Hop", "h", "Accept-Encoding", "gzip",
		"Accept", "application/vnd.xet-fileinfo+json, */*").body)
	require.Equal(t, "ok", request(t, http.MethodGet, node+"/api/models", "", "Authorization", "Bearer hf_caller", "Range", "bytes=0-1").body)
	require.Equal(t, "ok", request(t, http.MethodGet, node+"/x/raw/main/y", "", "Range", "bytes=0-1").body)

	first, second := rec.seen()[0], rec.seen()[1]
	require.Equal(t, "/api/hf//x/a%2Fb%20c?q=1%2F2;3&e", first.RequestURI)
	require.Equal(t, hostOf(rec.URL), first.Host)
	require.Equal(t, "the body", rec.bodies[0])
	require.Equal(t, http.Header{
		"User-Agent": {"llama-cpp/1"}, "Content-Type": {"text/plain"}, "X-Amzn-Trace-Id": {"abc"}, "Content-Length": {"8"},
		"Via": {"1.1 squid", "1.1 hffs"}, "Accept-Encoding": {"identity"}, "Accept": {"*/*"},
	}, first.Header)
	require.Equal(t, "Bearer hf_caller", second.Header.Get("Authorization"))
	require.Empty(t, second.Header.Get("Range"), "JSON comes whole")
	require.Equal(t, "bytes=0-1", rec.seen()[2].Header.Get("Range"))
}

// The Hub alone is asked, and a token travels only where nobody can read it.
func TestForwardKeepsTokensHome(t *testing.T) {
	t.Parallel()
	mirror := newRecorder(t, func(http.ResponseWriter, *http.Request) {})
	rec := newRecorder(t, func(http.ResponseWriter, *http.Request) {})
	var heard ear
	cfg := hub.Config{
		Endpoints: []string{"https://mirror.example", "https://huggingface.co"}, Notice: heard.notice, Log: heard.logger(),
		Transport: netmap{"mirror.example": mirror.URL, "huggingface.co": rec.URL, "hub.example": rec.URL},
	}
	request(t, http.MethodPost, forwarder(t, cfg)+"/api/x", "x", "Authorization", "Bearer "+secret)
	require.Equal(t, "Bearer "+secret, rec.seen()[0].Header.Get("Authorization"))
	require.Empty(t, heard.notices)
	cfg.Endpoints = []string{"http://hub.example"}
	request(t, http.MethodPost, forwarder(t, cfg)+"/api/x", "x", "Authorization", "Bearer "+secret)
	require.Empty(t, rec.seen()[1].Header.Get("Authorization"))
	require.Len(t, heard.notices, 1)
	require.Empty(t, mirror.seen())
	require.NotContains(t, heard.log.String()+strings.Join(heard.notices, ""), secret)
}

// What comes back: nothing of Xet, nothing for browsers, and addresses that lead
// through us.
func TestForwardedAnswer(t *testing.T) {
	t.Parallel()
	var rec *recorder
	rec = newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		base, h := rec.URL+"/hf", w.Header()
		for _, name := range []string{"Set-Cookie", "X-Xet-Hash", "X-Xet-Refresh-Route", "Access-Control-Allow-Origin", "Alt-Svc"} {
			h.Set(name, "x")
		}
		h.Set("RateLimit", `"api";r=0;t=5`)
		h.Set("Retry-After", "5")
		h.Add("Link", `<`+base+`/api/x/xet-read-token/c>; rel="xet-auth", <https://cas.example/v1/x>; rel="xet-reconstruction-info"`)
		h.Add("Link", `<`+base+`/api/x?a=b,c>;rel="next", <https://elsewhere.example/y>; rel="license"; title="a, b"`)
		h.Add("Link", `<https://huggingface.co`+r.URL.EscapedPath()[len("/hf"):]+`?cursor=1>; rel=next`)
		h.Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusTooManyRequests)
	})
	node := forwarder(t, hub.Config{Endpoints: []string{rec.URL + "/hf"}})
	for to, want := range map[string]string{
		rec.URL + "/hf/a%2Fb?c=d#e":  node + "/a%2Fb?c=d#e",
		"/hf/y":                      node + "/y",
		"z?q":                        node + "/api/z?q",
		rec.URL + "/hfx":             rec.URL + "/hfx",
		"/other":                     "/other",
		"https://cdn.example/x?s=1":  "https://cdn.example/x?s=1",
		"//cdn.example/x":            "//cdn.example/x",
		"http://%zz":                 "http://%zz",
		rec.URL + ".evil.example/hf": rec.URL + ".evil.example/hf",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node+"/api/x", nil)
		require.NoError(t, err)
		q := req.URL.Query()
		q.Set("to", to)
		req.URL.RawQuery = q.Encode()
		got := do(t, req)
		require.Equal(t, want, got.Header.Get("Location"), to)
		require.Equal(t, []string{`<` + node + `/api/x?a=b,c>; rel="next", <https://elsewhere.example/y>; rel="license"; title="a, b", ` +
			`<` + node + `/api/x?cursor=1>; rel=next`}, got.Header["Link"])
		require.Equal(t, http.StatusTooManyRequests, got.StatusCode)
		require.Equal(t, "5", got.Header.Get("Retry-After"))
		require.NotEmpty(t, got.Header.Get("Ratelimit"))
		for _, name := range []string{"Set-Cookie", "X-Xet-Hash", "X-Xet-Refresh-Route", "Access-Control-Allow-Origin", "Alt-Svc"} {
			require.NotContains(t, got.Header, name)
		}
	}
}

// An answer under way may not slip its headers past us ahead of time.
func TestForwardHoldsEarlyHints(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "early")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Set-Cookie")
		_, _ = fmt.Fprint(w, "late")
	})
	node := forwarder(t, hub.Config{Endpoints: []string{rec.URL}})
	early := func(code int, h textproto.MIMEHeader) error {
		t.Errorf("%d: %v", code, h)
		return nil
	}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: early})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+"/x", nil)
	require.NoError(t, err)
	got := do(t, req)
	require.Equal(t, "late", got.body)
	require.NotContains(t, got.Header, "Set-Cookie")
}

func TestForwardTakesXetOut(t *testing.T) {
	t.Parallel()
	run, _, _, _ := fullHub(t, 5)
	node := forwarder(t, hub.Config{Endpoints: []string{run.URL()}})
	var all []map[string]any
	for next := node + "/api/models/acme/tiny/tree/main?recursive=true&expand=true"; next != ""; {
		got := request(t, http.MethodGet, next, "")
		require.Equal(t, 200, got.StatusCode)
		require.NotContains(t, got.body, "xetHash")
		var page []map[string]any
		require.NoError(t, json.Unmarshal([]byte(got.body), &page))
		all, next = append(all, page...), ""
		if link := got.Header.Get("Link"); link != "" {
			require.True(t, strings.HasPrefix(link, "<"+node+"/"), link)
			next = link[1:strings.IndexByte(link, '>')]
		}
	}
	require.Greater(t, len(all), 25)
	direct := request(t, http.MethodPost, run.URL()+"/api/models/acme/tiny/paths-info/main", "paths=model.bin", "Content-Type", "application/x-www-form-urlencoded")
	require.Contains(t, direct.body, "xetHash", "there was something to take out")
	got := request(t, http.MethodPost, node+"/api/models/acme/tiny/paths-info/main", "paths=model.bin", "Content-Type", "application/x-www-form-urlencoded")
	require.NotContains(t, got.body, "xetHash")
	require.Contains(t, got.body, `"path":"model.bin"`)
	got = request(t, http.MethodHead, node+"/acme/tiny/resolve/main/model.bin", "")
	require.Equal(t, http.StatusFound, got.StatusCode)
	require.NotContains(t, got.Header, "X-Xet-Hash")
	require.NotContains(t, got.Header, "Link")
	got = request(t, http.MethodHead, node+"/api/models/acme/tiny/tree/main", "")
	require.Equal(t, 200, got.StatusCode)
	require.Equal(t, int64(-1), got.ContentLength, "how long it will be is not known")
}

// Files are nobody's to edit, whatever they look like.
func TestForwardLeavesFilesAlone(t *testing.T) {
	t.Parallel()
	text := `{ "xetHash": "x" }`
	rec := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, text)
	})
	node := forwarder(t, hub.Config{Endpoints: []string{rec.URL}})
	for _, path := range []string{"/a/b/raw/main/x.json", "/api/resolve-cache/models/a/b/c/x.json"} {
		got := request(t, http.MethodGet, node+path, "")
		require.Equal(t, text, got.body)
		require.Equal(t, int64(len(text)), got.ContentLength)
	}
	require.Equal(t, `{}`, request(t, http.MethodGet, node+"/api/x", "").body)
}

// An upload, as huggingface_hub makes it: addresses in the answers are those of the
// endpoint it talks to.
func TestForwardUploads(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	h.Writer("hf_writer")
	node := forwarder(t, hub.Config{Endpoints: []string{run.URL()}})
	auth := []string{"Authorization", "Bearer hf_writer", "Content-Type", "application/json"}
	got := request(t, http.MethodPost, node+"/api/repos/create", `{"name":"new","organization":"acme","type":"model"}`, auth...)
	require.Equal(t, 200, got.StatusCode)
	require.Contains(t, got.body, `"url":"`+node+`/acme/new"`)
	lines := `{"key":"header","value":{"summary":"x"}}` + "\n" + `{"key":"file","value":{"path":"a.txt","content":"aGk=","encoding":"base64"}}` + "\n"
	got = request(t, http.MethodPost, node+"/api/models/acme/new/commit/main", lines, auth...)
	require.Equal(t, 200, got.StatusCode)
	require.Contains(t, got.body, `"commitUrl":"`+node+`/acme/new/commit/`)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	_, err := c.Resolve(t.Context(), file(t, repo(ref.Model, "acme/new"), "", "a.txt"))
	require.NoError(t, err)
	got = request(t, http.MethodPost, node+"/api/repos/create", `{"name":"no","organization":"acme","type":"model"}`)
	require.Equal(t, http.StatusUnauthorized, got.StatusCode, "the caller has shown no token")
}

// A body goes out while it comes in, and the answer comes back while it is made.
func TestForwardStreams(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, http.NewResponseController(w).EnableFullDuplex())
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, "[")
		_ = http.NewResponseController(w).Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = fmt.Fprintf(w, "%s,", lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = fmt.Fprint(w, "0]")
	}))
	defer s.Close()
	c := client(t, impatient(s.URL))
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, http.NewResponseController(w).EnableFullDuplex())
		c.Forward(w, r, "")
	}))
	defer node.Close()
	body, feed := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, node.URL+"/api/x", body)
	require.NoError(t, err)
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	got := make([]byte, 3)
	_, err = io.ReadFull(resp.Body, got[:1])
	if err == nil {
		_, err = fmt.Fprintln(feed, `"a"`)
	}
	require.NoError(t, err)
	_, err = io.ReadFull(resp.Body, got)
	require.NoError(t, err)
	require.Equal(t, `"a"`, string(got))
	require.NoError(t, feed.Close())
	require.Equal(t, ",0]", readAll(t, resp.Body))
}

// Trouble of our own is a 5xx with words, and comes soon.
func TestForwardInTrouble(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	require.NoError(t, h.Break(standin.Fault{Do: standin.FaultSlow, N: 60_000, Path: "/api/slow"}))
	require.NoError(t, h.Break(standin.Fault{Do: standin.FaultHTML, Path: "/api/page"}))
	require.NoError(t, h.Break(standin.Fault{Do: standin.FaultRefuse, Path: "/api/reset"}))
	loop := forwarder(t, hub.Config{Endpoints: []string{forwarder(t, hub.Config{Endpoints: []string{run.URL()}})}})
	for _, tt := range []struct {
		name   string
		cfg    hub.Config
		method string
		path   string
		status int
		said   string
	}{
		{"offline", hub.Config{Offline: true}, "GET", "/api/x", 503, "HF_HUB_OFFLINE"},
		{"nobody there", hub.Config{Endpoints: []string{deadURL(t)}}, "GET", "/api/x", 502, "refused"},
		{"nobody there to write to", hub.Config{Endpoints: []string{deadURL(t)}}, "POST", "/api/x", 502, "refused"},
		{"silence", impatient(run.URL()), "GET", "/api/slow", 504, "sent nothing"},
		{"a web page", impatient(run.URL()), "GET", "/api/page", 502, "web page"},
		{"a reset", impatient(run.URL()), "GET", "/api/reset", 502, "try again"},
		{"climbing", impatient(run.URL()), "GET", "/api/%2e%2e/x", 400, "not allowed"},
		{"tracing", impatient(run.URL()), "TRACE", "/api/x", 405, "nothing to ask"},
		{"a circle", hub.Config{Endpoints: []string{loop}}, "GET", "/api/whoami-v2", 508, "circles"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := forwarder(t, tt.cfg)
			got := request(t, tt.method, node+tt.path, "")
			require.Equal(t, tt.status, got.StatusCode)
			require.Empty(t, got.Header.Get("X-Error-Code"), "nothing final was said")
			require.Contains(t, got.Header.Get("X-Error-Message"), tt.said)
			var body struct{ Error string }
			require.NoError(t, json.Unmarshal([]byte(got.body), &body))
			require.Contains(t, body.Error, tt.said)
		})
	}
}

// An answer that breaks off, or stops, must not look whole.
func TestForwardBreaksOff(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/file", "/api/json"} {
		for _, stalls := range []bool{false, true} {
			t.Run(fmt.Sprint(path, stalls), func(t *testing.T) {
				t.Parallel()
				rec := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = fmt.Fprint(w, `{"a":"`+strings.Repeat("x", 100_000))
					_ = http.NewResponseController(w).Flush()
					if stalls {
						<-r.Context().Done()
					}
					panic(http.ErrAbortHandler)
				})
				got := request(t, http.MethodGet, forwarder(t, impatient(rec.URL))+path, "")
				require.Equal(t, 200, got.StatusCode)
				require.Error(t, got.err)
			})
		}
	}
}

// An upload may take its time, on the side of the caller and of the Hub; it is for
// neither to be hurried as a question is.
func TestForwardIsPatientWithUploads(t *testing.T) {
	t.Parallel()
	cfg := impatient()
	late := make(chan struct{})
	rec := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		<-late
		_, _ = fmt.Fprint(w, "done")
	})
	cfg.Endpoints = []string{rec.URL}
	node := forwarder(t, cfg)
	body, feed := io.Pipe()
	sent := make(chan said)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node+"/api/x", body)
	require.NoError(t, err)
	go func() { sent <- do(t, req) }()
	ask := func() said { return request(t, http.MethodGet, node+"/api/slow", "") }
	_, err = feed.Write(bytes.Repeat([]byte("x"), 1000))
	require.NoError(t, err)
	require.Equal(t, 504, ask().StatusCode, "a question has been waited for in the meantime")
	require.NoError(t, feed.Close())
	require.Equal(t, 504, ask().StatusCode)
	close(late)
	require.Equal(t, "done", (<-sent).body)
	require.Contains(t, rec.bodies, strings.Repeat("x", 1000))
}

// Who asks and goes away takes the question along, and nobody is to blame.
func TestForwardEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	asked, gone := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(gone)
	}))
	defer s.Close()
	node := forwarder(t, hub.Config{Endpoints: []string{s.URL}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+"/api/x", nil)
	require.NoError(t, err)
	_, err = http.DefaultTransport.RoundTrip(req)
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Fatal("the Hub is still being asked")
	}
}
