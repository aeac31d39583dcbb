package hub

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A CAS is told the token that it gave out and names where the data is: over
// plain http only where the Hub itself was asked so, or on this machine.
func TestXetCASNeedsTLS(t *testing.T) {
	t.Parallel()
	answer := func(cas string) []byte { return []byte(`{"casUrl":"` + cas + `","accessToken":"a","exp":1}`) }
	for _, tt := range []struct {
		hub, cas string
		ok       bool
	}{
		{"https", "https://cas.example", true},
		{"https", "http://cas.example", false},
		{"https", "http://127.0.0.1:1", true},
		{"http", "http://10.0.0.1:1", true},
	} {
		got, err := parseXetToken(answer(tt.cas+"/"), tt.hub)
		if tt.ok {
			require.NoError(t, err, tt.cas)
			require.Equal(t, tt.cas, got.CAS)
		} else {
			require.ErrorContains(t, err, "without TLS")
		}
	}
}

func FuzzParseXetToken(f *testing.F) {
	f.Add([]byte(`{"casUrl":"https://cas.example","accessToken":"a","exp":1}`))
	f.Add([]byte(`{"casUrl":"http://[::1]:1/x/","accessToken":"a","exp":-1}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseXetToken(body, "https")
		if err != nil {
			return
		}
		u, err := url.Parse(got.CAS)
		require.NoError(t, err)
		require.True(t, u.Scheme == "https" || isLoopback(u.Hostname()), got.CAS)
		require.False(t, strings.ContainsAny(got.Access, " \r\n") || got.Access == "")
	})
}
