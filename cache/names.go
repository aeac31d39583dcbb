package cache

import (
	"os"
	"strings"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// checkName refuses a name that this system cannot have, and one that its disk takes
// for another file of the same commit: what is written there would then stand under
// both names, and one of them would lie. Other tools that use such a cache overwrite
// the first file with the second; a file that is named in the error is better.
func (c *Cache) checkName(root *os.Root, e ref.Entry) error {
	if c.windows {
		if why := disk.OffWindows(e.Path); why != "" {
			return &NameError{Path: e.Path, Why: why}
		}
	}
	at := snapshotPath(e.Commit, e.Path)
	twin := disk.Twin(root, at, c.windows && !disk.LikeWindows)
	if twin == "" {
		return nil
	}
	other := strings.TrimPrefix(twin, snapshotPath(e.Commit, ""))
	return &NameError{Path: e.Path, Why: "\"" + other + "\" of the same repo is here, and this disk takes upper and lower case for one"}
}
