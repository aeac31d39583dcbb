package cache

import (
	"encoding/json"
	"errors"
	"fmt"

	"hffs/cache/ref"
)

// MaxInfo bounds what is kept of what the Hub says of a repo, in bytes.
const MaxInfo = 1 << 20

// KeepInfo keeps what the Hub said of a repo at a commit, as JSON, for when it is
// out of reach. The latest counts.
func (c *Cache) KeepInfo(repo ref.Repo, commit ref.Commit, info json.RawMessage) error {
	switch {
	case !ref.IsCommit(string(commit)):
		return fmt.Errorf("keep what is said of %s: %q is no commit", repo, commit)
	case len(info) > MaxInfo:
		return fmt.Errorf("keep what is said of %s: it is longer than %d bytes", repo, MaxInfo)
	case !json.Valid(info):
		return fmt.Errorf("keep what is said of %s: %w", repo, errNotJSON)
	}
	c.infos.put(c.book, commitKey(repo, commit), pack(info))
	return nil
}

var errNotJSON = errors.New("it is not JSON")

// Info is what the Hub last said of a repo at a commit.
func (c *Cache) Info(repo ref.Repo, commit ref.Commit) (json.RawMessage, bool) {
	value := c.book.get(bucketInfos, commitKey(repo, commit))
	if value == nil {
		return nil, false
	}
	info, err := unpack(value, MaxInfo)
	return info, err == nil && json.Valid(info)
}
