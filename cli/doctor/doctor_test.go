package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fine is a world in which nothing is wrong.
func fine() World {
	none := func(string) string { return "" }
	ahead := time.Duration(0)
	return World{
		System: "linux", Getenv: none, Environ: none, Now: time.Now,
		Node: func(context.Context) (Node, bool) {
			return Node{Name: "me", Version: "1.0", Swarm: "default", API: "127.0.0.1:7768", Gossip: "10.0.0.1:7766", Door: "10.0.0.1:7767", Peers: 1}, true
		},
		Leads:      func(context.Context, string) (bool, bool) { return false, false },
		Interfaces: func() ([]Interface, error) { return []Interface{{Name: "eth0", Subnets: "10.0.0.1/24", Up: true}}, nil },
		Echoes: func(context.Context) []Echo {
			return []Echo{{Interface: "eth0", Heard: true, Answers: 1}}
		},
		Foreign: func() string { return "" },
		Peers: func(context.Context) []Peer {
			return []Peer{{Name: "other", Addr: "10.0.0.2:7766", Door: "10.0.0.2:7767", Alive: true, Member: true, Version: "1.0", Ahead: &ahead}}
		},
		Ports:     func(context.Context) Ports { return Ports{Gossip: 7766, Door: 7767, Running: true} },
		Reach:     func(context.Context, Peer, string, int) error { return nil },
		Firewalls: func(context.Context) []Firewall { return nil },
		Hosts:     []Host{{"huggingface.co", "the Hub"}},
		Lookup:    func(context.Context, string) error { return nil },
		Endpoints: func(context.Context) []Endpoint {
			return []Endpoint{{Name: "huggingface.co", Hub: true, Took: 20 * time.Millisecond, Ahead: &ahead}}
		},
		Whoami:   func(context.Context) (string, error) { return "ann", nil },
		Settings: func() (string, error) { return "/s/hffs.toml", nil },
		Folders:  []Folder{{"/c", "the cache", "HF_HUB_CACHE", true}, {"/s", "what hffs keeps", "HFFS_HOME", false}},
		Free:     func(string) (int64, error) { return 100 << 30, nil },
		Read:     func(string) error { return nil },
		Write:    func(string) error { return nil },
	}
}

// sick is a world in which one thing is not as it should be.
type sick struct {
	name  string
	check string
	state State
	says  string // part of what the worst line says
	make  func(*World)
}

var errTest = errors.New("for a reason")

func env(vars ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(vars); i += 2 {
			if vars[i] == name {
				return vars[i+1]
			}
		}
		return ""
	}
}

func echoOf(e Echo) func(*World) {
	e.Interface = "eth0"
	return func(w *World) { w.Echoes = func(context.Context) []Echo { return []Echo{e} } }
}

func peerOf(p Peer) func(*World) {
	return func(w *World) { w.Peers = func(context.Context) []Peer { return []Peer{p} } }
}

func noNode(w *World) { w.Node = func(context.Context) (Node, bool) { return Node{}, false } }

func off(ahead time.Duration) func(*World) {
	return func(w *World) {
		w.Endpoints = func(context.Context) []Endpoint { return []Endpoint{{Name: "hub", Ahead: &ahead}} }
	}
}

func interfaceOf(i Interface) func(*World) {
	return func(w *World) { w.Interfaces = func() ([]Interface, error) { return []Interface{i}, nil } }
}

func reachable(udp, tcp error) func(*World) {
	return func(w *World) {
		w.Reach = func(_ context.Context, _ Peer, network string, _ int) error {
			if network == "udp" {
				return udp
			}
			return tcp
		}
	}
}

