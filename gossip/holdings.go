package gossip

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

// Holdings is what the others say they have of a repo, by node and commit.
func (s *Swarm) Holdings(_ context.Context, repo ref.Repo) ([]directory.Holding, error) {
	return s.view(false).holdings(repo), nil
}

func (v view) holdings(repo ref.Repo) []directory.Holding {
	hs := v.s.table.Holdings(repo)
	if v.self != nil {
		for _, h := range v.own.of(repo) {
			hs = append(hs, directory.Holding{
				Node: *v.self, Commit: h.Commit, Files: h.Files, Bytes: h.Bytes, Refs: v.own.built.Summary.RefsOf(repo, h.Commit),
			})
		}
	}
	return hs
}

// Near are repos of which the others have something and whose names are like one that
// nobody has.
func (s *Swarm) Near(_ context.Context, repo ref.Repo) ([]ref.Repo, error) {
	return s.view(false).near(repo), nil
}

func (v view) near(repo ref.Repo) []ref.Repo {
	all := v.s.table.Repos()
	if v.self != nil {
		for _, h := range v.own.built.Summary.Held {
			if v.own.shared(h.Repo) {
				all = append(all, h.Repo)
			}
		}
	}
	return ref.Near(repo, all)
}

// Holdings is [Swarm.Holdings] as the members see it, they themselves included.
func (p *Passerby) Holdings(ctx context.Context, repo ref.Repo) (all []directory.Holding, err error) {
	err = p.ask(ctx, lookupPath, repoQuery(repo, "holdings"), func(b []byte, door netip.AddrPort) (func(), error) {
		hs, err := decodeHoldings(b, door)
		return func() {
			for _, h := range hs {
				if !slices.ContainsFunc(all, func(o directory.Holding) bool { return o.Node.ID == h.Node.ID && o.Commit == h.Commit }) {
					all = append(all, h)
				}
			}
		}, err
	})
	return all, err
}

// Near is [Swarm.Near] as the members see it, they themselves included.
func (p *Passerby) Near(ctx context.Context, repo ref.Repo) ([]ref.Repo, error) {
	var all []ref.Repo
	err := p.ask(ctx, lookupPath, repoQuery(repo, "near"), func(b []byte, _ netip.AddrPort) (func(), error) {
		rs, err := decodeNear(b)
		return func() { all = append(all, rs...) }, err
	})
	return ref.Near(repo, all), err
}

func repoQuery(repo ref.Repo, what string) url.Values {
	return url.Values{"type": {string(repo.Type)}, "repo": {repo.ID}, what: {"1"}}
}

type wireHolding struct {
	Node   wireNode `json:"node"`
	Commit string   `json:"commit"`
	Files  int      `json:"files"`
	Bytes  int64    `json:"bytes"`
	Refs   []string `json:"refs,omitempty"`
}

type wireRepo struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// maxHoldingRefs is how many branches and tags are told of one commit.
const maxHoldingRefs = 64

func (s *Swarm) lookupHoldings(repo ref.Repo) (out []wireHolding) {
	v := s.view(true)
	hs := v.holdings(repo)
	for _, h := range hs[:min(len(hs), maxAnswers)] {
		out = append(out, wireHolding{v.wireNode(h.Node), string(h.Commit), h.Files, h.Bytes, h.Refs[:min(len(h.Refs), maxHoldingRefs)]})
	}
	return out
}

func (s *Swarm) lookupNear(repo ref.Repo) (out []wireRepo) {
	for _, r := range s.view(true).near(repo) {
		out = append(out, wireRepo{string(r.Type), r.ID})
	}
	return out
}

func decodeHoldings(b []byte, door netip.AddrPort) (out []directory.Holding, err error) {
	w, err := decodeLookup(b)
	if err != nil {
		return nil, err
	}
	for _, item := range w.Holdings {
		h, err := item.parse(door)
		if err != nil {
			return nil, err
		}
		if reachable(h.Node.Addr, door) {
			out = append(out, h)
		}
	}
	return out, nil
}

func (w wireHolding) parse(door netip.AddrPort) (h directory.Holding, err error) {
	if h.Node, err = w.Node.parse(door); err != nil {
		return h, err
	}
	if h.Commit, err = ref.ParseCommit(w.Commit); err != nil {
		return h, err
	}
	if w.Files < 0 || w.Files > manifest.MaxEntries || w.Bytes < 0 || len(w.Refs) > maxHoldingRefs {
		return h, fmt.Errorf("%w: %d files of %d bytes, %d refs", manifest.ErrMalformed, w.Files, w.Bytes, len(w.Refs))
	}
	for _, name := range w.Refs {
		if err := ref.CheckRevision(name); err != nil {
			return h, err
		}
	}
	h.Files, h.Bytes, h.Refs = w.Files, w.Bytes, w.Refs
	return h, nil
}

func decodeNear(b []byte) (out []ref.Repo, err error) {
	w, err := decodeLookup(b)
	if err != nil {
		return nil, err
	}
	for _, r := range w.Near[:min(len(w.Near), ref.MaxNear)] {
		t, err := ref.ParseType(r.Type)
		if err != nil {
			return nil, err
		}
		repo, err := ref.ParseRepo(t, r.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, repo)
	}
	return out, nil
}

// Repos are those of which the others have something, in no order.
func (s *Swarm) Repos() []ref.Repo { return s.table.Repos() }
