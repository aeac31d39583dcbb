package gossip

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/directory"
)

// Revision is which commit the others say that a branch or tag is, each with its
// latest word, the latest learnt first. Nobody is asked what a commit is.
func (s *Swarm) Revision(_ context.Context, repo ref.Repo, revision string) ([]directory.Claim, error) {
	if err := ref.CheckRevision(revision); err != nil {
		return nil, err
	}
	return s.view(false).revision(repo, revision), nil
}

func (v view) revision(repo ref.Repo, revision string) []directory.Claim {
	if ref.IsCommit(revision) {
		return nil
	}
	return latest(v.claims(repo, revision))
}

// latest are claims with the latest of each node only.
func latest(claims []directory.Claim) (out []directory.Claim) {
	slices.SortStableFunc(claims, func(a, b directory.Claim) int {
		return cmp.Or(b.Learnt.Compare(a.Learnt), cmp.Compare(a.Node.ID, b.Node.ID))
	})
	seen := map[string]bool{}
	for _, c := range claims {
		if !seen[c.Node.ID] && len(out) < maxKnown {
			out = append(out, c)
		}
		seen[c.Node.ID] = true
	}
	return out
}

// Revision is [Swarm.Revision] as the members see it, they themselves included.
func (p *Passerby) Revision(ctx context.Context, repo ref.Repo, revision string) (all []directory.Claim, err error) {
	if err := ref.CheckRevision(revision); err != nil || ref.IsCommit(revision) {
		return nil, err
	}
	err = p.ask(ctx, lookupPath, claimsQuery(repo, revision), func(b []byte, door netip.AddrPort) (func(), error) {
		cs, err := decodeClaims(b, door, time.Now())
		return func() { all = append(all, cs...) }, err
	})
	return latest(all), err
}
