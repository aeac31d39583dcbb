package endpoint

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

// doubtful is a shelf that has handed out wrong bytes.
type doubtful struct{ *shelf }

func (doubtful) Spoilt(ref.ETag) bool { return true }

func TestNobodyGoesOnFromWrongBytes(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	srv := httptest.NewServer(New(Config{Library: doubtful{s}, Explain: explain}))
	t.Cleanup(srv.Close)
	d := door{s, t, srv.URL}
	for _, c := range []struct {
		story, asks string
		agent       http.Header
		status      int
		length      int
	}{
		{"the rest, for who starts anew then", "bytes=7-", agentPython, 200, 1000},
		{"the rest, for whoever takes it as it comes", "bytes=7-", nil, 502, 0},
		{"all of it", "bytes=0-", nil, 206, 1000},
		{"a part by both ends", "bytes=7-999", nil, 206, 993},
		{"the end", "bytes=-3", agentPython, 206, 3},
	} {
		h := http.Header{"Range": {c.asks}}
		for name, v := range c.agent {
			h[name] = v
		}
		got := d.ask(http.MethodGet, "/org/model/resolve/main/model.safetensors", h, "")
		require.Equal(t, c.status, got.StatusCode, c.story)
		if c.length > 0 {
			require.Len(t, got.body, c.length, c.story)
		} else {
			require.True(t, strings.Contains(got.body, "from the beginning"), got.body)
		}
	}
}
