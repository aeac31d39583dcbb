package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/discovery"
	"hffs/gossip/directory"
	"hffs/transfer/peer"
)

func passing(id string) discovery.Peer {
	return discovery.Peer{
		Member: passerMember("desk-"+id[:4], id), Node: id, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.9")}, Door: 4711,
	}
}

// TestWhoPassesByIsAskedAndNotJoined: what mDNS found has a door and no gossip.
func TestWhoPassesByIsAskedAndNotJoined(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	n, _ := l.up(t.TempDir())
	const id = "0123456789abcdef"
	n.join(t.Context())(passing(id))
	want := directory.Node{ID: id, Name: "desk-0123", Addr: netip.MustParseAddrPort("10.0.0.9:4711")}
	require.Equal(t, []directory.Node{want}, n.engine.passing.lately(time.Now()))
}

// TestWhoAskedIsAskedInTurn: of two that begin at the same time the first to ask hears
// that the other one does not fetch the file, which has to ask it in turn.
func TestWhoAskedIsAskedInTurn(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	n, _ := l.up(t.TempDir())
	p := l.passer(t.TempDir())
	_, shown := p.self()
	require.False(t, shown)
	p.opening()
	door := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(n.doorPort()))
	has, err := p.engine.dialer.Source(n.id, n.name, door).Greet(t.Context(), ref.Blob{ETag: ref.ETag(strings.Repeat("a", 64))})
	require.NoError(t, err)
	require.Zero(t, has)
	want := directory.Node{ID: p.id, Name: p.name, Addr: netip.AddrPortFrom(door.Addr(), uint16(p.port.Load()))}
	require.Contains(t, n.engine.passing.lately(time.Now()), want)
	found, sure := n.engine.locate(t.Context(), ref.Entry{Blob: ref.Blob{ETag: ref.ETag(strings.Repeat("a", 64))}})
	require.False(t, sure)
	require.Contains(t, found, directory.Holder{Node: want})
}

func TestPassersByAreForgotten(t *testing.T) {
	t.Parallel()
	var p passersby
	now := time.Now()
	for i := range 2 * passersMost {
		p.saw(passing(fmt.Sprintf("%016x", i)), now)
	}
	p.saw(passing(fmt.Sprintf("%016x", passersMost)), now.Add(time.Second)) // again
	all := p.lately(now)
	require.Len(t, all, passersMost)
	require.Equal(t, fmt.Sprintf("%016x", passersMost+1), all[0].ID, "the one heard of first")
	require.Len(t, p.lately(now.Add(passersFor+time.Second)), 1)
	require.Empty(t, p.lately(now.Add(passersFor+2*time.Second)))
	for name, change := range map[string]func(*discovery.Peer){
		"no id":      func(p *discovery.Peer) { p.Node = "" },
		"no door":    func(p *discovery.Peer) { p.Door = 0 },
		"no address": func(p *discovery.Peer) { p.Addrs = nil },
	} {
		bad := passing("0123456789abcdef")
		change(&bad)
		p.saw(bad, now)
		require.Empty(t, p.lately(now), name)
	}
}

// TestPassersByShowThemselvesOnlyToFetch: who asks where a file is has no door and is
// not announced; neither is who could not be found anyway.
func TestPassersByShowThemselvesOnlyToFetch(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	p := l.passer(t.TempDir())
	_, err := p.Where(t.Context(), ask)
	require.NoError(t, err)
	_, shown := p.self()
	require.False(t, shown)
	_, err = p.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	self, shown := p.self()
	require.True(t, shown)
	require.Zero(t, self.Gossip)

	cfg := l.config(t.TempDir())
	cfg.NoMDNS = true
	alone, err := NewPasserby(cfg)
	require.NoError(t, err)
	t.Cleanup(alone.Close)
	got, err := alone.Get(t.Context(), ask, nil)
	require.NoError(t, err)
	require.Equal(t, l.size, bytesBy(got, "hub"))
	require.Nil(t, alone.door)
}

// TestStaysForOthers as long as they come for something, but not for ever.
func TestStaysForOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path  string
		stays time.Duration // how long somebody is at the door
		hurry time.Duration // when the user has enough
		want  time.Duration
	}{
		"nobody comes":        {peer.PathBlobs, 0, time.Hour, lingerIdle},
		"somebody needs more": {peer.PathBlobs, time.Second, time.Hour, time.Second + lingerIdle},
		"somebody is slow":    {peer.PathBlobs, time.Minute, time.Hour, lingerMost},
		"only news":           {peer.PathFeeds, time.Minute, time.Hour, lingerIdle},
		"the user is gone":    {peer.PathBlobs, time.Minute, time.Second, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := &visits{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(c.stays) })}
			var gone sync.WaitGroup
			defer gone.Wait()
			gone.Go(func() { v.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, c.path, nil)) })
			synctest.Wait()
			hurried := make(chan struct{})
			time.AfterFunc(c.hurry, func() { close(hurried) })
			require.InDelta(t, c.want, v.await(hurried), float64(lingerLook), name)
		})
	}
}
