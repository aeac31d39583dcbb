package lab

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	kills     = 20
	killSize  = 100_000_000
	killRate  = "200mbit"
	killAfter = 2500 * time.Millisecond // a whole fetch takes 4.2 s at this rate
	// What one kill may cost: the piece that each connection was in the middle
	// of, and what was on the cable. Without any resuming the kills would cost
	// about thirty megabytes each.
	lossPerKill = 2 << 20
)

func TestFetcherIsKilledTwentyTimes(t *testing.T) {
	t.Run("fetching from the Hub", func(t *testing.T) {
		t.Parallel() // their lines are slow
		l := New(t, Options{Hosts: 1, Rate: killRate})
		l.NewHub(synthetic(bigRepo, bigFile, killSize)...)
		killTwentyTimes(t, l.Hosts[0])
	})
	t.Run("fetching from a peer", func(t *testing.T) {
		t.Parallel()
		l := New(t, Options{Hosts: 2, Rate: killRate})
		l.NewHub(synthetic(bigRepo, bigFile, killSize)...)
		holder := l.Hosts[1]
		holder.Up()
		get(t, holder, bigRepo, bigFile)
		killTwentyTimes(t, l.Hosts[0])
	})
}

// killTwentyTimes kills the fetcher at random moments and looks each time at
// what it has left. When it was done before the blow came, it starts anew.
func killTwentyTimes(t *testing.T, a *Host) {
	before, whole := a.Received(), int64(1)
	for n := 0; n < kills; {
		p := a.Start(Binary(t), "get", bigRepo, bigFile, "--json")
		select {
		case <-p.Done():
			finish(t, p)
			forget(t, a)
			whole++
		case <-time.After(rand.N(killAfter)):
			p.Kill()
			n++
		}
		nothingWrong(t, a.Cache())
	}
	p := a.Start(Binary(t), "get", bigRepo, bigFile, "--json")
	g := finish(t, p)
	nothingWrong(t, a.Cache())
	require.NoDirExists(t, filepath.Join(a.Cache(), "models--acme--big", ".hffs"), "nothing is left lying about")
	most := whole*g.Size*103/100 + kills*lossPerKill // with room for headers
	received := a.Received() - before
	t.Logf("%d whole fetches and %d kills: received %d MB of at most %d MB", whole, kills, received/1e6, most/1e6)
	require.LessOrEqual(t, received, most, "what was fetched before a kill is not fetched again")
	require.GreaterOrEqual(t, received, whole*g.Size)
}

// nothingWrong proves that each file with a final name has the content that
// its name promises, however the fetch ended.
func nothingWrong(t *testing.T, cache string) {
	t.Helper()
	err := filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch dir := filepath.Dir(path); {
		case filepath.Base(dir) == "blobs":
			require.Equal(t, filepath.Base(path), etagOf(t, path, len(filepath.Base(path))))
		case filepath.Base(filepath.Dir(dir)) == "snapshots":
			blob, err := filepath.EvalSymlinks(path)
			require.NoError(t, err)
			require.Equal(t, "blobs", filepath.Base(filepath.Dir(blob)))
		}
		return nil
	})
	if !os.IsNotExist(err) { // killed before there was a cache
		require.NoError(t, err)
	}
}

func TestInterruptedGetGoesOn(t *testing.T) {
	l := New(t, Options{Hosts: 1, Rate: killRate})
	l.NewHub(synthetic(bigRepo, bigFile, killSize)...)
	a := l.Hosts[0]
	p := a.Start(Binary(t), "get", bigRepo, bigFile, "--json")
	halfway(t, a, 0, killSize/2)
	p.Interrupt()
	require.Equal(t, exitStopped, p.Wait(10*time.Second), p.report())
	var g gotJSON
	a.HffsJSON(&g, "get", bigRepo, bigFile)
	right(t, g)
	require.Greater(t, g.from("local"), int64(killSize/3), "it goes on with what it has: %v", g.Sources)
}
