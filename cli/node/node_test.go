package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache"
	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/gossip"
	"hffs/transfer/hub"
	"hffs/transfer/hub/standin"
)

const file = "weights.safetensors"

var repo = ref.Repo{Type: ref.Model, ID: "org/model"}

// lan is one machine's loopback with a Hub on it; nodes see only those of the
// same test.
type lan struct {
	t     *testing.T
	hub   *standin.Hub
	url   string
	close func()
	swarm string
	size  int64
	limit func(*Config) // may be nil
}

func newLAN(t *testing.T) *lan {
	h := standin.New()
	l := &lan{t: t, hub: h, swarm: t.Name() + fmt.Sprint(os.Getpid()), size: 20_000_000}
	h.Add(repo, "main", map[string]standin.Content{
		file:          standin.Synthetic(1, l.size),
		"config.json": standin.String(`{"a": 1}`),
	})
	running, err := h.Start("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	l.url, l.close = running.URL(), func() { _ = running.Close() }
	t.Cleanup(l.close)
	return l
}

func (l *lan) config(home string) Config {
	return Config{
		Place: cache.Place{Home: home, Hub: filepath.Join(home, "hub"), State: filepath.Join(home, "hffs")},
		Swarm: l.swarm, Loopback: true, Hub: hub.Config{Endpoints: []string{l.url}},
	}
}

// up runs a node until the test ends, or stop is called.
func (l *lan) up(home string) (n *Node, stop func()) {
	l.t.Helper()
	cfg := l.config(home)
	if l.limit != nil {
		l.limit(&cfg)
	}
	n, err := New(cfg)
	require.NoError(l.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(l.t, <-done)
			n.Close()
		}
	}
	l.t.Cleanup(stop)
	return n, stop
}

func (l *lan) passer(home string) *Passerby {
	p, err := NewPasserby(l.config(home))
	require.NoError(l.t, err)
	l.t.Cleanup(p.Close)
	return p
}

func (l *lan) peers(n *Node, want int) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		s, err := n.Status(context.Background())
		return err == nil && len(s.Peers) == want
	}, 30*time.Second, 20*time.Millisecond)
}

// shares waits until the node tells others of the file.
func (l *lan) shares(n *Node) {
	l.t.Helper()
	p := l.asker(n)
	f := ref.File{Repo: repo, Revision: "main", Path: file}
	require.Eventually(l.t, func() bool {
		known, err := p.Known(l.t.Context(), f)
		return err == nil && len(known) == 1 && known[0].HasEntry
	}, 10*time.Second, 10*time.Millisecond)
}

// asker asks one node as strangers do.
func (l *lan) asker(n *Node) *gossip.Passerby {
	door := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(n.doorPort()))
	return &gossip.Passerby{Doors: []netip.AddrPort{door}, Swarm: l.swarm}
}

var ask = control.Ask{Repo: repo.ID, File: file}

func TestSecondMachineGetsItFromTheFirst(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a, _ := l.up(t.TempDir())
	b, _ := l.up(t.TempDir())
	l.peers(a, 1)
	l.peers(b, 1)
	first, err := a.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	require.Equal(t, "hub", first.Sources[0].Kind)
	sent := l.hub.BodyBytes(repo, file)

	second, err := b.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	require.Equal(t, []control.Source{{Kind: "peer", Name: a.Name(), Bytes: l.size}}, second.Sources)
	require.Equal(t, sent, l.hub.BodyBytes(repo, file), "the Hub sent nothing more")

	w, err := b.Where(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, second.Path, *w.Local)
	require.True(t, w.Hub)
	require.Len(t, w.Holders, 1)
	require.True(t, w.Holders[0].Complete)
	require.Equal(t, a.Name(), w.Holders[0].Node)
}

func TestPasserbyFetchesFromTheSwarm(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a, _ := l.up(t.TempDir())
	_, err := a.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(a)
	sent := l.hub.BodyBytes(repo, file)

	p := l.passer(t.TempDir())
	got, err := p.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	require.Equal(t, "peer", got.Sources[0].Kind)
	require.Equal(t, sent, l.hub.BodyBytes(repo, file))
	w, err := p.Where(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, w.Holders, 1)
	_, err = p.Status(t.Context())
	require.Equal(t, control.CodeNoNode, Explain(err).Code)
}

