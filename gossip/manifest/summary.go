package manifest

import (
	"cmp"
	"crypto/sha256"
	"math"
	"slices"
	"time"

	"hffs/cache/ref"
)

// Held is a snapshot in a summary: which list it has, and how much that is.
type Held struct {
	Repo   ref.Repo
	Commit ref.Commit
	List   Digest
	Files  int
	Bytes  int64
}

// Summary is a manifest without its file lists. It is sorted, never changes
// once it is made, and may be shared.
type Summary struct {
	Held     []Held // by repo and commit, none twice
	Refs     []Ref  // by repo and name, none twice
	Partials []ref.Entry
}

func compareHeld(a, b Held) int {
	return cmp.Or(CompareRepos(a.Repo, b.Repo), cmp.Compare(a.Commit, b.Commit))
}

// Of are the snapshots held of a repo.
func (s *Summary) Of(repo ref.Repo) []Held {
	from, _ := slices.BinarySearchFunc(s.Held, repo, func(h Held, r ref.Repo) int { return CompareRepos(h.Repo, r) })
	to := from
	for to < len(s.Held) && s.Held[to].Repo == repo {
		to++
	}
	return s.Held[from:to]
}

// Ref is what a branch or tag was last heard to stand for.
func (s *Summary) Ref(repo ref.Repo, name string) (Ref, bool) {
	i, ok := slices.BinarySearchFunc(s.Refs, Ref{Repo: repo, Name: name}, compareRefs)
	if !ok {
		return Ref{}, false
	}
	return s.Refs[i], true
}

// Total is how many files the summary stands for, and their size.
func (s *Summary) Total() (files int, bytes int64) {
	for _, h := range s.Held {
		files += h.Files
		if bytes += h.Bytes; bytes < 0 {
			bytes = math.MaxInt64 // nobody's disk; somebody's joke
		}
	}
	return files, bytes
}

// Size is about how many bytes the summary takes on the wire.
func (s *Summary) Size() int {
	return 45*len(s.Held) + 60*len(s.Refs) + 150*len(s.Partials)
}

// Check is the summary's own digest, the same on every node.
func (s *Summary) Check() Check {
	w := &writer{}
	w.summary(s, nil)
	sum := sha256.Sum256(w.b)
	return Check(sum[:8])
}

// summary writes all of s. Snapshots come grouped by repo. With no age function
// the ages of refs are left out.
func (w *writer) summary(s *Summary, age func(time.Time)) {
	groups := slices.Collect(chunkBy(s.Held, func(a, b Held) bool { return a.Repo == b.Repo }))
	w.count(len(groups))
	for _, g := range groups {
		w.repo(g[0].Repo)
		w.count(len(g))
		for _, h := range g {
			w.held(h)
		}
	}
	w.refs(s.Refs, age)
	w.entries(s.Partials)
}

func (w *writer) held(h Held) {
	w.hex(string(h.Commit))
	w.bytes(h.List[:])
	w.count(h.Files)
	w.uint(uint64(h.Bytes))
}

func (w *writer) refs(refs []Ref, age func(time.Time)) {
	w.count(len(refs))
	for _, r := range refs {
		w.repo(r.Repo)
		w.string(r.Name)
		w.hex(string(r.Commit))
		if age != nil {
			age(r.Learnt)
		}
	}
}

func (w *writer) entries(es []ref.Entry) {
	w.count(len(es))
	for _, e := range es {
		w.entry(e)
	}
}

func (r *reader) summary(now time.Time) *Summary {
	s := &Summary{}
	for range r.count(MaxEntries, 3) {
		repo := r.repo()
		for range r.count(MaxEntries, 38) {
			s.Held = append(s.Held, r.held(repo))
		}
		if len(s.Held) > MaxEntries {
			r.fail("more than %d snapshots", MaxEntries)
		}
		if r.err != nil {
			return nil
		}
	}
	s.Refs = r.refs(now)
	s.Partials = r.entries()
	if !sortedStrictly(s.Held, compareHeld) || !sortedStrictly(s.Refs, compareRefs) {
		r.fail("out of order")
	}
	return s
}

func (r *reader) held(repo ref.Repo) Held {
	return Held{
		Repo: repo, Commit: r.commit(), List: r.digest(),
		Files: int(r.uint(MaxEntries)), Bytes: int64(r.uint(math.MaxInt64)),
	}
}

func (r *reader) refs(now time.Time) []Ref {
	refs := make([]Ref, r.count(MaxEntries, 25))
	for i := range refs {
		refs[i] = Ref{Repo: r.repo(), Name: r.refName(), Commit: r.commit(), Learnt: r.age(now)}
		if r.err != nil {
			return nil
		}
	}
	return refs
}

func (r *reader) refName() string {
	name := r.string(ref.MaxRevisionLen)
	if r.err == nil {
		r.refuse(ref.CheckRevision(name))
	}
	return name
}

func (r *reader) entries() []ref.Entry {
	es := make([]ref.Entry, r.count(MaxPartials, 46))
	for i := range es {
		es[i] = r.entry()
	}
	return es
}

func sortedStrictly[T any](s []T, compare func(a, b T) int) bool {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) >= 0 {
			return false
		}
	}
	return true
}

// chunkBy yields the runs of neighbours that same holds for.
func chunkBy[T any](s []T, same func(a, b T) bool) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(s) > 0 {
			n := 1
			for n < len(s) && same(s[n-1], s[n]) {
				n++
			}
			if !yield(s[:n]) {
				return
			}
			s = s[n:]
		}
	}
}
