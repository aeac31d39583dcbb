package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"hffs/cli/lab"
)

// contender is one way to fetch the file.
type contender struct {
	name    string
	prepare func(*run, *lab.Host, []server) marks
	holder  func(server) *lab.Process // which of a holder's servers it uses
}

// marks is a contender on its marks: ready to start.
type marks struct {
	start   func() *lab.Process // begins what is timed
	fetcher func() int          // the process whose memory counts; nil: the one that start returns
	result  func() string       // where the file lies afterwards
	done    func()
}

func fromNginx(s server) *lab.Process { return s.nginx }
func fromNode(s server) *lab.Process  { return s.node }

// command is a contender that is one command into one file.
func command(name string, args func(into string, urls []string) []string) contender {
	return contender{name, func(r *run, h *lab.Host, servers []server) marks {
		into := filepath.Join(h.Dir, "file")
		var urls []string
		for _, s := range servers {
			urls = append(urls, s.url)
		}
		line := args(into, urls)
		return marks{
			start:  func() *lab.Process { return h.Start(line[0], line[1:]...) },
			result: func() string { return into },
			done:   func() {},
		}
	}, fromNginx}
}

var curl = command("curl from nginx, unverified", func(into string, urls []string) []string {
	return []string{"curl", "-sS", "--fail", "-o", into, urls[0]}
})

// openssl, since sha256sum may lack the processor's own instructions.
var curlVerified = command("curl, then openssl sha256", func(into string, urls []string) []string {
	return []string{"sh", "-c", fmt.Sprintf("curl -sS --fail -o %s %s && openssl dgst -sha256 %s", into, urls[0], into)}
})

var aria2 = command("aria2c from 4 nginx, unverified", func(into string, urls []string) []string {
	n := fmt.Sprint(len(urls))
	return append([]string{"aria2c", "--quiet", "--file-allocation=none", "--min-split-size=1M", "--split=" + n,
		"--max-connection-per-server=1", "--dir=" + filepath.Dir(into), "--out=" + filepath.Base(into)}, urls...)
})

// What the Hub says of a file decides how hffs holds it against the Hub's word:
// of a plain one only the whole's sha256 is known, and chunks of a fixed length go
// by what the holder says of them; of one that is offered by Xet each chunk is
// proven by the Hub's own root as it arrives, and the whole by sha256 as well.
var (
	hffsNode  = byNode("hffs get, node running", plainRepo)
	hffsAlone = alone("hffs get, no node", plainRepo)
	xetNode   = byNode("hffs get, Xet hash, node running", xetRepo)
	xetAlone  = alone("hffs get, Xet hash, no node", xetRepo)
)

// byNode asks a node that runs on the fetcher; the node does the work.
func byNode(name, repo string) contender {
	return contender{name, func(r *run, h *lab.Host, servers []server) marks {
		node := h.Up()
		lab.Eventually(r, 30*time.Second, "the node knows all holders", func() bool {
			var w struct{ Holders []struct{ Complete bool } }
			answer := h.Hffs("where", repo, file, "--json")
			return json.Unmarshal([]byte(answer.Stdout), &w) == nil && len(w.Holders) == len(servers)
		})
		a := hffsGet(r, h, repo)
		a.fetcher = node.Pid
		a.done = func() { node.Stop() }
		return a
	}, fromNode}
}

// alone finds the holders by itself.
func alone(name, repo string) contender {
	return contender{name, func(r *run, h *lab.Host, _ []server) marks {
		return hffsGet(r, h, repo)
	}, fromNode}
}

func hffsGet(r *run, h *lab.Host, repo string) marks {
	var p *lab.Process
	return marks{
		start:  func() *lab.Process { p = h.Start(lab.Binary(r), "get", repo, file, "--json"); return p },
		result: func() string { return fetched(r, p) },
		done:   func() {},
	}
}

// fetched is the path of the file, once it is sure that only peers sent it.
func fetched(r *run, p *lab.Process) string {
	var got struct {
		Path    string
		Sources []struct {
			Kind  string
			Bytes int64
		}
	}
	r.must("read what hffs says of "+p.Err.String(), json.Unmarshal([]byte(p.Out.String()), &got))
	for _, s := range got.Sources {
		if s.Kind != "peer" {
			r.Logf("note: %d bytes came from a %s", s.Bytes, s.Kind)
		}
	}
	return got.Path
}

// nginx serves one file from a host.
func nginx(r *run, h *lab.Host, blob string) (*lab.Process, string) {
	p, url := startNginx(r, h, "location = /file { alias "+blob+"; }", "file")
	return p, url + "/file"
}

// nginxServing serves what the places say, of which try is one.
func nginxServing(r *run, h *lab.Host, places, try string) (url string) {
	_, url = startNginx(r, h, places, try)
	return url
}

// startNginx starts one process, with sendfile and no log: as fast as it gets.
func startNginx(r *run, h *lab.Host, places, try string) (*lab.Process, string) {
	dir := filepath.Join(h.Dir, "nginx")
	r.must("make a folder", os.MkdirAll(dir, 0o755))
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`daemon off; master_process off; user root; worker_processes 1;
pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 64; }
http {
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s:8080; %[3]s }
}
`, dir, h.Addr, places)
	r.must("configure nginx", os.WriteFile(conf, []byte(text), 0o644))
	p := h.Start(tool("nginx"), "-p", dir, "-c", conf)
	url := "http://" + h.Addr + ":8080"
	lab.Eventually(r, 10*time.Second, "nginx serves", func() bool {
		return h.Run("curl", "-sS", "--fail", "-o", "/dev/null", "-r", "0-0", url+"/"+try).Code == 0
	})
	return p, url
}

// tool finds a program where daemons live too.
func tool(name string) string {
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path := filepath.Join(dir, name); exec.Command("test", "-x", path).Run() == nil {
			return path
		}
	}
	return name
}

func absolute(path string) string {
	if !strings.ContainsRune(path, filepath.Separator) {
		path = "." + string(filepath.Separator) + path
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}
