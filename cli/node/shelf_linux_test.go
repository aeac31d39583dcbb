package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache"
	"hffs/cli/control"
)

// nobodys is a folder in which not even root can make anything.
const nobodys = "/sys"

func TestACommandNeedsNoStateFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	state := filepath.Join(nobodys, "hffs")
	s, err := claimSomewhere(state)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "cache.db"), nil, 0o600))
	require.NoError(t, s.Close())
	require.NoDirExists(t, s.dir)

	_, err = claim(state, "")
	require.Equal(t, control.CodeStorage, Explain(err).Code, "a node has an id to keep")
	t.Setenv("TMPDIR", nobodys)
	_, err = claimSomewhere(state)
	require.ErrorAs(t, err, new(*cache.NotWritableError))
	require.ErrorContains(t, err, state, "it names the folder that can be chosen")
}

func TestANodeDoesNotStayWhereNothingWillEverBe(t *testing.T) {
	cfg := newLAN(t).config(t.TempDir())
	cfg.Place.Hub = filepath.Join(nobodys, "hub")
	n, err := New(cfg)
	require.NoError(t, err)
	defer n.Close()
	require.Empty(t, n.Shelf())
	require.ErrorAs(t, n.Run(t.Context()), new(*cache.NotWritableError))
}

func TestShelfSaysWhereItsStateIs(t *testing.T) {
	cfg := newLAN(t).config(t.TempDir())
	n, err := New(cfg)
	require.NoError(t, err)
	defer n.Close()
	require.Empty(t, n.Shelf())
	n.cfg.Place.Moved = true
	require.Contains(t, n.Shelf(), cfg.Place.State)
}
