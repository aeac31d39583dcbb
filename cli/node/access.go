package node

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/gossip/manifest"
	"hffs/transfer"
	"hffs/transfer/catalog/access"
	"hffs/transfer/hub"
	"hffs/transfer/hub/caller"
)

// newAccess opens the book of who may read what.
func newAccess(cfg Config, h *hub.Client, c *cache.Cache, dir string) *access.Book {
	return access.New(access.Config{
		Path: filepath.Join(dir, "access.json"), Hub: publicness{h, c}, Own: cfg.Hub.Token, ShareAll: cfg.ShareGated,
		Refused: hub.IsRefusal, Log: cfg.Log,
	})
}

// publicness asks the Hub who may read. A Hub of somebody's own making may know nothing
// but files: then it is asked for one that is here.
type publicness struct {
	*hub.Client
	cache *cache.Cache
}

func (p publicness) Public(ctx context.Context, repo ref.Repo) (bool, error) {
	public, err := p.Client.Public(ctx, repo)
	if err == nil {
		return public, nil
	}
	for _, s := range p.cache.Holdings().Snapshots {
		if s.Repo != repo || len(s.Files) == 0 {
			continue
		}
		_, no := p.Client.Resolve(caller.With(ctx, ""), ref.File{Repo: repo, Revision: string(s.Commit), Path: s.Files[0].Path})
		switch {
		case no == nil:
			return true, nil
		case hub.IsRefusal(no):
			return false, nil
		}
		break
	}
	return public, err
}

// heard takes note that what serves is what neighbours say: they hand it to everybody.
func (e *engine) heard(r transfer.Resolved) {
	repo := r.Entry.Repo
	if !r.Stale || e.access.Known(repo) {
		return
	}
	for _, s := range e.cache.Holdings().Snapshots {
		if s.Repo == repo {
			return // something was here before, and nobody knows how it came
		}
	}
	e.access.Heard(repo)
}

// refused: the Hub has answered, and said no.
func refused(err error) bool {
	return hub.IsRefusal(err) || errors.Is(err, hub.ErrRevisionNotFound) || errors.Is(err, hub.ErrEntryNotFound)
}

// shown is what is held here and may be told to others.
func (e *engine) shown() manifest.Holdings {
	h := holdings(e.cache.Holdings())
	h.Refs = e.learnt.over(h.Refs)
	h.Snapshots = only(h.Snapshots, func(s manifest.Snapshot) bool { return e.access.Shared(s.Repo) })
	h.Refs = only(h.Refs, func(r manifest.Ref) bool { return e.access.Shared(r.Repo) })
	h.Partials = only(h.Partials, func(p ref.Entry) bool { return e.access.Shared(p.Repo) })
	return h
}

func only[T any](all []T, keep func(T) bool) (some []T) {
	for _, x := range all {
		if keep(x) {
			some = append(some, x)
		}
	}
	return some
}

// mayHave: peers may be given a blob that lies in any repo that they may know of.
func (s store) mayHave(etag ref.ETag) bool {
	return slices.ContainsFunc(s.cache.Owners(etag), s.engine.access.Shared)
}
