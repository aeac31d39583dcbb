package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"hffs/cache/ref"
)

// Tree is the list of a commit's files, all of them. Names that no file can have
// here are left out.
func (c *Client) Tree(ctx context.Context, repo ref.Repo, commit ref.Commit) (files []ref.Listed, err error) {
	err = c.ask(ctx, repo.String(), c.endpoints, func(ctx context.Context, ep *endpoint) (err error) {
		files, err = c.treeAt(ctx, ep, repo, commit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("files of %s@%s: %w", repo, commit, err)
	}
	return files, nil
}

// treeAt walks the pages. A page's link to the next gives the question anew, with
// another cursor; that is all that is taken of it, since it names the Hub's own
// host also where a mirror passes it on.
func (c *Client) treeAt(ctx context.Context, ep *endpoint, repo ref.Repo, commit ref.Commit) ([]ref.Listed, error) {
	at, err := ep.apiURL(repo, "tree", string(commit))
	if err != nil {
		return nil, err
	}
	at.RawQuery = "recursive=true&expand=false"
	files, left := []ref.Listed{}, int64(maxAnswer)
	for range maxPages {
		r, err := c.get(ctx, ep, at, left)
		if err != nil {
			return nil, err
		}
		left -= int64(len(r.body))
		if files, err = c.addPage(ctx, files, r.body); err != nil {
			return nil, ep.fault(r.resp, "%v", err)
		}
		next, ok := nextQuery(r)
		if !ok {
			return files, nil
		}
		if next == r.at.url.RawQuery {
			return nil, ep.fault(r.resp, "its list of files has no end")
		}
		u := *r.at.url
		u.RawQuery, at = next, &u
	}
	return nil, ep.tooLarge()
}

// nextQuery is the query of the page that follows.
func nextQuery(r reply) (string, bool) {
	for _, l := range parseLinks(r.resp.Header.Values("Link")) {
		if u, err := r.at.url.Parse(l.target); err == nil && l.is("next") {
			return u.RawQuery, true
		}
	}
	return "", false
}

// treeEntry is a file or folder as the Hub lists it; an LFS file's own oid is that
// of its pointer.
type treeEntry struct {
	Type string `json:"type"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	Path string `json:"path"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
	XetHash string `json:"xetHash"`
}

func (c *Client) addPage(ctx context.Context, files []ref.Listed, body []byte) ([]ref.Listed, error) {
	var page []treeEntry
	if json.Unmarshal(body, &page) != nil || page == nil {
		return nil, errors.New("its answer is no list of files")
	}
	for _, e := range page {
		if e.Type != "file" {
			continue
		}
		if err := ref.CheckPath(e.Path); err != nil {
			c.cfg.Log.Debug("left out of a list of files", "err", err)
			tell(ctx, fmt.Sprintf("a file is left out: %v", err))
			continue
		}
		blob, err := e.blob()
		if err != nil {
			return nil, err
		}
		files = append(files, ref.Listed{Path: e.Path, Blob: blob})
	}
	return files, nil
}

func (e treeEntry) blob() (b ref.Blob, err error) {
	oid, digits := e.OID, 40
	b.Size = e.Size
	if e.LFS != nil {
		oid, digits, b.Size = e.LFS.OID, 64, e.LFS.Size
	}
	if b.ETag, err = ref.ParseETag(oid); err != nil {
		return ref.Blob{}, err
	}
	if len(b.ETag) != digits {
		return ref.Blob{}, errors.New("its list of files mixes up the kinds of ids")
	}
	// A redacted or odd Xet hash is no reason to do without the file.
	b.Xet, _ = ref.ParseXetHash(e.XetHash)
	return b, ref.CheckSize(b.Size)
}
