package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func TestFaultsHitWhatTheyAimAt(t *testing.T) {
	t.Parallel()
	h := New()
	h.Add(tiny, "", map[string]Content{"a.txt": String("a"), "b.bin": String("b")})
	run := begin(t, h)
	status := func(path string) int { return do(t, http.MethodHead, run.URL()+path, "").StatusCode }
	const a, b = "/acme/tiny/resolve/main/a.txt", "/acme/tiny/resolve/main/b.bin"

	require.NoError(t, h.Break(Fault{Do: FaultStatus, N: 500, Path: "acme/tiny/a*", Skip: 1, Times: 2}))
	require.Equal(t, []int{307, 500, 500, 307}, []int{status(a), status(a), status(a), status(a)})
	require.Equal(t, 302, status(b))
	h.Heal()

	require.NoError(t, h.Break(Fault{Do: FaultStatus, N: 500, Path: "*/resolve/*"}))
	require.Equal(t, []int{500, 500}, []int{status(a), status(b)})
	require.Equal(t, 200, status("/api/models/acme/tiny"))
	h.Heal()

	require.NoError(t, h.Break(Fault{Do: FaultStatus, N: 500, Method: "GET"}))
	require.Equal(t, 307, status(a))
	h.Heal()

	require.NoError(t, h.Break(Fault{Do: FaultStatus, N: 500, Host: onCDN, Path: "acme/tiny/b.bin"}))
	require.Equal(t, 302, status(b))
	require.Equal(t, 500, get(t, follow(t, run, "b.bin")).StatusCode)
	requests := h.Requests()
	require.Equal(t, FaultStatus, requests[len(requests)-1].Fault)

	require.Error(t, h.Break(Fault{Do: "explode"}))
	require.Error(t, h.Break(Fault{Do: FaultThrottle}))
}

func TestCutCountsBytes(t *testing.T) {
	t.Parallel()
	h := New()
	h.Add(tiny, "", map[string]Content{"b.bin": Synthetic(1, 100_000)})
	run := begin(t, h)
	at := follow(t, run, "b.bin")
	require.NoError(t, h.Break(Fault{Do: FaultCut, N: 33_333, Host: onCDN}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	require.NoError(t, err)
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, got, 33_333)
	require.EqualValues(t, 33_333, h.BodyBytes(tiny, "b.bin"))
	require.EqualValues(t, 33_333, h.AllBodyBytes())
	h.ResetLog()
	require.Zero(t, h.AllBodyBytes())
	require.Empty(t, h.Requests())
}

// A story with the stand-in as a process: what other programs see of it.
func TestMainAsAProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"models/acme/tiny/config.json": "{}", "models/acme/tiny/sub/x.txt": "x", "datasets/acme/data/t.csv": "1,2",
		"models/acme/tiny/.git/HEAD": "no", "notes/acme/tiny/x": "no",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Main(ctx, []string{
			"--dir", dir, "--synthetic", "acme/tiny/model.bin=1KiB@7", "--synthetic", "datasets/acme/big/d/x.bin=2kB",
			"--token", "hf_good", "--gated", "acme/tiny", "--private", "datasets/acme/data", "--page-size", "2",
		}, w)
	}()
	var ready struct{ Hub, CDN string }
	require.NoError(t, json.NewDecoder(r).Decode(&ready))
	const token = "Authorization: Bearer hf_good"

	require.Equal(t, 401, get(t, ready.Hub+"/acme/tiny/resolve/main/model.bin").StatusCode)
	a := get(t, ready.Hub+"/acme/tiny/resolve/main/model.bin", token)
	require.True(t, strings.HasPrefix(a.Header.Get("Location"), ready.CDN))
	require.Equal(t, bytesOf(t, Synthetic(7, 1024)), []byte(get(t, a.Header.Get("Location")).body))
	require.Equal(t, 401, get(t, ready.Hub+"/api/datasets/acme/data").StatusCode)
	require.Equal(t, 200, get(t, ready.Hub+"/api/datasets/acme/big").StatusCode)
	require.Equal(t, 307, get(t, ready.Hub+"/acme/tiny/resolve/main/sub/x.txt", token).StatusCode)
	require.Equal(t, 404, get(t, ready.Hub+"/acme/tiny/resolve/main/.git/HEAD", token).StatusCode)

	control := ready.Hub + "/_standin/"
	require.JSONEq(t, `{"bytes":1024}`, get(t, control+"bytes?file=acme/tiny/model.bin").body)
	require.JSONEq(t, `{"bytes":1024}`, get(t, control+"bytes").body)
	var log []Request
	require.NoError(t, json.Unmarshal([]byte(get(t, control+"log").body), &log))
	require.Equal(t, onCDN, log[2].Host)
	require.Equal(t, "acme/tiny", log[2].Repo)
	require.True(t, log[1].Token)
	require.Equal(t, 200, do(t, http.MethodDelete, control+"log", "").StatusCode)
	require.JSONEq(t, `[]`, get(t, control+"log").body)

	require.Equal(t, 200, do(t, http.MethodPost, control+"faults", `[{"do":"status","n":503},{"do":"slow","n":1}]`).StatusCode)
	require.Equal(t, 503, get(t, ready.Hub+"/acme/tiny/resolve/main/x", token).StatusCode)
	require.Equal(t, 400, do(t, http.MethodPost, control+"faults", `{"do":"what"}`).StatusCode)
	require.Equal(t, 200, do(t, http.MethodDelete, control+"faults", "").StatusCode)
	require.Equal(t, 404, get(t, ready.Hub+"/acme/tiny/resolve/main/x", token).StatusCode)

	a = do(t, http.MethodPost, control+"commits", `{"repo":"acme/new","text":{"a.txt":"hello"},"synthetic":{"m.bin":"5MB@2"}}`)
	require.Equal(t, 200, a.StatusCode, a.body)
	require.Contains(t, get(t, ready.Hub+"/acme/new/resolve/main/m.bin").Header.Get("X-Linked-Size"), "5000000")
	require.Equal(t, 400, do(t, http.MethodPost, control+"commits", `{"repo":"acme/new","text":{"../a.txt":"hello"}}`).StatusCode)
	require.Equal(t, 404, get(t, control+"what").StatusCode)

	cancel()
	require.NoError(t, <-ended)
}

func TestMainRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--dir", "/does/not/exist"}, {"--synthetic", "acme/tiny=5"}, {"--synthetic", "acme/tiny/x"}, {"--synthetic", "acme/tiny/x=many"},
		{"--synthetic", "acme/tiny/../x=5"}, {"--synthetic", "acme/tiny/x=5@y"}, {"--gated", "acme/none"}, {"--listen", "nowhere:x"}, {"--what"}, {"more"},
	} {
		require.Error(t, Main(t.Context(), args, io.Discard), "%v", args)
	}
	require.NoError(t, Main(t.Context(), []string{"-h"}, io.Discard))
}

func TestLoadDirRefusesBadNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "models/acme/bad--name"), 0o755))
	_, bad := errors.AsType[*ref.Error](New().LoadDir(dir))
	require.True(t, bad)
}

// Whatever is asked for, there is an answer.
func FuzzRequests(f *testing.F) {
	for _, s := range []string{
		"/acme/tiny/resolve/main/x", "/datasets/a/b/resolve/refs%2Fpr%2F1/x", "/api/models/a/tree/main", "/api/resolve-cache/models/a/b/c/d",
		"//", "/%zz", "/api", "/api/", "/api//x", "/api/models/refs", "/datasets", "/a/resolve/refs/x", "/api/models/acme/tiny/tree/refs/pr", "/api/models/acme/tiny/tree/main?cursor=-1",
		"/api/repos/create", "/api/models/acme/tiny/xet-read-token/main", "/api/models/acme/tiny/commit/main", "/api/models/acme/tiny/preupload/main",
	} {
		f.Add(s)
	}
	h := New()
	h.Add(tiny, "", map[string]Content{"x": String("x"), "d/y.bin": String("y")})
	handler := h.handler(onHub, &Running{urls: map[string]string{
		onHub: "http://hub.example", onCDN: "http://cdn.example", onCAS: "http://cas.example",
	}})
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, (&http.Request{Method: http.MethodGet, URL: u, Host: "hub.example", Header: http.Header{}}).WithContext(t.Context()))
		require.Contains(t, []int{200, 302, 307, 400, 401, 403, 404}, w.Code, target)
	})
}

