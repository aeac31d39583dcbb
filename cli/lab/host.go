package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Host is one machine of a lab: an address, a folder, and what runs there.
type Host struct {
	Name string // "A", "B", … or "hub"
	Addr string // its IPv4 address
	Dir  string // its own files; the Hugging Face home is the folder "hf" in it

	// Env has variables beside the usual few, for every command of the host;
	// an empty value takes one of the usual ones away.
	Env map[string]string

	lab   *Lab
	space *space
	port  string // its end at the switch
}

// Hostname is what the machine calls itself: "lab-a" for host A.
func (h *Host) Hostname() string { return "lab-" + strings.ToLower(h.Name) }

// Home is the host's HF_HOME.
func (h *Host) Home() string {
	if home := h.Env["HF_HOME"]; home != "" {
		return home
	}
	return filepath.Join(h.Dir, "hf")
}

// Cache is the Hugging Face cache below its home.
func (h *Host) Cache() string { return filepath.Join(h.Home(), "hub") }

// environment is a clean one: nothing of the user's own settings gets in.
func (h *Host) environment() []string {
	env := map[string]string{
		"PATH":        os.Getenv("PATH"),
		"HOME":        h.Dir,
		"TMPDIR":      h.Dir,
		"HF_HOME":     h.Home(),
		"HF_ENDPOINT": "http://" + h.lab.hub.Addr,
	}
	maps.Copy(env, h.Env)
	var list []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if env[key] != "" {
			list = append(list, key+"="+env[key])
		}
	}
	return list
}

// As is the same host seen by another user of it: another home, other Env.
func (h *Host) As(name string) *Host {
	h.lab.t.Helper()
	other := *h
	other.Dir = filepath.Join(h.Dir, name)
	other.Env = maps.Clone(h.Env)
	if err := os.MkdirAll(other.Dir, 0o755); err != nil {
		h.lab.t.Fatalf("make %s: %v", other.Dir, err)
	}
	return &other
}

// Rate limits the host's cable both ways; "" lifts the limit.
func (h *Host) Rate(rate string) {
	h.lab.t.Helper()
	h.lab.shape(h.space, "eth0", rate)
	h.lab.shape(h.lab.sw, h.port, rate)
}

// Unplug takes the cable out of the switch; Plug puts it back.
func (h *Host) Unplug() { h.lab.t.Helper(); h.lab.ip(h.lab.sw, "link set "+h.port+" down") }

// Plug undoes [Host.Unplug].
func (h *Host) Plug() { h.lab.t.Helper(); h.lab.ip(h.lab.sw, "link set "+h.port+" up") }

// Received is how many bytes have come in over the cable since it was laid,
// headers and all. It is the kernel's count, so no program can be wrong in it.
func (h *Host) Received() int64 { h.lab.t.Helper(); return h.counted().Rx.Bytes }

// Sent is how many have gone out.
func (h *Host) Sent() int64 { h.lab.t.Helper(); return h.counted().Tx.Bytes }

type counts struct {
	Rx, Tx struct{ Bytes int64 }
}

func (h *Host) counted() counts {
	h.lab.t.Helper()
	out, err := h.space.command("ip", "-json", "-stats", "link", "show", "eth0").Output()
	if err != nil {
		h.lab.t.Fatalf("count the bytes of %s: %v", h.Name, err)
	}
	var links []struct {
		Stats counts `json:"stats64"`
	}
	if err := json.Unmarshal(out, &links); err != nil || len(links) != 1 {
		h.lab.t.Fatalf("count the bytes of %s: %v in %s", h.Name, err, out)
	}
	return links[0].Stats
}

// Result is what a finished command left.
type Result struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

// String shows all of it, for a test's message.
func (r Result) String() string {
	return fmt.Sprintf("exit code %d after %v\nstdout: %s\nstderr: %s", r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Limit is how long any command of a lab may take before the test fails.
const Limit = 2 * time.Minute

// Run runs a command on the host and waits for it.
func (h *Host) Run(name string, args ...string) Result {
	h.lab.t.Helper()
	began := time.Now()
	p := h.Start(name, args...)
	code := p.Wait(Limit)
	return Result{p.Out.String(), p.Err.String(), code, time.Since(began)}
}

// Hffs runs the real hffs on the host and waits for it.
func (h *Host) Hffs(args ...string) Result {
	h.lab.t.Helper()
	return h.Run(Binary(h.lab.t), args...)
}

// HffsJSON runs hffs with --json, demands success, and decodes its answer.
func (h *Host) HffsJSON(into any, args ...string) Result {
	h.lab.t.Helper()
	r := h.Hffs(append(args[:len(args):len(args)], "--json")...)
	if r.Code != 0 {
		h.lab.t.Fatalf("hffs %s on %s: %s", strings.Join(args, " "), h.Name, r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), into); err != nil {
		h.lab.t.Fatalf("hffs %s on %s: %v in %q", strings.Join(args, " "), h.Name, err, r.Stdout)
	}
	return r
}

// Up starts a node on the host and returns when it says where it listens.
func (h *Host) Up(args ...string) *Process {
	h.lab.t.Helper()
	p := h.Start(Binary(h.lab.t), append([]string{"up"}, args...)...)
	p.WaitFor("API: 127.0.0.1:", 20*time.Second)
	return p
}
