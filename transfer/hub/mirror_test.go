package hub_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
)

var kinds = []error{
	hub.ErrRepoNotFound, hub.ErrRevisionNotFound, hub.ErrEntryNotFound, hub.ErrGated, hub.ErrUnauthorized,
	hub.ErrDisabled, hub.ErrRateLimited, hub.ErrUnreachable, hub.ErrOffline,
}

func isKind(err, kind error) bool { return errors.Is(err, kind) }

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// An endpoint that cannot answer is passed over, said so once, and left alone
// for a while.
func TestPassedOver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault standin.Fault
		said  string
	}{
		{"a web page", standin.Fault{Do: standin.FaultHTML}, "web page"},
		{"no headers of the Hub", standin.Fault{Do: standin.FaultBare}, "lacks the Hub's headers"},
		{"a server error", standin.Fault{Do: standin.FaultStatus, N: 503}, "503"},
		{"a bare 404", standin.Fault{Do: standin.FaultStatus, N: 404}, "404"},
		{"a bare 500", standin.Fault{Do: standin.FaultStatus, N: 500}, "500"},
		{"too many requests", standin.Fault{Do: standin.FaultRateLimit, N: 7}, "429"},
		{"silence", standin.Fault{Do: standin.FaultSlow, N: 60_000}, "timeout"},
		{"a reset", standin.Fault{Do: standin.FaultRefuse}, "reset"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			poor, poorRun := tinyHub(t)
			_, good := tinyHub(t)
			require.NoError(t, poor.Break(tt.fault))
			var heard ear
			cfg := impatient(poorRun.URL(), good.URL())
			cfg.Notice = heard.notice
			c := client(t, cfg)

			for _, path := range []string{"config.json", "model.bin"} {
				e := resolve(t, c, path)
				require.Equal(t, hostOf(good.URL()), c.Sources(e)[0].Name(), "what answered comes first")
				require.Len(t, c.Sources(e), 2)
			}
			require.Len(t, heard.notices, 1)
			require.True(t, strings.HasPrefix(heard.notices[0], hostOf(poorRun.URL())+" was passed over ("), heard.notices[0])
			require.Contains(t, heard.notices[0], tt.said)
			for _, r := range poor.Requests() {
				require.NotContains(t, r.Path, "model.bin", "it was left alone")
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	require.NoError(t, h.Break(standin.Fault{Do: standin.FaultRateLimit, N: 42}))
	dead := deadURL(t)
	c := client(t, hub.Config{Endpoints: []string{dead, run.URL()}})
	_, err := c.Resolve(t.Context(), file(t, tiny, "", "config.json"))
	require.ErrorIs(t, err, hub.ErrUnreachable)
	require.ErrorContains(t, err, hostOf(dead)+" ")
	require.ErrorContains(t, err, "refused")
	require.ErrorContains(t, err, hostOf(run.URL())+" answered 429")
	require.ErrorIs(t, err, hub.ErrRateLimited)
	limited, ok := errors.AsType[*hub.Error](err)
	require.True(t, ok)
	require.Equal(t, 42*time.Second, limited.RetryAfter)

	h.Heal()
	require.NotEmpty(t, resolve(t, c, "config.json"), "where all are at rest they are asked all the same")
}

// The Hub's host is huggingface.co where it is listed, and its no is final.
func TestWhoseWordCounts(t *testing.T) {
	t.Parallel()
	full, fullRun := tinyHub(t)
	bare := standin.New()
	bare.Add(tiny, "", map[string]standin.Content{"README.md": standin.String("nothing here")})
	bareRun := start(t, bare)
	net := func(hubRun, mirrorRun string) netmap {
		return netmap{"huggingface.co": hubRun, "mirror.example": mirrorRun}
	}
	endpoints := []string{"https://mirror.example", "https://huggingface.co/"}

	t.Run("a mirror without the file", func(t *testing.T) {
		c := client(t, hub.Config{Endpoints: endpoints, Transport: net(fullRun.URL(), bareRun.URL())})
		e := resolve(t, c, "config.json")
		require.Equal(t, "huggingface.co", c.Sources(e)[0].Name())
	})
	t.Run("a mirror without the file, and the Hub silent", func(t *testing.T) {
		mute, muteRun := tinyHub(t)
		require.NoError(t, mute.Break(standin.Fault{Do: standin.FaultStatus, N: 503}))
		c := client(t, hub.Config{Endpoints: endpoints, Transport: net(muteRun.URL(), bareRun.URL())})
		for range 2 {
			_, err := c.Resolve(t.Context(), file(t, tiny, "", "config.json"))
			require.ErrorIs(t, err, hub.ErrEntryNotFound)
		}
		require.Len(t, mute.Requests(), 1, "at rest, it is not waited for again")
	})
	t.Run("a mirror that does not see the repo, and the Hub silent", func(t *testing.T) {
		c := client(t, hub.Config{Endpoints: endpoints, Transport: net(deadURL(t), bareRun.URL())})
		_, err := c.Resolve(t.Context(), file(t, other, "", "config.json"))
		require.ErrorIs(t, err, hub.ErrUnreachable)
		require.NotErrorIs(t, err, hub.ErrRepoNotFound, "it may be private, and mirrors get no token")
	})
	t.Run("the Hub says no", func(t *testing.T) {
		full.ResetLog()
		c := client(t, hub.Config{
			Endpoints: []string{"https://huggingface.co", "https://mirror.example"}, Transport: net(bareRun.URL(), fullRun.URL()),
		})
		_, err := c.Resolve(t.Context(), file(t, tiny, "", "config.json"))
		require.ErrorIs(t, err, hub.ErrEntryNotFound)
		require.Empty(t, full.Requests(), "no mirror was asked after that")
	})
}

const secret = "hf_SecretSecretSecret"

// Promise: the token goes to the Hub's host over a safe line and nowhere else,
// and stands in no URL, error, notice or log line.
func TestTokenStaysHome(t *testing.T) {
	t.Parallel()
	home, homeRun := tinyHub(t)
	home.Token(secret, tiny)
	home.Gate(tiny, "auto")
	home.Rename(tiny, other)
	mirror, mirrorRun := tinyHub(t)
	var heard ear
	c := client(t, hub.Config{
		Endpoints: []string{mirrorRun.URL(), "https://huggingface.co"}, Token: secret,
		Transport: netmap{"huggingface.co": homeRun.URL()}, Notice: heard.notice, Log: heard.logger(),
	})
	use := func() {
		for _, path := range []string{"config.json", "model.bin", "nope"} {
			e, err := c.Resolve(t.Context(), file(t, tiny, "", path))
			if err != nil {
				heard.notice(err.Error())
				continue
			}
			for _, s := range c.Sources(e) {
				if _, err := fetch(t.Context(), s, e, 1, 5); err != nil {
					heard.notice(err.Error())
				}
			}
		}
	}
	use()
	require.NoError(t, mirror.Break(standin.Fault{Do: standin.FaultStatus, N: 500}))
	use()
	require.NoError(t, home.Break(standin.Fault{Do: standin.FaultExpired, Host: "cdn"}))
	use()

	asked := map[string]int{}
	for _, r := range home.Requests() {
		asked[r.Host]++
		require.Equal(t, r.Host == "hub", r.Token, "%s %s", r.Host, r.Path)
	}
	require.NotZero(t, asked["hub"])
	require.NotZero(t, asked["cdn"], "the story must have been to the CDN")
	require.NotEmpty(t, mirror.Requests())
	for _, r := range mirror.Requests() {
		require.False(t, r.Token, "%s %s", r.Host, r.Path)
	}
	said := strings.Join(heard.notices, "\n") + heard.log.String()
	require.Contains(t, said, "hub request", "the log was listening")
	require.NotContains(t, said, secret)
	require.NotContains(t, said, "Signature=", "nor do signed URLs belong there")
}

// Another port of the same host is another origin, and so is plain http.
func TestTokenAndRedirects(t *testing.T) {
	t.Parallel()
	sent := make(chan string, 100)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent <- "elsewhere " + r.Header.Get("Authorization")
		http.NotFound(w, r)
	}))
	defer elsewhere.Close()
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent <- "home " + r.Header.Get("Authorization")
		if strings.Contains(r.URL.Path, "/there-and-back/") && r.URL.Query().Get("back") == "" {
			http.Redirect(w, r, r.URL.Path+"?back=1", http.StatusTemporaryRedirect)
			return
		}
		http.Redirect(w, r, elsewhere.URL+"/x", http.StatusFound)
	}))
	defer home.Close()
	c := client(t, hub.Config{Endpoints: []string{home.URL}, Token: secret})
	for _, path := range []string{"x", "there-and-back/x"} {
		_, err := c.Resolve(t.Context(), file(t, tiny, "", path))
		require.ErrorIs(t, err, hub.ErrUnreachable, "a strange host's 404 says nothing about the repo")
	}
	e := ref.Entry{Repo: tiny, Commit: ref.Commit(strings.Repeat("a", 40)), Path: "x", Blob: ref.Blob{ETag: gitSHA1("x"), Size: 1}}
	_, err := fetch(t.Context(), c.Sources(e)[0], e, 0, 1)
	require.Error(t, err)
	close(sent)
	var all []string
	for s := range sent {
		all = append(all, s)
	}
	require.Equal(t, []string{
		"home Bearer " + secret, "elsewhere ",
		"home Bearer " + secret, "home Bearer " + secret, "elsewhere ",
		"home Bearer " + secret, "elsewhere ",
	}, all)
}

