package gossip

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

const (
	maxAsking  = 64 // requests answered at once
	maxTrees   = 4  // of those, for all files of a commit
	lookupTime = 5 * time.Second
	maxQuery   = 8 << 10
)

// Handler answers other nodes and passers-by; wire.go lists its paths. It works
// before and after [Swarm.Run], with less to tell.
func (s *Swarm) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+manifestPath, s.serveManifest)
	mux.HandleFunc("GET "+listPath+"{digest}", s.serveList)
	mux.HandleFunc("GET "+lookupPath, s.serveLookup)
	mux.HandleFunc("GET "+treePath, s.serveTree)
	mux.HandleFunc("GET "+membersPath, s.serveMembers)
	slots := make(chan struct{}, maxAsking)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if swarm := r.Header.Get(swarmHeader); swarm != "" && swarm != s.swarmID {
			http.Error(w, "this node belongs to another swarm", http.StatusMisdirectedRequest)
			return
		}
		if len(r.URL.RawQuery) > maxQuery {
			http.Error(w, "query too long", http.StatusRequestURITooLong)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			mux.ServeHTTP(w, r)
		default:
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
		}
	})
}

func (s *Swarm) serveManifest(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if id := q.Get("node"); id != "" && id != s.cfg.NodeID {
		s.serveOther(w, id)
		return
	}
	epoch, _ := strconv.ParseUint(q.Get("epoch"), 10, 64) // without a version: everything
	seq, _ := strconv.ParseUint(q.Get("seq"), 10, 64)
	sendBytes(w, s.pub.since(manifest.Version{Epoch: epoch, Seq: seq}).Encode(s.now()))
}

// serveOther gives another node's manifest, for who cannot reach that node.
func (s *Swarm) serveOther(w http.ResponseWriter, id string) {
	s.roster.mu.Lock()
	p := s.roster.peers[id]
	var a manifest.Answer
	if p != nil {
		a = manifest.Answer{Version: p.have, Summary: p.summary}
	}
	s.roster.mu.Unlock()
	if p == nil {
		http.Error(w, "unknown node", http.StatusNotFound)
		return
	}
	sendBytes(w, a.Encode(s.now()))
}

func (s *Swarm) serveList(w http.ResponseWriter, r *http.Request) {
	d, err := manifest.ParseDigest(r.PathValue("digest"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	list := own{s.pub.manifest(), s.shared}.list(d)
	if list == nil {
		list = s.lists.get(d)
	}
	if list == nil {
		http.Error(w, "unknown list", http.StatusNotFound)
		return
	}
	sendBytes(w, list.Wire())
}

func (s *Swarm) serveLookup(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), lookupTime)
	defer cancel()
	out, err := s.lookup(ctx, r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sendJSON(w, out)
}

func (s *Swarm) lookup(ctx context.Context, q url.Values) (out wireLookup, err error) {
	switch {
	case q.Has("etag"):
		e, err := parseEntry(q)
		if err != nil {
			return out, err
		}
		out.Holders = s.lookupHolders(ctx, e)
	case q.Has("versions"):
		repo, path, err := parsePath(q)
		if err != nil {
			return out, err
		}
		out.Versions = s.lookupVersions(ctx, repo, path)
	case q.Has("claims"):
		repo, revision, err := parseRevision(q)
		if err != nil {
			return out, err
		}
		out.Known = s.lookupClaims(repo, revision)
	case q.Has("tellers"):
		repo, commit, err := parseCommit(q)
		if err != nil {
			return out, err
		}
		out.Tellers = s.lookupTellers(repo, commit)
	case q.Has("holdings"), q.Has("near"):
		repo, err := parseRepo(q)
		if err != nil {
			return out, err
		}
		if q.Has("near") {
			out.Near = s.lookupNear(repo)
		} else {
			out.Holdings = s.lookupHoldings(repo)
		}
	default:
		f, err := parseFile(q)
		if err != nil {
			return out, err
		}
		out.Known = s.lookupKnown(ctx, f)
	}
	return out, nil
}

func (s *Swarm) lookupKnown(ctx context.Context, f ref.File) (out []wireKnown) {
	v := s.view(true)
	known, _ := v.known(ctx, f) // running out of time means knowing nothing
	now := s.now()
	for _, k := range known {
		w := wireKnown{Commit: string(k.Claim.Commit), AgeMS: age(k.Claim.Learnt, now), Node: v.wireNode(k.Claim.Node)}
		if b := k.Entry.Blob; k.HasEntry {
			w.Blob = &wireBlob{string(b.ETag), b.Size, string(b.Xet)}
		}
		out = append(out, w)
	}
	return out
}

func (s *Swarm) lookupHolders(ctx context.Context, e ref.Entry) (out []wireHolder) {
	v := s.view(true)
	holders, _ := v.holders(ctx, e)
	for _, h := range holders[:min(len(holders), maxMembers)] {
		out = append(out, wireHolder{v.wireNode(h.Node), h.Complete, h.Bytes})
	}
	return out
}

func (s *Swarm) lookupVersions(ctx context.Context, repo ref.Repo, path string) (out []wireVersion) {
	versions, _ := s.view(true).versions(ctx, repo, path)
	for _, e := range versions {
		out = append(out, wireVersion{string(e.Commit), wireBlob{string(e.Blob.ETag), e.Blob.Size, string(e.Blob.Xet)}})
	}
	return out
}

func (s *Swarm) lookupClaims(repo ref.Repo, revision string) (out []wireKnown) {
	v, now := s.view(true), s.now()
	for _, c := range v.revision(repo, revision) {
		out = append(out, wireKnown{Commit: string(c.Commit), AgeMS: age(c.Learnt, now), Node: v.wireNode(c.Node)})
	}
	return out
}

func (s *Swarm) lookupTellers(repo ref.Repo, commit ref.Commit) (out []wireNode) {
	v := s.view(true)
	for _, n := range v.tellers(repo, commit) {
		out = append(out, v.wireNode(n))
	}
	return out
}

func (s *Swarm) serveMembers(w http.ResponseWriter, r *http.Request) {
	self := s.self()
	files, bytes := s.pub.manifest().Summary.Total()
	out := wireMembers{Members: []wireMember{{
		wireNode: wireNode{ID: self.ID, Name: self.Name, Self: true},
		Files:    files, Bytes: bytes, Version: s.cfg.Version,
	}}}
	members := s.Members()
	if most, err := strconv.Atoi(r.URL.Query().Get("most")); err == nil {
		members = some(members, most)
	}
	for _, m := range members {
		out.Members = append(out.Members, wireMember{
			wireNode: wireNode{ID: m.ID, Name: m.Name, Addr: m.Addr.String()},
			Gossip:   m.Gossip.String(), Files: m.Files, Bytes: m.Bytes, Version: m.Version,
		})
	}
	sendJSON(w, out)
}

func sendBytes(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the asker may have gone
}

func sendJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
