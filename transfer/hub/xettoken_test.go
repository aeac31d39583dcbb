package hub_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
)

func TestXetToken(t *testing.T) {
	t.Parallel()
	h := standin.New()
	c, err := h.OverXet(standin.Synthetic(1, 200_000), chunk.Current)
	require.NoError(t, err)
	h.Add(tiny, "", map[string]standin.Content{"model.bin": c})
	h.Private(tiny)
	h.Token("hf_reader", tiny)
	run := start(t, h)

	reader := client(t, hub.Config{Endpoints: []string{run.URL()}, Token: "hf_reader"})
	e := resolve(t, reader, "model.bin")
	require.NotEmpty(t, e.Blob.Xet)
	token, err := reader.XetToken(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, run.CASURL(), token.CAS)
	require.WithinDuration(t, time.Now().Add(time.Hour), token.Expires, time.Minute)
	for _, shown := range []string{fmt.Sprint(token), fmt.Sprintf("%+v", token), fmt.Sprintf("%#v", token), fmt.Sprintf("%v", []any{token})} {
		require.NotContains(t, shown, token.Access)
	}

	h.Rename(tiny, other)
	_, err = reader.XetToken(t.Context(), e)
	require.NoError(t, err, "renamed repos redirect")

	stranger := client(t, hub.Config{Endpoints: []string{run.URL()}})
	_, err = stranger.XetToken(t.Context(), e)
	require.ErrorIs(t, err, hub.ErrRepoNotFound)
	offline := client(t, hub.Config{Endpoints: []string{run.URL()}, Offline: true})
	_, err = offline.XetToken(t.Context(), e)
	require.ErrorIs(t, err, hub.ErrOffline)
	away := client(t, hub.Config{Endpoints: []string{deadURL(t)}})
	_, err = away.XetToken(t.Context(), e)
	require.ErrorIs(t, err, hub.ErrUnreachable)
}

// The question goes to the Hub alone, with the token; mirrors see neither.
func TestXetTokenAsksOnlyTheHub(t *testing.T) {
	t.Parallel()
	mirror, mirrorRun := tinyHub(t)
	h, run := tinyHub(t)
	h.Token("hf_secret", tiny)
	c := client(t, hub.Config{
		Endpoints: []string{"https://mirror.example", "https://huggingface.co"}, Token: "hf_secret",
		Transport: netmap{"mirror.example": mirrorRun.URL(), "huggingface.co": run.URL()},
	})
	e := resolve(t, c, "model.bin")
	mirror.ResetLog()
	_, err := c.XetToken(t.Context(), e)
	require.NoError(t, err)
	require.Empty(t, mirror.Requests())
	require.NotEmpty(t, h.Requests())
	for _, r := range h.Requests() {
		require.True(t, r.Token, r.Path)
	}
}

func TestXetTokenRefusesNonsense(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no JSON":          `<html>`,
		"no token":         `{"casUrl":"http://127.0.0.1:1","exp":1}`,
		"a token in lines": `{"casUrl":"http://127.0.0.1:1","accessToken":"a\nb","exp":1}`,
		"no CAS":           `{"casUrl":"","accessToken":"secret","exp":1}`,
		"a CAS with user":  `{"casUrl":"http://me:pw@127.0.0.1:1","accessToken":"secret","exp":1}`,
		"another scheme":   `{"casUrl":"file:///etc","accessToken":"secret","exp":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
			t.Cleanup(srv.Close)
			c := client(t, hub.Config{Endpoints: []string{srv.URL}})
			_, err := c.XetToken(t.Context(), ref.Entry{Repo: tiny, Commit: "607a30d783dfa663caf39e06633721c8d4cfcd7e"})
			require.ErrorIs(t, err, hub.ErrUnreachable)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}
