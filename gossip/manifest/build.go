package manifest

import (
	"slices"
	"time"

	"hffs/cache/ref"
)

// Built is a node's own manifest, both levels of it.
type Built struct {
	Summary *Summary
	Lists   map[Digest]*List
	Skipped int // what was left out: names nobody would take, and what is above a limit

	sources map[snapKey]source
}

type snapKey struct {
	repo   ref.Repo
	commit ref.Commit
}

// source remembers which files a list was made of, so that a snapshot that has
// not changed is not encoded again.
type source struct {
	files   []File
	list    *List
	skipped int
}

// Build makes the manifest of h. What did not change since prev (nil at first)
// is taken over from there. The slices in h must not be changed afterwards.
func Build(h Holdings, prev *Built) *Built {
	b := &Built{Summary: &Summary{}, Lists: map[Digest]*List{}, sources: map[snapKey]source{}}
	for _, s := range h.Snapshots {
		b.add(s, prev)
	}
	slices.SortFunc(b.Summary.Held, compareHeld)
	b.addRefs(h.Refs, prev)
	b.addPartials(h.Partials)
	return b
}

func (b *Built) add(s Snapshot, prev *Built) {
	key := snapKey{s.Repo, s.Commit}
	if _, twice := b.sources[key]; twice || len(b.sources) >= MaxFiles || !goodRepo(s.Repo) || !goodCommit(s.Commit) {
		b.Skipped += len(s.Files)
		return
	}
	src, ok := source{}, false
	if prev != nil {
		src, ok = prev.sources[key]
	}
	if !ok || !slices.Equal(src.files, s.Files) {
		src = newSource(s.Files)
	}
	b.Skipped += src.skipped
	if src.list.Len() == 0 {
		return
	}
	b.sources[key] = src
	b.Lists[src.list.Digest] = src.list
	b.Summary.Held = append(b.Summary.Held, Held{
		Repo: s.Repo, Commit: s.Commit, List: src.list.Digest, Files: src.list.Len(), Bytes: src.list.Bytes(),
	})
}

func newSource(files []File) source {
	good := slices.DeleteFunc(slices.Clone(files), func(f File) bool { return !goodFile(f) })
	list := NewList(good)
	return source{files: files, list: list, skipped: len(files) - list.Len()}
}

// relearnt is how much the time of learning a ref must have moved to be worth
// telling the swarm when it still stands for the same commit.
const relearnt = time.Minute

func (b *Built) addRefs(refs []Ref, prev *Built) {
	for _, r := range refs {
		if !goodRepo(r.Repo) || !goodCommit(r.Commit) || ref.CheckRevision(r.Name) != nil || len(b.Summary.Refs) >= MaxFiles {
			b.Skipped++
			continue
		}
		if prev != nil {
			was, ok := prev.Summary.Ref(r.Repo, r.Name)
			if ok && was.Commit == r.Commit && r.Learnt.Sub(was.Learnt).Abs() < relearnt {
				r.Learnt = was.Learnt
			}
		}
		b.Summary.Refs = append(b.Summary.Refs, r)
	}
	slices.SortStableFunc(b.Summary.Refs, compareRefs)
	b.Summary.Refs = slices.CompactFunc(b.Summary.Refs, func(x, y Ref) bool { return compareRefs(x, y) == 0 })
}

func (b *Built) addPartials(es []ref.Entry) {
	for _, e := range es {
		if goodRepo(e.Repo) && goodCommit(e.Commit) && goodFile(File{Path: e.Path, Blob: e.Blob}) && len(b.Summary.Partials) < MaxPartials {
			b.Summary.Partials = append(b.Summary.Partials, e)
		}
	}
	slices.SortFunc(b.Summary.Partials, compareEntries)
}

func goodRepo(r ref.Repo) bool {
	parsed, err := ref.ParseRepo(r.Type, r.ID)
	return err == nil && parsed == r && slices.Contains(typeCodes, r.Type)
}

func goodCommit(c ref.Commit) bool {
	parsed, err := ref.ParseCommit(string(c))
	return err == nil && parsed == c
}

func goodFile(f File) bool {
	if ref.CheckPath(f.Path) != nil || ref.CheckSize(f.Blob.Size) != nil {
		return false
	}
	if f.Blob.Xet != "" {
		if xet, err := ref.ParseXetHash(string(f.Blob.Xet)); err != nil || xet != f.Blob.Xet {
			return false
		}
	}
	etag, err := ref.ParseETag(string(f.Blob.ETag))
	return err == nil && etag == f.Blob.ETag
}
