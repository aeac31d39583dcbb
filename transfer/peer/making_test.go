package peer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/transfer/source"
)

func FuzzParseMaking(f *testing.F) {
	for _, text := range []string{"", "0 0", "1 9223372036854775807", "2 1", "1 -1", "1 9223372036854775808", "1 1 1", "1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := parseMaking(text)
		if !ok {
			require.Zero(t, m)
			return
		}
		require.GreaterOrEqual(t, m.Done, int64(0))
		again, ok := parseMaking(formatMaking(m))
		require.True(t, ok)
		require.Equal(t, m, again)
	})
}

func TestParseMaking(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]source.Making{"0 0": {}, "1 9223372036854775807": {Begun: true, Done: 1<<63 - 1}} {
		m, ok := parseMaking(text)
		require.True(t, ok, text)
		require.Equal(t, want, m)
	}
	for _, text := range []string{"", "2 1", "1 -1", "1 9223372036854775808", "1", "1 1 1", "0 00000000000000000000000000001"} {
		_, ok := parseMaking(text)
		require.False(t, ok, text)
	}
}

// TestAMapCutShortIsNoLie: whoever stops reading, or whose line breaks, has no reason to
// call the teller a liar.
func TestAMapCutShortIsNoLie(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  string
		hold  bool
		wrong bool
	}{
		"we have no more time": {"HFCM", true, false},
		"the line breaks":      {"HFCM", false, false},
		"it is none":           {strings.Repeat("x", 1000), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, c.body)
				_ = http.NewResponseController(w).Flush()
				if c.hold {
					<-r.Context().Done()
				}
			}))
			defer node.Close()
			s := NewDialer().Source("0123456789abcdef", "desk", netip.MustParseAddrPort(node.Listener.Addr().String()))
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := s.ContentMap(ctx, ref.Blob{ETag: ref.ETag(strings.Repeat("a", 64)), Xet: ref.XetHash(strings.Repeat("b", 64)), Size: 1 << 20})
			require.Error(t, err)
			require.Equal(t, c.wrong, errors.Is(err, source.ErrWrong), "%v", err)
		})
	}
}
