package node

import (
	"context"
	"os"
	"time"

	"hffs/cache/ref"
	"hffs/cli/control"
)

// Status is what the node says of itself.
func (n *Node) Status(context.Context) (control.Status, error) {
	s := control.Status{
		Node: n.name, ID: n.id, Version: n.cfg.Version, PID: os.Getpid(), Swarm: n.cfg.Swarm,
		Cache: n.cfg.Place.Hub, Seconds: time.Since(n.began).Seconds(),
		Listen: n.listen(), Peers: []control.Peer{}, Shares: n.shares(),
		Transfers: []control.Progress{}, Dropped: n.engine.recentlyDropped(),
		Limits: control.Limits{Down: n.cfg.LimitDown, Up: n.cfg.LimitUp, Hub: n.cfg.LimitHub},
	}
	for _, m := range n.swarm.Members() {
		s.Peers = append(s.Peers, control.Peer{Node: m.Name, ID: m.ID, Addr: m.Addr.String(), Files: m.Files, Bytes: m.Bytes})
	}
	for _, p := range n.engine.transfer.Active() {
		f := ref.File{Repo: p.Entry.Repo, Path: p.Entry.Path}
		s.Transfers = append(s.Transfers, progress(f, p))
	}
	return s, nil
}

func (n *Node) listen() control.Listen {
	l := control.Listen{API: n.doors.api.Addr().String()}
	if self, ok := n.self(); ok {
		host := self.Addrs[0].String()
		l.Gossip, l.Door = hostPort(host, n.doors.gossip), hostPort(host, n.doorPort())
	}
	return l
}

// shares counts each blob once, however many files it is behind.
func (n *Node) shares() control.Shares {
	s := control.Shares{Sent: n.sent.Load()}
	repos, blobs := map[ref.Repo]bool{}, map[ref.ETag]bool{}
	for _, snap := range n.cache.Holdings().Snapshots {
		repos[snap.Repo] = true
		s.Files += len(snap.Files)
		for _, f := range snap.Files {
			if !blobs[f.Blob.ETag] {
				blobs[f.Blob.ETag] = true
				s.Bytes += f.Blob.Size
			}
		}
	}
	s.Repos = len(repos)
	return s
}
