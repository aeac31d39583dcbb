package ref

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// MaxNear is how many repos are suggested for one that is not there.
const MaxNear = 3

// Near are those of all that somebody may have meant who wrote r, the likeliest first:
// the same name of another type, in other letters, of another owner, or with a slip of
// the hand. They are few, or none.
func Near(r Repo, all []Repo) []Repo {
	type candidate struct {
		repo Repo
		far  int
	}
	var found []candidate
	for _, o := range all {
		if o == r {
			continue
		}
		if far, ok := apart(r, o); ok && !slices.ContainsFunc(found, func(c candidate) bool { return c.repo == o }) {
			found = append(found, candidate{o, far})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.repo.Type, b.repo.Type), cmp.Compare(a.repo.ID, b.repo.ID))
	})
	var near []Repo
	for _, c := range found[:min(len(found), MaxNear)] {
		near = append(near, c.repo)
	}
	return near
}

// apart is how far the names of two repos are apart, where one may be meant by the
// other.
func apart(a, b Repo) (far int, ok bool) {
	const otherType, otherOwner = 1, 3
	x, y := strings.ToLower(a.ID), strings.ToLower(b.ID)
	if a.Type != b.Type {
		far = otherType
	}
	switch {
	case x == y:
		return far, true
	case path.Base(x) == path.Base(y):
		return far + otherOwner, true
	}
	n, ok := Slip(x, y)
	return far + n, ok
}

// Slip is how far two words are apart, where a slip of the hand may have made one of the
// other.
func Slip(a, b string) (far int, ok bool) {
	slips := len(a)/8 + 1
	if max(len(a), len(b))-min(len(a), len(b)) > slips {
		return 0, false
	}
	far = distance(a, b)
	return far, far <= slips
}

// distance is the least number of bytes to insert, remove or change, or of neighbours
// to swap, that makes a into b.
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
