package catalog

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/hub/standin"
)

func TestTheHubSaysWhatFilesACommitHas(t *testing.T) {
	t.Parallel()
	h, asked, commit, stop := realHub(t)
	b := newBench(t, asked, nil)
	for range 3 {
		files, whole, err := b.List(t.Context(), demo, commit)
		require.NoError(t, err)
		require.True(t, whole)
		require.Len(t, files, 2)
		require.Equal(t, "config.json", files[0].Path)
		require.Equal(t, "folder/model.safetensors", files[1].Path)
		require.True(t, files[1].Blob.ETag.IsSHA256())
		require.EqualValues(t, 11<<20, files[1].Blob.Size)
	}
	require.Len(t, h.Requests(), 1, "it never changes")
	_, _, err := b.List(t.Context(), demo, commitA)
	require.ErrorIs(t, err, errRefused)

	second := h.Add(demo, "", map[string]standin.Content{"config.json": standin.String("new")})
	stop()
	_, whole := b.Known(demo, commit)
	require.True(t, whole)
	files, whole, err := b.List(t.Context(), demo, commit)
	require.NoError(t, err)
	require.True(t, whole)
	require.Len(t, files, 2)
	_, _, err = b.List(t.Context(), demo, second)
	require.ErrorIs(t, err, errAway)
	require.ErrorContains(t, err, "nobody in the swarm knows")
	_, _, err = b.List(t.Context(), demo, "main")
	require.Error(t, err)
}

func TestANeighboursList(t *testing.T) {
	t.Parallel()
	n := &neighbours{told: []Told{
		{Files: []ref.Listed{listed("b", 1), listed("a", 2)}, Whole: true, From: "near", Conflicts: []Conflict{{"b", "far"}}},
		{Files: []ref.Listed{listed("b", 3)}, Whole: true, From: "far"},
	}}
	hub := &stub{}
	b := newBench(t, hub, n)
	for range 2 {
		files, whole, err := b.List(t.Context(), demo, commitA)
		require.NoError(t, err)
		require.True(t, whole)
		require.Equal(t, []ref.Listed{listed("a", 2), listed("b", 1)}, files)
	}
	require.Len(t, hub.asked, 1, "for a moment the answer serves")
	require.Len(t, b.log.lines("WARN"), 1)
	_, known := b.Known(demo, commitA)
	require.False(t, known, "what neighbours say is not told to others as the Hub's word")
	_, kept := b.store.Tree(demo, commitA)
	require.False(t, kept)

	b.lists.Now = func() time.Time { return time.Now().Add(listFor) }
	hub.tree = func(context.Context, ref.Commit) ([]ref.Listed, error) { return []ref.Listed{listed("a", 5)}, nil }
	files, _, err := b.List(t.Context(), demo, commitA)
	require.NoError(t, err)
	require.Equal(t, []ref.Listed{listed("a", 5)}, files, "the Hub is back")
}

// keep puts a file into the cache as another program would.
func keep(t *testing.T, b *bench, f ref.Listed) {
	t.Helper()
	link := filepath.Join(b.store.Dir(), demo.Folder(), "snapshots", string(commitA), f.Path)
	blobs := filepath.Join(b.store.Dir(), demo.Folder(), "blobs")
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o755))
	require.NoError(t, os.MkdirAll(blobs, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(blobs, string(f.Blob.ETag)), make([]byte, f.Blob.Size), 0o644))
	require.NoError(t, os.Symlink("../../blobs/"+string(f.Blob.ETag), link))
}

func TestAListThatContradictsTheHub(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string][]ref.Listed{
		"another hash": {listed("a", 9), listed("b", 2)},
		"not there":    {listed("b", 2)},
	} {
		n := &neighbours{told: []Told{
			{Files: lie, Whole: true, From: "liar"},
			{Files: []ref.Listed{listed("a", 1), listed("c", 3)}, Whole: true, From: "near"},
		}}
		b := newBench(t, &stub{}, n)
		keep(t, b, listed("a", 1))
		require.NoError(t, b.store.Remember(ref.Entry{Repo: demo, Commit: commitA, Path: "a", Blob: blob(1)}))
		files, whole, err := b.List(t.Context(), demo, commitA)
		require.NoError(t, err, name)
		require.True(t, whole, name)
		require.Equal(t, []ref.Listed{listed("a", 1), listed("c", 3)}, files, name)
		require.Len(t, b.log.lines("WARN"), 1, name)
		require.Contains(t, b.log.lines("WARN")[0], "liar")

		n.told = n.told[:1]
		b = newBench(t, &stub{}, n)
		keep(t, b, listed("a", 1))
		require.NoError(t, b.store.Remember(ref.Entry{Repo: demo, Commit: commitA, Path: "a", Blob: blob(1)}))
		files, whole, err = b.List(t.Context(), demo, commitA)
		require.NoError(t, err, name)
		require.False(t, whole, name)
		require.Equal(t, []ref.Listed{listed("a", 1)}, files, name)
	}
}

func TestWhatIsHeldIsTheList(t *testing.T) {
	t.Parallel()
	n := &neighbours{told: []Told{{Files: []ref.Listed{listed("b", 2), listed("a", 7)}, From: "near"}, {Files: []ref.Listed{listed("c", 3)}, From: "far"}}}
	b := newBench(t, &stub{}, n)
	keep(t, b, listed("a", 1))
	files, whole, err := b.List(t.Context(), demo, commitA)
	require.NoError(t, err)
	require.False(t, whole)
	require.Equal(t, []ref.Listed{listed("a", 1), listed("b", 2), listed("c", 3)}, files, "what is here counts before what others say")
	require.Len(t, b.log.lines("WARN"), 1)
}

func TestASilentHubsList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &neighbours{told: []Told{{Files: []ref.Listed{listed("a", 1)}, Whole: true, From: "near"}}}
		b := newBench(t, silent(), n)
		began := time.Now()
		files, whole, err := b.List(t.Context(), demo, commitA)
		require.NoError(t, err)
		require.True(t, whole)
		require.Len(t, files, 1)
		require.Equal(t, hushList, time.Since(began))
	})
}
