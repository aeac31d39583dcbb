package cache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"hffs/cache/disk"
	"hffs/cache/ref"
)

// TreeJSON is the list of all files of a commit as huggingface_hub keeps it. Xet
// hashes are left out: with one, that tool goes to the Xet servers for a file without
// asking anybody else, past this machine's node as well.
func TreeJSON(files []ref.Listed) []byte {
	doc := struct {
		Version int                    `json:"format_version"`
		Files   map[string]writtenFile `json:"files"`
	}{1, make(map[string]writtenFile, len(files))}
	for _, f := range files {
		w := writtenFile{Size: f.Blob.Size, BlobID: f.Blob.OID()}
		if f.Blob.ETag.IsSHA256() {
			w.SHA256, w.LFS = string(f.Blob.ETag), &f.Blob.Size
		}
		doc.Files[f.Path] = w
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	_ = enc.Encode(doc) // numbers and text only
	return bytes.TrimRight(b.Bytes(), "\n")
}

// writtenFile is treeFile as it is written.
type writtenFile struct {
	Size   int64  `json:"size"`
	BlobID string `json:"blob_id"`
	SHA256 string `json:"lfs_sha256,omitempty"`
	LFS    *int64 `json:"lfs_size,omitempty"`
}

// WriteTree leaves the list of all files of a commit where huggingface_hub looks for
// it, unless it is there: offline, that tool knows by it which snapshots are whole. It
// must be what the Hub stated, since that tool and [Cache.Tree] take it for that. A cache
// that can only be read goes without.
func (c *Cache) WriteTree(repo ref.Repo, commit ref.Commit, files []ref.Listed) error {
	if !ref.IsCommit(string(commit)) {
		return fmt.Errorf("write the files of %s: %q is no commit", repo, commit)
	}
	if c.tree(repo, commit) != nil {
		return nil
	}
	data := TreeJSON(files)
	err := c.diskError(c.writeTree(repo, commit, data), int64(len(data)))
	if isLocked(err) {
		c.log.Debug("other tools are not told the files of a commit", "repo", repo, "commit", commit, "error", err)
		return nil
	}
	return wrap(err, "write the files of %s", repo)
}

func (c *Cache) writeTree(repo ref.Repo, commit ref.Commit, data []byte) error {
	root, err := c.openRepo(repo)
	if err != nil {
		return err
	}
	defer root.Close()
	at := treesDir + "/" + string(commit) + ".json"
	tmp := treesDir + "/" + random() + ".tmp"
	err = root.MkdirAll(treesDir, 0o777)
	if err == nil {
		err = root.WriteFile(tmp, data, 0o666)
	}
	if err == nil {
		err = disk.Replace(root, tmp, at)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(root, tmp))
	}
	return nil
}