func TestHubGoneTheSwarmRemembers(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	a, _ := l.up(t.TempDir())
	_, err := a.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	l.shares(a)
	l.close()

	got, err := l.passer(t.TempDir()).Get(t.Context(), ask, nil)
	require.NoError(t, err)
	require.Equal(t, "peer", got.Sources[0].Kind)
	require.NotEmpty(t, got.Warnings)
	require.Contains(t, got.Warnings[0], "ago")
	require.Contains(t, got.Warnings[0], a.Name())

	_, err = l.passer(t.TempDir()).Get(t.Context(), control.Ask{Repo: "org/unknown", File: file}, nil)
	require.Equal(t, control.CodeNoSource, Explain(err).Code)
}

func TestCommandFindsTheNode(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	home := t.TempDir()
	place := l.config(home).Place
	require.Nil(t, Running(place.State, place.Hub))
	n, stop := l.up(home)
	var p *control.Place
	require.Eventually(t, func() bool { p = Running(place.State, place.Hub); return p != nil }, 10*time.Second, 10*time.Millisecond)
	require.Nil(t, Running(place.State, "/another/cache"))

	client := control.NewClient(p.Addr, p.Key)
	s, err := client.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, n.Name(), s.Node)
	phases := map[string]bool{}
	got, err := client.Get(t.Context(), ask, func(p control.Progress) { phases[p.Phase] = true })
	require.NoError(t, err)
	require.FileExists(t, got.Path)
	require.True(t, phases["resolving"])
	require.Greater(t, len(phases), 1)

	_, err = control.NewClient(p.Addr, "wrong").Status(t.Context())
	require.ErrorContains(t, err, "control key")
	_, err = client.Get(t.Context(), control.Ask{Repo: "../etc", File: "passwd"}, nil)
	var said *control.Error
	require.ErrorAs(t, err, &said)
	require.Equal(t, control.CodeUsage, said.Code)
	require.NotEmpty(t, said.Hint)

	stop()
	require.Nil(t, Running(place.State, place.Hub))
	_, err = client.Status(t.Context())
	// Another node may have got the port by now, and does not know the key.
	require.Contains(t, []control.Code{control.CodeNoNode, control.CodeUsage}, Explain(err).Code)
}

func TestNodesOnOneStateFolder(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	home := t.TempDir()
	a, _ := l.up(home)
	b, _ := l.up(home)
	require.NotEqual(t, a.id, b.id)
	l.peers(a, 1)
	l.peers(b, 1)
}

func TestIdentityLasts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := identity(dir)
	require.NoError(t, err)
	again, err := identity(dir)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "node-id"), []byte("rubbish"), 0o600))
	other, err := identity(dir)
	require.NoError(t, err)
	require.NotEqual(t, first, other)
}

func TestLabel(t *testing.T) {
	t.Parallel()
	require.Equal(t, "desk-0123", label("desk", "0123456789abcdef"))
	require.Equal(t, "node-0123", label("机器", "0123456789abcdef"))
	require.LessOrEqual(t, len(label(strings.Repeat("x", 100), "0123456789abcdef")), 32)
	require.Equal(t, "ab31mc-0123", label("a\x1bb[31m\nc", "0123456789abcdef"))
}

func TestPortGivenAndTaken(t *testing.T) {
	t.Parallel()
	port := takenPort(t)
	l := newLAN(t)
	for what, cfg := range map[string]func(*Config){
		"gossip": func(c *Config) { c.Port = port },
		"door":   func(c *Config) { c.Port = port - 1 },
		"API":    func(c *Config) { c.APIPort = port },
	} {
		t.Run(what, func(t *testing.T) {
			c := l.config(t.TempDir())
			cfg(&c)
			_, err := New(c)
			e := Explain(err)
			require.Equal(t, control.CodePort, e.Code, "%v", err)
			require.Contains(t, e.Message, fmt.Sprint(port))
			require.NotEmpty(t, e.Hint)
		})
	}
}

// takenPort is a port that is taken between two that are not.
func takenPort(t *testing.T) int {
	t.Helper()
	for {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := taken.Addr().(*net.TCPAddr).Port
		free := true
		for _, beside := range []int{port - 1, port + 1} {
			other, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", beside))
			if free = free && err == nil; err == nil {
				require.NoError(t, other.Close())
			}
		}
		if free {
			t.Cleanup(func() { _ = taken.Close() })
			return port
		}
		require.NoError(t, taken.Close())
	}
}

func TestAPIAnswersOnlyForThisMachine(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	n, _ := l.up(t.TempDir())
	url := "http://" + n.doors.api.Addr().String() + "/control/v1/status"
	for host, want := range map[string]int{"evil.example": 403, "evil.example:7768": 403, "localhost": 401, "127.0.0.1:7768": 401} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode, host)
	}
}

