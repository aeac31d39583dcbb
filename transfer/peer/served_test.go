package peer

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// However many requests a transfer takes, it is told of once, with their sum.
func TestWhatWasServedIsToldOnce(t *testing.T) {
	t.Parallel()
	content := make([]byte, 1000)
	var door *Server
	told := make(chan Served, 10)
	src, e, _ := serve(t, content, func(next http.Handler) http.Handler {
		door = next.(*Server)
		door.Served = func(s Served) { told <- s }
		return door
	})
	for off := int64(0); off < 1000; off += 100 {
		body, err := src.Open(t.Context(), e, off, 100)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, body)
		require.NoError(t, err)
		require.EqualValues(t, 100, n)
		require.NoError(t, body.Close())
	}
	_, err := src.Have(t.Context(), e.Blob)
	require.NoError(t, err)
	s := <-told
	require.Equal(t, "127.0.0.1", s.To)
	require.Equal(t, e.Blob.ETag, s.Blob)
	require.EqualValues(t, 1000, s.Bytes)
	require.Equal(t, 10, s.Requests)
	door.Flush()
	require.Empty(t, told)
}

// What is open when the node ends is told then.
func TestFlushTellsOfWhatIsOpen(t *testing.T) {
	t.Parallel()
	door := NewServer(nil, slog.New(slog.DiscardHandler))
	told := make(chan Served, 10)
	door.Served = func(s Served) { told <- s }
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	require.NoError(t, err)
	for range 3 {
		for _, from := range []string{"10.0.0.1:4000", "10.0.0.1:4001", "[fd00::1]:4000"} {
			r.RemoteAddr = from
			door.served(r, "abc", 10)
			door.served(r, "abc", 0) // a HEAD
		}
	}
	door.Flush()
	got := map[string]int64{}
	for range 2 {
		s := <-told
		got[s.To] = s.Bytes
	}
	require.Equal(t, map[string]int64{"10.0.0.1": 60, "fd00::1": 30}, got)
	require.Empty(t, told)
}
