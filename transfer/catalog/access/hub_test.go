package access

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/hub/caller"
	"hffs/transfer/hub/standin"
)

// TestAgainstAHub holds the book against what a Hub really answers.
func TestAgainstAHub(t *testing.T) {
	t.Parallel()
	h := standin.New()
	private := ref.Repo{Type: ref.Model, ID: "org/private"}
	for _, repo := range []ref.Repo{demo, gated, private} {
		h.Add(repo, "", map[string]standin.Content{"config.json": standin.String("{}")})
	}
	h.Gate(gated, "manual")
	h.Private(private)
	h.Token("own")
	h.Token("friend", gated, private)
	r, err := h.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	defer r.Close()
	c, err := hub.New(hub.Config{Endpoints: []string{r.URL()}, Token: "own"})
	require.NoError(t, err)
	defer c.Close()

	b := New(Config{Hub: c, Own: "own", Refused: func(err error) bool {
		return errors.Is(err, hub.ErrGated) || errors.Is(err, hub.ErrRepoNotFound) || errors.Is(err, hub.ErrUnauthorized)
	}})
	friend, nobody := caller.With(t.Context(), "friend"), caller.With(t.Context(), "")
	require.True(t, b.Check(t.Context(), demo))
	require.NoError(t, b.May(nobody, demo))
	for _, repo := range []ref.Repo{gated, private} {
		require.False(t, b.Check(friend, repo))
		require.NoError(t, b.May(friend, repo))
		require.Error(t, b.May(t.Context(), repo))
		require.Error(t, b.May(nobody, repo))
	}
	require.ErrorIs(t, b.May(nobody, gated), hub.ErrGated)
	require.ErrorIs(t, b.May(nobody, private), hub.ErrRepoNotFound)
	require.ErrorIs(t, b.May(caller.With(t.Context(), "never heard of"), private), hub.ErrUnauthorized)

	require.NoError(t, r.Close())
	require.NoError(t, b.May(friend, gated))
	err = b.May(caller.With(t.Context(), "late"), gated)
	require.ErrorIs(t, err, ErrNoAccess)
	require.NotContains(t, err.Error(), "late")
}