var world = []sick{
	{"no node", "node", Warn, "no node is running", noNode},
	{"another version", "node", Warn, "another version", func(w *World) {
		w.Node = func(context.Context) (Node, bool) { return Node{Gossip: "x", OtherVersion: true}, true }
	}},
	{"no address yet", "node", Warn, "no address", func(w *World) {
		w.Node = func(context.Context) (Node, bool) { return Node{}, true }
	}},

	{"no interfaces at all", "interfaces", Fail, "cannot be listed", func(w *World) {
		w.Interfaces = func() ([]Interface, error) { return nil, errTest }
	}},
	{"only loopback", "interfaces", Fail, "no network", interfaceOf(Interface{Name: "lo", Unfit: "it is loopback", Up: true, Loopback: true})},
	{"only a tunnel", "interfaces", Fail, "no network", interfaceOf(Interface{Name: "wg0", Unfit: "it is a tunnel", Up: true})},
	{"no DHCP", "interfaces", Warn, "given itself", interfaceOf(Interface{Name: "eth0", Subnets: "169.254.1.1/16", SelfMade: true, Up: true})},
	{"multicast off beside a good one", "interfaces", Warn, "multicast is switched off", func(w *World) {
		w.Interfaces = func() ([]Interface, error) {
			return []Interface{{Name: "eth0"}, {Name: "eth1", Unfit: "multicast is switched off on it", Up: true}}, nil
		}
	}},
	{"in WSL2", "interfaces", Warn, "WSL2", func(w *World) { w.Foreign = func() string { return "WSL2" } }},
	{"in a container", "interfaces", Warn, "a container", func(w *World) { w.Foreign = func() string { return "a container" } }},

	{"not heard", "multicast", Fail, "not heard", echoOf(Echo{})},
	{"not heard on a Mac", "multicast", Fail, "not heard", func(w *World) { w.System = "darwin"; echoOf(Echo{})(w) }},
	{"not sent", "multicast", Fail, "does not go out", echoOf(Echo{Sending: errTest})},
	{"not sent by the firewall", "multicast", Fail, "firewall keeps", echoOf(Echo{Sending: errTest, Denied: true})},
	{"port taken", "multicast", Warn, "for itself", echoOf(Echo{Listening: errTest, Busy: true})},
	{"port not to be had", "multicast", Warn, "cannot be listened on", echoOf(Echo{Listening: errTest})},
	{"nobody to hear", "multicast", OK, "0 other nodes", echoOf(Echo{Heard: true})},
	{"strangers", "multicast", OK, "2 of other swarms", echoOf(Echo{Heard: true, Strangers: 2})},
	{"nowhere to ask", "multicast", Warn, "no interface", func(w *World) { w.Echoes = func(context.Context) []Echo { return nil } }},
	{"not wanted", "multicast", OK, "--no-mdns", func(w *World) { w.NoMulticast = true; w.Echoes = nil }},

	{"no name server", "names", Fail, "huggingface.co", func(w *World) { w.Lookup = func(context.Context, string) error { return errTest } }},
	{"no name server, and none needed", "names", Warn, "huggingface.co", func(w *World) {
		w.Offline, w.Lookup = true, func(context.Context, string) error { return errTest }
	}},
	{"no names", "names", OK, "no name", func(w *World) { w.Hosts = nil }},

	{"ports free", "ports", OK, "free", func(w *World) { w.Ports = func(context.Context) Ports { return Ports{Gossip: 1, Door: 2} } }},
	{"ports taken", "ports", Warn, "TCP port 1", func(w *World) {
		w.Ports = func(context.Context) Ports {
			return Ports{Gossip: 1, Door: 2, Taken: map[string]error{"TCP port 1": errTest}}
		}
	}},
	{"ports taken, so not tried", "reach", Warn, "not tried", func(w *World) {
		w.Ports = func(context.Context) Ports {
			return Ports{Gossip: 1, Door: 2, Taken: map[string]error{"TCP port 1": errTest}}
		}
	}},
	{"nobody to ask", "reach", Warn, "nobody to ask", func(w *World) { w.Peers = func(context.Context) []Peer { return nil } }},
	{"TCP blocked", "reach", Fail, "TCP port 7766", reachable(nil, ErrSilent)},
	{"TCP refused", "reach", Fail, "refused", reachable(nil, ErrRefused)},
	{"UDP blocked", "reach", Warn, "UDP port 7766", reachable(ErrSilent, nil)},
	{"an older peer", "reach", Warn, "not known", reachable(ErrUnable, ErrUnable)},
	{"a firewall", "firewall", Warn, "ufw is on", func(w *World) {
		reachable(ErrSilent, ErrSilent)(w)
		w.Firewalls = func(context.Context) []Firewall { return []Firewall{{"ufw", []string{"sudo ufw allow"}, true}} }
	}},
	{"a firewall that lets through", "firewall", OK, "lets others through", func(w *World) {
		w.Firewalls = func(context.Context) []Firewall { return []Firewall{{"ufw", nil, true}} }
	}},

	{"alone", "peers", Warn, "no other node", func(w *World) { w.Peers = func(context.Context) []Peer { return nil } }},
	{"added and away", "peers", Warn, "10.0.0.9:7766, which was named", peerOf(Peer{Addr: "10.0.0.9:7766", Added: true, Problem: "nothing comes back"})},
	{"door blocked", "peers", Warn, "does not answer", peerOf(Peer{Name: "x", Member: true, Door: "10.0.0.2:7767", Problem: "its door does not answer"})},
	{"heard only", "peers", Warn, "cannot be asked", peerOf(Peer{Addr: "10.0.0.9:7766", Problem: "refused"})},
	{"in no swarm of ours", "peers", Warn, "not in this node's swarm", peerOf(Peer{Name: "x", Alive: true})},
	{"two versions", "versions", Warn, "1.0: this node", peerOf(Peer{Name: "x", Alive: true, Version: "2.0"})},

	{"no Hub", "hub", Fail, "for a reason", func(w *World) {
		w.Endpoints = func(context.Context) []Endpoint {
			return []Endpoint{{Name: "a", Err: errTest}, {Name: "b", Err: errTest}}
		}
	}},
	{"a mirror down", "hub", Warn, "for a reason", func(w *World) {
		w.Endpoints = func(context.Context) []Endpoint { return []Endpoint{{Name: "a"}, {Name: "b", Err: errTest}} }
	}},
	{"offline", "hub", OK, "not asked", func(w *World) { w.Offline = true }},
	{"offline token", "token", OK, "offline", func(w *World) { w.Offline = true }},
	{"no token", "token", OK, "none", func(w *World) { w.Whoami = func(context.Context) (string, error) { return "", ErrNoToken } }},
	{"bad token", "token", Fail, "not accept", func(w *World) { w.Whoami = func(context.Context) (string, error) { return "", ErrBadToken } }},
	{"token in the clear", "token", Warn, "not sent", func(w *World) { w.Whoami = func(context.Context) (string, error) { return "", ErrUnsafe } }},
	{"token untried", "token", Warn, "for a reason", func(w *World) { w.Whoami = func(context.Context) (string, error) { return "", errTest } }},

	{"late", "clock", Warn, "5m0s behind", off(5 * time.Minute)},
	{"early", "clock", Fail, "48h0m0s ahead", off(-48 * time.Hour)},
	{"by a peer's clock", "clock", OK, "agrees with other", func(w *World) { w.Offline = true }},
	{"no clock", "clock", OK, "nobody", func(w *World) { w.Offline = true; peerOf(Peer{})(w) }},

	{"a proxy", "proxy", Warn, "http_proxy", func(w *World) { w.Getenv = env("http_proxy", "http://p") }},
	{"a proxy, not for us", "proxy", OK, "keeps this machine", func(w *World) {
		w.Getenv = env("http_proxy", "http://p", "no_proxy", "corp, 127.0.0.1")
	}},
	{"a proxy for names only", "proxy", Warn, "ALL_PROXY", func(w *World) {
		w.Getenv = env("ALL_PROXY", "socks5://p", "NO_PROXY", "localhost")
	}},

	{"through the node", "endpoint", OK, "leads to the node", func(w *World) {
		w.Environ = env("HF_ENDPOINT", "http://127.0.0.1:7768")
		w.Leads = func(context.Context, string) (bool, bool) { return true, true }
	}},
	{"through a node that is gone", "endpoint", Fail, "none answers", func(w *World) {
		w.Environ = env("HF_ENDPOINT", "http://127.0.0.1:7768")
		w.Leads = func(context.Context, string) (bool, bool) { return true, false }
	}},
	{"a mirror", "endpoint", OK, "https://mirror", func(w *World) { w.Environ = env("HF_ENDPOINT", "https://mirror") }},

	{"a typo in the settings", "settings", Fail, "reason", func(w *World) { w.Settings = func() (string, error) { return "/s/hffs.toml", errTest } }},
	{"read-only", "disk", Fail, "cannot be written", func(w *World) { w.Write = func(string) error { return errTest } }},
	{"a shelf", "disk", Warn, "can be read and shared", func(w *World) {
		w.Write = func(dir string) error {
			if dir == "/c" {
				return errTest
			}
			return nil
		}
	}},
	{"out of reach", "disk", Fail, "the cache, /c, cannot be written", func(w *World) {
		w.Read = func(string) error { return errTest }
		w.Write = w.Read
	}},
	{"full", "disk", Fail, "free", func(w *World) { w.Free = func(string) (int64, error) { return 1 << 20, nil } }},
	{"nearly full", "disk", Warn, "the cache", func(w *World) { w.Free = func(string) (int64, error) { return 1 << 30, nil } }},
	{"an odd disk", "disk", Warn, "not known", func(w *World) { w.Free = func(string) (int64, error) { return 0, errTest } }},
}

