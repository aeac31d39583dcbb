package directory

import (
	"slices"

	"hffs/cache/ref"
)

// Holding is what a node says it has of a commit: how many files, and how many bytes.
// Refs are the branches and tags that it believes to stand for the commit.
type Holding struct {
	Node   Node
	Commit ref.Commit
	Files  int
	Bytes  int64
	Refs   []string
}

// Holdings are what nodes have of a repo, by node and commit.
func (t *Table) Holdings(repo ref.Repo) (hs []Holding) {
	t.each(func(r row) {
		for _, h := range r.summary.Of(repo) {
			hs = append(hs, Holding{r.node, h.Commit, h.Files, h.Bytes, r.summary.RefsOf(repo, h.Commit)})
		}
	})
	return hs
}

// Repos are those of which some node has something, in no order, each once.
func (t *Table) Repos() (all []ref.Repo) {
	seen := map[ref.Repo]bool{}
	t.each(func(r row) {
		for i, h := range r.summary.Held {
			if i > 0 && r.summary.Held[i-1].Repo == h.Repo || seen[h.Repo] {
				continue
			}
			seen[h.Repo] = true
			all = append(all, h.Repo)
		}
	})
	return slices.Clip(all)
}
