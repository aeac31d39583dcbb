package node

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/transfer/hub/standin"
)

// whole puts a repo of small files and a larger one on the Hub.
func (l *lan) whole(n int) control.Order {
	files := map[string]standin.Content{"weights.bin": standin.Synthetic(3, 3_000_000)}
	for i := range n {
		files[fmt.Sprintf("data/%03d #%%.txt", i)] = standin.String(fmt.Sprint("file ", i))
	}
	all := ref.Repo{Type: ref.Dataset, ID: "org/all"}
	l.hub.Add(all, "main", files)
	return control.Order{Wants: []control.Want{{Repo: all.ID, RepoType: "dataset", Revision: "main"}}}
}

func fromKind(all []control.Source, kind string) (n int64) {
	for _, s := range all {
		if s.Kind == kind {
			n += s.Bytes
		}
	}
	return n
}

func TestAnOrderThroughARunningNode(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	o := l.whole(40)
	a, _ := l.up(t.TempDir())
	b, _ := l.up(t.TempDir())
	l.peers(a, 1)
	l.peers(b, 1)
	var last control.OrderProgress
	first, err := control.NewClient(a.API(), a.key).Order(t.Context(), o, func(p control.OrderProgress) { last = p })
	require.NoError(t, err)
	require.Equal(t, 41, first.Files)
	require.Equal(t, first.Bytes, fromKind(first.Sources, "hub"))
	require.Equal(t, []int{41, 41}, []int{last.Files, last.FilesDone})
	require.Equal(t, last.Total, last.Done)

	s, err := control.NewClient(b.API(), b.key).Survey(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, control.Share{Files: 41, Bytes: first.Bytes}, s.LAN)
	require.Len(t, s.Nodes, 1)
	o.LocalDir = filepath.Join(t.TempDir(), "into")
	second, err := control.NewClient(b.API(), b.key).Order(t.Context(), o, nil)
	require.NoError(t, err)
	require.Equal(t, second.Bytes, fromKind(second.Sources, "peer"))
	for _, f := range second.Repos[0].Files {
		require.FileExists(t, f.Path)
		require.Contains(t, f.Path, o.LocalDir)
	}
	third, err := b.Order(t.Context(), o, nil)
	require.NoError(t, err)
	require.Equal(t, "kept", third.Repos[0].Files[0].How)
	require.Equal(t, third.Bytes, fromKind(third.Sources, "local"))
}

func TestABranchIsWrittenDownWhenAllOfItIsHere(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	o := l.whole(3)
	p := l.passer(t.TempDir())
	refs := filepath.Join(p.cache.Dir(), "datasets--org--all", "refs", "main")
	o.Wants[0].Include = []string{"*.bin", "nope"}
	d, err := p.Order(t.Context(), o, nil)
	require.NoError(t, err)
	require.Equal(t, []int{1, 1}, []int{d.Files, d.Failed})
	require.NoFileExists(t, refs)
	require.FileExists(t, filepath.Join(p.cache.Dir(), "datasets--org--all", "trees", d.Repos[0].Commit+".json"))

	o.Wants[0].Include = nil
	d, err = p.Order(t.Context(), o, nil)
	require.NoError(t, err)
	require.Zero(t, d.Failed)
	text, err := os.ReadFile(refs)
	require.NoError(t, err)
	require.Equal(t, d.Repos[0].Commit, string(text))
	require.NoDirExists(t, filepath.Join(p.cache.Dir(), "datasets--org--all", ".hffs"))
}

func TestOrdersThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]control.Want{
		"repo": {Repo: "../x", Revision: "main"}, "type": {Repo: "a/b", RepoType: "kernel", Revision: "main"},
		"revision": {Repo: "a/b", Revision: "a b"}, "file": {Repo: "a/b", Revision: "main", Include: []string{"../x"}},
		"pattern": {Repo: "a/b", Revision: "main", Exclude: []string{"*\x1b[2J"}},
	} {
		require.Error(t, CheckOrder(control.Order{Wants: []control.Want{w}}), name)
	}
	require.Error(t, CheckOrder(control.Order{LocalDir: "relative"}))
}
