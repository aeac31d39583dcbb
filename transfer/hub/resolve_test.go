package hub_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]standin.Shape{"redirect with etag": standin.WithETag, "redirect without etag": standin.WithoutETag} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testResolve(t, shape)
		})
	}
}

func testResolve(t *testing.T, shape standin.Shape) {
	xet := ref.XetHash(strings.Repeat("ab", 32))
	small, large := standin.String("{}"), standin.Synthetic(7, 100_000)
	files := map[string]standin.Content{
		"config.json": small, "model.bin": large.Xet(xet), "empty.txt": standin.String(""),
		"sub dir/ä+%.txt": standin.String("odd"), "big.txt": large.Regular(), "small.txt": small.LFS(),
	}
	data := repo(ref.Dataset, "acme/data")
	h := standin.New()
	h.Shape307 = shape
	first := h.Add(tiny, "", files)
	h.Tag(tiny, "v1.0", first)
	pr := h.Add(tiny, "refs/pr/1", map[string]standin.Content{"config.json": standin.String("of the pull request")})
	second := h.Add(tiny, "", map[string]standin.Content{"config.json": standin.String("newer")})
	h.Add(data, "", files)
	c := client(t, hub.Config{Endpoints: []string{start(t, h).URL()}})

	for _, tt := range []struct {
		name     string
		repo     ref.Repo
		revision string
		path     string
		commit   ref.Commit
		blob     ref.Blob
	}{
		{"a branch that moved", tiny, "main", "config.json", second, ref.Blob{ETag: gitSHA1("newer"), Size: 5}},
		{"a tag", tiny, "v1.0", "config.json", first, ref.Blob{ETag: gitSHA1("{}"), Size: 2}},
		{"a commit", tiny, string(first), "config.json", first, ref.Blob{ETag: gitSHA1("{}"), Size: 2}},
		{"a commit in capitals", tiny, strings.ToUpper(string(first)), "config.json", first, ref.Blob{ETag: gitSHA1("{}"), Size: 2}},
		{"a pull request", tiny, "refs/pr/1", "config.json", pr, ref.Blob{ETag: gitSHA1("of the pull request"), Size: 19}},
		{"a large file", tiny, "v1.0", "model.bin", first, ref.Blob{ETag: ref.ETag(large.SHA256()), Size: 100_000, Xet: xet}},
		{"an empty file", tiny, "v1.0", "empty.txt", first, ref.Blob{ETag: gitSHA1(""), Size: 0}},
		{"an odd name", tiny, "v1.0", "sub dir/ä+%.txt", first, ref.Blob{ETag: gitSHA1("odd"), Size: 3}},
		{"a long regular file", tiny, "v1.0", "big.txt", first, ref.Blob{ETag: gitSHA1(string(all(t, large))), Size: 100_000}},
		{"a short LFS file", tiny, "v1.0", "small.txt", first, ref.Blob{ETag: ref.ETag(small.SHA256()), Size: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.Resolve(t.Context(), file(t, tt.repo, tt.revision, tt.path))
			require.NoError(t, err)
			require.Equal(t, ref.Entry{Repo: tt.repo, Commit: tt.commit, Path: tt.path, Blob: tt.blob}, got)
			require.True(t, c.Answers(t.Context(), got))
			got.Blob.ETag = gitSHA1("something else")
			require.False(t, c.Answers(t.Context(), got))
		})
	}
	e, err := c.Resolve(t.Context(), file(t, data, "", "config.json"))
	require.NoError(t, err)
	require.Equal(t, gitSHA1("{}"), e.Blob.ETag)
}

func gitSHA1(s string) ref.ETag {
	h := ref.ETag(strings.Repeat("0", 40)).NewHash(int64(len(s)))
	_, _ = h.Write([]byte(s))
	e, err := ref.ParseETag(hexOf(h.Sum(nil)))
	if err != nil {
		panic(err)
	}
	return e
}

func TestResolveRenamed(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	again := repo(ref.Model, "Acme-AI/tiny-v2")
	h.Rename(tiny, other)
	h.Rename(other, again)
	h.Rename(again, repo(ref.Model, "Acme-AI/Tiny"))
	c := client(t, hub.Config{Endpoints: []string{run.URL()}})
	for _, r := range []ref.Repo{tiny, other, again, repo(ref.Model, "acme-ai/TINY")} {
		for _, path := range []string{"config.json", "model.bin"} {
			e, err := c.Resolve(t.Context(), file(t, r, "", path))
			require.NoError(t, err)
			require.Equal(t, r, e.Repo, "the name that was asked for stays: it is the cache's")
			got, err := fetch(t.Context(), c.Sources(e)[0], e, 0, e.Blob.Size)
			require.NoError(t, err)
			require.Len(t, got, int(e.Blob.Size))
		}
	}
}

