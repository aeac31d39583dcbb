package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"hffs/cache/ref"
)

// known is what was found out about a repo at a revision. JSON is what the Hub says
// of it; nil where it could not be asked.
type known struct {
	Answer
	JSON json.RawMessage
}

const (
	fromHub  = "the Hub"
	fromHere = "this machine"
)

// about asks the Hub, or, where it cannot be asked, finds the last known answer.
func (c *Catalog) about(ctx context.Context, repo ref.Repo, revision string, query url.Values) (known, error) {
	if err := ref.CheckRevision(revision); err != nil {
		return known{}, err
	}
	return c.revisions.Do(ctx, ask(ctx, repo, revision, query), func(ctx context.Context) (known, error) {
		return c.find(ctx, repo, revision, query)
	})
}

func (c *Catalog) find(ctx context.Context, repo ref.Repo, revision string, query url.Values) (known, error) {
	k, heard, err := hushed(ctx, hush,
		func(ctx context.Context) (known, error) { return c.askHub(ctx, repo, revision, query) },
		func(ctx context.Context) (known, bool) { return c.justHeard(ctx, repo, revision) })
	switch {
	case heard:
		return k, nil
	case err == nil:
		c.learn(repo, revision, k, len(query) == 0)
		return k, nil
	case ctx.Err() != nil:
		return known{}, context.Cause(ctx)
	case c.cfg.Refused(err):
		return known{}, err
	}
	return c.lastKnown(ctx, repo, revision, err)
}

// askHub: a query may ask for other things than the commit; then it is left empty.
func (c *Catalog) askHub(ctx context.Context, repo ref.Repo, revision string, query url.Values) (known, error) {
	commit, info, err := c.cfg.Hub.Info(ctx, repo, revision, query)
	if err != nil {
		return known{}, err
	}
	if commit == "" && len(query) > 0 {
		return known{JSON: info}, nil
	}
	if commit, err = ref.ParseCommit(string(commit)); err != nil {
		return known{}, fmt.Errorf("ask what %s of %s is: %w", revision, repo, err)
	}
	if want, err := ref.ParseCommit(revision); err == nil && want != commit {
		return known{}, fmt.Errorf("ask for commit %.8s of %s: the answer is about %.8s", want, repo, commit)
	}
	return known{Answer{Commit: commit, Learnt: c.cfg.Now(), From: fromHub}, info}, nil
}

// learn keeps what the Hub has said. plain: all that it says of a repo, not a
// selection.
func (c *Catalog) learn(repo ref.Repo, revision string, k known, plain bool) {
	if k.Commit == "" {
		return
	}
	c.cfg.Log.Info("the Hub has told what a revision is", "repo", repo, "revision", revision, "commit", k.Commit)
	if !ref.IsCommit(revision) {
		if err := c.cfg.Store.SetRef(repo, revision, k.Commit); err != nil {
			c.cfg.Log.Warn("revision was not recorded", "repo", repo, "revision", revision, "err", err)
		}
		if c.cfg.Learnt != nil {
			c.cfg.Learnt(repo, revision, k.Commit)
		}
	}
	if !plain {
		return
	}
	if err := c.cfg.Store.KeepInfo(repo, k.Commit, k.JSON); err != nil {
		c.cfg.Log.Debug("what the Hub says of a repo was not kept", "repo", repo, "err", err)
	}
}

// errSilent is why an answer of the neighbours serves.
var errSilent = errors.New("the Hub is silent")

// justHeard is what a neighbour has learnt from the Hub a moment ago.
func (c *Catalog) justHeard(ctx context.Context, repo ref.Repo, revision string) (known, bool) {
	if ref.IsCommit(revision) {
		return known{}, false
	}
	claims := slices.DeleteFunc(c.claims(ctx, look, repo, revision), func(k Claim) bool {
		return k.Learnt.IsZero() || c.cfg.Now().Sub(k.Learnt) >= news
	})
	if len(claims) == 0 {
		return known{}, false
	}
	return known{Answer: c.disputed(repo, revision, claims, errSilent)}, true
}