func TestTokenNeedsASafeLine(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	var heard ear
	c := client(t, hub.Config{
		Endpoints: []string{"http://hub.example"}, Token: secret, Transport: netmap{"hub.example": run.URL()}, Notice: heard.notice,
	})
	resolve(t, c, "config.json")
	resolve(t, c, "model.bin")
	for _, r := range h.Requests() {
		require.False(t, r.Token)
	}
	require.Len(t, heard.notices, 1)
	require.Contains(t, heard.notices[0], "http://hub.example")
}

func TestDowngradeIsNotFollowed(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.RedirectHandler("http://127.0.0.1:1/x", http.StatusFound))
	defer s.Close()
	c := client(t, hub.Config{Endpoints: []string{s.URL}, Transport: s.Client().Transport})
	_, err := c.Resolve(t.Context(), file(t, tiny, "", "x"))
	require.ErrorContains(t, err, "plain http")
}

func TestBadTokenIsNotRepeated(t *testing.T) {
	t.Parallel()
	_, err := hub.New(hub.Config{Token: "hf_Secret\nX-Evil: 1"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hf_Secret")
	_, err = hub.New(hub.Config{Token: "  hf_Secret\n"})
	require.NoError(t, err)
}

func TestRedirectsWithoutEnd(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	c := client(t, hub.Config{Endpoints: []string{s.URL}})
	_, err := c.Resolve(t.Context(), file(t, tiny, "", "x"))
	require.ErrorContains(t, err, "without end")
	require.LessOrEqual(t, asked.Load(), int32(20))
}

// A bare 401 means "not there, or not for you" to an anonymous caller only.
func TestBare401(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Error-Message", "Invalid username or password.")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer s.Close()
	for token, want := range map[string]error{"": hub.ErrRepoNotFound, "hf_x": hub.ErrUnauthorized} {
		c := client(t, hub.Config{Endpoints: []string{s.URL}, Token: token})
		_, err := c.Resolve(t.Context(), file(t, tiny, "", "x"))
		require.ErrorIs(t, err, want)
	}
}

// What a hostile or broken endpoint may claim.
func TestAbsurdClaims(t *testing.T) {
	t.Parallel()
	commit, etag := strings.Repeat("a", 40), `"`+strings.Repeat("b", 64)+`"`
	for name, claims := range map[string]map[string]string{
		"a negative size":        {"X-Repo-Commit": commit, "X-Linked-Etag": etag, "X-Linked-Size": "-1"},
		"a size of words":        {"X-Repo-Commit": commit, "X-Linked-Etag": etag, "X-Linked-Size": "many"},
		"an endless size":        {"X-Repo-Commit": commit, "X-Linked-Etag": etag, "X-Linked-Size": "99999999999999999"},
		"a commit that is none":  {"X-Repo-Commit": "../../etc", "X-Linked-Etag": etag, "X-Linked-Size": "1"},
		"an etag that is a path": {"X-Repo-Commit": commit, "X-Linked-Etag": `"../../x"`, "X-Linked-Size": "1"},
		"no commit":              {"X-Linked-Etag": etag, "X-Linked-Size": "1"},
		"a compressed answer":    {"X-Repo-Commit": commit, "Etag": etag, "Content-Encoding": "gzip"},
		"no etag":                {"X-Repo-Commit": commit, "X-Linked-Size": "1"},
		"the error text's etag":  {"X-Repo-Commit": commit, "Etag": `W/"f-mY2VvLxuxB7KhsoOdQTlMTccuAQ"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for k, v := range claims {
					w.Header().Set(k, v)
				}
				w.Header().Set("Content-Length", "1")
			}))
			defer s.Close()
			c := client(t, hub.Config{Endpoints: []string{s.URL}})
			_, err := c.Resolve(t.Context(), file(t, tiny, "", "x"))
			require.ErrorIs(t, err, hub.ErrUnreachable)
		})
	}
	t.Run("another commit than asked for", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Repo-Commit", commit)
			w.Header().Set("Etag", etag)
			w.Header().Set("Content-Length", "1")
		}))
		defer s.Close()
		c := client(t, hub.Config{Endpoints: []string{s.URL}})
		_, err := c.Resolve(t.Context(), file(t, tiny, strings.Repeat("c", 40), "x"))
		require.ErrorIs(t, err, hub.ErrUnreachable)
		_, err = c.Resolve(t.Context(), file(t, tiny, commit, "x"))
		require.NoError(t, err)
	})
	t.Run("hops of two commits", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Repo-Commit", strings.Repeat("c", 40))
			w.Header().Set("Etag", etag)
			w.Header().Set("Content-Length", "1")
			if r.URL.Path != "/there" {
				w.Header().Set("X-Repo-Commit", commit)
				http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
			}
		}))
		defer s.Close()
		c := client(t, hub.Config{Endpoints: []string{s.URL}})
		_, err := c.Resolve(t.Context(), file(t, tiny, "", "x"))
		require.ErrorContains(t, err, "do not agree")
	})
	t.Run("a redirect with an etag of its own", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Repo-Commit", commit)
			if r.URL.Path != "/there" {
				w.Header().Set("Etag", `"`+strings.Repeat("c", 40)+`"`)
				http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
				return
			}
			w.Header().Set("Etag", etag)
			w.Header().Set("Content-Length", "1")
		}))
		defer s.Close()
		c := client(t, hub.Config{Endpoints: []string{s.URL}})
		e, err := c.Resolve(t.Context(), file(t, tiny, "", "x"))
		require.NoError(t, err)
		require.Equal(t, ref.ETag(strings.Repeat("b", 64)), e.Blob.ETag)
	})
	t.Run("a message full of control characters", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Error-Code", "EntryNotFound")
			w.Header().Set("X-Error-Message", strings.Repeat("\u009b31m\u202e", 5000))
			w.WriteHeader(http.StatusNotFound)
		}))
		defer s.Close()
		c := client(t, hub.Config{Endpoints: []string{s.URL}})
		_, err := c.Resolve(t.Context(), file(t, tiny, "", "x"))
		require.ErrorIs(t, err, hub.ErrEntryNotFound)
		require.Less(t, len(err.Error()), 1000)
		require.False(t, bytes.ContainsAny([]byte(err.Error()), "\u009b\u202e"))
	})
}
