package node

import (
	"context"
	"errors"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/cli/control"
	"hffs/transfer"
	"hffs/transfer/hub"
)

// nearPatience is how long is looked for names that somebody may have meant.
const nearPatience = time.Second

// suggested is an error about a repo that nobody here has, with repos that may have been
// meant.
type suggested struct {
	err  error
	said *control.Error
}

func (s suggested) Error() string   { return s.err.Error() }
func (s suggested) Unwrap() []error { return []error{s.err, s.said} }

// suggest adds to an error of a repo that could not be had which one may have been meant:
// only where nothing of it is known here, and only what is here or in the swarm.
func (e *engine) suggest(ctx context.Context, repo ref.Repo, err error) error {
	_, none := errors.AsType[*transfer.NoSourceError](err)
	if !none && !errors.Is(err, hub.ErrRepoNotFound) && !errors.Is(err, hub.ErrOffline) && !errors.Is(err, hub.ErrUnreachable) {
		return err
	}
	if s, here := cache.StoredOf(e.cache.Dir(), repo); here && len(s.Revisions) > 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nearPatience)
	defer cancel()
	if len(e.holdings(ctx, repo)) > 0 {
		return err
	}
	near := e.near(ctx, repo)
	if len(near) == 0 {
		return err
	}
	said := *Explain(err)
	said.Hint = DidYouMean(repo, near) + " " + said.Hint
	return suggested{err, &said}
}
