package manifest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
)

func TestTreeRoundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 1000} {
		for _, whole := range []bool{false, true} {
			tree := NewTree(files(n), whole)
			got, err := DecodeTree(tree.Encode())
			require.NoError(t, err)
			require.Equal(t, tree, got)
			require.Equal(t, whole, got.Whole)
			require.Len(t, got.Files, n)
		}
	}
}

func TestTreeTakesFilesAsTheyCome(t *testing.T) {
	t.Parallel()
	fs := files(20)
	slices.Reverse(fs)
	again := fs[3]
	again.Blob = blob(99)
	tree := NewTree(append(fs, again), true)
	require.Equal(t, files(20), tree.Files, "the first of two stays")
	require.True(t, tree.Whole)
	require.Equal(t, files(20)[19], fs[0], "what was given is as it was")
}

func TestTreeWithoutWhatNobodyTakesIsNotWhole(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]File{
		"path": {Path: "../up", Blob: blob(1)},
		"etag": {Path: "a", Blob: ref.Blob{ETag: "zz"}},
		"xet":  {Path: "a", Blob: ref.Blob{ETag: blob(1).ETag, Xet: "zz"}},
		"size": {Path: "a", Blob: ref.Blob{ETag: blob(1).ETag, Size: -1}},
	} {
		tree := NewTree(append(files(3), bad), true)
		require.False(t, tree.Whole, name)
		got, err := DecodeTree(tree.Encode())
		require.NoError(t, err, name)
		require.Equal(t, files(3), got.Files, name)
	}
}

// TestTreeOfMoreThanAnybodyTakesIsCut: too many files, too many bytes on the wire, or
// too many before they are packed.
func TestTreeOfMoreThanAnybodyTakesIsCut(t *testing.T) {
	t.Parallel()
	many := make([]File, MaxEntries+1)
	for i := range many {
		many[i] = File{Path: fmt.Sprintf("%06d", i), Blob: blob(0)}
	}
	cut := NewTree(many, true)
	require.Equal(t, many[:MaxEntries], cut.Files)
	require.False(t, cut.Whole)

	tree := NewTree(files(1000), true)
	for name, b := range map[string][]byte{"wire": tree.encode(maxTreePlain, 3000), "plain": tree.encode(20_000, MaxWire)} {
		got, err := DecodeTree(b)
		require.NoError(t, err, name)
		require.False(t, got.Whole, name)
		require.Greater(t, len(got.Files), 100, name)
		require.Equal(t, tree.Files[:len(got.Files)], got.Files, name)
		require.True(t, len(b) <= 3000 || len(got.plain()) <= 20_000, name)
	}
}

func TestMalformedTrees(t *testing.T) {
	t.Parallel()
	good := NewTree(files(9), true).Encode()
	for i := range good {
		_, err := DecodeTree(good[:i])
		require.ErrorIs(t, err, ErrMalformed)
	}
	for name, b := range map[string][]byte{
		"other format": append([]byte{9}, good[1:]...),
		"other kind":   NewList(files(9)).Wire(),
		"too long":     append(good, make([]byte, MaxWire)...),
		"bomb":         pack(kindTree, make([]byte, maxTreePlain+1)),
		"flags":        pack(kindTree, append([]byte{2}, encodeFiles(files(1))...)),
		"order":        pack(kindTree, append([]byte{0}, encodeFiles([]File{{Path: "b", Blob: blob(1)}, {Path: "a", Blob: blob(1)}})...)),
		"up":           pack(kindTree, append([]byte{0}, encodeFiles([]File{{Path: "../a", Blob: blob(1)}})...)),
		"absurd count": pack(kindTree, []byte{0, 0xff, 0xff, 0xff, 0x7f}),
		"trailing":     pack(kindTree, []byte{0, 0, 0}),
	} {
		tree, err := DecodeTree(b)
		require.ErrorIs(t, err, ErrMalformed, name)
		require.Empty(t, tree.Files, name)
	}
}

func FuzzTree(f *testing.F) {
	f.Add(NewTree(files(5), true).plain())
	f.Add(NewTree(nil, false).plain())
	f.Fuzz(func(t *testing.T, plain []byte) {
		got, err := decodeTree(plain)
		if err != nil {
			return
		}
		require.Equal(t, got.Whole, NewTree(got.Files, got.Whole).Whole, "every file is a good one")
		again, err := decodeTree(got.plain())
		require.NoError(t, err)
		require.Equal(t, got, again)
		require.True(t, slices.IsSortedFunc(got.Files, comparePaths))
	})
}
