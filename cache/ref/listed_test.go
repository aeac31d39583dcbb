package ref

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnLFSFileIsListedByItsPointer(t *testing.T) {
	t.Parallel()
	// From an answer of the Hub: a pytorch_model.bin of 22 bytes.
	b := Blob{ETag: "f9343d7d7ec5c3d8bcced056c438fc9f1d3819e9ca3d42418a40857050e10e20", Size: 22}
	require.Equal(t, "cd1c6d8bde5006076655711a49feae66f07d707e", b.OID())
	require.Equal(t, 127, b.PointerSize())
}

func TestARegularFileIsListedByItsETag(t *testing.T) {
	t.Parallel()
	b := Blob{ETag: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"}
	require.Equal(t, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", b.OID())
}
