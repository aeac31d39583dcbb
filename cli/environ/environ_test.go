package environ

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var lab = Node{Addr: "127.0.0.1:7768", Cache: "/data/hub", Upstream: []string{"https://huggingface.co", "https://mirror.example"}}

// under is what a program sees that is started with a user's variables and ours.
func under(n Node, user ...string) []string { return Apply(user, For(n, List(user))) }

func TestWhatProgramsSee(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		user       []string
		want, gone []string
	}{
		{
			"nothing set", nil,
			[]string{
				"HF_ENDPOINT=http://127.0.0.1:7768", "HF_HUB_DISABLE_XET=1", "HF_HUB_ETAG_TIMEOUT=86400", "HF_HUB_DOWNLOAD_TIMEOUT=86400",
				"HF_HUB_USER_AGENT_ORIGIN=hffs-run", "HF_HUB_CACHE=/data/hub", "NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost",
				"HFFS_UPSTREAM=https://huggingface.co,https://mirror.example",
			},
			[]string{"MODEL_ENDPOINT", "HF_HOME"},
		},
		{"another Hub", []string{"HF_ENDPOINT=https://mirror.example"}, []string{"HF_ENDPOINT=http://127.0.0.1:7768"}, nil},
		{"llama.cpp's endpoint", []string{"MODEL_ENDPOINT=https://m.example/"}, []string{"MODEL_ENDPOINT=http://127.0.0.1:7768"}, nil},
		{"the cache is that", []string{"HF_HUB_CACHE=/data/hub", "HF_HOME=/home/hf"}, []string{"HF_HUB_CACHE=/data/hub", "HF_HOME=/home/hf"}, nil},
		{"an origin", []string{"HF_HUB_USER_AGENT_ORIGIN=lab"}, []string{"HF_HUB_USER_AGENT_ORIGIN=lab hffs-run"}, nil},
		{"less patience", []string{"HF_HUB_ETAG_TIMEOUT=30", "HF_HUB_DOWNLOAD_TIMEOUT=soon"}, []string{"HF_HUB_ETAG_TIMEOUT=86400", "HF_HUB_DOWNLOAD_TIMEOUT=86400"}, nil},
		{"more patience", []string{"HF_HUB_ETAG_TIMEOUT=100000"}, []string{"HF_HUB_ETAG_TIMEOUT=100000"}, nil},
		{"small exceptions", []string{"no_proxy=corp, "}, []string{"NO_PROXY=corp,127.0.0.1,localhost", "no_proxy=corp,127.0.0.1,localhost"}, nil},
		{"large exceptions", []string{"NO_PROXY=LOCALHOST"}, []string{"NO_PROXY=LOCALHOST,127.0.0.1", "no_proxy=LOCALHOST,127.0.0.1"}, nil},
		{"two exceptions", []string{"NO_PROXY=a", "no_proxy=b"}, []string{"NO_PROXY=a,127.0.0.1,localhost", "no_proxy=b,127.0.0.1,localhost"}, nil},
		{"no proxy at all", []string{"NO_PROXY=*"}, []string{"NO_PROXY=*", "no_proxy=*"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := under(lab, c.user...)
			for _, kv := range c.want {
				require.Contains(t, got, kv)
			}
			for _, name := range c.gone {
				_, set := List(got)(name)
				require.False(t, set, name)
			}
		})
	}
}

// The users of these tests, from none to one with everything of his own.
var users = [][]string{
	{"PATH=/bin"},
	{"HF_ENDPOINT=https://mirror.example", "NO_PROXY=corp", "HF_HUB_DISABLE_XET=", "A=b=c"},
	{"HF_HUB_CACHE=/data/hub", "MODEL_ENDPOINT=x", "HF_HUB_USER_AGENT_ORIGIN=me 'n\"you", "no_proxy=*", "HF_HUB_ETAG_TIMEOUT=5"},
	{"HFFS_UPSTREAM=https://a.example"},
}

func TestTwiceIsOnce(t *testing.T) {
	t.Parallel()
	other := Node{Addr: "127.0.0.1:7772", Cache: "/elsewhere", Upstream: []string{"https://huggingface.co"}}
	for _, user := range users {
		once := under(lab, user...)
		require.ElementsMatch(t, once, under(lab, once...))
		moved := under(other, once...)
		require.ElementsMatch(t, once, under(lab, moved...), "there and back")
	}
}

func TestUndoRestores(t *testing.T) {
	t.Parallel()
	for _, user := range users {
		require.Empty(t, Undo(List(user)))
		changed := under(lab, user...)
		require.ElementsMatch(t, user, Apply(changed, Undo(List(changed))))
		twice := under(lab, changed...)
		require.ElementsMatch(t, user, Apply(twice, Undo(List(twice))))
	}
}

func TestBeforeIsTheUsersOwn(t *testing.T) {
	t.Parallel()
	for _, user := range users {
		getenv := Before(List(under(lab, user...)))
		for _, name := range append(slices.Clone(ours), "PATH", "A") {
			if name != Upstream {
				require.Equal(t, List(user).get(name), getenv(name), name)
			}
		}
		require.Equal(t, strings.Join(lab.Upstream, ","), getenv(Upstream))
	}
}

func TestARecordRestoresOnlyWhatIsOurs(t *testing.T) {
	t.Parallel()
	own := List([]string{`HFFS_BEFORE={"PATH":"/evil","HF_ENDPOINT":null}`, "PATH=/bin", "HF_ENDPOINT=http://127.0.0.1:1"})
	require.Equal(t, "/bin", Before(own)("PATH"))
	require.Empty(t, Before(own)("HF_ENDPOINT"))
	require.Equal(t, []Var{{Name: "HF_ENDPOINT", Gone: true}, {Name: Record, Gone: true}}, Undo(own))
}

func FuzzRecord(f *testing.F) {
	f.Add(`{"HF_ENDPOINT":null}`)
	f.Add(`{"HF_ENDPOINT":"https://a","NO_PROXY":""}`)
	f.Add(`[1]`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		all := []string{Record + "=" + text}
		for _, v := range Undo(List(all)) {
			require.True(t, v.Name == Record || slices.Contains(ours, v.Name))
		}
		once := under(lab, all...)
		require.ElementsMatch(t, once, under(lab, once...))
	})
}
