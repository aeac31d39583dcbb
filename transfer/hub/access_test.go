package hub_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/caller"
	"hffs/transfer/hub/standin"
)

var gated, private, closed = repo(ref.Model, "acme/gated"), repo(ref.Model, "acme/private"), repo(ref.Dataset, "acme/closed")

// guardedHub has a repo of every kind. hf_good may read all of them.
func guardedHub(t *testing.T) (*standin.Hub, *standin.Running) {
	t.Helper()
	h, run := tinyHub(t)
	for _, r := range []ref.Repo{gated, private, closed} {
		h.Add(r, "", map[string]standin.Content{"x.bin": standin.String("hidden"), "y.json": standin.String("{}")})
	}
	h.Gate(gated, "manual")
	h.Private(private)
	h.Disable(closed)
	h.Token("hf_good", gated, private)
	h.Token("hf_stranger")
	return h, run
}

func TestPublic(t *testing.T) {
	t.Parallel()
	h, run := guardedHub(t)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}, Token: "hf_good"})
	for r, want := range map[ref.Repo]bool{tiny: true, other: false, gated: false, private: false, closed: false} {
		public, err := c.Public(caller.With(t.Context(), "hf_good"), r)
		require.NoError(t, err)
		require.Equal(t, want, public, r)
	}
	require.NotEmpty(t, h.Requests())
	for _, r := range h.Requests() {
		require.False(t, r.Token, "it is asked as a stranger")
	}
	h.Rename(tiny, other)
	public, err := c.Public(t.Context(), tiny)
	require.NoError(t, err)
	require.True(t, public)

	require.NoError(t, h.Break(standin.Fault{Do: standin.FaultStatus, N: 404}))
	_, err = c.Public(t.Context(), tiny)
	require.ErrorIs(t, err, hub.ErrUnreachable, "a bare 404 is nobody's word")
	offline := client(t, hub.Config{Offline: true})
	_, err = offline.Public(t.Context(), tiny)
	require.ErrorIs(t, err, hub.ErrOffline)
	require.ErrorIs(t, offline.May(t.Context(), tiny), hub.ErrOffline)
}

