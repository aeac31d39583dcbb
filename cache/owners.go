package cache

import (
	"slices"
	"strings"

	"hffs/cache/ref"
)

// Owners are the repos in which a blob lies here, whole or being fetched: who may not
// have any of them may not have the blob.
func (c *Cache) Owners(etag ref.ETag) (all []ref.Repo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rel := range c.places[etag] {
		folder, _, _ := strings.Cut(rel, "/")
		if repo, err := ref.ParseFolder(folder); err == nil && !slices.Contains(all, repo) {
			all = append(all, repo)
		}
	}
	for p := range c.partials {
		if repo := p.entry.Repo; p.entry.Blob.ETag == etag && !slices.Contains(all, repo) {
			all = append(all, repo)
		}
	}
	return all
}
