package hub_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/transfer/hub"
)

func TestLook(t *testing.T) {
	t.Parallel()
	h, run := guardedHub(t)
	portal := answering(t, 200, map[string]string{"Content-Type": "text/html"}, "<html>log in")
	broken := answering(t, 503, nil, "")
	c := client(t, hub.Config{Endpoints: []string{run.URL(), deadURL(t), portal, broken}, Token: "hf_good"})
	all := c.Look(t.Context())
	require.Len(t, all, 4)
	require.True(t, all[0].Hub)
	require.NoError(t, all[0].Err, "401 is an answer")
	require.Positive(t, all[0].Took)
	require.WithinDuration(t, time.Now(), all[0].Clock, time.Minute)
	for i, want := range []string{"refused", "web page", "503"} {
		require.False(t, all[i+1].Hub)
		require.ErrorContains(t, all[i+1].Err, want)
	}
	for _, r := range h.Requests() {
		require.False(t, r.Token, "nobody is shown the token")
	}
	require.Empty(t, client(t, hub.Config{Offline: true}).Look(t.Context()))
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	_, run := guardedHub(t)
	for _, tt := range []struct {
		cfg  hub.Config
		name string
		err  error
	}{
		{hub.Config{Endpoints: []string{run.URL()}, Token: "hf_good"}, "standin", nil},
		{hub.Config{Endpoints: []string{run.URL()}, Token: "hf_stale"}, "", hub.ErrUnauthorized},
		{hub.Config{Endpoints: []string{run.URL()}}, "", hub.ErrNoToken},
		{hub.Config{Endpoints: []string{deadURL(t)}, Token: "hf_good"}, "", hub.ErrUnreachable},
		{hub.Config{Endpoints: []string{answering(t, 200, nil, "{}")}, Token: "hf_good"}, "", hub.ErrUnreachable},
		{hub.Config{Endpoints: []string{"http://10.255.255.1"}, Token: "hf_good"}, "", hub.ErrUnsafe},
		{hub.Config{Offline: true, Token: "hf_good"}, "", hub.ErrOffline},
	} {
		name, err := client(t, tt.cfg).Whoami(t.Context())
		require.Equal(t, tt.name, name)
		if tt.err == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, tt.err)
		require.NotContains(t, err.Error(), "hf_")
	}
}
