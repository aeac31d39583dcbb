package hub

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func TestParseEndpoints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want []string
		hub  string
	}{
		{"", []string{"https://huggingface.co"}, "huggingface.co"},
		{" , ,", []string{"https://huggingface.co"}, "huggingface.co"},
		{"https://hf-mirror.com/", []string{"https://hf-mirror.com"}, "hf-mirror.com"},
		{" https://A.example:443/ ,http://b.example:80,https://a.example", []string{"https://a.example", "http://b.example"}, "a.example"},
		{"https://hf-mirror.com,https://HuggingFace.co", []string{"https://hf-mirror.com", "https://huggingface.co"}, "huggingface.co"},
		{"http://127.0.0.1:8080,http://[::1]:81//", []string{"http://127.0.0.1:8080", "http://[::1]:81"}, "127.0.0.1:8080"},
		{"https://art.example/api/hf/", []string{"https://art.example/api/hf"}, "art.example/api/hf"},
	} {
		got, err := ParseEndpoints(tt.in)
		require.NoError(t, err, tt.in)
		require.Equal(t, tt.want, got)
		eps, err := newEndpoints(got)
		require.NoError(t, err)
		require.Equal(t, tt.hub, hubAmong(eps).name)
	}
	for _, bad := range []string{"hf-mirror.com", "ftp://x", "https://", "https://x?a=b", "https://x#y", "http://[::1", "https://\x7f", strings.Repeat("https://x,", 3) + "/y"} {
		_, err := ParseEndpoints(bad)
		require.Error(t, err, bad)
	}
	_, err := ParseEndpoints("https://user:geheim@hub.example")
	require.ErrorContains(t, err, "hub.example")
	require.NotContains(t, err.Error(), "geheim")
	var many []string
	for i := range maxEndpoints + 1 {
		many = append(many, "https://m"+strings.Repeat("x", i)+".example")
	}
	_, err = ParseEndpoints(strings.Join(many, ","))
	require.Error(t, err)
}

func TestResolveURL(t *testing.T) {
	t.Parallel()
	eps, err := newEndpoints([]string{"https://art.example/api/hf"})
	require.NoError(t, err)
	f, err := ref.NewFile(ref.Repo{Type: ref.Dataset, ID: "org/name"}, "refs/pr/1", "a b/c?d#e%f.txt")
	require.NoError(t, err)
	u, err := eps[0].resolveURL(f)
	require.NoError(t, err)
	require.Equal(t, "https://art.example/api/hf/datasets/org/name/resolve/refs%2Fpr%2F1/a%20b/c%3Fd%23e%25f.txt", u.String())
}

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	home, err := url.Parse("https://huggingface.co/x")
	require.NoError(t, err)
	for s, want := range map[string]bool{
		"https://HuggingFace.co:443/y": true, "http://huggingface.co/x": false, "https://huggingface.co:444/x": false,
		"https://cdn-lfs.huggingface.co/x": false, "https://huggingface.co.evil.example/x": false,
	} {
		u, err := url.Parse(s)
		require.NoError(t, err)
		require.Equal(t, want, sameOrigin(home, u), s)
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "localhost": true, "::ffff:127.0.0.1": true,
		"10.0.0.1": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "0.0.0.0": false, "2130706433": false,
	} {
		require.Equal(t, want, isLoopback(host), host)
	}
}

// A rest ends, and a link is not used for longer than its signature lasts.
func TestTimePasses(t *testing.T) {
	t.Parallel()
	var notices []string
	notice := func(s string) { notices = append(notices, s) }
	c, err := New(Config{Endpoints: []string{"https://a.example", "https://b.example"}, Notice: notice})
	require.NoError(t, err)
	now := time.Now()
	c.now = func() time.Time { return now }
	a := c.endpoints[0]
	for range 2 {
		c.passOver(t.Context(), a, a.fault(nil, "is broken"))
	}
	require.Len(t, notices, 1)
	require.Equal(t, "b.example", c.turns(c.endpoints)[0].name)
	e := ref.Entry{Path: "x"}
	at, err := c.start(t.Context(), a, a.base)
	require.NoError(t, err)
	c.links.put(a, "", e, at, c.now())
	_, ok := c.links.get(a, "", e, c.now())
	require.True(t, ok)

	now = now.Add(linkLife)
	require.Equal(t, "a.example", c.turns(c.endpoints)[0].name)
	_, ok = c.links.get(a, "", e, c.now())
	require.False(t, ok)
	c.links.put(a, "", e, at, c.now())
	_, ok = c.links.get(a, "", e, c.now())
	require.True(t, ok, "the same address counts anew once its time was up")
}

// Where there is no other endpoint, the error itself says what happened.
func TestOneEndpointIsNotPassedOver(t *testing.T) {
	t.Parallel()
	c, err := New(Config{Notice: func(s string) { t.Error(s) }})
	require.NoError(t, err)
	c.passOver(t.Context(), c.endpoints[0], c.endpoints[0].fault(nil, "is broken"))
}

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	got, err := parseContentRange("bytes 5-9/100")
	require.NoError(t, err)
	require.Equal(t, contentRange{5, 5, 100}, got)
	got, err = parseContentRange("bytes 0-0/*")
	require.NoError(t, err)
	require.Equal(t, contentRange{0, 1, -1}, got)
	for _, bad := range []string{"", "bytes", "bytes */100", "bytes 9-5/100", "bytes 5-100/100", "items 0-1/2", "bytes -1-2/3", "bytes 0-99999999999999999999/*"} {
		_, err := parseContentRange(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes 5-9/*", "bytes */5", "bytes 1-/2", "bytes 4611686018427387903-4611686018427387903/4611686018427387904"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseContentRange(s)
		if err == nil && (r.off < 0 || r.n <= 0 || r.total >= 0 && r.off+r.n > r.total) {
			t.Fatalf("%q gave %+v", s, r)
		}
	})
}

func FuzzParseEndpoints(f *testing.F) {
	for _, s := range []string{"", "https://a,b", "http://[::1]:8/x/", "https://u:p@h", "https://h/%2f?x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseEndpoints(s)
		if err != nil {
			return
		}
		again, err := ParseEndpoints(strings.Join(list, ","))
		require.NoError(t, err)
		require.Equal(t, list, again, "what was read reads the same again")
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add(`"resolvers";r=0;t=258`, "")
	f.Add("", "120")
	f.Add(`r=0;t=99999999999`, "-1")
	f.Fuzz(func(t *testing.T, limit, after string) {
		h := http.Header{headerRateLimit: {limit}, "Retry-After": {after}}
		if d := parseRetryAfter(h, time.Now()); d < 0 || d > maxRetryAfter {
			t.Fatalf("%v", d)
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("Entry not found")
	f.Add("\x1b[31m\xff\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		require.LessOrEqual(t, len(clean(s)), maxMessage)
		require.NotContains(t, clean(s), "\x1b")
	})
}