func (c *Catalog) lastKnown(ctx context.Context, repo ref.Repo, revision string, hubErr error) (known, error) {
	if commit, err := ref.ParseCommit(revision); err == nil {
		return known{Answer: Answer{Commit: commit, Stale: true, From: fromHere}}, nil
	}
	if own, err := c.cfg.Store.Ref(repo, revision); err == nil {
		a := c.stale(repo, revision, Claim{own.Commit, own.Learnt, fromHere}, hubErr)
		return known{Answer: c.newerElsewhere(ctx, repo, revision, a)}, nil
	}
	claims, ok := rumour(ctx, c.cfg.Others, func(ctx context.Context) ([]Claim, bool) {
		claims := c.claims(ctx, patience, repo, revision)
		return claims, len(claims) > 0
	})
	if !ok {
		return known{}, fmt.Errorf("%w; nobody in the swarm knows what %s of %s is either", hubErr, revision, repo)
	}
	return known{Answer: c.disputed(repo, revision, claims, hubErr)}, nil
}

// claims are what the neighbours say, the latest learnt first.
func (c *Catalog) claims(ctx context.Context, patience time.Duration, repo ref.Repo, revision string) []Claim {
	if c.cfg.Swarm == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	claims, err := c.cfg.Swarm.Revisions(ctx, repo, revision)
	if err != nil {
		c.cfg.Log.Debug("swarm was asked in vain", "repo", repo, "revision", revision, "err", err)
	}
	claims = slices.DeleteFunc(slices.Clone(claims), func(c Claim) bool { return !ref.IsCommit(string(c.Commit)) })
	slices.SortStableFunc(claims, func(a, b Claim) int { return b.Learnt.Compare(a.Learnt) })
	return claims
}

// disputed takes a commit that was once seen here for the revision, where somebody
// claims it, else the latest answer, and tells when there are others.
func (c *Catalog) disputed(repo ref.Repo, revision string, claims []Claim, hubErr error) Answer {
	a, chosen := claims[0], "newer answer"
	if own, err := c.cfg.Store.Ref(repo, revision); err == nil {
		if i := slices.IndexFunc(claims, func(c Claim) bool { return c.Commit == own.Commit }); i >= 0 && claims[i].Commit != a.Commit {
			a, chosen = claims[i], "one seen here before"
		}
	}
	answer := c.stale(repo, revision, a, hubErr)
	for _, other := range claims {
		if other.Commit != a.Commit {
			c.cfg.Log.Warn("neighbours know different commits", "repo", repo, "revision", revision,
				"commit", a.Commit, "from", a.From, "other", other.Commit, "says", other.From)
			answer.Notes = append(answer.Notes, fmt.Sprintf("%s knows another commit, %.8s; the %s is used", other.From, other.Commit, chosen))
			break
		}
	}
	return answer
}

// newerElsewhere tells of a neighbour who has learnt since that the revision is
// another commit. Ours is kept: it was seen here.
func (c *Catalog) newerElsewhere(ctx context.Context, repo ref.Repo, revision string, a Answer) Answer {
	for _, other := range c.claims(ctx, patience, repo, revision) {
		if other.Commit != a.Commit && other.Learnt.After(a.Learnt) {
			c.cfg.Log.Warn("a neighbour knows a newer commit", "repo", repo, "revision", revision,
				"commit", a.Commit, "other", other.Commit, "says", other.From)
			a.Notes = append(a.Notes, fmt.Sprintf("%s knows a newer %s, %.8s, learnt %s; take it with --revision %s",
				other.From, revision, other.Commit, Ago(c.cfg.Now().Sub(other.Learnt)), other.Commit))
			break
		}
	}
	return a
}

func (c *Catalog) stale(repo ref.Repo, revision string, k Claim, hubErr error) Answer {
	when := "at a time unknown"
	text := fmt.Sprintf("the Hub cannot be asked; %s was commit %.8s", revision, k.Commit)
	if !k.Learnt.IsZero() {
		when = Ago(c.cfg.Now().Sub(k.Learnt))
		text += " " + when
	}
	c.cfg.Log.Info("last known answer serves", "repo", repo, "revision", revision, "commit", k.Commit, "from", k.From, "learnt", when, "err", hubErr)
	return Answer{Commit: k.Commit, Stale: true, Learnt: k.Learnt, From: k.From, Notes: []string{text + ", says " + k.From}}
}