// On a recipe and on a xorb's data bodies break as those of files do; and what
// was asked for of them stays what is answered.
func TestBodiesOfXetBreak(t *testing.T) {
	t.Parallel()
	for _, of := range []struct{ name, path string }{{"recipe", "*/reconstructions/*"}, {"data", "/xorbs/*"}} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			h, run, c := xetHub(t)
			read := xetTokenFor(t, run, "acme/tiny", "read")
			at, header := run.CASURL()+"/v2/reconstructions/"+string(c.xet), []string{read, "Range: bytes=0-399999"}
			if of.name == "data" {
				var span jsonRange
				at, span = signedIn(t, get(t, at, read))
				header = []string{fmt.Sprintf("Range: bytes=%d-%d", span.Start, span.End)}
			}
			open := func(ctx context.Context) *http.Response {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
				require.NoError(t, err)
				for _, line := range header {
					name, value, _ := strings.Cut(line, ": ")
					req.Header.Set(name, value)
				}
				resp, err := http.DefaultTransport.RoundTrip(req)
				require.NoError(t, err)
				return resp
			}
			ask := func() (*http.Response, []byte, error) {
				resp := open(t.Context())
				defer resp.Body.Close()
				body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
				return resp, body, err
			}
			whole, good, err := ask()
			require.NoError(t, err)
			require.Greater(t, len(good), 100)
			broken := func(f Fault) (*http.Response, []byte, error) {
				h.Heal()
				f.Path = of.path
				require.NoError(t, h.Break(f))
				resp, body, err := ask()
				require.Equal(t, whole.StatusCode, resp.StatusCode)
				return resp, body, err
			}

			_, body, err := broken(Fault{Do: FaultCut, N: 50})
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Len(t, body, 50)
			resp, body, err := broken(Fault{Do: FaultLength, N: 7})
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.EqualValues(t, len(good)+7, resp.ContentLength)
			require.Len(t, body, len(good))
			_, body, err = broken(Fault{Do: FaultLength, N: -7})
			require.NoError(t, err)
			require.Len(t, body, len(good)-7)
			_, body, err = broken(Fault{Do: FaultFlip, N: 3})
			require.NoError(t, err)
			require.NotEqual(t, good[3], body[3])
			require.Len(t, body, len(good))

			h.Heal()
			require.NoError(t, h.Break(Fault{Do: FaultStall, N: 50, Path: of.path}))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			resp = open(ctx)
			defer resp.Body.Close()
			_, err = io.ReadFull(resp.Body, make([]byte, 50))
			require.NoError(t, err)
			more := make(chan error, 1)
			go func() { _, err := resp.Body.Read(make([]byte, 1)); more <- err }()
			cancel() // nothing but that ends it
			require.ErrorIs(t, <-more, context.Canceled)
		})
	}
}

// signedIn is a recipe's only signed URL and its first range.
func signedIn(t *testing.T, a answer) (address string, span jsonRange) {
	t.Helper()
	var said struct{ Xorbs map[string][]jsonFetchV2 }
	require.NoError(t, json.Unmarshal([]byte(a.body), &said))
	require.Len(t, said.Xorbs, 1)
	for _, list := range said.Xorbs {
		address, span = list[0].URL, list[0].Ranges[0].Bytes
	}
	return address, span
}

// A token may end before its time, at a certain request or a while later.
func TestTokensAreRevoked(t *testing.T) {
	t.Parallel()
	h, run, c := xetHub(t)
	recipe := run.CASURL() + "/v2/reconstructions/" + string(c.xet)
	token := xetTokenFor(t, run, "acme/tiny", "read")
	require.NoError(t, h.Break(Fault{Do: FaultRevoke, Host: onCAS, Skip: 2, Times: 1}))
	for i, status := range []int{200, 200, 401, 401} {
		require.Equal(t, status, get(t, recipe, token).StatusCode, "request %d", i)
	}
	token = xetTokenFor(t, run, "acme/tiny", "read")
	require.Equal(t, 200, get(t, recipe, token).StatusCode)
	require.NoError(t, h.Break(Fault{Do: FaultRevoke, N: 1, Host: onCAS, Times: 1}))
	get(t, recipe, token)
	require.Eventually(t, func() bool { return get(t, recipe, token).StatusCode == 401 }, 10*time.Second, time.Millisecond)
}
