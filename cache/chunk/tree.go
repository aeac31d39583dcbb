package chunk

import (
	"slices"
	"strconv"
)

// tree is Xet's Merkle tree over a list of chunks, grown from the left: it keeps
// no more than one open group at each level. Like chunks, groups follow the
// content, so that a change in the middle of a file leaves most nodes as they
// were. A group ends after its third to ninth entry, at the first of these whose
// hash is divisible by four, and at the end of the list.
type tree struct {
	sum    *Hasher
	text   []byte
	levels []level
}

// Bounds of a group.
const (
	minGroup = 3
	maxGroup = 9
)

type level struct {
	open  []Chunk // at most maxGroup
	count int     // entries there have been
}

func newTree() *tree { return &tree{sum: newHasher(nodeKey)} }

// add puts an entry behind all others of a level.
func (t *tree) add(at int, c Chunk) {
	if at == len(t.levels) {
		t.levels = append(t.levels, level{open: make([]Chunk, 0, maxGroup)})
	}
	l := &t.levels[at]
	l.open = append(l.open, c)
	l.count++
	if n := len(l.open); n == maxGroup || n >= minGroup && c.endsGroup() {
		t.close(at)
	}
}

// endsGroup looks at the last of the hash's four numbers.
func (c Chunk) endsGroup() bool { return c.Hash[24]%4 == 0 }

// close makes a level's open group a node of the level above.
func (t *tree) close(at int) {
	l := &t.levels[at]
	parent := Chunk{}
	t.text = t.text[:0]
	for _, c := range l.open {
		parent.Length += c.Length
		t.text = c.appendNode(t.text)
	}
	parent.Hash = t.sum.Sum(t.text)
	l.open = l.open[:0]
	t.add(at+1, parent)
}

// appendNode is the entry's line in the text that is hashed for a node.
func (c Chunk) appendNode(b []byte) []byte {
	b = slices.Grow(b, 64+3+20+1)
	b = append(c.Hash.appendText(b), " : "...)
	return append(strconv.AppendInt(b, c.Length, 10), '\n')
}

// root closes what is open and gives the root; of an empty list it is zero, of
// one entry that entry's own hash. What is left over at the end of a level is a
// group even if it is a single entry: it is hashed once more, not carried up.
func (t *tree) root() Hash {
	for at := 0; at < len(t.levels); at++ {
		l := t.levels[at]
		if l.count == 1 {
			return l.open[0].Hash
		}
		if len(l.open) > 0 {
			t.close(at)
		}
	}
	return Hash{}
}
