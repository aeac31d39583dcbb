package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func member(i int) Peer {
	node := fmt.Sprintf("%016x", i)
	return Peer{Member: node + "-00000001", Node: node, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})},
		Gossip: 7766, Door: 7767, From: "remembered"}
}

func open(path, swarm string) *Remembered {
	return OpenRemembered(RememberedConfig{Path: path, Swarm: swarm})
}

func TestRememberedKeepsTheLast64(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers.json")
		r := open(path, swarmA)
		for i := 1; i <= maxRemembered+6; i++ {
			r.Saw(member(i))
			time.Sleep(time.Second)
		}
		require.NoError(t, r.Close())
		got := open(path, swarmA).absent()
		require.Len(t, got, maxRemembered)
		require.Equal(t, member(maxRemembered+6), got[0], "last seen comes first")
		require.Equal(t, member(7), got[maxRemembered-1])
	})
}

func TestRememberedForgetsAfterAWeek(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers.json")
		r := open(path, swarmA)
		r.Saw(member(1))
		time.Sleep(keepFor)
		r.Saw(member(2))
		require.NoError(t, r.Close())
		require.Len(t, open(path, swarmA).absent(), 2)
		time.Sleep(time.Second)
		require.Equal(t, []Peer{member(2)}, open(path, swarmA).absent())
	})
}

func TestRememberedKnowsANodeAfterItsRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := open(filepath.Join(t.TempDir(), "peers.json"), swarmA)
		r.Saw(member(1))
		again := member(1)
		again.Member, again.Addrs = again.Node+"-00000002", addrs("10.9.9.9")
		r.Saw(again)
		require.Equal(t, []Peer{again}, r.absent())
	})
}

func TestRememberedKeepsSwarmsApart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.json")
	a, b, a2 := open(path, swarmA), open(path, swarmB), open(path, swarmA)
	a.Saw(member(1))
	b.Saw(member(2))
	a2.Saw(member(3))
	for _, r := range []*Remembered{a, b, a2} {
		require.NoError(t, r.Close())
	}
	require.ElementsMatch(t, []Peer{member(1), member(3)}, open(path, swarmA).absent(), "two nodes of one machine share the file")
	require.Equal(t, []Peer{member(2)}, open(path, swarmB).absent())
	left, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Equal(t, []string{path}, left, "nothing is left beside the file")
}

func TestRememberedFind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers.json")
		here := member(2).Member
		r := OpenRemembered(RememberedConfig{Path: path, Swarm: swarmA, IsMember: func(m string) bool { return m == here }})
		for i := 1; i <= 4; i++ {
			r.Saw(member(i))
		}
		start := time.Now()
		times := map[time.Duration]int{}
		ctx, cancel := context.WithTimeout(t.Context(), 4*again+time.Second)
		defer cancel()
		require.NoError(t, r.Find(ctx, func(p Peer) {
			times[time.Since(start)]++
			require.NotEqual(t, here, p.Member)
		}))
		require.Equal(t, map[time.Duration]int{0: 3, again: 1, 2 * again: 1, 3 * again: 1, 4 * again: 1}, times)
	})
}

func TestRememberedKeepsWhoStaysAMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers.json")
		here := member(2).Member
		r := OpenRemembered(RememberedConfig{Path: path, Swarm: swarmA, IsMember: func(m string) bool { return m == here }})
		r.Saw(member(1))
		r.Saw(member(2))
		for range 8 {
			time.Sleep(24 * time.Hour)
			r.absent()
		}
		require.NoError(t, r.Close())
		require.Equal(t, []Peer{member(2)}, open(path, swarmA).absent())
	})
}

func TestRememberedWritesAtMostEachMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers.json")
		r := open(path, swarmA)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Find(ctx, func(Peer) {}) }()
		r.Saw(member(1))
		time.Sleep(again + time.Second)
		require.Len(t, open(path, swarmA).absent(), 1)
		r.Saw(member(2))
		time.Sleep(again)
		require.Len(t, open(path, swarmA).absent(), 1, "half a minute later")
		time.Sleep(again)
		require.Len(t, open(path, swarmA).absent(), 2, "a minute later")
		require.NoError(t, os.Remove(path))
		for range 10 {
			r.Saw(member(1))
			time.Sleep(again)
		}
		require.NoFileExists(t, path, "nothing new, nothing written")
		cancel()
		require.NoError(t, <-done)
	})
}

func TestDamagedMemoryCountsAsEmpty(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"nothing":         "",
		"half":            `{"version":1,"swarms":{"` + swarmA + `":[{"member":"a","addrs":["10.`,
		"another version": `{"version":2,"swarms":{}}`,
		"too large":       strings.Repeat(" ", maxFile+1),
		"bad entries": `{"version":1,"swarms":{"` + swarmA + `":[{"member":"a/../b","addrs":["10.0.0.1"],"gossip":1,"seen":"2999-01-01T00:00:00Z"},` +
			`{"member":"a","addrs":["224.0.0.1"],"gossip":1},{"member":"a","addrs":[],"gossip":1},{"member":"a","addrs":["10.0.0.1"]}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "peers.json")
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			r := open(path, swarmA)
			require.Empty(t, r.absent())
			r.Saw(member(1))
			require.NoError(t, r.Close())
			require.Equal(t, []Peer{member(1)}, open(path, swarmA).absent())
		})
	}
}

func TestRememberedSaysThatItCannotWrite(t *testing.T) {
	t.Parallel()
	r := open(filepath.Join(t.TempDir(), "no", "such", "folder"), swarmA)
	require.NoError(t, r.Close(), "nothing to write")
	r.Saw(member(1))
	require.ErrorIs(t, r.Close(), os.ErrNotExist)
}

func TestTimesFromTheFutureDoNotStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers.json")
		e := entry{Node: nodeA, Member: nodeA + "-00000001", Addrs: addrs("10.0.0.1"), Gossip: 1, Seen: time.Now().Add(9 * keepFor)}
		b, err := json.Marshal(memory{Version: 1, Swarms: map[string][]entry{swarmA: {e}}})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		r := open(path, swarmA)
		require.Len(t, r.absent(), 1)
		time.Sleep(keepFor + time.Second)
		require.Empty(t, r.absent())
	})
}

func FuzzParseMemory(f *testing.F) {
	f.Add([]byte(`{"version":1,"swarms":{"` + swarmA + `":[{"node":"` + nodeA + `","member":"a","addrs":["10.0.0.1"],"gossip":1,"seen":"2026-01-01T00:00:00Z"}]}}`))
	f.Add([]byte(`{"version":1,"swarms":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMemory(b)
		if err != nil {
			return
		}
		for _, es := range m.Swarms {
			for _, e := range es {
				if len(e.peer(nil).Addrs) == 0 || e.key() == "" {
					t.Fatalf("%q gave %+v", b, e)
				}
			}
		}
	})
}
