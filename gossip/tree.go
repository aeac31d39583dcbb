package gossip

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

const maxTellers = 8 // nodes that are asked for the files of one commit

// List is what the others say that a commit's files are. The first list is the one
// to take: one that is said to be whole, as most nodes tell it, with what
// contradicts it; any others are whole lists too, and differ. When nobody has the
// whole list there is one made of all that is held or fetched of the commit. There
// is none when nobody knows anything.
func (s *Swarm) List(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]Told, error) {
	v := s.view(false)
	told := poll(ctx, v.tellers(repo, commit), func(ctx context.Context, n directory.Node) ([]byte, error) {
		return s.door(n.Addr).tree(ctx, repo, commit)
	})
	for _, err := range told.errs {
		s.log.Debug("files of a commit", "repo", repo, "commit", commit, "err", err)
	}
	offers := keep(v.offers(repo), func(o directory.Offer) bool { return o.Commit == commit && !told.answered[o.Node.ID] })
	if !told.whole() {
		v.await(ctx, offers)
	}
	all := slices.Concat(told.all, v.held(offers), v.arriving(repo, commit, told.answered))
	if len(all) == 0 {
		return nil, ctx.Err()
	}
	return settle(all), nil
}

// await gives the lists of offers a moment to come.
func (v view) await(ctx context.Context, offers []directory.Offer) {
	ctx, cancel := context.WithTimeout(ctx, treePatience)
	defer cancel()
	v.s.load(ctx, offers, func() bool { return false })
}

// held are the lists of offers that are here.
func (v view) held(offers []directory.Offer) (all []Told) {
	at := map[manifest.Digest]int{}
	for _, o := range offers {
		if i, ok := at[o.List]; ok {
			all[i].Votes++
		} else if list := v.s.ownList(o.List); list != nil {
			at[o.List] = len(all)
			all = append(all, Told{Files: list.Files(), Node: o.Node, Votes: 1})
		}
	}
	return all
}

// arriving is what nodes are fetching of a commit, but for those that have answered.
func (v view) arriving(repo ref.Repo, commit ref.Commit, answered map[string]bool) (all []Told) {
	for _, f := range v.fetching(func(e ref.Entry) bool { return e.Repo == repo && e.Commit == commit }) {
		if !answered[f.Node.ID] {
			all = append(all, Told{Files: []ref.Listed{{Path: f.Entry.Path, Blob: f.Entry.Blob}}, Node: f.Node, Votes: 1})
		}
	}
	return all
}

// tellers are the nodes to ask for a commit's files: this one, if it is in the
// view, then those who hold some of them, then those who say that a branch stands
// for the commit, then any others; but these are asked for what is public only, since
// nobody who has not spoken of a repo himself needs to hear its name.
func (v view) tellers(repo ref.Repo, commit ref.Commit) (ns []directory.Node) {
	var holding, others []directory.Node
	for _, o := range v.s.table.Offers(repo) {
		if o.Commit == commit {
			holding = append(holding, o.Node)
		}
	}
	if v.self != nil || v.s.shared(repo) {
		for _, m := range v.s.Members() {
			others = append(others, m.Node)
		}
	}
	if v.self != nil {
		ns = append(ns, *v.self)
	}
	for _, group := range [][]directory.Node{holding, v.s.table.Claiming(repo, commit), others} {
		ns = addTellers(ns, some(group, len(group))) // or everybody would ask the same ones
	}
	return ns
}

func addTellers(ns, more []directory.Node) []directory.Node {
	for _, n := range more {
		if len(ns) < maxTellers && !slices.ContainsFunc(ns, func(o directory.Node) bool { return o.ID == n.ID }) {
			ns = append(ns, n)
		}
	}
	return ns
}

// List is [Swarm.List] as the members see it, they themselves included. A list that
// is not whole is made of what some of them hold.
func (p *Passerby) List(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]Told, error) {
	var tellers []directory.Node
	err := p.ask(ctx, lookupPath, tellersQuery(repo, commit), func(b []byte, door netip.AddrPort) (func(), error) {
		ns, err := decodeTellers(b, door)
		return func() { tellers = addTellers(tellers, ns) }, err
	})
	if err != nil {
		return nil, err
	}
	told := poll(ctx, tellers, func(ctx context.Context, n directory.Node) ([]byte, error) {
		return p.door(n.Addr).tree(ctx, repo, commit)
	})
	if len(told.all) == 0 {
		return nil, errors.Join(append(told.errs, ctx.Err())...)
	}
	return settle(told.all), nil
}

// serveTree says what this node knows of a commit's files, by itself.
func (s *Swarm) serveTree(w http.ResponseWriter, r *http.Request) {
	repo, commit, err := parseCommit(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if b := s.encodeTree(r.Context(), repo, commit); b != nil {
		sendBytes(w, b)
		return
	}
	http.Error(w, "unknown commit", http.StatusNotFound)
}

// encodeTree does it for a few at a time, as long lists take memory; nil where
// nothing is known.
func (s *Swarm) encodeTree(ctx context.Context, repo ref.Repo, commit ref.Commit) []byte {
	select {
	case s.trees <- struct{}{}:
		defer func() { <-s.trees }()
	case <-ctx.Done():
		return nil
	}
	if tree := s.tree(repo, commit); tree.Whole || len(tree.Files) > 0 {
		return tree.Encode()
	}
	return nil
}

// tree is a commit's files as this node knows them; empty where it may not tell.
func (s *Swarm) tree(repo ref.Repo, commit ref.Commit) manifest.Tree {
	var files []ref.Listed
	whole := false
	if !s.shared(repo) {
		return manifest.Tree{}
	}
	if s.cfg.Trees != nil {
		files, whole = s.cfg.Trees(repo, commit)
	}
	if !whole {
		files = slices.Concat(files, s.own().files(repo, commit))
	}
	return manifest.NewTree(files, whole)
}