func TestPublicDoesNotGuess(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{"id":"a/b","private":false,"gated":false,"disabled":false}`: true,
		`{"id":"a/b","private":false,"gated":false,"disabled":true}`:  false,
		`{"id":"a/b","private":false,"gated":"auto"}`:                 false,
		`{"id":"a/b","private":false}`:                                false,
		`{"id":"a/b","private":null,"gated":false}`:                   false,
		`{"id":"a/b","gated":false}`:                                  false,
	} {
		c := client(t, hub.Config{Endpoints: []string{answering(t, 200, nil, body)}})
		public, err := c.Public(t.Context(), tiny)
		require.NoError(t, err)
		require.Equal(t, want, public, body)
	}
	c := client(t, hub.Config{Endpoints: []string{answering(t, 200, nil, `{"id":"a/b","private":false}`)}})
	public, err := c.Public(t.Context(), repo(ref.Space, "a/b"))
	require.NoError(t, err)
	require.True(t, public, "spaces are never gated and do not say so")
}

// refusals are what May and Resolve say alike.
var refusals = []struct {
	repo  ref.Repo
	token string
	want  error
}{
	{tiny, "", nil}, {tiny, "hf_stranger", nil}, {tiny, "hf_stale", hub.ErrUnauthorized},
	{other, "", hub.ErrRepoNotFound}, {other, "hf_good", hub.ErrRepoNotFound},
	{gated, "", hub.ErrGated}, {gated, "hf_stranger", hub.ErrGated}, {gated, "hf_good", nil},
	{private, "", hub.ErrRepoNotFound}, {private, "hf_stranger", hub.ErrRepoNotFound}, {private, "hf_good", nil},
	{closed, "", hub.ErrDisabled}, {private, "hf_with a blank", hub.ErrUnauthorized}, {private, "hf_with\r\nX-Evil: 1", hub.ErrUnauthorized},
}

func testMay(t *testing.T, endpoint string) {
	for _, tt := range refusals {
		c := client(t, hub.Config{Endpoints: []string{endpoint}, Token: "hf_good"})
		err := c.May(caller.With(t.Context(), tt.token), tt.repo)
		if tt.want == nil {
			require.NoError(t, err, tt)
			continue
		}
		require.ErrorIs(t, err, tt.want, tt)
		require.NotErrorIs(t, err, hub.ErrUnreachable)
		require.NotContains(t, err.Error(), "hf_")
	}
}

func TestMay(t *testing.T) {
	t.Parallel()
	_, run := guardedHub(t)
	testMay(t, run.URL())
}

// Hubs of somebody's own making may have no auth-check; what is behind it is
// found out by other means.
func TestMayWithoutAuthCheck(t *testing.T) {
	t.Parallel()
	_, run := guardedHub(t)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/auth-check") {
			http.NotFound(w, r)
			return
		}
		out := r.Clone(r.Context())
		out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", hostOf(run.URL())
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = fmt.Fprint(w, readAll(t, resp.Body))
	}))
	defer old.Close()
	testMay(t, old.URL)

	mute := answering(t, 404, nil, "")
	c := client(t, hub.Config{Endpoints: []string{mute}})
	require.ErrorIs(t, c.May(t.Context(), tiny), hub.ErrUnreachable, "where nothing is sure, nothing is allowed")
}

// Calls are made with the caller's token, and what came by it is nobody else's: not
// links, not the rest that an endpoint was sent to.
func TestCallersAreKeptApart(t *testing.T) {
	t.Parallel()
	h, run := guardedHub(t)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	good := caller.With(t.Context(), "hf_good")
	hidden := ref.File{Repo: private, Revision: "main", Path: "x.bin"}
	_, err := c.Resolve(t.Context(), hidden)
	require.ErrorIs(t, err, hub.ErrRepoNotFound)
	e, err := c.Resolve(good, hidden)
	require.NoError(t, err)
	for range 2 {
		b, err := fetch(good, c.Sources(e)[0], e, 0, e.Blob.Size)
		require.NoError(t, err)
		require.Equal(t, "hidden", string(b))
	}
	sent := h.BodyBytes(private, "x.bin")
	_, err = fetch(t.Context(), c.Sources(e)[0], e, 0, e.Blob.Size)
	require.ErrorIs(t, err, hub.ErrRepoNotFound, "the signed address is the other's")
	_, err = fetch(caller.With(t.Context(), "hf_stranger"), c.Sources(e)[0], e, 0, e.Blob.Size)
	require.ErrorIs(t, err, hub.ErrRepoNotFound)
	require.Equal(t, sent, h.BodyBytes(private, "x.bin"))
	_, err = c.XetToken(t.Context(), e)
	require.ErrorIs(t, err, hub.ErrRepoNotFound)
	_, err = c.XetToken(good, e)
	require.NoError(t, err)

	own := client(t, hub.Config{Endpoints: []string{run.URL()}, Token: "hf_good"})
	_, err = own.Resolve(t.Context(), hidden)
	require.NoError(t, err)
	_, err = own.Resolve(caller.With(t.Context(), ""), hidden)
	require.ErrorIs(t, err, hub.ErrRepoNotFound, "an empty token makes a call anonymous")
}

// A proxy's bare no, or a limit, that one caller met with is nothing to others.
func TestOneCallersTroubleIsNotTheEndpoints(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 429} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			_, run := tinyHub(t)
			home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer hf_troubled" {
					w.Header().Set("Retry-After", "3600")
					w.WriteHeader(status)
					return
				}
				http.Redirect(w, r, run.URL()+r.URL.EscapedPath(), http.StatusFound)
			}))
			defer home.Close()
			mirror, mirrorRun := tinyHub(t)
			var heard ear
			c := client(t, hub.Config{Endpoints: []string{home.URL, mirrorRun.URL()}, Notice: heard.notice})
			e, err := c.Resolve(caller.With(t.Context(), "hf_troubled"), file(t, tiny, "", "config.json"))
			require.NoError(t, err)
			require.Equal(t, hostOf(mirrorRun.URL()), c.Sources(e)[0].Name())
			require.Empty(t, heard.notices)
			mirror.ResetLog()
			resolve(t, c, "config.json")
			require.Empty(t, mirror.Requests(), "the others still ask at home")
		})
	}
}

// Wherever a caller's token might go: it is seen at the Hub and nowhere else.
func TestCallersTokenStaysHome(t *testing.T) {
	t.Parallel()
	h, run := guardedHub(t)
	mirror, mirrorRun := tinyHub(t)
	var heard ear
	c := client(t, hub.Config{
		Endpoints: []string{"https://mirror.example", "https://huggingface.co"},
		Transport: netmap{"mirror.example": mirrorRun.URL(), "huggingface.co": run.URL()},
		Notice:    heard.notice, Log: heard.logger(),
	})
	h.Token(secret, gated, private)
	ctx := caller.With(t.Context(), secret)
	for _, r := range []ref.Repo{tiny, gated, private, other} {
		note := func(err error) {
			if err != nil {
				heard.notice(err.Error())
			}
		}
		info, err := c.Info(ctx, r, "", nil)
		note(err)
		_, err = c.Tree(ctx, r, info.Commit)
		note(err)
		_, err = c.Refs(ctx, r, true)
		note(err)
		_, err = c.Public(ctx, r)
		note(err)
		note(c.May(ctx, r))
		for _, path := range []string{"x.bin", "y.json", "config.json", "model.bin"} {
			e, err := c.Resolve(ctx, ref.File{Repo: r, Revision: "main", Path: path})
			if note(err); err == nil {
				for _, s := range c.Sources(e) {
					_, err := fetch(ctx, s, e, 0, 1)
					note(err)
				}
			}
		}
	}
	seen := map[string]int{}
	for _, r := range append(h.Requests(), mirror.Requests()...) {
		if r.Token {
			seen[r.Host]++
		}
	}
	require.NotZero(t, seen["hub"])
	require.Zero(t, seen["cdn"]+seen["cas"])
	require.NotEmpty(t, mirror.Requests())
	for _, r := range mirror.Requests() {
		require.False(t, r.Token, r.Path)
	}
	said := strings.Join(heard.notices, "\n") + heard.log.String()
	require.Contains(t, said, "hub request")
	require.NotContains(t, said, secret)
}
