package gossip

import (
	"cmp"
	"maps"
	"slices"

	"hffs/cache/ref"
	"hffs/gossip/directory"
)

// Told is a list of a commit's files as neighbours know it.
type Told struct {
	Files []ref.Listed // by path, no path twice
	// Whole means that these are said to be all files of the commit.
	Whole bool
	// Node is one of those who told it.
	Node directory.Node
	// Votes is how many nodes told this list, or something for a list that was put
	// together.
	Votes int
	// Conflicts are places where others told something else: some of them, if they
	// are many.
	Conflicts []Conflict
}

// Conflict is a file of which a node says something else than the list that this
// stands beside. A commit's files never change, so one of the two is wrong.
type Conflict struct {
	Path string
	Node directory.Node
	// Blob is what the node says. It has no etag where the node says that the commit
	// has no such file.
	Blob ref.Blob
}

const maxConflicts = 16 // of one list

// settle makes the answer of what was told of one commit: the lists that are
// said to be whole, that of the most nodes first; when there is none, one list
// put together from all.
func settle(all []Told) []Told {
	out := agree(keep(slices.Clone(all), func(t Told) bool { return t.Whole }))
	if len(out) == 0 && len(all) > 0 {
		out = []Told{together(all)}
	}
	for i := range out {
		for _, t := range all {
			out[i].weigh(t)
		}
	}
	return out
}

// agree makes one of lists that say the same.
func agree(all []Told) (out []Told) {
	for _, t := range all {
		if i := slices.IndexFunc(out, func(o Told) bool { return slices.EqualFunc(o.Files, t.Files, sameFile) }); i >= 0 {
			out[i].Votes += t.Votes
			continue
		}
		t.Files = slices.Clone(t.Files) // it may be somebody else's, and weigh writes to it
		out = append(out, t)
	}
	slices.SortStableFunc(out, func(a, b Told) int { return cmp.Compare(b.Votes, a.Votes) })
	return out
}

func sameFile(a, b ref.Listed) bool { return a.Path == b.Path && sameBlob(a.Blob, b.Blob) }

// sameBlob tells whether two nodes can mean the same. Not all know the Xet hash.
func sameBlob(a, b ref.Blob) bool {
	return a.ETag == b.ETag && a.Size == b.Size && (a.Xet == b.Xet || a.Xet == "" || b.Xet == "")
}

// together makes one list of parts: of each path what most nodes say.
func together(all []Told) (out Told) {
	votes := map[string][]vote{}
	most := 0
	for _, t := range all {
		for _, f := range t.Files {
			votes[f.Path] = count(votes[f.Path], f.Blob, t.Node, t.Votes)
		}
		if out.Votes += t.Votes; len(t.Files) > most {
			out.Node, most = t.Node, len(t.Files)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(votes)) {
		best := slices.MaxFunc(votes[path], func(a, b vote) int { return cmp.Compare(a.count, b.count) })
		out.Files = append(out.Files, ref.Listed{Path: path, Blob: best.blob})
	}
	return out
}

// weigh compares with what somebody else told: where that differs there is a
// conflict, and where it says more of a blob that is taken over.
func (t *Told) weigh(other Told) {
	for _, f := range other.Files {
		switch i, ok := t.find(f.Path); {
		case !ok || !sameBlob(t.Files[i].Blob, f.Blob):
			t.conflict(f.Path, other.Node, f.Blob)
		default:
			mine := &t.Files[i].Blob
			mine.Xet = cmp.Or(mine.Xet, f.Blob.Xet)
		}
	}
	if !other.Whole {
		return
	}
	for _, f := range t.Files {
		if _, ok := other.find(f.Path); !ok {
			t.conflict(f.Path, other.Node, ref.Blob{})
		}
	}
}

func (t *Told) find(path string) (int, bool) {
	return slices.BinarySearchFunc(t.Files, path, func(f ref.Listed, p string) int { return cmp.Compare(f.Path, p) })
}

func (t *Told) conflict(path string, n directory.Node, b ref.Blob) {
	if len(t.Conflicts) < maxConflicts {
		t.Conflicts = append(t.Conflicts, Conflict{path, n, b})
	}
}
