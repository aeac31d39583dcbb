package node

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache"
	"hffs/cache/disk"
	"hffs/cli/control"
	"hffs/transfer/hub"
)

// lasting is a node that runs in this process, alone.
func lasting(t *testing.T) (state string, ended chan error) {
	t.Helper()
	home := t.TempDir()
	state = filepath.Join(home, "hffs")
	n, err := New(Config{
		Place:    cache.Place{Home: home, Hub: filepath.Join(home, "hub"), State: state},
		Loopback: true, NoMDNS: true, LogFile: "some.log", Hub: hub.Config{Endpoints: []string{"http://127.0.0.1:1"}},
	})
	require.NoError(t, err)
	ended = make(chan error, 1)
	go func() {
		err := n.Run(context.Background())
		n.Close()
		ended <- err
	}()
	return state, ended
}

func onlyLife(t *testing.T, state string) Life {
	t.Helper()
	var all []Life
	require.Eventually(t, func() bool { all = Lives(state); return len(all) == 1 }, 20*time.Second, 5*time.Millisecond)
	return all[0]
}

func TestANodeIsToldToEnd(t *testing.T) {
	t.Parallel()
	state, ended := lasting(t)
	l := onlyLife(t, state)
	require.True(t, l.Lasts())
	require.Equal(t, "some.log", l.Log)
	require.WithinDuration(t, time.Now(), l.Began, time.Minute)

	// whoever does not have the key tells nobody
	require.Error(t, control.NewClient(l.Addr, "another").Stop(t.Context()))
	resp, err := http.Get("http://" + l.Addr + "/control/v1/stop")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.True(t, l.Lasts())

	killed, err := l.End(t.Context(), 20*time.Second)
	require.NoError(t, err)
	require.False(t, killed)
	require.NoError(t, <-ended)
	require.True(t, l.Gone())
	require.Empty(t, Lives(state))
	require.Empty(t, Tidy(state))

	killed, err = l.End(t.Context(), time.Second)
	require.NoError(t, err, "it is gone already")
	require.False(t, killed)
}

// A stop before the start counts as well.
func TestStopBeforeRun(t *testing.T) {
	t.Parallel()
	var n Node
	n.Stop()
	ctx, end := n.halt.within(t.Context())
	defer end()
	require.Error(t, ctx.Err())
}

// left is what a node leaves that was killed, whose number another process has by now:
// ours.
func left(t *testing.T) (state string, p control.Place) {
	t.Helper()
	state = t.TempDir()
	p = control.Place{Addr: "127.0.0.1:1", Key: "k", PID: os.Getpid(), Host: hostname()}
	require.NoError(t, p.Write(state))
	require.NoError(t, os.WriteFile(filepath.Join(state, lockName), nil, 0o600))
	return state, p
}

func TestAProcessThatOnlyHasTheNumberIsLeftAlone(t *testing.T) {
	t.Parallel()
	state, p := left(t)
	require.Empty(t, Lives(state))
	killed, err := Life{p, state}.End(t.Context(), 0)
	require.NoError(t, err)
	require.False(t, killed, "and we are still here to say so")
	require.Equal(t, []int{os.Getpid()}, []int{Tidy(state)[0].PID})
	require.Empty(t, Tidy(state))
}

// Whoever takes the slot next is not taken for the one before.
func TestTheNextInASlotIsAnother(t *testing.T) {
	t.Parallel()
	state, p := left(t)
	s, err := claim(state, "")
	require.NoError(t, err)
	defer s.Close()
	require.False(t, Life{p, state}.Lasts())
	require.Empty(t, Lives(state))
	other := p
	other.Key = "another"
	require.NoError(t, other.Write(state))
	require.False(t, Life{p, state}.Lasts())
	require.True(t, Life{p, state}.Gone())
	require.True(t, Life{other, state}.Lasts())
}

func TestNodesOfOtherMachinesAreNotOurs(t *testing.T) {
	t.Parallel()
	state, p := left(t)
	p.Host = "another-machine"
	require.NoError(t, p.Write(state))
	require.Empty(t, Tidy(state))
	commands, elsewhere := Busy(state)
	require.Empty(t, commands)
	require.Len(t, elsewhere, 1)
}

func TestBusyAreCommandsOnly(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	stays, err := claim(state, "")
	require.NoError(t, err)
	defer stays.Close()
	require.NoError(t, control.Place{Key: "k", Host: hostname()}.Write(state))
	get, err := claim(state, "get")
	require.NoError(t, err)
	commands, elsewhere := Busy(state)
	require.Equal(t, []string{filepath.Join(state, "get-1")}, commands)
	require.Empty(t, elsewhere)
	require.NoError(t, get.Close())
	commands, _ = Busy(state)
	require.Empty(t, commands)
}

func TestOneStartsAtATime(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "new")
	release, err := HoldStart(t.Context(), state)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = HoldStart(ctx, state)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	release()
	lock, err := disk.TryLock(filepath.Join(state, startLock))
	require.NoError(t, err)
	require.NotNil(t, lock)
	require.NoError(t, lock.Release())
}

// One process at a time is the node of a cache; another cache, or another state folder, is
// no matter of it.
func TestHoldCache(t *testing.T) {
	t.Parallel()
	state, other := t.TempDir(), filepath.Join(t.TempDir(), "new")
	release, err := HoldCache(state, "/one")
	require.NoError(t, err)
	require.NotNil(t, release)
	second, err := HoldCache(state, "/one")
	require.NoError(t, err)
	require.Nil(t, second)
	for _, c := range []struct{ state, cache string }{{state, "/two"}, {other, "/one"}} {
		free, err := HoldCache(c.state, c.cache)
		require.NoError(t, err)
		require.NotNil(t, free)
		free()
	}
	release()
	again, err := HoldCache(state, "/one")
	require.NoError(t, err)
	require.NotNil(t, again)
	again()

	require.NoError(t, os.WriteFile(filepath.Join(state, "node-id"), []byte("0123456789abcdef\n"), 0o600))
	ours, others, err := Belongings(state)
	require.NoError(t, err)
	require.Len(t, ours, 3, "the locks go with what is surely ours")
	require.Empty(t, others)

	file := filepath.Join(state, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = HoldCache(filepath.Join(file, "below"), "/one")
	require.ErrorAs(t, err, new(*cache.NotWritableError))
}
