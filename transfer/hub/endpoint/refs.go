package endpoint

import (
	"net/http"

	"hffs/cache/ref"
)

// refList has the keys that Python cannot do without.
type refList struct {
	Tags         []gitRef  `json:"tags"`
	Branches     []gitRef  `json:"branches"`
	Converts     []gitRef  `json:"converts"`
	PullRequests *[]gitRef `json:"pullRequests,omitempty"`
}

type gitRef struct {
	Name         string     `json:"name"`
	Ref          string     `json:"ref"`
	TargetCommit ref.Commit `json:"targetCommit"`
}

// refs answers /api/{type}/{repo}/refs: the Hub knows them all, we know main.
func (x *exchange) refs(a ask) {
	if x.hubAnswers() {
		return
	}
	commit, err := x.lib.Commit(x.r.Context(), a.repo, "main")
	if err != nil {
		x.refuse(err)
		return
	}
	list := refList{Tags: []gitRef{}, Branches: []gitRef{{"main", "refs/heads/main", commit}}, Converts: []gitRef{}}
	if isTrue(x.r.URL.Query().Get("include_prs")) {
		list.PullRequests = &[]gitRef{}
	}
	x.json(http.StatusOK, list)
}
