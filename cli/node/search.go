package node

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/gossip/directory"
)

// searchCommits bounds how many commits of a repo a search looks at in detail.
const searchCommits = 32

// totalPatience is how long it may take to learn what files a commit has.
const totalPatience = 3 * time.Second

// Search tells who has something of a repo: by what everybody has announced, or, for a
// single file, by asking those who should have it.
func (e *engine) Search(ctx context.Context, ask control.SearchAsk) (control.Found, error) {
	repo, err := parseRepo(ask.RepoType, ask.Repo)
	if err == nil && ask.File != "" {
		err = ref.CheckPath(ask.File)
	}
	if err != nil {
		return control.Found{}, err
	}
	found := control.Found{Repo: repo.ID, RepoType: string(repo.Type), File: ask.File, Holders: []control.RepoHolder{}, Near: []control.NamedRepo{}}
	ctx, cancel := context.WithTimeout(ctx, wherePatience)
	defer cancel()
	if e.searched != nil {
		e.searched(ctx)
	}
	there := e.holdings(ctx, repo)
	here, _ := cache.StoredOf(e.cache.Dir(), repo)
	if ask.File == "" {
		found.Holders = append(found.Holders, e.ofRepo(ctx, repo, here, there)...)
	} else {
		found.Holders = append(found.Holders, e.ofFile(ctx, repo, ask.File, here, there)...)
	}
	if len(there) == 0 && len(here.Revisions) == 0 {
		for _, n := range e.near(ctx, repo) {
			found.Near = append(found.Near, control.NamedRepo{Repo: n.ID, RepoType: string(n.Type)})
		}
	}
	return found, nil
}

func (e *engine) holdings(ctx context.Context, repo ref.Repo) []directory.Holding {
	hs, err := e.swarm.Holdings(ctx, repo)
	if err != nil {
		e.log.Debug("looked for holders of a repo", "repo", repo, "err", err)
	}
	return hs
}

// near are repos of a similar name, here and in the swarm.
func (e *engine) near(ctx context.Context, repo ref.Repo) []ref.Repo {
	all, err := e.swarm.Near(ctx, repo)
	if err != nil {
		e.log.Debug("looked for similar names", "repo", repo, "err", err)
	}
	for _, s := range cache.Stored(e.cache.Dir()) {
		if len(s.Revisions) > 0 {
			all = append(all, s.Repo)
		}
	}
	return ref.Near(repo, all)
}

const thisMachine = "this machine"

// ofRepo is what everybody has of the commits of a repo, this machine first.
func (e *engine) ofRepo(ctx context.Context, repo ref.Repo, here cache.StoredRepo, there []directory.Holding) (all []control.RepoHolder) {
	for _, r := range here.Revisions {
		h := control.RepoHolder{Node: thisMachine, Here: true, Commit: string(r.Commit), Refs: some(r.Refs)}
		for _, f := range r.Files {
			if !f.Missing {
				h.Files++
				h.Bytes += f.Size
			}
		}
		all = append(all, h)
	}
	slices.SortStableFunc(there, func(a, b directory.Holding) int {
		return cmp.Or(strings.Compare(a.Node.Name, b.Node.Name), strings.Compare(a.Node.ID, b.Node.ID), cmp.Compare(a.Commit, b.Commit))
	})
	for _, h := range there {
		all = append(all, control.RepoHolder{
			Node: h.Node.Name, Addr: h.Node.Addr.String(), Commit: string(h.Commit), Refs: some(h.Refs), Files: h.Files, Bytes: h.Bytes,
		})
	}
	totals := e.totals(ctx, repo, all)
	for i := range all {
		if t, ok := totals[all[i].Commit]; ok {
			t.of(&all[i])
		}
	}
	return all
}

// total is what all files of a commit come to.
type total struct {
	files int
	bytes int64
}

func (t total) of(h *control.RepoHolder) {
	complete := h.Files >= t.files
	h.OfFiles, h.OfBytes, h.Complete = &t.files, &t.bytes, &complete
}

