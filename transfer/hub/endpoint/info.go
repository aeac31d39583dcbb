package endpoint

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"hffs/cache/ref"
)

// info answers /api/{type}/{repo} and .../revision/{revision}.
func (x *exchange) info(a ask) {
	revision := "main"
	if len(a.rest) > 0 {
		revision = strings.Join(a.rest, "/")
	}
	if ref.CheckRevision(revision) != nil {
		x.refuse(noRevision(revision))
		return
	}
	query := x.r.URL.Query()
	said, err := x.lib.Info(x.r.Context(), a.repo, revision, query)
	if err == nil {
		said, err = x.complete(a.repo, said, query)
	}
	if err != nil {
		x.refuse(err)
		return
	}
	x.send(http.StatusOK, typeJSON, said)
}

// complete strips what leads around the swarm, and adds the files, with what they
// are, where that was asked for and is missing.
func (x *exchange) complete(repo ref.Repo, said json.RawMessage, query url.Values) (json.RawMessage, error) {
	said, err := withoutXet(said)
	if err != nil {
		return nil, err
	}
	blobs := isTrue(query.Get("blobs")) || isTrue(query.Get("securityStatus"))
	var some struct {
		SHA      ref.Commit `json:"sha"`
		Siblings []sibling  `json:"siblings"`
	}
	if err := json.Unmarshal(said, &some); err != nil {
		return nil, err
	}
	partly := len(query["expand"])+len(query["expand[]"]) > 0
	missing := some.Siblings == nil && !partly
	bare := blobs && len(some.Siblings) > 0 && some.Siblings[0].BlobID == ""
	if some.SHA == "" || !missing && !bare {
		return said, nil
	}
	files, _, err := x.lib.List(x.r.Context(), repo, some.SHA)
	if err != nil {
		return said, nil // what the Hub said is an answer, too
	}
	if missing {
		some.Siblings = siblings(files, blobs)
	} else {
		fill(some.Siblings, files)
	}
	return withSiblings(said, some.Siblings)
}

func withSiblings(said json.RawMessage, list []sibling) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	err := json.Unmarshal(said, &all)
	if err != nil {
		return nil, err
	}
	if all["siblings"], err = marshal(list); err != nil {
		return nil, err
	}
	return marshal(all)
}

// sibling is a file in a repo's info.
type sibling struct {
	BlobID    string      `json:"blobId,omitempty"`
	LFS       *siblingLFS `json:"lfs,omitempty"`
	RFilename string      `json:"rfilename"`
	Size      *int64      `json:"size,omitempty"`
}

type siblingLFS struct {
	PointerSize int      `json:"pointerSize"`
	SHA256      ref.ETag `json:"sha256"`
	Size        int64    `json:"size"`
}

func siblingOf(f ref.Listed) sibling {
	s := sibling{BlobID: f.Blob.OID(), RFilename: f.Path, Size: &f.Blob.Size}
	if f.Blob.ETag.IsSHA256() {
		s.LFS = &siblingLFS{f.Blob.PointerSize(), f.Blob.ETag, f.Blob.Size}
	}
	return s
}

func siblings(files []ref.Listed, blobs bool) []sibling {
	list := make([]sibling, len(files))
	for i, f := range files {
		if list[i].RFilename = f.Path; blobs {
			list[i] = siblingOf(f)
		}
	}
	return list
}

// fill adds what files are to a list of names.
func fill(list []sibling, files []ref.Listed) {
	known := make(map[string]ref.Listed, len(files))
	for _, f := range files {
		known[f.Path] = f
	}
	for i, s := range list {
		if f, ok := known[s.RFilename]; ok && s.BlobID == "" {
			list[i] = siblingOf(f)
		}
	}
}

// withoutXet drops the hashes by which clients fetch from Xet's servers, wherever
// they are. That a repo can take uploads by way of Xet is left in.
func withoutXet(said json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(said, []byte(`"xetHash"`)) {
		return said, nil
	}
	d := json.NewDecoder(bytes.NewReader(said))
	d.UseNumber() // as they came
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	dropXet(v)
	return marshal(v)
}

func dropXet(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "xetHash")
		for _, inner := range v {
			dropXet(inner)
		}
	case []any:
		for _, inner := range v {
			dropXet(inner)
		}
	}
}

// isTrue reads the booleans of all clients: true, True, 1.
func isTrue(s string) bool {
	b, err := strconv.ParseBool(s)
	return err == nil && b
}

// auth answers whether the caller may read the files of a repo.
func (x *exchange) auth(a ask) {
	if err := x.lib.May(x.r.Context(), a.repo); err != nil {
		x.refuse(err)
		return
	}
	x.text(http.StatusOK, "OK")
}
