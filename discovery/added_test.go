package discovery

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.7":            "10.0.0.7:7766",
		"Box.Example.:99":     "box.example:99",
		"[FD00:0::7]:99":      "[fd00::7]:99",
		"fd00::7":             "[fd00::7]:7766",
		"::ffff:10.0.0.7":     "10.0.0.7:7766",
		"[::ffff:10.0.0.7]:9": "10.0.0.7:9",
	} {
		got, err := Canonical(text, 7766)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", ":99", "two words", "0.0.0.0", "box:0", "http://box/"} {
		_, err := Canonical(text, 7766)
		require.Error(t, err, text)
	}
}

func listIn(t testing.TB) AddedList {
	return AddedList{Path: filepath.Join(t.TempDir(), "state", AddedFile)}
}

func TestAddedList(t *testing.T) {
	t.Parallel()
	l := listIn(t)
	peers, err := l.Peers()
	require.NoError(t, err)
	require.Empty(t, peers)
	for _, p := range []string{"10.0.0.7:7766", "box:7766", "box:99"} {
		fresh, err := l.Add(p)
		require.NoError(t, err)
		require.True(t, fresh)
	}
	fresh, err := l.Add("box:99")
	require.NoError(t, err)
	require.False(t, fresh)

	for _, c := range []struct {
		host string
		port int
		want []string
	}{
		{"10.0.0.7", 0, []string{"10.0.0.7:7766"}},
		{"BOX", 0, []string{"box:7766"}},
		{"box", 99, []string{"box:99"}},
		{"box", 98, []string{}},
		{"nobody", 0, []string{}},
	} {
		on, err := l.On(c.host, c.port, 7766)
		require.NoError(t, err)
		require.Equal(t, c.want, on, c)
	}
	was, err := l.Remove("box:7766")
	require.NoError(t, err)
	require.True(t, was)
	on, err := l.On("box", 0, 7766)
	require.NoError(t, err)
	require.Equal(t, []string{"box:99"}, on, "the only one left of that host")
	was, err = l.Remove("box:7766")
	require.NoError(t, err)
	require.False(t, was)
	peers, err = AddedList{Path: l.Path}.Peers()
	require.NoError(t, err)
	require.Equal(t, []string{"10.0.0.7:7766", "box:99"}, peers)
}

func TestAddedListTakesTurns(t *testing.T) {
	t.Parallel()
	l := listIn(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			fresh, err := l.Add(fmt.Sprintf("box-%d:7766", i))
			require.NoError(t, err)
			require.True(t, fresh)
		})
	}
	all.Wait()
	peers, err := l.Peers()
	require.NoError(t, err)
	require.Len(t, peers, 8)
}

func TestAddedListIsBounded(t *testing.T) {
	t.Parallel()
	l := listIn(t)
	full := addedPeers{Version: 1}
	for i := range maxHosts + 5 {
		full.Peers = append(full.Peers, fmt.Sprintf("box-%d:7766", i))
	}
	b, err := json.Marshal(full)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(l.Path), 0o700))
	require.NoError(t, os.WriteFile(l.Path, b, 0o600))
	_, err = l.Add("one-more:7766")
	require.ErrorIs(t, err, ErrFull)
}

// TestDamagedListIsKept: a person may have left out a comma, and would miss the rest.
func TestDamagedListIsKept(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"version":2,"peers":[]}`, `[]`} {
		l := listIn(t)
		require.NoError(t, os.MkdirAll(filepath.Dir(l.Path), 0o700))
		require.NoError(t, os.WriteFile(l.Path, []byte(text), 0o600))
		_, err := l.Peers()
		require.ErrorContains(t, err, l.Path)
		_, err = l.Add("box:7766")
		require.Error(t, err)
		b, err := os.ReadFile(l.Path)
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
}

func FuzzParseAdded(f *testing.F) {
	f.Add([]byte(`{"version":1,"peers":["10.0.0.7:7766","box:99","box:99","bad",":1"]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseAdded(b)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(p.Peers), maxHosts)
		for _, text := range p.Peers {
			again, err := Canonical(text, 0)
			require.NoError(t, err)
			require.Equal(t, text, again)
		}
	})
}

// tries are candidates with when they came, since the start.
type tries struct {
	began  time.Time
	joined func(netip.AddrPort) bool

	mu  sync.Mutex // guards all
	all map[string][]time.Duration
}

func (s *tries) run(t *testing.T, l AddedList) {
	s.began, s.all = time.Now(), map[string][]time.Duration{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	f := NewAdded(AddedConfig{List: l, Joined: s.joined})
	go func() { done <- f.Find(ctx, s.note) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (s *tries) note(p Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := netip.AddrPortFrom(p.Addrs[0], p.Gossip).String()
	s.all[at] = append(s.all[at], time.Since(s.began))
}

func (s *tries) of(at string) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[at]
}

const box, other = "10.0.0.7:7766", "10.0.0.8:99"

func TestAddedIsTriedForEverAndEverMoreSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := listIn(t)
		_, err := l.Add(box)
		require.NoError(t, err)
		var s tries
		s.run(t, l)
		synctest.Wait()
		require.Len(t, s.of(box), 1, "at once")
		time.Sleep(10 * time.Second)
		early := len(s.of(box))
		require.GreaterOrEqual(t, early, 3)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.InDelta(t, 60, len(s.of(box))-early, 20, "about once a minute")
	})
}

func TestAddedListIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := listIn(t)
		var s tries
		s.run(t, l)
		time.Sleep(time.Minute)
		for _, p := range []string{box, other} {
			_, err := l.Add(p)
			require.NoError(t, err)
		}
		time.Sleep(addedLook)
		synctest.Wait()
		require.Len(t, s.of(box), 1, "taken up at once")
		require.Len(t, s.of(other), 1)

		_, err := l.Remove(box)
		require.NoError(t, err)
		time.Sleep(addedLook)
		synctest.Wait()
		before := len(s.of(box))
		require.NoError(t, os.WriteFile(l.Path, []byte("{"), 0o600)) // what cannot be read changes nothing
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, s.of(box), before, "let go")
		require.Greater(t, len(s.of(other)), 30)
	})
}

func TestAddedMembersAreLeftAloneUntilTheyAreLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := listIn(t)
		_, err := l.Add(box)
		require.NoError(t, err)
		var mu sync.Mutex
		member := true
		s := tries{joined: func(at netip.AddrPort) bool {
			mu.Lock()
			defer mu.Unlock()
			return member && at.String() == box
		}}
		s.run(t, l)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, s.of(box))
		mu.Lock()
		member = false
		mu.Unlock()
		time.Sleep(2 * addedCalm)
		synctest.Wait()
		require.GreaterOrEqual(t, len(s.of(box)), 3, "quickly again")
	})
}