// totals are those of the commits whose list of files is known to somebody.
func (e *engine) totals(ctx context.Context, repo ref.Repo, all []control.RepoHolder) map[string]total {
	var mu sync.Mutex // guards totals
	totals := map[string]total{}
	var wait sync.WaitGroup
	asked := map[string]bool{}
	for _, h := range all {
		if asked[h.Commit] || len(asked) >= searchCommits {
			continue
		}
		asked[h.Commit] = true
		wait.Go(func() {
			if t, ok := e.total(ctx, repo, ref.Commit(h.Commit)); ok {
				mu.Lock()
				defer mu.Unlock()
				totals[h.Commit] = t
			}
		})
	}
	wait.Wait()
	return totals
}

func (e *engine) total(ctx context.Context, repo ref.Repo, commit ref.Commit) (t total, ok bool) {
	files, whole := e.catalog.Known(repo, commit)
	if !whole {
		ctx, cancel := context.WithTimeout(ctx, totalPatience)
		defer cancel()
		var err error
		if files, whole, err = e.catalog.List(ctx, repo, commit); err != nil || !whole {
			return t, false
		}
	}
	for _, f := range files {
		t.files++
		t.bytes += f.Blob.Size
	}
	return t, true
}

// ofFile is who has a file, at whichever commit. It lists a blob once for each node.
func (e *engine) ofFile(ctx context.Context, repo ref.Repo, path string, here cache.StoredRepo, there []directory.Holding) (all []control.RepoHolder) {
	for _, r := range here.Revisions {
		if f, ok := r.File(path); ok && !f.Missing {
			h := control.RepoHolder{Node: thisMachine, Here: true, Commit: string(r.Commit), Refs: some(r.Refs), ETag: f.Blob, Files: 1, Bytes: f.Size}
			total{1, f.Size}.of(&h)
			all = append(all, h)
		}
	}
	for _, v := range e.commitsWith(ctx, repo, path, here, there) {
		for _, h := range e.holders(ctx, v.entry) {
			r := control.RepoHolder{
				Node: h.Node, Addr: h.Addr, Commit: string(v.entry.Commit), Refs: some(v.refs), ETag: string(v.entry.Blob.ETag), Bytes: h.Bytes,
			}
			if h.Complete {
				r.Files = 1
			}
			total{1, v.entry.Blob.Size}.of(&r)
			all = append(all, r)
		}
	}
	return all
}

// versionOf is a blob that a path is at a commit, and at others.
type versionOf struct {
	entry ref.Entry
	refs  []string
}

// commitsWith are the versions of a file that are held, each blob once, with the refs of
// all commits that have it.
func (e *engine) commitsWith(ctx context.Context, repo ref.Repo, path string, here cache.StoredRepo, there []directory.Holding) (all []versionOf) {
	refs := map[ref.Commit][]string{}
	var commits []ref.Commit
	add := func(c ref.Commit, names []string) {
		if _, known := refs[c]; !known && len(commits) < searchCommits {
			commits = append(commits, c)
		}
		refs[c] = slices.Compact(slices.Sorted(slices.Values(append(refs[c], names...))))
	}
	for _, h := range there {
		add(h.Commit, h.Refs)
	}
	for _, r := range here.Revisions {
		add(r.Commit, r.Refs)
	}
	for _, c := range commits {
		entry, ok := e.entryAt(ctx, repo, c, path)
		if !ok {
			continue
		}
		i := slices.IndexFunc(all, func(v versionOf) bool { return v.entry.Blob.ETag == entry.Blob.ETag })
		if i < 0 {
			all = append(all, versionOf{entry, refs[c]})
		} else {
			all[i].refs = slices.Compact(slices.Sorted(slices.Values(append(all[i].refs, refs[c]...))))
		}
	}
	return all
}

func (e *engine) entryAt(ctx context.Context, repo ref.Repo, commit ref.Commit, path string) (ref.Entry, bool) {
	if entry, err := e.cache.Entry(repo, commit, path); err == nil {
		return entry, true
	}
	known, err := e.swarm.Known(ctx, ref.File{Repo: repo, Revision: string(commit), Path: path})
	if err != nil {
		e.log.Debug("looked for a file", "repo", repo, "commit", commit, "path", path, "err", err)
	}
	for _, k := range known {
		if k.HasEntry {
			return k.Entry, true
		}
	}
	return ref.Entry{}, false
}

// some is a list that is never null in JSON.
func some(list []string) []string { return append([]string{}, list...) }
