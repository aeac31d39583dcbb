package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The test binary plays a small server or client inside a lab when this
// variable says which, so that the lab can be tested without hffs.
const role = "HFFS_LAB_ROLE"

func TestMain(m *testing.M) {
	if r := os.Getenv(role); r != "" {
		os.Exit(play(strings.Fields(r)))
	}
	code := m.Run()
	Forget()
	os.Exit(code)
}

// act runs the test binary on a host in the given role.
func act(h *Host, role string) *Process {
	return h.withEnv("HFFS_LAB_ROLE", role).Start(os.Args[0])
}

func (h *Host) withEnv(key, value string) *Host {
	other := *h
	other.Env = map[string]string{key: value}
	return &other
}

func TestHostsReachEachOther(t *testing.T) {
	l := New(t, Options{Hosts: 2, Rate: "100mbit"})
	a, b := l.Hosts[0], l.Hosts[1]
	server := act(b, "serve "+b.Addr+":80")
	server.WaitFor("listening", 10*time.Second)
	before := a.Received()
	client := act(a, "count "+b.Addr+":80")
	require.Zero(t, client.Wait(Limit), client.report())
	require.Equal(t, "1048576\n", client.Out.String())
	require.InDelta(t, 1<<20, a.Received()-before, 1<<17, "the cable counts what the program got, and headers")
}

func TestCutAndHeal(t *testing.T) {
	l := New(t, Options{Hosts: 3})
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	for _, h := range []*Host{a, b} {
		act(h, "serve "+h.Addr+":80").WaitFor("listening", 10*time.Second)
	}
	reaches := func(from, to *Host) bool { return act(from, "count "+to.Addr+":80").Wait(Limit) == 0 }
	l.Cut(b, c)
	require.False(t, reaches(c, a), "c is on the other side of the cut")
	require.True(t, reaches(c, b), "b is on the same side")
	l.Heal(b, c)
	Eventually(t, 10*time.Second, "c reaches a again", func() bool { return reaches(c, a) })
	a.Unplug()
	require.False(t, reaches(c, a))
	a.Plug()
	Eventually(t, 10*time.Second, "c reaches a again", func() bool { return reaches(c, a) })
}

func TestProcessIsPausedAndKilled(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	a := l.Hosts[0]
	server := act(a, "serve "+a.Addr+":80")
	server.WaitFor("listening", 10*time.Second)
	server.Pause()
	client := act(a, "count "+a.Addr+":80")
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.Pid()))
	require.NoError(t, err)
	require.Contains(t, string(state), "State:\tT (stopped)")
	server.Resume()
	require.Zero(t, client.Wait(Limit))
	server.Kill()
	require.True(t, server.Ended())
	require.Equal(t, 1, act(a, "count "+a.Addr+":80").Wait(Limit), "nobody listens any more")
}

func TestNothingIsLeftBehind(t *testing.T) {
	var pids []int
	t.Run("a lab with a stubborn process", func(t *testing.T) {
		l := New(t, Options{Hosts: 1})
		p := l.Hosts[0].Start("sh", "-c", "trap '' TERM HUP; sleep 1000 & echo sleeping; wait")
		p.WaitFor("sleeping", 10*time.Second)
		pids = append(pids, p.Pid(), l.sw.pid(), l.Hosts[0].space.pid())
	})
	for _, pid := range pids {
		require.NoFileExists(t, filepath.Join("/proc", fmt.Sprint(pid), "exe"))
	}
}

func TestCleanEnvironment(t *testing.T) {
	t.Setenv("HF_TOKEN", "hf_of_the_user")
	l := New(t, Options{Hosts: 1})
	h := l.Hosts[0]
	h.Env = map[string]string{"HF_HUB_OFFLINE": "1", "TMPDIR": ""}
	env := h.Run("env").Stdout
	require.NotContains(t, env, "HF_TOKEN")
	require.NotContains(t, env, "TMPDIR")
	require.Contains(t, env, "HF_HUB_OFFLINE=1\n")
	require.Contains(t, env, "HF_ENDPOINT=http://10.78.0.2\n")
	require.Contains(t, env, "HF_HOME="+h.Dir+"/hf\n")
	require.Equal(t, "lab-a\n", h.Run("uname", "-n").Stdout)
}