func TestNothingIsWrong(t *testing.T) {
	t.Parallel()
	var told []Line
	r := Run(t.Context(), fine(), Checks(), time.Minute, func(l Line) { told = append(told, l) })
	require.True(t, r.OK)
	require.Equal(t, r.Lines, told)
	for _, l := range r.Lines {
		require.Equal(t, OK, l.State, l)
	}
	names := []string{}
	for _, c := range Checks() {
		names = append(names, c.Name)
		require.True(t, slices.ContainsFunc(told, func(l Line) bool { return l.Check == c.Name }), c.Name)
	}
	require.True(t, slices.IsSortedFunc(told, func(a, b Line) int { return slices.Index(names, a.Check) - slices.Index(names, b.Check) }))
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	for _, s := range world {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := fine()
			s.make(&w)
			r := Run(t.Context(), w, Checks(), time.Minute, func(Line) {})
			worst := OK
			said := false
			for _, l := range r.Lines {
				if l.State != OK {
					require.NotEmpty(t, l.Hint, "%+v", l)
				}
				if l.Check != s.check {
					continue
				}
				if l.State == Fail || l.State == Warn && worst == OK {
					worst = l.State
				}
				said = said || l.State == s.state && strings.Contains(l.Text, s.says)
			}
			require.Equal(t, s.state, worst, "%+v", r.Lines)
			require.True(t, said, "%q in %+v", s.says, r.Lines)
			require.Equal(t, !slices.ContainsFunc(r.Lines, func(l Line) bool { return l.State == Fail }), r.OK)
		})
	}
}

