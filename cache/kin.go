package cache

import (
	"cmp"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hffs/cache/index"
	"hffs/cache/ref"
)

// kin is how a file is related to another one; closer ones come first.
type kin int

const (
	same     kin = iota // the very file
	version             // of the same path, at another commit
	sibling             // in the same repo, by another path
	stranger            // in another repo
)

// relative is a file that may have chunks in common with the one that relatives
// are looked for.
type relative struct {
	entry ref.Entry
	rel   string // where it lies in the cache
	kin   kin
	base  bool     // it has the same base name
	rank  [4]int64 // among relatives of its kin; less is closer
}

// relate says how o is related to e, as far as names tell.
func relate(e *ref.Entry, o ref.Entry) (r relative) {
	r = relative{entry: o, base: path.Base(o.Path) == path.Base(e.Path)}
	switch {
	case o.Repo != e.Repo:
		r.kin = stranger
		r.rank[0] = notSo(r.base)
	case o.Path != e.Path:
		r.kin = sibling
		r.rank = [4]int64{notSo(r.base), shardsApart(e.Path, o.Path), -int64(commonPrefix(e.Path, o.Path))}
	case o.Commit != e.Commit:
		r.kin = version
	}
	return r
}

// fits tells whether the size (bytes) makes it a relative of e, and ranks it by
// that. Below a certain size nobody takes down what a blob is made of.
//
// Strangers whose sizes are apart by the same few thousandths are equally close:
// the header of a file tells its name, and may be longer or shorter for it.
func (r *relative) fits(e *ref.Entry, size int64) bool {
	want := e.Blob.Size
	apart := max(size, want) - min(size, want)
	switch {
	case size < index.MinSize:
		return false
	case r.kin == sibling:
		r.rank[3] = apart
		return size <= 2*want && want <= 2*size
	case r.kin == stranger:
		r.rank = [4]int64{1000 * apart / max(want, 1), notSo(r.base), apart, -int64(commonPrefix(e.Repo.ID, r.entry.Repo.ID))}
		return r.base && 4*max(size, want) <= 5*min(size, want) || 100*apart <= want
	}
	return true
}

// compare puts the closer one first. Where both are equally close it is at least
// the same one each time, and one whose Xet hash is known.
func (r *relative) compare(o *relative) int {
	return cmp.Or(
		cmp.Compare(r.kin, o.kin),
		slices.Compare(r.rank[:], o.rank[:]),
		cmp.Compare(notSo(r.entry.Blob.Xet != ""), notSo(o.entry.Blob.Xet != "")),
		strings.Compare(r.entry.Repo.ID, o.entry.Repo.ID),
		cmp.Compare(r.entry.Repo.Type, o.entry.Repo.Type),
		strings.Compare(r.entry.Path, o.entry.Path),
		cmp.Compare(r.entry.Commit, o.entry.Commit),
	)
}

func notSo(yes bool) int64 {
	if yes {
		return 0
	}
	return 1
}

// shardName is how a part of a model that was cut up is named.
var shardName = regexp.MustCompile(`-([0-9]{5})-of-[0-9]{5}`)

// shardsApart is how far the numbers of two parts are apart; without numbers they
// are as far as can be.
func shardsApart(a, b string) int64 {
	n, ok1 := shardNumber(a)
	m, ok2 := shardNumber(b)
	if !ok1 || !ok2 {
		return math.MaxInt64
	}
	return max(n, m) - min(n, m)
}

func shardNumber(name string) (int64, bool) {
	m := shardName.FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	return n, err == nil
}

func commonPrefix(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// keptRelatives is how many relatives are remembered at least while others are
// still being looked at; those that are left out are further away than all of them.
const keptRelatives = 500

// family collects the relatives of e among files with its extension.
type family struct {
	e   ref.Entry
	ext string

	known   []*relative
	unknown []*relative            // those of unknown size, which were not checked yet
	of      map[ref.ETag]*relative // those known by their blob, once for each; versions are all known
	worst   *relative              // of those kept, once there are enough
}

// add takes o in, which lies at a spot and may have a record, if it is related.
func (f *family) add(o ref.Entry, at spot, rec record, checked bool) {
	o.Blob = ref.Blob{ETag: at.etag, Xet: at.xet}
	r := relate(&f.e, o)
	r.rel = at.rel
	switch {
	case r.kin == same || at.etag == f.e.Blob.ETag:
	case !checked:
		later := r
		f.unknown = append(f.unknown, &later)
	case rec.bad || at.etag != "" && at.etag != rec.etag:
	default:
		r.entry.Blob.ETag = rec.etag
		f.measured(&r, rec.stamp.Size)
	}
}

// measured takes in a relative whose size (bytes) is known, if that fits.
func (f *family) measured(r *relative, size int64) {
	if !r.fits(&f.e, size) || f.worst != nil && r.compare(f.worst) > 0 {
		return
	}
	kept := *r // most are not worth the memory
	if r.kin != version && r.entry.Blob.ETag != "" {
		before := f.of[r.entry.Blob.ETag]
		if before != nil {
			if r.compare(before) < 0 {
				*before = kept
			}
			return
		}
		f.of[r.entry.Blob.ETag] = &kept
	}
	if f.known = append(f.known, &kept); len(f.known) == 2*keptRelatives {
		f.sort()
	}
}

// sort puts the closest first, and forgets those that are too many.
func (f *family) sort() []*relative {
	slices.SortFunc(f.known, (*relative).compare)
	if len(f.known) <= keptRelatives {
		return f.known
	}
	for _, r := range f.known[keptRelatives:] {
		delete(f.of, r.entry.Blob.ETag)
	}
	f.known = f.known[:keptRelatives]
	worst := *f.known[keptRelatives-1]
	f.worst = &worst
	return f.known
}

// toMeasure are the files whose size has to be asked for, as many as may be.
func (f *family) toMeasure() []*relative {
	slices.SortFunc(f.unknown, (*relative).compare)
	f.unknown = slices.CompactFunc(f.unknown, func(a, b *relative) bool { return a.rel == b.rel && a.kin != version })
	return f.unknown[:min(len(f.unknown), maxLooks)]
}
