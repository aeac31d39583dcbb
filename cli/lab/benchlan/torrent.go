package main

import (
	_ "embed"
	"os"
	"path/filepath"
	"time"

	"hffs/cli/lab"
)

//go:embed torrent.py
var driver []byte

// python3 is Debian's, whose package of libtorrent others do not see.
const python3 = "/usr/bin/python3"

// writeTorrent makes the torrent, of the same bytes that the Hub has.
func (p *party) writeTorrent() {
	p.torrents = p.TempDir()
	p.must("write the driver", os.WriteFile(p.at("torrent.py"), driver, 0o644))
	var got struct{ Path string }
	p.sources()[0].As("source").HffsJSON(&got, "get", plainRepo, file)
	p.must("make a folder", os.Mkdir(p.at("seed"), 0o755))
	named := filepath.Join(p.at("seed"), file)
	p.must("name the file", os.Symlink(got.Path, named))
	if r := p.hub.Host.Run(python3, p.at("torrent.py"), "make", named, p.at("torrent")); r.Code != 0 {
		p.Fatalf("make the torrent: %s", r)
	}
}

// at is a file of the torrent's.
func (p *party) at(name string) string { return filepath.Join(p.torrents, name) }

// torrent has libtorrent do it: everybody is connected to everybody.
func (p *party) torrent() (wall, cpu time.Duration) {
	var all, gets []*lab.Process
	var known []string
	defer func() {
		for _, q := range all {
			q.Kill()
		}
	}()
	for _, h := range p.sources() {
		q := h.Start(python3, p.at("torrent.py"), "seed", p.at("torrent"), p.at("seed"), h.Addr)
		q.WaitFor("seeding", 20*time.Second)
		all, known = append(all, q), append(known, h.Addr)
	}
	p.must("hold the start", os.RemoveAll(p.at("go")))
	for _, h := range p.fetchers {
		args := []string{p.at("torrent.py"), "get", p.at("torrent"), h.As("away").Dir, h.Addr, p.at("go")}
		q := h.Start(python3, append(args, known...)...)
		q.WaitFor("ready", 20*time.Second)
		all, gets, known = append(all, q), append(gets, q), append(known, h.Addr)
	}
	began, busy := time.Now(), machineCPU()
	p.must("give the start", os.WriteFile(p.at("go"), nil, 0o644))
	for _, q := range gets {
		q.WaitFor("done", lab.Limit)
	}
	wall, cpu = time.Since(began), machineCPU()-busy
	for _, h := range p.fetchers {
		p.check("libtorrent", filepath.Join(h.Dir, "away", file))
	}
	return wall, cpu
}