func TestOnePeerThatGetsThroughIsEnough(t *testing.T) {
	t.Parallel()
	w := fine()
	w.Peers = func(context.Context) []Peer {
		return []Peer{{Name: "behind a firewall", Alive: true}, {Name: "near", Alive: true}, {Name: "not asked", Alive: true}}
	}
	w.Reach = func(_ context.Context, p Peer, _ string, _ int) error {
		require.NotEqual(t, "not asked", p.Name)
		if p.Name == "near" {
			return nil
		}
		return ErrSilent
	}
	for _, l := range reach(t.Context(), w) {
		require.Equal(t, OK, l.State)
		require.Contains(t, l.Text, "near gets through")
	}
}

// TestHangsAreLeftBehind: one check waits for ever, one listens to its context and says
// what it has.
func TestHangsAreLeftBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		checks := []Check{
			{"quick", func(context.Context, World) []Line { return []Line{ok("done")} }},
			{"stuck", func(context.Context, World) []Line { <-end; return nil }},
			{"polite", func(ctx context.Context, _ World) []Line { <-ctx.Done(); return []Line{ok("so far")} }},
		}
		began := time.Now()
		r := Run(t.Context(), World{}, checks, 13*time.Second, func(Line) {})
		require.LessOrEqual(t, time.Since(began), 14*time.Second)
		require.True(t, r.OK)
		require.Len(t, r.Lines, 3)
		require.Equal(t, Line{"quick", OK, "done", ""}, r.Lines[0])
		require.Equal(t, Warn, r.Lines[1].State)
		require.Contains(t, r.Lines[1].Text, "was not done after 13s")
		require.Equal(t, Line{"polite", OK, "so far", ""}, r.Lines[2])
		close(end)
	})
}

func TestFirewalls(t *testing.T) {
	t.Parallel()
	p := Ports{Gossip: 7766, Door: 7767}
	for name, c := range map[string]struct {
		system string
		file   string            // ufw.conf
		tools  map[string]string // what a command says; others are not there
		found  string
		allows string
	}{
		"none":             {"linux", "", nil, "", ""},
		"ufw off":          {"linux", "ENABLED=no\n", nil, "", ""},
		"ufw":              {"linux", "# x\nENABLED=yes\n", nil, "ufw", "7766:7767/tcp"},
		"firewalld":        {"linux", "", map[string]string{"firewall-cmd": "running\n"}, "firewalld", "7766-7767/tcp"},
		"firewalld off":    {"linux", "", map[string]string{"firewall-cmd": "not running"}, "", ""},
		"nftables":         {"linux", "", map[string]string{"nft": "chain in { type filter hook input priority 0; policy drop; }"}, "nftables", "input chain"},
		"nftables for NAT": {"linux", "", map[string]string{"nft": "chain p { type nat hook postrouting }"}, "", ""},
		"iptables":         {"linux", "", map[string]string{"iptables": "-P INPUT DROP"}, "iptables", "input chain"},
		"iptables empty":   {"linux", "", map[string]string{"iptables": "-P INPUT ACCEPT"}, "", ""},
		"macOS on":         {"darwin", "", map[string]string{"/usr/libexec/ApplicationFirewall/socketfilterfw": "Firewall is enabled. (State = 1)"}, "the application firewall of macOS", "System Settings"},
		"macOS off":        {"darwin", "", map[string]string{"/usr/libexec/ApplicationFirewall/socketfilterfw": "Firewall is disabled. (State = 0)"}, "", ""},
		"Windows":          {"windows", "", nil, "the firewall of Windows", "netsh advfirewall"},
		"another system":   {"plan9", "", nil, "", ""},
	} {
		all := Firewalls(t.Context(), Tools{
			System: c.system, Read: func(string) string { return c.file },
			Run: func(_ context.Context, name string, _ ...string) (string, error) {
				if out, there := c.tools[name]; there {
					return out, nil
				}
				return "", errTest
			},
		}, p)
		if c.found == "" {
			require.Empty(t, all, name)
			continue
		}
		require.Len(t, all, 1, name)
		require.Equal(t, c.found, all[0].Name, name)
		require.Contains(t, strings.Join(all[0].Allow, "; "), c.allows, name)
	}
}
