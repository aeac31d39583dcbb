package cache

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"hffs/cache/ref"
)

// Names on disk. Paths in here are relative to a repo's folder, or, where a
// variable is called rel, to the cache, and always separated by "/":
//
//	.locks/<repo folder>/<etag>.lock     locks shared with other tools
//	<repo folder>/blobs/<etag>           content, or a link to a shared blob
//	blobs/<2 hex>/<xet hash>             content that several repos share
//	<repo folder>/snapshots/<commit>/…   links to content, or content itself
//	<repo folder>/refs/<revision>        a commit, as text
//	<repo folder>/trees/<commit>.json    the file list of a commit
//	<repo folder>/.no_exist/<commit>/…   names that the commit does not have
//	<repo folder>/.hffs/<etag>.…         fetches of ours under way
const (
	locksDir     = ".locks"
	blobsDir     = "blobs"
	snapshotsDir = "snapshots"
	refsDir      = "refs"
	treesDir     = "trees"
	noExistDir   = ".no_exist"
	partsDir     = ".hffs"
)

func blobPath(e ref.ETag) string { return blobsDir + "/" + string(e) }

func snapshotPath(commit ref.Commit, file string) string {
	return snapshotsDir + "/" + string(commit) + "/" + file
}

// linkTarget is what the link at a snapshot path says: the blob, seen from the
// folder of the link.
func linkTarget(file string, e ref.ETag) string {
	return strings.Repeat("../", 2+strings.Count(file, "/")) + blobPath(e)
}

// abs is the path of rel for the operating system.
func (c *Cache) abs(rel string) string { return filepath.Join(c.dir, filepath.FromSlash(rel)) }

// sharedBlob is the form of a link to a blob that several repos share: newer
// versions of huggingface_hub keep what came by Xet in one folder of the cache,
// under its Xet hash, and link to it from each repo's own blobs.
var sharedBlob = regexp.MustCompile(`^\.\./\.\./(blobs/([0-9a-f]{2})/[0-9a-f]{64})$`)

// content is the absolute path of the file that really holds the bytes of rel: a
// shared blob where rel is a link to one, else rel itself. Other links are left
// as they are, and refused when they are opened.
func (c *Cache) content(rel string) string {
	path := c.abs(rel)
	if strings.Count(rel, "/") != 2 || !strings.Contains(rel, "/"+blobsDir+"/") {
		return path
	}
	target, err := os.Readlink(path)
	if err != nil {
		return path
	}
	if m := sharedBlob.FindStringSubmatch(filepath.ToSlash(target)); m != nil && strings.HasPrefix(m[1], "blobs/"+m[2]+"/"+m[2]) {
		return c.abs(m[1])
	}
	return path
}

// linkedBlob reads a link's target the way the system would and gives the name
// of the blob of the same repo that it points to, or "" for any other link.
// at is the link's own path inside the repo folder, repoDir that folder.
func linkedBlob(repoDir, at, target string) string {
	target = filepath.ToSlash(target)
	if path.IsAbs(target) || filepath.IsAbs(target) {
		rel, err := filepath.Rel(repoDir, filepath.FromSlash(target))
		if err != nil {
			return ""
		}
		target = filepath.ToSlash(rel)
	} else {
		target = path.Join(path.Dir(at), target)
	}
	dir, name := path.Split(path.Clean(target))
	if dir != blobsDir+"/" {
		return ""
	}
	return name
}

// ignored tells names that are nobody's finished file: partial downloads, locks
// and half-written refs of the tools that share this cache.
func ignored(name string) bool {
	switch path.Ext(name) {
	case ".incomplete", ".part", ".downloadInProgress", ".lock", ".tmp":
		return true
	}
	return false
}
