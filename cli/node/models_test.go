package node

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/cli/control"
)

var removeAll = control.RemoveAsk{Repo: repo.ID, RepoType: string(repo.Type)}

// client is how a command talks to a node.
func client(t *testing.T, n *Node) *control.Client {
	t.Helper()
	require.Eventually(t, func() bool { return Running(n.cfg.Place.State, n.cfg.Place.Hub) != nil }, 10*time.Second, 10*time.Millisecond)
	p := Running(n.cfg.Place.State, n.cfg.Place.Hub)
	return control.NewClient(p.Addr, p.Key)
}

func failureOf(t *testing.T, err error) *control.Error {
	t.Helper()
	var e *control.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestRemoveThroughTheNode(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a, _ := l.up(t.TempDir())
	b, _ := l.up(t.TempDir())
	l.peers(b, 1)
	got, err := a.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(a)
	c := client(t, a)
	shared, err := c.Shared(t.Context())
	require.NoError(t, err)
	require.Equal(t, []control.NamedRepo{{Repo: repo.ID, RepoType: "model"}}, shared.Repos)

	search := control.SearchAsk{Repo: repo.ID}
	var found control.Found
	require.Eventually(t, func() bool {
		found, err = client(t, b).Search(t.Context(), search)
		return err == nil && len(found.Holders) == 1
	}, 10*time.Second, 20*time.Millisecond)
	h := found.Holders[0]
	require.Equal(t, got.Commit, h.Commit)
	require.Equal(t, []string{"main"}, h.Refs)
	require.Equal(t, 1, h.Files)
	require.Equal(t, 2, *h.OfFiles)
	require.False(t, *h.Complete)
	search.File = file
	found, err = client(t, b).Search(t.Context(), search)
	require.NoError(t, err)
	require.Len(t, found.Holders, 1)
	require.True(t, *found.Holders[0].Complete)
	require.Equal(t, got.ETag, found.Holders[0].ETag)

	end := a.engine.reading.begin(ref.ETag(got.ETag))
	_, err = c.Remove(t.Context(), removeAll)
	require.Equal(t, control.CodeBusy, failureOf(t, err).Code)
	require.FileExists(t, got.Path)
	end()
	gone, err := c.Remove(t.Context(), removeAll)
	require.NoError(t, err)
	require.True(t, gone.Whole)
	require.EqualValues(t, l.size, gone.Freed)
	_, err = os.Lstat(got.Path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Eventually(t, func() bool {
		found, err = client(t, b).Search(t.Context(), control.SearchAsk{Repo: repo.ID})
		return err == nil && len(found.Holders) == 0
	}, 10*time.Second, 20*time.Millisecond, "others hear of it")

	for name, bad := range map[string]control.RemoveAsk{
		"gone already": removeAll, "file": {Repo: repo.ID, File: "x"}, "revision": {Repo: repo.ID, Revision: "v9"},
	} {
		_, err = c.Remove(t.Context(), bad)
		require.Equal(t, control.CodeNotFound, failureOf(t, err).Code, name)
	}
	for name, bad := range map[string]control.RemoveAsk{
		"repo": {Repo: "../x"}, "file": {Repo: repo.ID, File: "../x"}, "revision": {Repo: repo.ID, Revision: "a..b"}, "type": {Repo: repo.ID, RepoType: "x"},
	} {
		_, err = c.Remove(t.Context(), bad)
		require.Equal(t, control.CodeUsage, failureOf(t, err).Code, name)
	}
}

func TestWhatMayHaveBeenMeant(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a, _ := l.up(t.TempDir())
	b, _ := l.up(t.TempDir())
	l.peers(b, 1)
	_, err := a.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(a)
	require.Eventually(t, func() bool {
		near, err := b.swarm.Near(t.Context(), ref.Repo{Type: ref.Model, ID: "org/modle"})
		return err == nil && len(near) == 1
	}, 10*time.Second, 20*time.Millisecond)
	slip := ask
	slip.Repo = "org/modle"
	for _, hubIs := range []string{"there", "gone"} {
		if hubIs == "gone" {
			l.close()
		}
		_, err = b.Get(t.Context(), slip, nil)
		require.Contains(t, Explain(err).Hint, "did you mean org/model?", hubIs)
		_, err = b.Where(t.Context(), slip)
		require.Contains(t, Explain(err).Hint, "did you mean org/model?", hubIs)
	}
	found, err := b.Search(t.Context(), control.SearchAsk{Repo: "org/modle"})
	require.NoError(t, err)
	require.Equal(t, []control.NamedRepo{{Repo: repo.ID, RepoType: "model"}}, found.Near)
}

func TestNamesForWhoTypes(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a, _ := l.up(t.TempDir())
	b, _ := l.up(t.TempDir())
	l.peers(b, 1)
	_, err := a.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(a)
	c := client(t, b)
	require.Eventually(t, func() bool {
		names, err := c.Names(t.Context(), control.NamesAsk{})
		return err == nil && slices.Contains(names.Repos, control.NamedRepo{Repo: repo.ID, RepoType: "model"})
	}, 10*time.Second, 20*time.Millisecond)
	names, err := c.Names(t.Context(), control.NamesAsk{Repo: repo.ID})
	require.NoError(t, err)
	require.Contains(t, names.Files, ask.File)
	names, err = c.Names(t.Context(), control.NamesAsk{Repo: "org/nothing"})
	require.NoError(t, err)
	require.Empty(t, names.Files)
	_, err = c.Names(t.Context(), control.NamesAsk{Repo: "../x"})
	require.Equal(t, control.CodeUsage, failureOf(t, err).Code)
}

func TestReadingLingers(t *testing.T) {
	t.Parallel()
	var r reading
	etag := ref.ETag("x")
	require.False(t, r.is(etag))
	one, two := r.begin(etag), r.begin(etag)
	one()
	one()
	require.True(t, r.is(etag), "the other one reads on")
	two()
	require.True(t, r.is(etag), "it may come back for the next piece")
	require.Eventually(t, func() bool { return !r.is(etag) }, 10*readLinger, readLinger/10)
	r.begin("y")()
	require.Len(t, r.left, 1, "what was read long ago is forgotten")
}
