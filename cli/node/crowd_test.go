package node

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

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
	var gets []getter
	for _, n := range nodes {
		gets = append(gets, n)
	}
	got := l.allGet(size, gets...)
	require.Less(t, l.hub.BodyBytes(repo, file), int64(size*115/100), "%+v", got)
}

// TestPassersByDrawItOnce is the same for machines without a running node, and with
// some of both kinds.
func TestPassersByDrawItOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ nodes, passers int }{
		"no node":  {0, 4},
		"one node": {1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			const size = 64_000_000
			l.hub.Add(repo, "main", map[string]standin.Content{file: standin.Synthetic(9, size)})
			var gets []getter
			for range c.nodes {
				n, _ := l.up(t.TempDir())
				l.answers(n)
				gets = append(gets, n)
			}
			for range c.passers {
				gets = append(gets, l.passer(t.TempDir()))
			}
			got := l.allGet(size, gets...)
			t.Logf("the Hub has sent %.3f copies", float64(l.hub.BodyBytes(repo, file))/size)
			require.Less(t, l.hub.BodyBytes(repo, file), int64(size*130/100), "%+v", got)
		})
	}
}

// answers waits until the node is found by mDNS.
func (l *lan) answers(n *Node) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		_, ok := n.self()
		return ok
	}, 20*time.Second, time.Millisecond)
	p := l.passerWhoFound(l.config(l.t.TempDir()))
	p.Close()
}

type getter interface {
	Get(context.Context, control.Ask, func(control.Progress)) (control.Got, error)
}

// allGet has all get the file at the same time, and sees to it that each has it.
func (l *lan) allGet(size int64, all ...getter) []control.Got {
	l.t.Helper()
	got := make([]control.Got, len(all))
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, n := range all {
		wait.Go(func() { got[i], errs[i] = n.Get(l.t.Context(), ask, nil) })
	}
	wait.Wait()
	for i := range all {
		require.NoError(l.t, errs[i])
		info, err := os.Stat(got[i].Path)
		require.NoError(l.t, err)
		require.EqualValues(l.t, size, info.Size())
	}
	return got
}
