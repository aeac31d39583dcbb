package node

import (
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cli/control"
	"hffs/transfer/hub/standin"
)

// TestCrowdDrawsItOnce: several machines want the same new file at the same time;
// the Hub sends little more than one copy, whoever draws it.
func TestCrowdDrawsItOnce(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	const size, many = 64_000_000, 4
	l.hub.Add(repo, "main", map[string]standin.Content{file: standin.Synthetic(9, size)})
	var nodes []*Node
	for range many {
		n, _ := l.up(t.TempDir())
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		l.peers(n, many-1)
	}
	got := make([]control.Got, many)
	errs := make([]error, many)
	var wait sync.WaitGroup
	for i, n := range nodes {
		wait.Go(func() { got[i], errs[i] = n.Get(t.Context(), ask, nil) })
	}
	wait.Wait()
	for i := range nodes {
		require.NoError(t, errs[i])
		info, err := os.Stat(got[i].Path)
		require.NoError(t, err)
		require.EqualValues(t, size, info.Size())
	}
	require.Less(t, l.hub.BodyBytes(repo, file), int64(size*115/100), "%+v", got)
}