func TestExplainHasAHint(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		hub.ErrEntryNotFound, hub.ErrRevisionNotFound, hub.ErrRepoNotFound, hub.ErrGated, hub.ErrUnauthorized,
		hub.ErrDisabled, hub.ErrRateLimited, hub.ErrOffline, hub.ErrUnreachable,
		&cache.SpaceError{Need: 10, Free: 5}, os.ErrPermission, cache.ErrMismatch, context.Canceled,
	} {
		e := Explain(fmt.Errorf("wrapped: %w", err))
		require.NotEqual(t, control.CodeInternal, e.Code, "%v", err)
		require.NotEmpty(t, e.Hint, "%v", err)
	}
	require.Equal(t, control.CodeInternal, Explain(errors.New("odd")).Code)
}

// revisions puts two revisions of a file on the Hub, over Xet: the second has
// bytes inserted near the front. They are small: where peers bring less than some
// megabytes in a second, as on a busy machine, the Hub helps them, as it should.
func (l *lan) revisions(rule chunk.Rule) (first, second ref.Commit, oldBytes, newBytes []byte) {
	oldBytes = make([]byte, 6_000_000)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(oldBytes)
	newBytes = append(append(bytes.Clone(oldBytes[:1_000_000]), []byte("inserted near the front")...), oldBytes[1_000_000:]...)
	var commits []ref.Commit
	for _, b := range [][]byte{oldBytes, newBytes} {
		c, err := l.hub.OverXet(standin.Bytes(b).LFS(), rule)
		require.NoError(l.t, err)
		commits = append(commits, l.hub.Add(repo, "main", map[string]standin.Content{file: c}))
	}
	return commits[0], commits[1], oldBytes, newBytes
}

func (l *lan) at(c ref.Commit) control.Ask {
	return control.Ask{Repo: repo.ID, File: file, Revision: string(c)}
}

// learnt waits until a node's index has the map of a blob.
func (l *lan) learnt(n *Node, c ref.Commit) {
	l.t.Helper()
	e, ok := n.cache.SureEntry(repo, c, file)
	require.True(l.t, ok)
	require.NotEmpty(l.t, e.Blob.Xet)
	require.NoError(l.t, n.cache.Learn(l.t.Context(), e.Blob))
}

func bytesBy(got control.Got, kind string) (n int64) {
	for _, s := range got.Sources {
		if s.Kind == kind {
			n += s.Bytes
		}
	}
	return n
}

func TestUnchangedChunksAreNotSentAgain(t *testing.T) {
	t.Parallel()
	for _, rule := range []chunk.Rule{chunk.Current, chunk.Legacy} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			first, second, _, want := l.revisions(rule)
			a, _ := l.up(t.TempDir())
			b, _ := l.up(t.TempDir())
			l.peers(a, 1)
			l.peers(b, 1)

			// a has both revisions; b has the first one only.
			_, err := a.Get(t.Context(), l.at(first), nil)
			require.NoError(t, err)
			_, err = a.Get(t.Context(), l.at(second), nil)
			require.NoError(t, err)
			_, err = b.Get(t.Context(), l.at(first), nil)
			require.NoError(t, err)
			l.learnt(a, second)
			l.learnt(b, first)

			got, err := b.Get(t.Context(), l.at(second), nil)
			require.NoError(t, err)
			data, err := os.ReadFile(got.Path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, data))
			require.Zero(t, bytesBy(got, "hub"))
			require.Less(t, bytesBy(got, "peer"), int64(len(want))*4/100, "%+v", got.Sources)
			require.Greater(t, bytesBy(got, "reuse"), int64(len(want))*96/100)
		})
	}
}

