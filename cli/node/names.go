package node

import (
	"context"
	"maps"
	"slices"

	"hffs/cache/ref"
	"hffs/cli/control"
)

// Bounds of what a person can choose from, and of the commits that are looked at for it.
const (
	maxNames    = 2000
	nameCommits = 4
)

// Names are repos that others have something of, or the files of one that they have:
// for who types a name. It does not wait for long; what is not known then is left out.
func (n *Node) Names(ctx context.Context, ask control.NamesAsk) (control.Names, error) {
	out := control.Names{Repos: []control.NamedRepo{}, Files: []string{}}
	if ask.Repo == "" {
		all := n.swarm.Repos()
		for _, r := range all[:min(len(all), maxNames)] {
			out.Repos = append(out.Repos, control.NamedRepo{Repo: r.ID, RepoType: string(r.Type)})
		}
		return out, nil
	}
	repo, err := parseRepo(ask.RepoType, ask.Repo)
	if err != nil {
		return out, err
	}
	files := n.fileNames(ctx, repo)
	out.Files = append(out.Files, files[:min(len(files), maxNames)]...)
	return out, nil
}

func (n *Node) fileNames(ctx context.Context, repo ref.Repo) []string {
	names := map[string]bool{}
	asked := map[ref.Commit]bool{}
	for _, h := range n.engine.holdings(ctx, repo) {
		if asked[h.Commit] || len(asked) >= nameCommits {
			continue
		}
		asked[h.Commit] = true
		told, _ := n.swarm.List(ctx, repo, h.Commit) // nobody's answer is no name
		for _, t := range told {
			for _, f := range t.Files {
				names[f.Path] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
