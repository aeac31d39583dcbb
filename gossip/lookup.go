package gossip

import (
	"cmp"
	"context"
	"slices"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

// maxKnown bounds what is told of one file.
const maxKnown = 256

// view is what the swarm says, with or without ourselves in it: we know what we
// hold, but who asks us over HTTP wants to hear of it.
type view struct {
	s    *Swarm
	self *directory.Node
	own  own // only with self
}

func (s *Swarm) view(withSelf bool) view {
	v := view{s: s}
	if withSelf {
		n := s.self()
		v.self, v.own = &n, s.own()
	}
	return v
}

func (v view) claims(repo ref.Repo, name string) []directory.Claim {
	cs := v.s.table.Claims(repo, name)
	if v.self != nil {
		if r, ok := v.own.ref(repo, name); ok {
			cs = append(cs, directory.Claim{Commit: r.Commit, Learnt: r.Learnt, Node: *v.self})
			slices.SortStableFunc(cs, func(a, b directory.Claim) int { return b.Learnt.Compare(a.Learnt) })
		}
	}
	return cs
}

func (v view) offers(repo ref.Repo) []directory.Offer {
	os := v.s.table.Offers(repo)
	if v.self != nil {
		for _, h := range v.own.of(repo) {
			os = append(os, directory.Offer{Node: *v.self, Commit: h.Commit, List: h.List})
		}
	}
	return os
}

func (v view) fetching(want func(ref.Entry) bool) []directory.Fetching {
	fs := v.s.table.Fetching(want)
	if v.self != nil {
		for _, e := range v.own.partials() {
			if want(e) {
				fs = append(fs, directory.Fetching{Node: *v.self, Entry: e})
			}
		}
	}
	return fs
}

// Known is what the others say of a file. For a branch or tag these are their
// claims, the latest learnt first, each with the file's entry at that commit
// where somebody's list has it. For a full commit they are the entries there,
// that of the most nodes first; there is more than one only when nodes disagree.
func (s *Swarm) Known(ctx context.Context, f ref.File) ([]Known, error) {
	return s.view(false).known(ctx, f)
}

func (v view) known(ctx context.Context, f ref.File) ([]Known, error) {
	if commit, err := ref.ParseCommit(f.Revision); err == nil {
		return v.knownAt(ctx, f, commit)
	}
	claims := v.claims(f.Repo, f.Revision)
	claims = claims[:min(len(claims), maxKnown)]
	if len(claims) == 0 {
		return nil, nil
	}
	commits := map[ref.Commit]bool{}
	for _, c := range claims {
		commits[c.Commit] = true
	}
	offers := keep(v.offers(f.Repo), func(o directory.Offer) bool { return commits[o.Commit] })
	v.s.load(ctx, offers, func() bool { return len(v.blobs(offers, f, claims[0].Commit)) > 0 })

	entries := map[ref.Commit][]vote{}
	for c := range commits {
		entries[c] = v.blobs(offers, f, c)
	}
	out := make([]Known, len(claims))
	for i, c := range claims {
		out[i].Claim = c
		if votes := entries[c.Commit]; len(votes) > 0 {
			out[i].Entry, out[i].HasEntry = ref.Entry{Repo: f.Repo, Commit: c.Commit, Path: f.Path, Blob: votes[0].blob}, true
		}
	}
	return out, nil
}

func (v view) knownAt(ctx context.Context, f ref.File, commit ref.Commit) (out []Known, err error) {
	offers := keep(v.offers(f.Repo), func(o directory.Offer) bool { return o.Commit == commit })
	v.s.load(ctx, offers, func() bool { return len(v.blobs(offers, f, commit)) > 0 })
	for _, vote := range v.blobs(offers, f, commit) {
		out = append(out, Known{
			Claim:    directory.Claim{Commit: commit, Node: vote.node},
			Entry:    ref.Entry{Repo: f.Repo, Commit: commit, Path: f.Path, Blob: vote.blob},
			HasEntry: true,
		})
	}
	if len(out) == 0 {
		return nil, ctx.Err()
	}
	return out[:min(len(out), maxKnown)], nil
}

// maxVersions bounds how many commits are looked at for versions of a file.
const maxVersions = 8

// Versions are the entries of a path at the commits that others hold of a repo,
// each blob once: what may have chunks in common with a new version.
func (s *Swarm) Versions(ctx context.Context, repo ref.Repo, path string) ([]ref.Entry, error) {
	return s.view(false).versions(ctx, repo, path)
}

func (v view) versions(ctx context.Context, repo ref.Repo, path string) (out []ref.Entry, err error) {
	f, offers := ref.File{Repo: repo, Path: path}, v.offers(repo)
	if v.self != nil { // what is here can be had for sure
		slices.SortStableFunc(offers, func(a, b directory.Offer) int { return btoi(b.Node.ID == v.self.ID) - btoi(a.Node.ID == v.self.ID) })
	}
	var commits []ref.Commit
	for _, o := range offers {
		if len(commits) < maxVersions && !slices.Contains(commits, o.Commit) {
			commits = append(commits, o.Commit)
		}
	}
	offers = keep(offers, func(o directory.Offer) bool { return slices.Contains(commits, o.Commit) })
	found := func() (out []ref.Entry) {
		for _, c := range commits {
			if votes := v.blobs(offers, f, c); len(votes) > 0 {
				out = addVersion(out, ref.Entry{Repo: repo, Commit: c, Path: path, Blob: votes[0].blob})
			}
		}
		return out
	}
	v.s.load(ctx, offers, func() bool { return len(found()) > 0 })
	if out = found(); len(out) == 0 {
		return nil, ctx.Err()
	}
	return out, nil
}

// addVersion keeps each blob once. Not everybody knows its Xet hash.
func addVersion(all []ref.Entry, e ref.Entry) []ref.Entry {
	for i := range all {
		if b := &all[i].Blob; b.ETag == e.Blob.ETag && b.Size == e.Blob.Size {
			b.Xet = cmp.Or(b.Xet, e.Blob.Xet)
			return all
		}
	}
	return append(all, e)
}

// vote is a blob that nodes say a file has, one of them, and how many say so.
type vote struct {
	blob  ref.Blob
	node  directory.Node
	count int
}

// blobs is what the lists that are here say of a file at a commit, and those who
// are fetching it; what most say comes first.
func (v view) blobs(offers []directory.Offer, f ref.File, commit ref.Commit) (votes []vote) {
	for _, o := range offers {
		if o.Commit != commit {
			continue
		}
		if list := v.s.ownList(o.List); list != nil {
			if file, ok := list.Find(f.Path); ok {
				votes = count(votes, file.Blob, o.Node, 1)
			}
		}
	}
	same := func(e ref.Entry) bool { return e.Repo == f.Repo && e.Commit == commit && e.Path == f.Path }
	for _, p := range v.fetching(same) {
		votes = count(votes, p.Entry.Blob, p.Node, 1)
	}
	slices.SortStableFunc(votes, func(a, b vote) int { return b.count - a.count })
	return votes
}

// count adds the votes of some nodes, n among them. Not every node knows a blob's
// Xet hash; the first that does tells it for all.
func count(votes []vote, b ref.Blob, n directory.Node, voters int) []vote {
	for i := range votes {
		if v := &votes[i]; v.blob.ETag == b.ETag && v.blob.Size == b.Size {
			v.count += voters
			v.blob.Xet = cmp.Or(v.blob.Xet, b.Xet)
			return votes
		}
	}
	return append(votes, vote{b, n, voters})
}

// Holders are the nodes that say they have the entry's blob: at its commit, at
// another commit of its repo, or anywhere else as far as lists are here. Those
// who are fetching it come last. A holder is a candidate until it answers; see
// [Swarm.Forget].
func (s *Swarm) Holders(ctx context.Context, e ref.Entry) ([]directory.Holder, error) {
	return s.view(false).holders(ctx, e)
}

func (v view) holders(ctx context.Context, e ref.Entry) ([]directory.Holder, error) {
	offers := v.offers(e.Repo)
	slices.SortStableFunc(offers, func(a, b directory.Offer) int { // its own commit first
		return btoi(b.Commit == e.Commit) - btoi(a.Commit == e.Commit)
	})
	v.s.load(ctx, offers, func() bool { return len(v.complete(offers, e)) > 0 })
	out := v.complete(offers, e)
	same := func(p ref.Entry) bool { return p.Blob.ETag == e.Blob.ETag && p.Blob.Size == e.Blob.Size }
	for _, p := range v.fetching(same) {
		if !named(out, p.Node) {
			out = append(out, directory.Holder{Node: p.Node})
		}
	}
	now := v.s.now()
	out = slices.DeleteFunc(out, func(h directory.Holder) bool { return v.s.roster.denied(h.Node.ID, e.Blob.ETag, now) })
	if len(out) == 0 {
		return nil, ctx.Err()
	}
	return out, nil
}

// complete are those whose lists, as far as they are here, name the blob.
func (v view) complete(offers []directory.Offer, e ref.Entry) (out []directory.Holder) {
	add := func(n directory.Node) {
		if !named(out, n) {
			out = append(out, directory.Holder{Node: n, Complete: true, Bytes: e.Blob.Size})
		}
	}
	tried := map[manifest.Digest]bool{}
	for _, o := range offers {
		holds, ok := tried[o.List]
		if !ok {
			list := v.s.ownList(o.List)
			holds = list != nil && list.Holds(e.Blob.ETag, e.Blob.Size)
			tried[o.List] = holds
		}
		if holds {
			add(o.Node)
		}
	}
	if v.self != nil && v.own.holds(e.Blob) {
		add(*v.self)
	}
	elsewhere := v.s.lists.holding(e.Blob.ETag, e.Blob.Size)
	for d := range tried {
		delete(elsewhere, d)
	}
	if len(elsewhere) > 0 {
		for _, n := range v.s.table.Naming(elsewhere) {
			add(n)
		}
	}
	return out
}

// Forget is for who asked a holder for a blob and heard that it is not there: the
// node is no holder of it for now, and its manifest is looked at again.
func (s *Swarm) Forget(node string, etag ref.ETag) {
	if s.roster.deny(node, etag, s.now()) {
		s.pull(node)
	}
}

func named(hs []directory.Holder, n directory.Node) bool {
	return slices.ContainsFunc(hs, func(h directory.Holder) bool { return h.Node.ID == n.ID })
}

func keep[T any](s []T, want func(T) bool) []T {
	return slices.DeleteFunc(s, func(v T) bool { return !want(v) })
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// age is how long ago t was; the zero time has none.
func age(t, now time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := max(now.Sub(t).Milliseconds(), 0)
	return &ms
}
