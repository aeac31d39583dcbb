package discovery

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNewStatic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]host{
		"box":                {"box", 7766},
		"box.example:99":     {"box.example", 99},
		"10.0.0.7":           {"10.0.0.7", 7766},
		"10.0.0.7:65535":     {"10.0.0.7", 65535},
		"fd00::7":            {"fd00::7", 7766},
		"[fd00::7]":          {"fd00::7", 7766},
		"[fd00::7]:99":       {"fd00::7", 99},
		"127.0.0.1:7768":     {"127.0.0.1", 7768},
		"under_score.local.": {"under_score.local.", 7766},
	} {
		s, err := NewStatic([]string{text, text}, 7766, nil)
		require.NoError(t, err, text)
		require.Equal(t, []host{want}, s.hosts, text)
	}
	for text, why := range map[string]string{
		"":                       "host name",
		":99":                    "host name",
		"box:":                   "port",
		"box:0":                  "port",
		"box:65536":              "port",
		"box:http":               "port",
		"[fd00::7":               "HOST:PORT",
		"[fd00::7]99":            "HOST:PORT",
		"http://box":             "port",
		"http://box:99/":         "letters",
		"two words":              "letters",
		"box\n":                  "letters",
		"0.0.0.0":                "cannot be reached",
		"224.0.0.251":            "cannot be reached",
		"fe80::1%eth0":           "cannot be reached",
		"::":                     "cannot be reached",
		strings.Repeat("x", 300): "too long",
	} {
		_, err := NewStatic([]string{"good", text}, 7766, nil)
		require.ErrorContains(t, err, why, text)
	}
	_, err := NewStatic(make([]string, maxHosts+1), 7766, nil)
	require.Error(t, err)
}

func TestStaticAsksForNamesAgainAndAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, err := NewStatic([]string{"box", "10.0.0.7:65535", "gone"}, 7766, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		asked := 0
		s.lookup = func(_ context.Context, _, name string) ([]netip.Addr, error) {
			if name == "gone" {
				return nil, errors.New("no such host")
			}
			if asked++; asked == 2 {
				return nil, errors.New("server is busy")
			}
			return addrs("127.0.1.1", "::ffff:10.0.0.9"), nil
		}
		start := time.Now()
		box := Peer{Addrs: addrs("10.0.0.9"), Gossip: 7766, Door: 7767, From: "static"}
		seven := Peer{Addrs: addrs("10.0.0.7"), Gossip: 65535, From: "static"}
		got := map[time.Duration][]Peer{}
		ctx, cancel := context.WithTimeout(t.Context(), 2*again+time.Second)
		defer cancel()
		require.NoError(t, s.Find(ctx, func(p Peer) { got[time.Since(start)] = append(got[time.Since(start)], p) }))
		require.ElementsMatch(t, []Peer{box, seven}, got[0])
		require.Equal(t, []Peer{seven}, got[again], "a name that fails keeps nobody waiting")
		require.ElementsMatch(t, []Peer{box, seven}, got[2*again])
		require.Equal(t, 1, strings.Count(log.String(), "peer=gone"), "a lasting trouble is told once")
	})
}

func TestStaticWithNobodyWaits(t *testing.T) {
	t.Parallel()
	s, err := NewStatic(nil, 7766, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Find(ctx, func(Peer) { t.Error("found somebody") }))
}
