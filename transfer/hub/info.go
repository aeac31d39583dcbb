package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"hffs/cache/ref"
)

// Info is what the Hub says of a repo at a revision.
type Info struct {
	// Commit is what the revision is now; empty where the query asked for other
	// things only.
	Commit ref.Commit
	// ID is the repo's name of today, which may not be the one it was asked for by.
	ID string
	// Private and Gated say who may read. What the answer does not tell counts as
	// closed.
	Private, Gated bool
	// JSON is the whole answer.
	JSON json.RawMessage
}

// Info asks what the Hub says of a repo at a revision; an empty one means main.
// The query goes along as it is.
func (c *Client) Info(ctx context.Context, repo ref.Repo, revision string, query url.Values) (info Info, err error) {
	if revision == "" {
		revision = "main"
	}
	err = c.ask(ctx, repo.String(), c.endpoints, func(ctx context.Context, ep *endpoint) (err error) {
		info, err = c.infoAt(ctx, ep, repo, revision, query)
		return err
	})
	if err != nil {
		return Info{}, fmt.Errorf("info on %s@%s: %w", repo, revision, err)
	}
	return info, nil
}

func (c *Client) infoAt(ctx context.Context, ep *endpoint, repo ref.Repo, revision string, query url.Values) (Info, error) {
	u, err := ep.apiURL(repo, "revision", revision)
	if err != nil {
		return Info{}, err
	}
	u.RawQuery = query.Encode()
	r, err := c.get(ctx, ep, u, maxAnswer)
	if err != nil {
		return Info{}, err
	}
	said, err := parseInfo(r.body, repo.Type)
	if err != nil {
		return Info{}, ep.fault(r.resp, "%v", err)
	}
	if want, err := ref.ParseCommit(revision); err == nil && said.Commit != "" && want != said.Commit {
		return Info{}, ep.fault(r.resp, "answered for commit %s when asked for %s", said.Commit, want)
	}
	return said.Info, nil
}

// repoInfo is Info and what only we need of it.
type repoInfo struct {
	Info
	disabled bool
	file     string // one of its files; empty where none is named
}

// open: everybody may read it.
func (i repoInfo) open() bool { return !i.Private && !i.Gated && !i.disabled }

var errNoInfo = errors.New("its answer is no description of a repo")

// parseInfo reads {"id","sha","private","gated","disabled","siblings"} and leaves
// the rest as it is. Gated is false, "auto" or "manual"; spaces do not have it.
func parseInfo(body []byte, t ref.Type) (i repoInfo, err error) {
	var said struct {
		ID       string `json:"id"`
		SHA      string `json:"sha"`
		Private  *bool  `json:"private"`
		Gated    any    `json:"gated"`
		Disabled bool   `json:"disabled"`
		Siblings []struct {
			Name string `json:"rfilename"`
		} `json:"siblings"`
	}
	if json.Unmarshal(body, &said) != nil || said.ID == "" {
		return i, errNoInfo
	}
	if said.SHA != "" {
		if i.Commit, err = ref.ParseCommit(said.SHA); err != nil {
			return repoInfo{}, err
		}
	}
	i.ID, i.JSON, i.disabled = said.ID, body, said.Disabled
	i.Private = said.Private == nil || *said.Private
	i.Gated = said.Gated != false && (said.Gated != nil || t != ref.Space)
	for _, s := range said.Siblings {
		if ref.CheckPath(s.Name) == nil {
			i.file = s.Name
			break
		}
	}
	return i, nil
}
