package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/control"
)

// removePatience is how long somebody who reads or fetches is waited for, unless the
// user wants to wait for longer.
const (
	removePatience = 3 * time.Second
	removeForever  = 365 * 24 * time.Hour
)

// Remove takes a file, a revision or a repo out of the cache.
func (e *engine) Remove(ctx context.Context, ask control.RemoveAsk) (control.Removed, error) {
	repo, err := parseRepo(ask.RepoType, ask.Repo)
	if err != nil {
		return control.Removed{}, err
	}
	want := cache.Removal{Repo: repo, Path: ask.File, DryRun: ask.DryRun, Reading: e.reading.is, Patience: removePatience}
	if ask.Wait {
		want.Patience = removeForever
	}
	if want.Path != "" {
		if err := ref.CheckPath(want.Path); err != nil {
			return control.Removed{}, err
		}
	}
	if ask.Revision != "" {
		commit, err := e.storedCommit(ctx, repo, ask.Revision)
		if err != nil {
			return control.Removed{}, err
		}
		want.Commits = []ref.Commit{commit}
	}
	gone, err := e.cache.Remove(ctx, want)
	if err != nil {
		return control.Removed{}, e.whyNot(ctx, ask, repo, err)
	}
	return removed(ask, repo, gone), nil
}

// storedCommit is which commit of those that are here a revision is.
func (e *engine) storedCommit(ctx context.Context, repo ref.Repo, revision string) (ref.Commit, error) {
	if err := ref.CheckRevision(revision); err != nil {
		return "", err
	}
	s, ok := cache.StoredOf(e.cache.Dir(), repo)
	if !ok {
		return "", NotStored(e.cache.Dir(), repo)
	}
	r, ok := s.At(revision)
	if !ok {
		return "", NoRevision(s, revision)
	}
	return r.Commit, ctx.Err()
}

// whyNot puts into words why something was not removed.
func (e *engine) whyNot(ctx context.Context, ask control.RemoveAsk, repo ref.Repo, err error) error {
	busy, ok := errors.AsType[*cache.BusyError](err)
	switch {
	case ctx.Err() != nil:
		return err
	case ok:
		return &control.Error{Code: control.CodeBusy, Message: busy.Error(), Hint: "nothing was removed; try again in a while, or have --wait wait for it"}
	case !errors.Is(err, cache.ErrNotFound):
		return err
	}
	s, here := cache.StoredOf(e.cache.Dir(), repo)
	if !here {
		return NotStored(e.cache.Dir(), repo)
	}
	return NoFile(s, ask.File, ask.Revision)
}

// NotStored says that nothing of a repo is in the cache folder dir.
func NotStored(dir string, repo ref.Repo) error {
	var all []ref.Repo
	for _, s := range cache.Stored(dir) {
		all = append(all, s.Repo)
	}
	hint := "\"hffs ls\" lists what is here"
	if near := ref.Near(repo, all); len(near) > 0 {
		hint = DidYouMean(repo, near)
	}
	return &control.Error{Code: control.CodeNotFound, Message: fmt.Sprintf("there is no %s %s in the cache", repo.Type, repo.ID), Hint: hint}
}

// DidYouMean names repos that somebody may have meant who wrote repo, with the flag that
// leads to those of another type.
func DidYouMean(repo ref.Repo, near []ref.Repo) string {
	var names []string
	for _, n := range near {
		name := n.ID
		if n.Type != repo.Type {
			name += " --repo-type " + string(n.Type)
		}
		names = append(names, name)
	}
	return "did you mean " + strings.Join(names, ", or ") + "?"
}

// NoRevision says that a revision of a repo is not here, and which are.
func NoRevision(s cache.StoredRepo, revision string) error {
	var here []string
	for _, r := range s.Revisions {
		here = append(here, RevisionName(r))
	}
	hint := "no revision of it is here"
	if len(here) > 0 {
		const most = 5
		hint = "here are " + strings.Join(here[:min(len(here), most)], ", ")
	}
	return &control.Error{Code: control.CodeNotFound, Message: fmt.Sprintf("revision %s of %s is not in the cache", revision, s.Repo), Hint: hint}
}

