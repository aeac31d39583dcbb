package lab

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A web page that a user of this machine looks at can send requests to its ports. It
// learns nothing from them, and changes nothing.
func TestWebPagesAreRefused(t *testing.T) {
	l := New(t, Options{Hosts: 1})
	hub := l.NewHub(modelArgs("acme/tiny")...)
	node := l.Hosts[0].Up("-vv")
	h, at := tool(t, node, "browser"), asHub(t, node)
	config, info := at+"/acme/tiny/resolve/main/config.json", at+"/api/models/acme/tiny"
	port := at[len("http://127.0.0.1"):]
	for _, c := range []struct {
		story, status string
		args          []string
	}{
		{"an ordinary client", "200", []string{config}},
		{"by its other name", "200", []string{"-H", "Host: localhost" + port, config}},
		{"by its other address", "200", []string{"-H", "Host: [::1]" + port, config}},
		{"a name that has been made to point here", "403", []string{"-H", "Host: evil.example" + port, config}},
		{"the same, resolved by the client", "403", []string{"--resolve", "evil.example" + port + ":127.0.0.1", "http://evil.example" + port + "/acme/tiny/resolve/main/config.json"}},
		{"what another service makes a name of", "403", []string{"-H", "Host: 127.0.0.1.nip.io" + port, info}},
		{"a name that begins like ours", "403", []string{"-H", "Host: localhost.evil.example" + port, info}},
		{"the Hub's own name", "403", []string{"-H", "Host: huggingface.co", config}},
		{"the address on the network", "403", []string{"-H", "Host: " + node.host.Addr + port, config}},
		{"no name at all", "403", []string{"--http1.0", "-H", "Host:", config}},
		{"control, by a foreign name", "403", []string{"-H", "Host: evil.example" + port, at + "/control/status"}},
		{"control, without the key", "401", []string{at + "/control/status"}},
		{"a form that a page of another site sends", "403", []string{"-H", "Origin: http://evil.example", "-H", "Sec-Fetch-Site: cross-site", "-d", "{}", at + "/api/repos/create"}},
		{"the same from an older browser", "403", []string{"-H", "Origin: http://evil.example", "-d", "{}", at + "/api/repos/create"}},
		{"the same from another port of this machine", "403", []string{"-H", "Origin: http://127.0.0.1:1", "-H", "Sec-Fetch-Site: same-site", "-d", "{}", at + "/api/repos/create"}},
		{"a deletion", "403", []string{"-X", "DELETE", "-H", "Sec-Fetch-Site: cross-site", at + "/api/repos/delete"}},
	} {
		hub.Reset()
		r := h.Run("curl", append([]string{"-sS", "--max-time", "20", "-D", "-", "-o", "/dev/null", "-w", "%{http_code}"}, c.args...)...)
		require.Zero(t, r.Code, "%s: %s", c.story, r)
		require.Equal(t, c.status, r.Stdout[len(r.Stdout)-3:], "%s: %s", c.story, r)
		require.NotContains(t, r.Stdout, "Access-Control-Allow", c.story)
		if c.status == "403" {
			require.Empty(t, hub.Answers(), "%s: nothing goes on to the Hub", c.story)
		}
	}
	t.Run("a read by a page of another site says that it may not be read", func(t *testing.T) {
		r := h.Run("curl", "-sS", "-D", "-", "-o", "/dev/null", "-H", "Origin: http://evil.example", "-H", "Sec-Fetch-Site: cross-site", config)
		require.NotContains(t, r.Stdout, "Access-Control-Allow")
	})
	t.Run("others on the network find no such port", func(t *testing.T) {
		r := hub.Host.Run("curl", "-sS", "--max-time", "5", "http://"+node.host.Addr+port+"/api/models/acme/tiny")
		require.Equal(t, 7, r.Code, "refused: %s", r)
	})
}
