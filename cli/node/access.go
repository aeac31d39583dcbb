package node

import (
	"errors"
	"path/filepath"
	"slices"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
	"hffs/transfer/catalog/access"
	"hffs/transfer/hub"
)

// newAccess opens the book of who may read what.
func newAccess(cfg Config, h *hub.Client, dir string) *access.Book {
	return access.New(access.Config{
		Path: filepath.Join(dir, "access.json"), Hub: h, Own: cfg.Hub.Token, ShareAll: cfg.ShareGated,
		Refused: barred, Log: cfg.Log,
	})
}

// barred: the Hub has said that the caller may not read the repo.
func barred(err error) bool {
	for _, kind := range []error{hub.ErrRepoNotFound, hub.ErrGated, hub.ErrUnauthorized, hub.ErrDisabled} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// refused: the Hub has answered, and said no.
func refused(err error) bool {
	return barred(err) || errors.Is(err, hub.ErrRevisionNotFound) || errors.Is(err, hub.ErrEntryNotFound)
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
