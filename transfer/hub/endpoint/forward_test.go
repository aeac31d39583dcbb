package endpoint

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestTheRestIsTheHubs(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.hub = func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+string(b))
	}
	for _, c := range []struct{ method, path, to string }{
		{"GET", "/api/whoami-v2", ""},
		{"GET", "/api/models?search=bert", ""},
		{"GET", "/api/models/org/model/commits/refs%2Fpr%2F1?p=1", ""},
		{"GET", "/api/models/org/model/xet-read-token/main", ""},
		{"POST", "/api/models/org/model/commit/main", ""},
		{"PUT", "/api/models/org/model/settings", ""},
		{"DELETE", "/api/repos/delete", ""},
		{"GET", "/api/models/org/model/paths-info/main", ""},
		{"POST", "/org/model.git/info/lfs/objects/batch", ""},
		{"GET", "/buckets/org/b/resolve/x", ""},
		{"GET", "/kernels/org/k/resolve/main/x", ""},
		{"GET", "/v2/org/model/blobs/sha256:00", ""},
		{"POST", "/org/model/resolve/main/x", ""},
		{"GET", "//api/models?search=bert", "/api/models?search=bert"},
		{"GET", "//api/collections/a%2Fb", "/api/collections/a%2Fb"},
	} {
		to := c.to
		if to == "" {
			to = c.path
		}
		require.Equal(t, c.method+" "+to+" body", d.ask(c.method, c.path, nil, "body").body)
	}
}

func TestSmallTalkIsAnsweredHere(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	require.Equal(t, 200, d.head("/api/telemetry/transformers/examples").StatusCode)
	require.Equal(t, 404, d.get("/api/agent-harnesses").StatusCode)
	require.Equal(t, 404, d.get("/info?dataset=org/data").StatusCode)
	require.Equal(t, 404, d.get("/parquet?dataset=org/data&config=x").StatusCode)
	require.Equal(t, 204, d.ask("OPTIONS", "/org/model/resolve/main/config.json", nil, "").StatusCode)
	require.Equal(t, 405, d.ask("TRACE", "/x", nil, "").StatusCode)
	req, err := http.NewRequest("GET", d.url+"/org/model/resolve/main/config.json", nil)
	require.NoError(t, err)
	req.Host = "datasets-server.localhost:7768"
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 404, resp.StatusCode)
	require.Empty(t, d.did(), "the Hub heard nothing of it")
}

func TestASlowHubDoesNotHoldUpWhatIsKnownHere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		s.hub = func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			w.WriteHeader(http.StatusBadGateway)
		}
		w := httptest.NewRecorder()
		New(Config{Library: s, Explain: explain}).ServeHTTP(w, httptest.NewRequest("GET", "/api/models/org/model/refs", nil))
		require.Equal(t, 200, w.Code)
		require.Contains(t, w.Body.String(), main1)
	})
}

func TestABegunAnswerOfTheHubMayTakeItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		s.hub = func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "first ")
			wait, cancel := context.WithTimeout(context.Background(), 2*hubPatience)
			defer cancel()
			<-wait.Done()
			if r.Context().Err() == nil {
				_, _ = io.WriteString(w, "last")
			}
		}
		w := httptest.NewRecorder()
		New(Config{Library: s}).ServeHTTP(w, httptest.NewRequest("GET", "/api/models/org/model/refs", nil))
		require.Equal(t, "first last", w.Body.String())
	})
}

func TestPagesOfOtherSitesChangeNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	d.hub = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") }
	const write, ask = "/api/models/org/model/commit/main", "/api/models/org/model/paths-info/main"
	for _, c := range []struct {
		name, method, path string
		header             http.Header
		status             int
	}{
		{"a tool", "POST", write, nil, 200},
		{"our own page", "POST", write, header("Origin", d.url, "Sec-Fetch-Site", "same-origin"), 200},
		{"another site", "POST", write, header("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), 403},
		{"another port of this machine", "DELETE", write, header("Sec-Fetch-Site", "same-site"), 403},
		{"an old browser", "PUT", write, header("Origin", "http://evil.example"), 403},
		{"a sandboxed page", "POST", write, header("Origin", "null"), 403},
		{"a question", "POST", ask, header("Origin", "https://x.example", "Content-Type", "application/json"), 400},
		{"a read", "GET", "/org/model/resolve/main/config.json", header("Sec-Fetch-Site", "cross-site"), 200},
	} {
		got := d.ask(c.method, c.path, c.header, "")
		require.Equal(t, c.status, got.StatusCode, c.name)
		require.Empty(t, got.Header.Get("Access-Control-Allow-Origin"))
		if c.status == 403 {
			require.Contains(t, got.body, `"error"`)
		}
	}
}

func TestRefusalsInTheHubsWords(t *testing.T) {
	t.Parallel()
	limits := header("Ratelimit", `"resolvers";r=0;t=20`, "Ratelimit-Policy", `"fixed window";"resolvers";q=3000;w=300`, "Retry-After", "20", "Set-Cookie", "no")
	for _, c := range []struct {
		name    string
		failure Failure
		status  int
		code    string
		message string
	}{
		{"no such repo, or private", Failure{Status: 401, Message: "Invalid username or password."}, 401, "RepoNotFound", "Invalid username or password."},
		{"a bad token", Failure{Status: 401, Message: messageBadToken}, 401, "", messageBadToken},
		{"gated", Failure{Status: 401, Code: "GatedRepo", Message: "Access to model x is restricted."}, 401, "GatedRepo", "Access to model x is restricted."},
		{"too many", Failure{Status: 429, Message: "Too Many Requests", Header: limits}, 429, "", "Too Many Requests"},
		{"nothing said", Failure{}, 502, "", ""},
		{"odd letters", Failure{Status: 503, Message: "kein Gerät\nhat x"}, 503, "", "kein Ger?t?hat x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			s.fault = &c.failure
			d := serve(t, s)
			for _, path := range []string{"/org/model/resolve/main/config.json", "/api/models/org/model", "/api/models/org/model/tree/main"} {
				got := d.get(path)
				require.Equal(t, c.status, got.StatusCode)
				require.Equal(t, c.code, got.Header.Get("X-Error-Code"))
				require.Equal(t, c.message, got.Header.Get("X-Error-Message"))
				require.Equal(t, c.status == 401, got.Header.Get("WWW-Authenticate") != "")
				require.Equal(t, c.failure.Header.Get("RateLimit"), got.Header.Get("RateLimit"))
				require.Equal(t, c.failure.Header.Get("Retry-After"), got.Header.Get("Retry-After"))
				require.Empty(t, got.Header.Get("Set-Cookie"))
				require.Equal(t, strings.HasPrefix(path, "/api/"), strings.HasPrefix(got.body, `{"error":`))
			}
		})
	}
}

func TestTheLogHasNoToken(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newShelf(t)
	h := New(Config{Library: s, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	r := httptest.NewRequest("GET", "/org/model/resolve/main/config.json", nil)
	r.Header.Set("Authorization", "Bearer hf_secret")
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.Contains(t, log.String(), "path=/org/model/resolve/main/config.json")
	require.Contains(t, log.String(), "status=200 bytes=8")
	require.NotContains(t, log.String(), "secret")
}
