package lab

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// age is what a stale answer must say of itself: when somebody last heard it
// from the Hub.
const age = `(?i)(second|minute|hour|day|just now|moment).*|\bago\b`

func TestHubIsGone(t *testing.T) {
	l := New(t, Options{Hosts: 3})
	hub := l.NewHub(synthetic("acme/tiny", "model.safetensors", 3<<20)...)
	a, b, c := l.Hosts[0], l.Hosts[1], l.Hosts[2]
	b.Up()
	known := get(t, b, "acme/tiny", "model.safetensors")
	passedOn(t, a, "acme/tiny", "model.safetensors")
	for _, gone := range []struct {
		how  string
		make func()
	}{
		{"its process has died", hub.Down},
		{"its cable is out", hub.Host.Unplug},
	} {
		t.Run(gone.how, func(t *testing.T) {
			gone.make()
			g, said := getSaying(t, a, "acme/tiny", "model.safetensors")
			require.Equal(t, known.Commit, g.Commit, "main is what the swarm last heard of it")
			require.Equal(t, g.Size, g.from("peer"))
			require.Regexp(t, age, said, "the answer's age is said")
			forget(t, a)
		})
	}
	t.Run("through a node", func(t *testing.T) {
		c.Up()
		meet(t, 5*time.Second, 1, c)
		announced(t, c, b, "acme/tiny", "model.safetensors")
		g, said := getSaying(t, c, "acme/tiny", "model.safetensors")
		require.Equal(t, known.Commit, g.Commit)
		require.Regexp(t, age, said)
	})
	t.Run("what nobody has", func(t *testing.T) {
		r := a.Hffs("get", "acme/tiny", "other.bin")
		refused(t, a, r, exitNoSource, "get")
	})
}

func TestOfflineByWish(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	hub := l.NewHub(synthetic("acme/tiny", "model.safetensors", 3<<20)...)
	a, b := l.Hosts[0], l.Hosts[1]
	b.Up()
	get(t, b, "acme/tiny", "model.safetensors")
	passedOn(t, a, "acme/tiny", "model.safetensors")
	asked := hub.Log()
	a.Env = map[string]string{"HF_HUB_OFFLINE": "1"}
	g := get(t, a, "acme/tiny", "model.safetensors")
	require.Equal(t, g.Size, g.from("peer"))
	require.Equal(t, asked, hub.Log(), "the Hub is not asked for anything")
}

func TestMirrorsArePassedOver(t *testing.T) {
	l := New(t, Options{Hosts: 2})
	l.NewHub(synthetic("acme/tiny", "model.safetensors", 3<<20)...)
	a, b := l.Hosts[0], l.Hosts[1]
	act(b, "html "+b.Addr+":80").WaitFor("listening", 10*time.Second)
	a.Env = map[string]string{"HF_ENDPOINT": "http://" + b.Addr + ", http://10.78.0.99 ,http://" + b.Addr + ":81,http://" + l.hub.Addr + "/"}
	g, said := getSaying(t, a, "acme/tiny", "model.safetensors")
	require.Equal(t, g.Size, g.from("hub"))
	for _, passedOver := range []string{b.Addr, "10.78.0.99", b.Addr + ":81"} {
		require.Contains(t, said, passedOver, "who serves no file, is not there, or refuses is named")
	}
}
