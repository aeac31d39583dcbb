package gossip

import (
	"slices"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

// own is what this node says of itself to who asks: what it holds, without the
// repos that are not shared. Whatever else it knows of those, it does not say
// either; what others announced it passes on.
type own struct {
	built  *manifest.Built
	shared func(ref.Repo) bool
}

func (s *Swarm) shared(repo ref.Repo) bool { return s.cfg.Shared == nil || s.cfg.Shared(repo) }

func (s *Swarm) own() own { return own{s.pub.latest(), s.shared} }

// ref is what a branch or tag was last heard to stand for.
func (o own) ref(repo ref.Repo, name string) (manifest.Ref, bool) {
	r, ok := o.built.Summary.Ref(repo, name)
	return r, ok && o.shared(repo)
}

// of are the snapshots held of a repo.
func (o own) of(repo ref.Repo) []manifest.Held {
	held := o.built.Summary.Of(repo)
	if len(held) == 0 || !o.shared(repo) {
		return nil
	}
	return held
}

// files are those of a repo at a commit that are held or being fetched.
func (o own) files(repo ref.Repo, commit ref.Commit) (fs []ref.Listed) {
	for _, h := range o.of(repo) {
		if h.Commit == commit {
			fs = slices.Clone(o.built.Lists[h.List].Files())
		}
	}
	for _, e := range o.partials() {
		if e.Repo == repo && e.Commit == commit {
			fs = append(fs, ref.Listed{Path: e.Path, Blob: e.Blob})
		}
	}
	return fs
}

// partials are what is being fetched.
func (o own) partials() (es []ref.Entry) {
	for _, e := range o.built.Summary.Partials {
		if o.shared(e.Repo) {
			es = append(es, e)
		}
	}
	return es
}

// list is the list of that name, if it is one of a shared repo.
func (o own) list(d manifest.Digest) *manifest.List {
	list := o.built.Lists[d]
	if list == nil || !o.has(func(h manifest.Held) bool { return h.List == d }) {
		return nil
	}
	return list
}

// holds reports whether a blob is held for a shared repo.
func (o own) holds(b ref.Blob) bool {
	return o.has(func(h manifest.Held) bool { return o.built.Lists[h.List].Holds(b.ETag, b.Size) })
}

func (o own) has(want func(manifest.Held) bool) bool {
	for _, h := range o.built.Summary.Held {
		if want(h) && o.shared(h.Repo) {
			return true
		}
	}
	return false
}