// RevisionName is what people call a revision: its branches and tags, or the beginning
// of its commit.
func RevisionName(r cache.StoredRevision) string {
	if len(r.Refs) > 0 {
		return strings.Join(r.Refs, ", ")
	}
	return string(r.Commit[:min(len(r.Commit), 12)])
}

// NoFile says that a file of a repo is not here, at a revision or at all.
func NoFile(s cache.StoredRepo, file, revision string) error {
	at, hint := "", fmt.Sprintf("\"hffs ls %s\" lists its files that are here", s.Repo.ID)
	if revision != "" {
		at = " at " + revision
	}
	for _, r := range s.Revisions {
		if _, ok := r.File(file); ok && revision != "" {
			hint = fmt.Sprintf("it is here at %s", RevisionName(r))
			break
		}
	}
	return &control.Error{Code: control.CodeNotFound, Message: fmt.Sprintf("%s of %s%s is not in the cache", file, s.Repo, at), Hint: hint}
}

func removed(ask control.RemoveAsk, repo ref.Repo, gone cache.Removed) control.Removed {
	r := control.Removed{
		Repo: repo.ID, RepoType: string(repo.Type), Files: []control.RemovedFile{}, Refs: slices.Clip(gone.Refs),
		Blobs: gone.Blobs, Freed: gone.Freed, Whole: gone.Whole, DryRun: ask.DryRun,
	}
	if r.Refs == nil {
		r.Refs = []string{}
	}
	for _, f := range gone.Files {
		r.Files = append(r.Files, control.RemovedFile{Commit: string(f.Commit), File: f.Path, Size: f.Size, Kept: f.Kept})
	}
	return r
}

func parseRepo(kind, id string) (ref.Repo, error) {
	t, err := ref.ParseType(kind)
	if err != nil {
		return ref.Repo{}, err
	}
	return ref.ParseRepo(t, id)
}

// Shared is what may be told to others of what is here.
func (e *engine) Shared(context.Context) (control.SharedRepos, error) {
	s := control.SharedRepos{Repos: []control.NamedRepo{}}
	var last ref.Repo
	for _, snap := range e.shown().Snapshots {
		if snap.Repo != last {
			s.Repos = append(s.Repos, control.NamedRepo{Repo: snap.Repo.ID, RepoType: string(snap.Repo.Type)})
		}
		last = snap.Repo
	}
	return s, nil
}

// A node and a passer-by look after their caches; see [control.Models].

// Remove takes something out of the cache.
func (n *Node) Remove(ctx context.Context, ask control.RemoveAsk) (control.Removed, error) {
	return n.engine.Remove(ctx, ask)
}

// Search tells who has something of a repo.
func (n *Node) Search(ctx context.Context, ask control.SearchAsk) (control.Found, error) {
	return n.engine.Search(ctx, ask)
}

// Shared is what the node offers to others.
func (n *Node) Shared(ctx context.Context) (control.SharedRepos, error) { return n.engine.Shared(ctx) }

// Remove takes something out of the cache.
func (p *Passerby) Remove(ctx context.Context, ask control.RemoveAsk) (control.Removed, error) {
	return p.engine.Remove(ctx, ask)
}

// Search tells who has something of a repo.
func (p *Passerby) Search(ctx context.Context, ask control.SearchAsk) (control.Found, error) {
	p.asking.start()
	return p.engine.Search(ctx, ask)
}

// Shared: a passer-by offers nothing once its command has ended.
func (p *Passerby) Shared(context.Context) (control.SharedRepos, error) {
	return control.SharedRepos{Repos: []control.NamedRepo{}}, nil
}

var (
	_ control.Models = (*Node)(nil)
	_ control.Models = (*Passerby)(nil)
)
