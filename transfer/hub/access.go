package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"hffs/cache/ref"
	"hffs/transfer/hub/caller"
)

// Public asks whether everybody may read the repo: the Hub says so to somebody who
// shows no token. Where it is out of reach a mirror that hands the repo to everybody
// shows it as well; a mirror's no says nothing.
func (c *Client) Public(ctx context.Context, repo ref.Repo) (public bool, err error) {
	ctx = caller.With(ctx, "")
	ask := func(ctx context.Context, ep *endpoint) error {
		said, err := c.repoAt(ctx, ep, repo)
		public = err == nil && said.open()
		return err
	}
	err = c.askHub(ctx, repo.String(), ask)
	if IsRefusal(err) {
		return false, nil
	}
	for _, ep := range c.endpoints {
		if err != nil && !ep.hub && c.ask(ctx, repo.String(), []*endpoint{ep}, ask) == nil && public {
			return true, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("whether %s is public: %w", repo, err)
	}
	return public, nil
}

// IsRefusal: the Hub has said that this caller may not read the repo.
func IsRefusal(err error) bool {
	for _, kind := range []error{ErrRepoNotFound, ErrGated, ErrUnauthorized, ErrDisabled} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// May asks the Hub whether the caller may read the repo's files: nil, or the
// refusal in the same words as [Client.Resolve] gives it. Mirrors are not asked.
func (c *Client) May(ctx context.Context, repo ref.Repo) error {
	err := c.askHub(ctx, repo.String(), func(ctx context.Context, ep *endpoint) error {
		u, err := ep.apiURL(repo, "auth-check")
		if err != nil {
			return err
		}
		_, err = c.get(ctx, ep, u, maxShortAnswer)
		if noSuchCall(err) {
			return c.mayByFile(ctx, ep, repo)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("access to %s: %w", repo, err)
	}
	return nil
}

// noSuchCall: a Hub of somebody's own making that has no auth-check.
func noSuchCall(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound && !IsRefusal(err)
}

// mayByFile finds out by what every Hub has: a repo that is open to all needs no
// more, else who may ask for one file may read them all.
func (c *Client) mayByFile(ctx context.Context, ep *endpoint, repo ref.Repo) error {
	said, err := c.repoAt(ctx, ep, repo)
	switch {
	case err != nil || said.open():
		return err
	case said.file == "" || said.Commit == "":
		return ep.fault(nil, "does not tell who may read %s", repo)
	}
	_, err = c.resolveAt(ctx, ep, ref.File{Repo: repo, Revision: string(said.Commit), Path: said.file})
	return err
}

// repoAt asks about a repo as such.
func (c *Client) repoAt(ctx context.Context, ep *endpoint, repo ref.Repo) (repoInfo, error) {
	u, err := ep.apiURL(repo)
	if err != nil {
		return repoInfo{}, err
	}
	r, err := c.get(ctx, ep, u, maxAnswer)
	if err != nil {
		return repoInfo{}, err
	}
	said, err := parseInfo(r.body, repo.Type)
	if err != nil {
		return repoInfo{}, ep.fault(r.resp, "%v", err)
	}
	return said, nil
}