func TestResolveRefusals(t *testing.T) {
	t.Parallel()
	gated, private, closed := repo(ref.Model, "acme/gated"), repo(ref.Model, "acme/private"), repo(ref.Model, "acme/closed")
	h, run := tinyHub(t)
	for _, r := range []ref.Repo{gated, private, closed} {
		h.Add(r, "", map[string]standin.Content{"x.bin": standin.String("secret")})
	}
	h.Gate(gated, "manual")
	h.Private(private)
	h.Disable(closed)
	h.Token("hf_good", gated, private)
	h.Token("hf_other")

	for _, tt := range []struct {
		name  string
		token string
		file  ref.File
		want  error
	}{
		{"no such file", "", file(t, tiny, "", "nope.json"), hub.ErrEntryNotFound},
		{"no such revision", "", file(t, tiny, "nope", "config.json"), hub.ErrRevisionNotFound},
		{"no such repo, anonymous", "", file(t, other, "", "x"), hub.ErrRepoNotFound},
		{"no such repo, with a token", "hf_good", file(t, other, "", "x"), hub.ErrRepoNotFound},
		{"private, anonymous", "", file(t, private, "", "x.bin"), hub.ErrRepoNotFound},
		{"private, not ours", "hf_other", file(t, private, "", "x.bin"), hub.ErrRepoNotFound},
		{"private, ours", "hf_good", file(t, private, "", "x.bin"), nil},
		{"gated, anonymous", "", file(t, gated, "", "x.bin"), hub.ErrGated},
		{"gated, not granted", "hf_other", file(t, gated, "", "x.bin"), hub.ErrGated},
		{"gated, granted", "hf_good", file(t, gated, "", "x.bin"), nil},
		{"disabled", "", file(t, closed, "", "x.bin"), hub.ErrDisabled},
		{"a token that is none", "hf_stale", file(t, tiny, "", "config.json"), hub.ErrUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, hub.Config{Endpoints: []string{run.URL()}, Token: tt.token})
			e, err := c.Resolve(t.Context(), tt.file)
			if tt.want == nil {
				require.NoError(t, err)
				got, err := fetch(t.Context(), c.Sources(e)[0], e, 0, e.Blob.Size)
				require.NoError(t, err)
				require.Equal(t, "secret", string(got))
				return
			}
			require.ErrorIs(t, err, tt.want)
			for _, kind := range kinds {
				require.Equal(t, kind == tt.want, isKind(err, kind), "%v", kind)
			}
		})
	}
}

func TestOffline(t *testing.T) {
	t.Parallel()
	h, run := tinyHub(t)
	c := client(t, hub.Config{Endpoints: []string{run.URL()}, Offline: true})
	_, err := c.Resolve(t.Context(), file(t, tiny, "", "config.json"))
	require.ErrorIs(t, err, hub.ErrOffline)
	require.Empty(t, c.Sources(ref.Entry{}))
	require.False(t, c.Answers(t.Context(), ref.Entry{Repo: tiny, Commit: "main", Path: "config.json"}))
	require.Empty(t, h.Requests())
}

func TestResolveStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer silent.Close()
	var heard ear
	c := client(t, hub.Config{Endpoints: []string{silent.URL, deadURL(t)}, Notice: heard.notice})
	_, err := c.Resolve(ctx, file(t, tiny, "", "config.json"))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, heard.notices, "the endpoint is not to blame")
}

func TestTLS(t *testing.T) {
	t.Parallel()
	h := standin.New()
	h.Add(tiny, "", map[string]standin.Content{"model.bin": standin.Synthetic(1, 5000)})
	h.Token("hf_good")
	run, err := h.StartTLS("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	defer run.Close()

	c := client(t, hub.Config{Endpoints: []string{run.URL()}, Token: "hf_good"})
	_, err = c.Resolve(t.Context(), file(t, tiny, "", "model.bin"))
	require.ErrorIs(t, err, hub.ErrUnreachable, "nobody vouches for this certificate")
	require.Empty(t, h.Requests(), "the token did not leave")

	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(run.CA()))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	c = client(t, hub.Config{Endpoints: []string{run.URL()}, Token: "hf_good", Transport: transport})
	e := resolve(t, c, "model.bin")
	got, err := fetch(t.Context(), c.Sources(e)[0], e, 100, 200)
	require.NoError(t, err)
	require.Equal(t, all(t, standin.Synthetic(1, 5000))[100:300], got)
}
