package reach

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func door(t *testing.T, probe func(context.Context, netip.AddrPort) error) netip.AddrPort {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(Path, NewServer(probe))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func port(t *testing.T) (open net.Listener, number int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.TCPAddr).Port
}

func TestAsk(t *testing.T) {
	t.Parallel()
	var asked netip.AddrPort
	said := ErrSilent
	d := door(t, func(_ context.Context, to netip.AddrPort) error {
		asked = to
		return said
	})
	l, n := port(t)
	a, err := Ask(t.Context(), d, "tcp", n)
	require.NoError(t, err)
	require.Equal(t, Answer{Result: Open, From: netip.MustParseAddr("127.0.0.1")}, a)
	require.NoError(t, l.Close())
	a, err = Ask(t.Context(), d, "tcp", n)
	require.NoError(t, err)
	require.Equal(t, Refused, a.Result)

	a, err = Ask(t.Context(), d, "udp", 7766)
	require.NoError(t, err)
	require.Equal(t, Silent, a.Result)
	require.Equal(t, "127.0.0.1:7766", asked.String(), "nobody but the asker")
	said = nil
	a, err = Ask(t.Context(), d, "udp", 7766)
	require.NoError(t, err)
	require.Equal(t, Open, a.Result)
	said = errors.New("no way to send")
	a, err = Ask(t.Context(), d, "udp", 7766)
	require.NoError(t, err)
	require.Equal(t, Answer{Failed, a.From, "no way to send"}, a)
}

func TestDoorRefusesOthers(t *testing.T) {
	t.Parallel()
	d := door(t, nil)
	for name, c := range map[string]struct {
		method, query, header string
	}{
		"a web page":          {"GET", "port=7766&net=tcp", ""},
		"another method":      {"POST", "port=7766&net=tcp", "1"},
		"no port":             {"GET", "net=tcp", "1"},
		"somebody's ssh":      {"GET", "port=22&net=tcp", "1"},
		"a port too high":     {"GET", "port=65536&net=tcp", "1"},
		"no port at all":      {"GET", "port=-1&net=tcp", "1"},
		"no network":          {"GET", "port=7766", "1"},
		"an unknown network":  {"GET", "port=7766&net=unix", "1"},
		"a host of their own": {"GET", "port=10.0.0.1:7766&net=tcp", "1"},
	} {
		r, err := http.NewRequest(c.method, "http://"+d.String()+Path+"?"+c.query, nil)
		require.NoError(t, err)
		if c.header != "" {
			r.Header.Set(header, c.header)
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, name)
	}
}

func TestDoorIsNotHurried(t *testing.T) {
	t.Parallel()
	d := door(t, func(context.Context, netip.AddrPort) error { return nil })
	var err error
	for range 10 * burst {
		if _, err = Ask(t.Context(), d, "udp", 7766); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, ErrUnable)
}

func TestDoorAnswersFewAtATime(t *testing.T) {
	t.Parallel()
	inside, leave := make(chan struct{}), make(chan struct{})
	d := door(t, func(context.Context, netip.AddrPort) error {
		inside <- struct{}{}
		<-leave
		return nil
	})
	for range atOnce {
		go func() { _, _ = Ask(context.Background(), d, "udp", 7766) }()
		<-inside
	}
	_, err := Ask(t.Context(), d, "udp", 7766)
	require.ErrorIs(t, err, ErrUnable)
	close(leave)
}

func TestOlderNodesCannotSay(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	_, err := Ask(t.Context(), netip.MustParseAddrPort(s.Listener.Addr().String()), "tcp", 7766)
	require.ErrorIs(t, err, ErrUnable)
	_, n := port(t)
	gone := netip.MustParseAddrPort("127.0.0.1:" + strconv.Itoa(n))
	s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Ask(ctx, gone, "tcp", 7766)
	require.ErrorIs(t, err, context.Canceled)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"result":"open","from":"10.0.0.7"}`))
	f.Add([]byte(`{"result":"failed","from":"","reason":"\u001b[2J"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := decode(b); err == nil {
			require.Contains(t, []string{Open, Refused, Silent, Failed}, a.Result)
		} else {
			require.Zero(t, a)
		}
	})
}
