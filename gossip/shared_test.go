package gossip

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

// secrets is a node's holdings of a repo that is not shared, and of one that is.
func secrets() manifest.Holdings {
	h := holding(3)
	h.Partials = []ref.Entry{entryOf(5)}
	open := manifest.Snapshot{Repo: ref.Repo{Type: ref.Model, ID: "org/open"}, Commit: testCommit(9)}
	open.Files = testFiles(8)[7:]
	h.Snapshots = append(h.Snapshots, open)
	h.Refs = append(h.Refs, manifest.Ref{Repo: open.Repo, Name: "main", Commit: open.Commit, Learnt: time.Now()})
	return h
}

// TestWhatIsNotSharedIsNotTold: a repo of which everything was told stops being
// shared, before the node is given other holdings. Whoever asks is answered as if
// it were not there.
func TestWhatIsNotSharedIsNotTold(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	var asked atomic.Int64
	n := start(t, 1, knows(3), func(c *Config) {
		c.Shared = func(r ref.Repo) bool { return !closed.Load() || r != testRepo }
		trees := c.Trees
		c.Trees = func(r ref.Repo, commit ref.Commit) ([]ref.Listed, bool) { asked.Add(1); return trees(r, commit) }
	})
	n.Hold(secrets())
	await(t, func() bool { return n.pub.version().Seq == 1 }, "published")
	p := passing(n)
	f := ref.File{Repo: testRepo, Revision: "main", Path: entryOf(1).Path}
	at := ref.File{Repo: testRepo, Revision: string(testCommit(1)), Path: entryOf(1).Path}
	digest := manifest.NewList(testFiles(3)).Digest
	// told counts the answers to every question that can be asked of the closed repo.
	told := func() (counts [8]int) {
		known, err := p.Known(t.Context(), f)
		require.NoError(t, err)
		knownAt, err := p.Known(t.Context(), at)
		require.NoError(t, err)
		holders, err := p.Holders(t.Context(), entryOf(1))
		require.NoError(t, err)
		fetching, err := p.Holders(t.Context(), entryOf(5))
		require.NoError(t, err)
		versions, err := p.Versions(t.Context(), testRepo, f.Path)
		require.NoError(t, err)
		claims, err := p.Revision(t.Context(), testRepo, "main")
		require.NoError(t, err)
		resp, err := http.Get(n.door.URL + listPath + digest.String())
		require.NoError(t, err)
		_ = resp.Body.Close()
		return [8]int{len(known), len(knownAt), len(holders), len(fetching), len(versions), len(claims), len(list(t, p)), btoi(resp.StatusCode == http.StatusOK)}
	}
	require.Equal(t, [8]int{1, 1, 1, 1, 1, 1, 1, 1}, told())
	trees := asked.Load()
	require.NotZero(t, trees)

	closed.Store(true)
	require.Equal(t, [8]int{}, told())
	require.Equal(t, trees, asked.Load(), "the list is not even looked for")

	open := ref.Entry{Repo: ref.Repo{Type: ref.Model, ID: "org/open"}, Commit: testCommit(9), Path: entryOf(7).Path, Blob: entryOf(7).Blob}
	hs, err := p.Holders(t.Context(), open)
	require.NoError(t, err)
	require.Len(t, hs, 1, "the other repo is told of")
	part, err := p.List(t.Context(), open.Repo, open.Commit)
	require.NoError(t, err)
	require.Equal(t, []ref.Listed{{Path: open.Path, Blob: open.Blob}}, part[0].Files)
	require.False(t, part[0].Whole)
}

// TestBlobOfASharedAndAnotherRepoIsTold: it is held for a shared repo as well.
func TestBlobOfASharedAndAnotherRepoIsTold(t *testing.T) {
	t.Parallel()
	n := start(t, 1, func(c *Config) { c.Shared = func(r ref.Repo) bool { return r != testRepo } })
	h := holding(3)
	h.Snapshots = append(h.Snapshots, manifest.Snapshot{Repo: ref.Repo{Type: ref.Model, ID: "org/copy"}, Commit: testCommit(4), Files: testFiles(3)})
	n.Hold(h)
	hs, err := passing(n).Holders(t.Context(), entryOf(1))
	require.NoError(t, err)
	require.Len(t, hs, 1)
}

// TestWhatOthersAnnouncedIsPassedOn: this node shares nothing of the repo, but
// another one has told everybody.
func TestWhatOthersAnnouncedIsPassedOn(t *testing.T) {
	t.Parallel()
	nodes := clique(t, func(c *Config) { c.Shared = func(ref.Repo) bool { return false } }, knows(6))
	nodes[1].Hold(holding(3))
	nodes[0].awaitHolders(entryOf(1), "n1")
	nodes[0].Hold(secrets())
	p := passing(nodes[0])
	hs, err := p.Holders(t.Context(), entryOf(1))
	require.NoError(t, err)
	require.Len(t, hs, 1)
	require.Equal(t, "n1", hs[0].Node.Name)
	claims, err := p.Revision(t.Context(), testRepo, "main")
	require.NoError(t, err)
	require.Len(t, claims, 1)
	require.Equal(t, "n1", claims[0].Node.Name)
	told := list(t, p)
	require.Len(t, told, 1)
	require.True(t, told[0].Whole)
	require.Equal(t, 1, told[0].Votes)
	require.Equal(t, testFiles(6), told[0].Files)
	require.Equal(t, "n1", told[0].Node.Name)
}
