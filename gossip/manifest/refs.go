package manifest

import "hffs/cache/ref"

// RefsOf are the branches and tags that are said to stand for a commit, by name.
func (s *Summary) RefsOf(repo ref.Repo, commit ref.Commit) (names []string) {
	for _, r := range s.Refs {
		if r.Repo == repo && r.Commit == commit {
			names = append(names, r.Name)
		}
	}
	return names
}
