package manifest

import (
	"fmt"
	"slices"

	"hffs/cache/ref"
)

const (
	// patchLimit is the largest list, in files, that is patched as soon as a
	// change is heard; a larger one costs every node more than fetching it when
	// it is needed.
	patchLimit = 4096
	// patchFiles is how many files a delta names at most. A change beyond that is
	// a new snapshot or a first manifest, whose lists few will ask for.
	patchFiles = 256
)

// Key names a snapshot.
type Key struct {
	Repo   ref.Repo
	Commit ref.Commit
}

// RefKey names a branch or tag.
type RefKey struct {
	Repo ref.Repo
	Name string
}

// Change is a snapshot that is new or has another list now. Where the files
// that make the difference are few they come along, so that who has the old
// list needs not fetch the new one.
type Change struct {
	Held
	Was     Digest // zero for a new snapshot
	Patched bool
	Added   []File   // by path; also files whose blob changed
	Removed []string // by path
}

// Delta is the difference between two manifests of a node that follow each
// other.
type Delta struct {
	From, To uint64 // seq
	Check    Check  // of the summary that it leads to
	Changed  []Change
	Dropped  []Key
	Refs     []Ref // new, moved or learnt anew
	Unrefs   []RefKey
	Partials []ref.Entry // all of them; they are few

	patched int // files in all changes
}

// Diff tells what leads from one manifest to the next; nil when nothing does.
func Diff(old, new *Built, seq uint64) *Delta {
	d := &Delta{From: seq, To: seq + 1, Check: new.Summary.Check(), Partials: new.Summary.Partials}
	d.diffHeld(old, new)
	d.diffRefs(old.Summary, new.Summary)
	if len(d.Changed)+len(d.Dropped)+len(d.Refs)+len(d.Unrefs) == 0 && slices.Equal(old.Summary.Partials, new.Summary.Partials) {
		return nil
	}
	return d
}

func (d *Delta) diffHeld(old, new *Built) {
	merge(old.Summary.Held, new.Summary.Held, compareHeld, func(was, is *Held) {
		switch {
		case is == nil:
			d.Dropped = append(d.Dropped, Key{was.Repo, was.Commit})
		case was == nil:
			d.change(Change{Held: *is}, nil, new.Lists[is.List])
		case was.List != is.List:
			d.change(Change{Held: *is, Was: was.List}, old.Lists[was.List], new.Lists[is.List])
		}
	})
}

// change adds c, and to it the differing files unless they are too many.
func (d *Delta) change(c Change, old, new *List) {
	if old == nil {
		old = &List{}
	}
	if max(old.Len(), new.Len()) <= patchLimit {
		c.Patched = true
		merge(old.files, new.files, comparePaths, func(a, b *File) {
			switch {
			case b == nil:
				c.Removed = append(c.Removed, a.Path)
			case a == nil || *a != *b:
				c.Added = append(c.Added, *b)
			}
		})
	}
	if n := len(c.Added) + len(c.Removed); n > patchFiles-d.patched {
		c.Patched, c.Added, c.Removed = false, nil, nil
	} else {
		d.patched += n
	}
	d.Changed = append(d.Changed, c)
}

func (d *Delta) diffRefs(old, new *Summary) {
	merge(old.Refs, new.Refs, compareRefs, func(was, is *Ref) {
		switch {
		case is == nil:
			d.Unrefs = append(d.Unrefs, RefKey{was.Repo, was.Name})
		case was == nil || was.Commit != is.Commit || !was.Learnt.Equal(is.Learnt):
			d.Refs = append(d.Refs, *is)
		}
	})
}

// merge walks two sorted slices side by side; f gets nil where a side has no
// equal.
func merge[T any](a, b []T, compare func(x, y T) int, f func(x, y *T)) {
	for len(a) > 0 || len(b) > 0 {
		c := 0
		switch {
		case len(a) == 0:
			c = 1
		case len(b) == 0:
			c = -1
		default:
			c = compare(a[0], b[0])
		}
		switch {
		case c < 0:
			f(&a[0], nil)
			a = a[1:]
		case c > 0:
			f(nil, &b[0])
			b = b[1:]
		default:
			f(&a[0], &b[0])
			a, b = a[1:], b[1:]
		}
	}
}

// Apply replays the delta on the summary it was made from. The result is
// compared with what its owner says it must be.
func (d *Delta) Apply(s *Summary) (*Summary, error) {
	gone := map[Key]bool{}
	for _, c := range d.Changed {
		gone[Key{c.Repo, c.Commit}] = true
	}
	for _, k := range d.Dropped {
		gone[k] = true
	}
	next := &Summary{Partials: d.Partials}
	next.Held = slices.DeleteFunc(slices.Clone(s.Held), func(h Held) bool { return gone[Key{h.Repo, h.Commit}] })
	for _, c := range d.Changed {
		next.Held = append(next.Held, c.Held)
	}
	slices.SortFunc(next.Held, compareHeld)
	next.Refs = d.applyRefs(s.Refs)
	if len(next.Held) > MaxEntries || len(next.Refs) > MaxEntries {
		return nil, fmt.Errorf("apply change %d: %w: more than %d entries", d.To, ErrMalformed, MaxEntries)
	}
	if next.Check() != d.Check {
		return nil, fmt.Errorf("apply change %d: %w", d.To, ErrGap)
	}
	return next, nil
}

func (d *Delta) applyRefs(refs []Ref) []Ref {
	gone := map[RefKey]bool{}
	for _, r := range d.Refs {
		gone[RefKey{r.Repo, r.Name}] = true
	}
	for _, k := range d.Unrefs {
		gone[k] = true
	}
	next := slices.DeleteFunc(slices.Clone(refs), func(r Ref) bool { return gone[RefKey{r.Repo, r.Name}] })
	next = append(next, d.Refs...)
	slices.SortFunc(next, compareRefs)
	return next
}

// Patch makes the changed snapshot's list from the one it had before (nil for a
// new snapshot). It returns nil where it cannot: the list must be fetched then.
func (c *Change) Patch(old *List) *List {
	var was []File
	if old != nil {
		was = old.files
	}
	if !c.Patched || len(was) > patchLimit {
		return nil
	}
	gone := map[string]bool{}
	for _, f := range c.Added {
		gone[f.Path] = true
	}
	for _, p := range c.Removed {
		gone[p] = true
	}
	files := slices.DeleteFunc(slices.Clone(was), func(f File) bool { return gone[f.Path] })
	if l := NewList(append(files, c.Added...)); l.Digest == c.List {
		return l
	}
	return nil
}