func TestOlderRevisionsServeTheirChunks(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	first, second, _, want := l.revisions(chunk.Current)
	a, _ := l.up(t.TempDir()) // has the first revision
	b, _ := l.up(t.TempDir()) // has nothing but the second one's map
	l.peers(a, 1)
	l.peers(b, 1)
	_, err := a.Get(t.Context(), l.at(first), nil)
	require.NoError(t, err)
	l.learnt(a, first)
	entry, err := b.engine.resolver.Hub.Resolve(t.Context(), ref.File{Repo: repo, Revision: string(second), Path: file})
	require.NoError(t, err)
	maps, err := chunk.Scan(t.Context(), bytes.NewReader(want), int64(len(want)), chunk.ScanOptions{})
	require.NoError(t, err)
	require.NoError(t, b.cache.KeepMap(entry.Blob, maps[0]))

	before := l.hub.XorbBytes() + l.hub.AllBodyBytes()
	got, err := b.Get(t.Context(), l.at(second), nil)
	require.NoError(t, err)
	data, err := os.ReadFile(got.Path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, data))
	require.Greater(t, bytesBy(got, "peer"), int64(len(want))*90/100, "%+v", got.Sources)
	require.Less(t, l.hub.XorbBytes()+l.hub.AllBodyBytes()-before, int64(len(want))*10/100)
}

// TestNewRevisionOnTheHubOnly: nobody has the new one; what it shares with the old
// one is not downloaded again.
func TestNewRevisionOnTheHubOnly(t *testing.T) {
	t.Parallel()
	for name, peerHasIt := range map[string]bool{"the old one is here": false, "the old one is with a peer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			first, second, _, want := l.revisions(chunk.Current)
			a, _ := l.up(t.TempDir())
			b := a
			if peerHasIt {
				b, _ = l.up(t.TempDir())
				l.peers(a, 1)
				l.peers(b, 1)
			}
			_, err := a.Get(t.Context(), l.at(first), nil)
			require.NoError(t, err)
			if peerHasIt {
				require.Eventually(t, func() bool { return len(b.versions(t)) > 0 }, 20*time.Second, 20*time.Millisecond)
				l.learnt(a, first)
			}
			before := l.hub.XorbBytes() + l.hub.AllBodyBytes()
			got, err := b.Get(t.Context(), l.at(second), nil)
			require.NoError(t, err)
			data, err := os.ReadFile(got.Path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, data))
			require.Less(t, l.hub.XorbBytes()+l.hub.AllBodyBytes()-before, int64(len(want))*4/100, "%+v", got.Sources)
			kind := map[bool]string{false: "reuse", true: "peer"}[peerHasIt]
			require.Greater(t, bytesBy(got, kind), int64(len(want))*90/100, "%+v", got.Sources)
		})
	}
}

// TestPasserbyReusesToo: without a node nothing is indexed beforehand.
func TestPasserbyReusesToo(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	first, second, _, want := l.revisions(chunk.Legacy)
	home := t.TempDir()
	for i, c := range []ref.Commit{first, second} {
		cfg := l.config(home)
		cfg.NoMDNS = true
		p, err := NewPasserby(cfg)
		require.NoError(t, err)
		before := l.hub.XorbBytes() + l.hub.AllBodyBytes()
		got, err := p.Get(t.Context(), l.at(c), nil)
		p.Close()
		require.NoError(t, err)
		if i == 1 {
			data, err := os.ReadFile(got.Path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, data))
			require.Less(t, l.hub.XorbBytes()+l.hub.AllBodyBytes()-before, int64(len(want))*4/100, "%+v", got.Sources)
		}
	}
}

func TestHubByXetAndByTheBridge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		noXet bool
		fault string
		want  string
	}{
		"xet":             {want: "xet"},
		"switched off":    {noXet: true, want: "127.0.0.1"},
		"no token":        {fault: "*xet-read-token*", want: "127.0.0.1"},
		"no xorbs":        {fault: "/xorbs/*", want: "127.0.0.1"},
		"no reconstructs": {fault: "/v*/reconstructions/*", want: "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t)
			_, second, _, want := l.revisions(chunk.Current)
			if c.fault != "" {
				require.NoError(t, l.hub.Break(standin.Fault{Do: standin.FaultStatus, N: 500, Path: c.fault}))
			}
			cfg := l.config(t.TempDir())
			cfg.NoXet, cfg.NoMDNS = c.noXet, true
			p, err := NewPasserby(cfg)
			require.NoError(t, err)
			t.Cleanup(p.Close)
			got, err := p.Get(t.Context(), l.at(second), nil)
			require.NoError(t, err)
			data, err := os.ReadFile(got.Path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, data))
			require.True(t, strings.HasPrefix(got.Sources[len(got.Sources)-1].Name, c.want), "%+v", got.Sources)
			require.Empty(t, got.Warnings, "one way takes the other's place silently")
		})
	}
}

// versions are what the engine finds of the file with others.
func (n *Node) versions(t *testing.T) []ref.Entry {
	all, err := n.swarm.Versions(t.Context(), repo, file)
	require.NoError(t, err)
	return all
}
