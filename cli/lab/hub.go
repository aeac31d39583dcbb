package lab

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Hub is the stand-in for huggingface.co, in a lab on a host of its own.
type Hub struct {
	Host *Host

	base string // its URL
	args []string
	proc *Process
}

// NewHub starts the stand-in Hub. args are those of "hffs debug hub" beside
// where it listens: --synthetic REPO/FILE=SIZE, --dir DIR, --gated REPO, ….
// Every host of the lab has it for its HF_ENDPOINT already.
func (l *Lab) NewHub(args ...string) *Hub {
	l.t.Helper()
	return l.hub.NewHub(l.hub.Addr, args...)
}

// NewHub starts a stand-in Hub on this host, at one of its addresses; for one
// on loopback, to which a token may go.
func (h *Host) NewHub(addr string, args ...string) *Hub {
	h.lab.t.Helper()
	hub := &Hub{Host: h, base: "http://" + addr}
	ports := []string{"--listen", addr + ":80", "--cdn", addr + ":81"}
	if slices.Contains(args, "--tls") {
		hub.base = "https://" + addr
		ports = []string{"--listen", addr + ":443", "--cdn", addr + ":444"}
	}
	hub.args = slices.Concat([]string{"debug", "hub"}, ports, args)
	hub.Up()
	return hub
}

// TrustedBy has hosts ask this Hub, which serves https, and believe its certificate.
// Call it before anything is started there.
func (h *Hub) TrustedBy(hosts ...*Host) {
	h.Host.lab.t.Helper()
	var ready struct{ CA string }
	if err := json.Unmarshal([]byte(h.proc.Out.String()), &ready); err != nil || ready.CA == "" {
		h.Host.lab.t.Fatalf("the stand-in Hub has no certificate: %v in %q", err, h.proc.Out)
	}
	path := filepath.Join(h.Host.Dir, "ca.pem")
	if err := os.WriteFile(path, []byte(ready.CA), 0o644); err != nil {
		h.Host.lab.t.Fatalf("write %s: %v", path, err)
	}
	for _, host := range hosts {
		host.Env = maps.Clone(host.Env)
		if host.Env == nil {
			host.Env = map[string]string{}
		}
		host.Env["HF_ENDPOINT"], host.Env["SSL_CERT_FILE"] = h.base, path
	}
}

// Up starts the Hub and waits until it is ready, which it says by a line of
// JSON with its addresses.
func (h *Hub) Up() {
	h.Host.lab.t.Helper()
	h.proc = h.Host.Start(Binary(h.Host.lab.t), h.args...)
	h.proc.WaitFor(h.base, 20*time.Second)
}

// Down ends the Hub: connections to it are refused. Its log goes with it.
func (h *Hub) Down() { h.Host.lab.t.Helper(); h.proc.Kill() }

// Bytes is how many body bytes of a file the Hub and its CDN have sent.
func (h *Hub) Bytes(repo, file string) int64 {
	h.Host.lab.t.Helper()
	return h.sent("?file=" + url.QueryEscape(repo+"/"+file))
}

// AllBytes is how many body bytes of any file or xorb have been sent: what a
// file that is offered by Xet has cost, whichever way it went.
func (h *Hub) AllBytes() int64 { h.Host.lab.t.Helper(); return h.sent("") }

// XorbBytes is how many of them were of xorbs: sent by the Xet protocol.
func (h *Hub) XorbBytes() int64 { h.Host.lab.t.Helper(); return h.sent("?file=xorbs") }

func (h *Hub) sent(query string) int64 {
	h.Host.lab.t.Helper()
	answer := h.curl("/_standin/bytes" + query)
	var sent struct{ Bytes int64 }
	if err := json.Unmarshal([]byte(answer), &sent); err != nil {
		h.Host.lab.t.Fatalf("ask the stand-in Hub for its bytes: %v in %q", err, answer)
	}
	return sent.Bytes
}

// Log is every request that the Hub has had, as JSON.
func (h *Hub) Log() string { h.Host.lab.t.Helper(); return h.curl("/_standin/log") }

// Sent is one answer of the Hub.
type Sent struct {
	Time              time.Time
	Host, Path, Range string
	From              string // address of who asked
	Agent             string // and by what program
	File              string
	Status            int
	Bytes             int64
	User              bool // a user's token was shown
	Fault             string
}

// Answers is every answer that the Hub has given, oldest first.
func (h *Hub) Answers() (all []Sent) {
	h.Host.lab.t.Helper()
	if err := json.Unmarshal([]byte(h.Log()), &all); err != nil {
		h.Host.lab.t.Fatalf("read the stand-in Hub's log: %v", err)
	}
	return all
}

// Broken is how many of those requests have met a fault.
func (h *Hub) Broken() (n int) {
	h.Host.lab.t.Helper()
	for _, r := range h.Answers() {
		if r.Fault != "" {
			n++
		}
	}
	return n
}

// Reset forgets all requests, and the byte counts with them.
func (h *Hub) Reset() { h.Host.lab.t.Helper(); h.curl("/_standin/log", "-X", "DELETE") }

// Heal takes away all faults that were posted.
func (h *Hub) Heal() { h.Host.lab.t.Helper(); h.curl("/_standin/faults", "-X", "DELETE") }

// Post sends JSON to one of the stand-in's control paths: "faults" arms a
// fault, "commits" adds a commit.
func (h *Hub) Post(path string, body any) {
	h.Host.lab.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		h.Host.lab.t.Fatalf("write %s: %v", path, err)
	}
	h.curl("/_standin/"+path, "--data-binary", string(text))
}

// curl asks one of the Hub's control paths, from the Hub's own host.
func (h *Hub) curl(path string, args ...string) string {
	h.Host.lab.t.Helper()
	args = append([]string{"-sS", "--insecure", "--fail-with-body", "--max-time", "20"}, args...)
	r := h.Host.Run("curl", append(args, h.base+path)...)
	if r.Code != 0 {
		h.Host.lab.t.Fatalf("ask the stand-in Hub for %s: %s", path, r)
	}
	return r.Stdout
}
