package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"hffs/cache/ref"
)

// Info is what the Hub says of a repo at a revision, as JSON, with the commit under
// "sha". Query is the caller's. Where the Hub cannot be asked it is what the Hub last
// said of that commit, without regard to the query, else what can be said without it.
func (c *Catalog) Info(ctx context.Context, repo ref.Repo, revision string, query url.Values) (json.RawMessage, error) {
	k, err := c.about(ctx, repo, revision, query)
	if err != nil || k.JSON != nil {
		return k.JSON, err
	}
	if said, ok := c.cfg.Store.Info(repo, k.Commit); ok {
		return said, nil
	}
	return c.madeUp(ctx, repo, k.Commit)
}

// repoInfo is what clients want to be told of any repo: the fields that some version
// of huggingface_hub's ModelInfo, DatasetInfo or SpaceInfo does not do without.
type repoInfo struct {
	ID        string     `json:"id"`
	ModelID   string     `json:"modelId,omitempty"` // of models
	Author    string     `json:"author,omitempty"`
	SHA       ref.Commit `json:"sha"`
	Private   bool       `json:"private"`
	Gated     bool       `json:"gated"`
	Disabled  bool       `json:"disabled"`
	Downloads int        `json:"downloads"`
	Likes     int        `json:"likes"`
	Tags      []string   `json:"tags"`
	// Siblings is left out where the files are not known: older clients then ask for
	// the tree, whereas an empty list is an empty repo.
	Siblings []sibling `json:"siblings,omitempty"`
}

type sibling struct {
	RFilename string `json:"rfilename"`
}

// madeUp says of a repo what is known here.
func (c *Catalog) madeUp(ctx context.Context, repo ref.Repo, commit ref.Commit) (json.RawMessage, error) {
	files, _, err := c.List(ctx, repo, commit)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		c.cfg.Log.Debug("files of a commit are not known", "repo", repo, "commit", commit, "err", err)
	}
	info := repoInfo{ID: repo.ID, SHA: commit, Tags: []string{}}
	if owner, _, ok := strings.Cut(repo.ID, "/"); ok {
		info.Author = owner
	}
	if repo.Type == ref.Model {
		info.ModelID = repo.ID
	}
	for _, f := range files {
		info.Siblings = append(info.Siblings, sibling{f.Path})
	}
	said, err := json.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("say what %s is: %w", repo, err)
	}
	return said, nil
}
