package manifest

import (
	"fmt"
	"slices"
)

// Tree is the list of a commit's files as a node knows it, held or not. It is told
// to who asks and is no part of a manifest.
type Tree struct {
	Files []File // by path, no path twice
	Whole bool   // these are all files of the commit
}

// Limits on trees: those of [MaxEntries] files and [MaxWire] bytes, and this one,
// are the same for writer and reader, since a tree that was cut is not whole any more.
const maxTreePlain = 32 << 20

// flagWhole is the first byte of a tree's plain form; the files follow by column,
// as in a list.
const flagWhole = 1

// NewTree makes a tree of files in any order. Of two files of one path the first
// stays. A tree from which files had to be left out is not whole.
func NewTree(files []File, whole bool) Tree {
	good := slices.DeleteFunc(slices.Clone(files), func(f File) bool { return !goodFile(f) })
	whole = whole && len(good) == len(files)
	slices.SortStableFunc(good, comparePaths)
	good = slices.CompactFunc(good, func(a, b File) bool { return a.Path == b.Path })
	if len(good) > MaxEntries {
		good, whole = good[:MaxEntries], false
	}
	return Tree{good, whole}
}

// Encode writes the tree, or as much of it as anybody reads.
func (t Tree) Encode() []byte { return t.encode(maxTreePlain, MaxWire) }

func (t Tree) encode(mostPlain, mostWire int) []byte {
	for {
		if plain := t.plain(); len(plain) <= mostPlain {
			if b := pack(kindTree, plain); len(b) <= mostWire {
				return b
			}
		}
		t = Tree{Files: t.Files[:len(t.Files)/2]}
	}
}

func (t Tree) plain() []byte {
	w := &writer{}
	if t.Whole {
		w.byte(flagWhole)
	} else {
		w.byte(0)
	}
	w.files(t.Files)
	return w.b
}

// DecodeTree reads what [Tree.Encode] wrote.
func DecodeTree(b []byte) (Tree, error) {
	plain, err := unpack(b, kindTree)
	if err != nil {
		return Tree{}, fmt.Errorf("files of a commit: %w", err)
	}
	t, err := decodeTree(plain)
	if err != nil {
		return Tree{}, fmt.Errorf("files of a commit: %w", err)
	}
	return t, nil
}

func decodeTree(plain []byte) (t Tree, err error) {
	r := &reader{b: plain}
	flags := r.byte()
	if flags&^flagWhole != 0 {
		r.fail("unknown flags %#x", flags)
	}
	t = Tree{r.files(), flags == flagWhole}
	return t, r.end()
}
