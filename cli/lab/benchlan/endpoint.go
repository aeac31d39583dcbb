package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hffs/cli/lab"
)

// What the local endpoint costs: a client's download through a node, of a file that a
// neighbour has, against the same client and nginx on the neighbour; then small files
// from the node's own cache, and the node's memory under many clients. One round.

//go:embed client.py
var clientPy string

const (
	endpointRepo   = "acme/served"
	endpointOther  = "other.safetensors" // as large, for its first byte
	endpointSmall  = 1000                // files of 1 KB
	endpointMany   = 32                  // clients at once, each with a file of its own
	endpointEach   = 32 << 20
	endpointAPI    = "http://127.0.0.1:7768"
	endpointSmalls = "acme/small"
)

func (r *run) playEndpoint() {
	r.lab = lab.New(r, lab.Options{Hosts: 2})
	r.startEndpointHub()
	a, b := r.lab.Hosts[0], r.lab.Hosts[1]
	b.Up()
	blobs := map[string]string{}
	for _, f := range r.endpointFiles() {
		var got struct{ Path, ETag, Commit string }
		b.HffsJSON(&got, "get", endpointRepo, f)
		blobs[f] = fmt.Sprintf("%s %s %s", got.Path, got.ETag, got.Commit)
	}
	node := a.Up()
	lab.Eventually(r, 30*time.Second, "the node knows the holder", func() bool {
		var w struct{ Holders []struct{ Complete bool } }
		return json.Unmarshal([]byte(a.Hffs("where", endpointRepo, file, "--json").Stdout), &w) == nil && len(w.Holders) == 1
	})
	sent := r.hub.Bytes(endpointRepo, file)
	r.download("huggingface_hub straight from nginx", a, r.hubLike(b, blobs))
	r.download("huggingface_hub through the node", a, endpointAPI)
	if more := r.hub.Bytes(endpointRepo, file) - sent; more > 0 {
		r.Logf("note: %d bytes came from the Hub", more)
	}
	r.smallFiles(a)
	r.manyClients(a, node)
}

func (r *run) endpointFiles() []string {
	files := []string{file, endpointOther}
	for i := range endpointMany {
		files = append(files, fmt.Sprintf("part-%02d.safetensors", i))
	}
	return files
}

func (r *run) startEndpointHub() {
	args := []string{"--xet"} // as nearly all large files are today
	for i, f := range r.endpointFiles() {
		size := int64(endpointEach)
		if i < 2 {
			size = r.size
		}
		args = append(args, "--synthetic", fmt.Sprintf("%s/%s=%d@%d", endpointRepo, f, size, i))
	}
	for i := range endpointSmall {
		args = append(args, "--synthetic", fmt.Sprintf("%s/s%04d.json=1024@%d", endpointSmalls, i, i))
	}
	r.hub = r.lab.NewHub(args...)
}

// hubLike has nginx answer for the two large files as the Hub would.
func (r *run) hubLike(h *lab.Host, blobs map[string]string) (url string) {
	var places strings.Builder
	for _, f := range []string{file, endpointOther} {
		var path, etag, commit string
		_, err := fmt.Sscan(blobs[f], &path, &etag, &commit)
		r.must("read what was got", err)
		fmt.Fprintf(&places, `location = /%s/resolve/main/%s { alias %s; add_header X-Repo-Commit %s; add_header X-Linked-Etag '"%s"'; add_header X-Linked-Size %d; }
`, endpointRepo, f, path, commit, etag, r.size)
	}
	return nginxServing(r, h, places.String(), endpointRepo+"/resolve/main/"+file)
}

// download tells how long the client takes.
func (r *run) download(name string, a *lab.Host, hub string) {
	script := filepath.Join(a.Dir, "client.py")
	r.must("write the client", os.WriteFile(script, []byte(clientPy), 0o644))
	h := a.As("client")
	r.must("clean up", os.RemoveAll(h.Home()))
	h.Env = map[string]string{"HF_ENDPOINT": hub, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
	settle()
	did := h.Run(venvTool("python"), script, endpointRepo, file, endpointOther)
	var took struct{ First, All float64 }
	r.must("read what the client says: "+did.String(), json.Unmarshal([]byte(did.Stdout), &took))
	fmt.Printf("%s, %d MiB: first byte after %.0f ms, all in %.2f s, %.0f MB/s\n",
		name, r.size>>20, took.First*1000, took.All, float64(r.size)/took.All/1e6)
}

// smallFiles tells how many requests a second the node answers from its cache, on 8
// connections.
func (r *run) smallFiles(a *lab.Host) {
	list := filepath.Join(a.Dir, "urls")
	var text strings.Builder
	for i := range endpointSmall {
		fmt.Fprintf(&text, "url = %s/%s/resolve/main/s%04d.json\noutput = /dev/null\n", endpointAPI, endpointSmalls, i)
	}
	r.must("write the list", os.WriteFile(list, []byte(text.String()), 0o644))
	all := func(args ...string) float64 {
		did := a.Run("curl", append([]string{"-sS", "--fail", "--parallel", "--parallel-max", "8", "-K", list}, args...)...)
		if did.Code != 0 {
			r.Fatalf("small files: %s", did)
		}
		return did.Took.Seconds()
	}
	fmt.Printf("%d files of 1 KB, from the Hub: %.0f GET/s\n", endpointSmall, endpointSmall/all())
	head, get := all("--head"), all()
	fmt.Printf("%d files of 1 KB, from the node's cache: %.0f HEAD/s, %.0f GET/s, %.0f files/s by HEAD and GET\n",
		endpointSmall, endpointSmall/head, endpointSmall/get, endpointSmall/(head+get))
}

// manyClients tells what memory the node takes for many downloads at once.
func (r *run) manyClients(a *lab.Host, node *lab.Process) {
	forgetPeak(node.Pid())
	before := memoryOf(node.Pid())
	began := time.Now()
	var clients []*lab.Process
	for i := range endpointMany {
		clients = append(clients, a.Start("curl", "-sS", "--fail", "-o", "/dev/null",
			fmt.Sprintf("%s/%s/resolve/main/part-%02d.safetensors", endpointAPI, endpointRepo, i)))
	}
	var m memory
	for _, c := range clients {
		for !c.Ended() {
			select {
			case <-c.Done():
			case <-time.After(50 * time.Millisecond):
				m.atLeast(memoryOf(node.Pid()))
			}
		}
		if c.Wait(lab.Limit) != 0 {
			r.Fatalf("a client failed: %s", c.Err)
		}
	}
	m.atLeast(memoryOf(node.Pid()))
	total := float64(endpointMany * endpointEach)
	fmt.Printf("%d clients at once, %d MiB each: %.0f MB/s in all; the node's memory at most %.0f MiB (%.0f its own), before %.0f (%.0f)\n",
		endpointMany, endpointEach>>20, total/time.Since(began).Seconds()/1e6,
		float64(m.peak)/(1<<20), float64(m.anon)/(1<<20), float64(before.peak)/(1<<20), float64(before.anon)/(1<<20))
}
