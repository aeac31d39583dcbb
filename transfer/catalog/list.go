package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"hffs/cache/ref"
)

// listing is the files of a commit, sorted by path.
type listing struct {
	files []ref.Listed
	whole bool
}

// List is what files a commit has, sorted by path, with their Xet hashes where the
// Hub told them to us. Where whole is false there may be more. The list is shared and
// must not be changed.
func (c *Catalog) List(ctx context.Context, repo ref.Repo, commit ref.Commit) (files []ref.Listed, whole bool, err error) {
	if _, err := ref.ParseCommit(string(commit)); err != nil {
		return nil, false, err
	}
	if files, ok := c.cfg.Store.StatedTree(repo, commit); ok {
		return files, true, nil
	}
	l, err := c.lists.Do(ctx, ask(ctx, repo, string(commit), nil), func(ctx context.Context) (listing, error) {
		return c.findList(ctx, repo, commit)
	})
	return l.files, l.whole, err
}

// Known is the list of a commit's files, if the Hub has stated it to this machine, to
// us or to another program: what may be told to neighbours. Nobody is asked.
func (c *Catalog) Known(repo ref.Repo, commit ref.Commit) (files []ref.Listed, whole bool) {
	return c.cfg.Store.Tree(repo, commit)
}

func (c *Catalog) findList(ctx context.Context, repo ref.Repo, commit ref.Commit) (listing, error) {
	l, found, err := hushed(ctx, hushList,
		func(ctx context.Context) (listing, error) { return c.askList(ctx, repo, commit) },
		func(ctx context.Context) (listing, bool) { return c.nextBest(ctx, repo, commit) })
	switch {
	case found || err == nil:
		return l, nil
	case ctx.Err() != nil:
		return listing{}, context.Cause(ctx)
	case c.cfg.Refused(err):
		return listing{}, err
	}
	return c.lastList(ctx, repo, commit, err)
}

// askList asks the Hub, and keeps what it says.
func (c *Catalog) askList(ctx context.Context, repo ref.Repo, commit ref.Commit) (listing, error) {
	files, err := c.cfg.Hub.Tree(ctx, repo, commit)
	if err != nil {
		return listing{}, err
	}
	if err := c.cfg.Store.KeepTree(repo, commit, files); err != nil {
		c.cfg.Log.Debug("file list of a commit was not kept", "repo", repo, "commit", commit, "err", err)
	}
	return listing{sorted(files), true}, nil
}

// lastList is for a Hub out of reach: another program's list or a neighbour's, else what
// anybody knows.
func (c *Catalog) lastList(ctx context.Context, repo ref.Repo, commit ref.Commit, hubErr error) (listing, error) {
	if l, ok := c.theirs(repo, commit); ok {
		return l, nil
	}
	l, ok := rumour(ctx, c.cfg.Others, func(ctx context.Context) (listing, bool) {
		told := c.told(ctx, repo, commit)
		if l, ok := c.whole(repo, commit, told); ok {
			return l, true
		}
		l := c.together(repo, commit, told)
		return l, len(l.files) > 0
	})
	if !ok {
		return listing{}, fmt.Errorf("%w; nobody in the swarm knows what files %.8s of %s has either", hubErr, commit, repo)
	}
	return l, nil
}

// theirs is the list that huggingface_hub has had from the Hub and left in the cache.
// It writes none that lacks files, and says which are missing by it.
func (c *Catalog) theirs(repo ref.Repo, commit ref.Commit) (listing, bool) {
	files, ok := c.cfg.Store.Tree(repo, commit)
	if ok {
		c.cfg.Log.Info("the list of files that another program left here serves", "repo", repo, "commit", commit, "files", len(files))
	}
	return listing{sorted(files), true}, ok
}

// nextBest is what all files of the commit are, as this machine was told once, or as a
// neighbour says.
func (c *Catalog) nextBest(ctx context.Context, repo ref.Repo, commit ref.Commit) (listing, bool) {
	if l, ok := c.theirs(repo, commit); ok {
		return l, true
	}
	return c.whole(repo, commit, c.told(ctx, repo, commit))
}

// told is what the neighbours say.
func (c *Catalog) told(ctx context.Context, repo ref.Repo, commit ref.Commit) []Told {
	if c.cfg.Swarm == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	told, err := c.cfg.Swarm.Lists(ctx, repo, commit)
	if err != nil {
		c.cfg.Log.Debug("swarm was asked in vain", "repo", repo, "commit", commit, "err", err)
	}
	return told
}

// whole is the first whole list that does not contradict what is known here.
func (c *Catalog) whole(repo ref.Repo, commit ref.Commit, told []Told) (listing, bool) {
	if !slices.ContainsFunc(told, func(t Told) bool { return t.Whole }) {
		return listing{}, false
	}
	here := c.cfg.Store.Present(repo, commit)
	for _, t := range told {
		if !t.Whole || !c.believable(repo, commit, t, here) {
			continue
		}
		for _, o := range t.Conflicts {
			c.cfg.Log.Warn("neighbours tell different lists of a commit's files", "repo", repo, "commit", commit, "from", t.From, "file", o.Path, "says", o.From)
		}
		c.cfg.Log.Info("a neighbour's list of files serves", "repo", repo, "commit", commit, "from", t.From, "files", len(t.Files))
		return listing{sorted(t.Files), true}, true
	}
	return listing{}, false
}

// believable holds a neighbour's list against what the Hub has told this machine of
// single files, and against files that were checked here.
func (c *Catalog) believable(repo ref.Repo, commit ref.Commit, t Told, here []ref.Listed) bool {
	says := byPath(t.Files)
	for _, f := range here {
		sure, ok := c.cfg.Store.SureEntry(repo, commit, f.Path)
		if ok && sure.Blob.ETag != says[f.Path].ETag {
			c.cfg.Log.Warn("a neighbour's list of files contradicts what is here; it is not used", "repo", repo, "commit", commit, "from", t.From, "file", f.Path)
			return false
		}
	}
	return true
}

// together is what anybody knows of a commit: what is here, then what neighbours have. Whole lists are not among that:
// they were found to contradict what is here.
func (c *Catalog) together(repo ref.Repo, commit ref.Commit, told []Told) listing {
	all := byPath(c.cfg.Store.Present(repo, commit))
	for _, t := range told {
		if t.Whole {
			continue
		}
		for _, f := range t.Files {
			have, ok := all[f.Path]
			switch {
			case !ok:
				all[f.Path] = f.Blob
			case have.ETag != f.Blob.ETag:
				c.cfg.Log.Warn("a neighbour says something else of a file", "repo", repo, "commit", commit, "file", f.Path, "says", t.From)
			}
		}
	}
	if len(all) > 0 {
		c.cfg.Log.Info("what is held of a commit serves as its list of files; there may be more", "repo", repo, "commit", commit, "files", len(all))
	}
	files := make([]ref.Listed, 0, len(all))
	for _, path := range slices.Sorted(maps.Keys(all)) {
		files = append(files, ref.Listed{Path: path, Blob: all[path]})
	}
	return listing{files: files}
}

func byPath(files []ref.Listed) map[string]ref.Blob {
	m := make(map[string]ref.Blob, len(files))
	for _, f := range files {
		m[f.Path] = f.Blob
	}
	return m
}

// sorted orders files by path and has none twice.
func sorted(files []ref.Listed) []ref.Listed {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b ref.Listed) int { return cmp.Compare(a.Path, b.Path) })
	return slices.CompactFunc(files, func(a, b ref.Listed) bool { return a.Path == b.Path })
}
