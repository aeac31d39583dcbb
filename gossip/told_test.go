package gossip

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/gossip/directory"
)

func tellerNode(i int) directory.Node {
	return directory.Node{ID: nodeID(i), Name: fmt.Sprintf("n%d", i), Addr: netip.MustParseAddrPort("127.0.0.1:9")}
}

// tells is what node i tells: file j with the blob b[j]; none where that is negative.
func tells(i int, whole bool, b ...int) Told {
	t := Told{Node: tellerNode(i), Whole: whole, Votes: 1}
	for j, n := range b {
		if n >= 0 {
			t.Files = append(t.Files, ref.Listed{Path: testFiles(j + 1)[j].Path, Blob: testBlob(n)})
		}
	}
	return t
}

func TestSettle(t *testing.T) {
	t.Parallel()
	require.Empty(t, settle(nil))
	conflict := func(j, node int, b ref.Blob) Conflict {
		return Conflict{testFiles(j + 1)[j].Path, tellerNode(node), b}
	}
	for name, c := range map[string]struct {
		told      []Told
		want      []Told // files, votes and who
		conflicts []Conflict
	}{
		"one":          {told: []Told{tells(0, true, 0, 1)}, want: []Told{tells(0, true, 0, 1)}},
		"the same":     {told: []Told{tells(0, true, 0, 1), tells(1, true, 0, 1)}, want: []Told{votes(2, tells(0, true, 0, 1))}},
		"whole counts": {told: []Told{tells(0, false, 0), tells(1, true, 0, 1)}, want: []Told{tells(1, true, 0, 1)}},
		"most count": {
			told:      []Told{tells(0, true, 0, 9), votes(2, tells(1, true, 0, 1))},
			want:      []Told{votes(2, tells(1, true, 0, 1)), tells(0, true, 0, 9)},
			conflicts: []Conflict{conflict(1, 0, testBlob(9))},
		},
		"the first of equals": {
			told:      []Told{tells(3, true, 0, 1), tells(0, true, 0, 9)},
			want:      []Told{tells(3, true, 0, 1), tells(0, true, 0, 9)},
			conflicts: []Conflict{conflict(1, 0, testBlob(9))},
		},
		"a file is missing in one": {
			told:      []Told{tells(0, true, 0, 1, 2), tells(1, true, 0, -1, 2)},
			want:      []Told{tells(0, true, 0, 1, 2), tells(1, true, 0, -1, 2)},
			conflicts: []Conflict{conflict(1, 1, ref.Blob{})},
		},
		"a holder has something else": {
			told:      []Told{tells(0, true, 0, 1), tells(1, false, -1, 9), tells(2, false, 0, -1, 2)},
			want:      []Told{tells(0, true, 0, 1)},
			conflicts: []Conflict{conflict(1, 1, testBlob(9)), conflict(2, 2, testBlob(2))},
		},
		"parts are put together": {
			told: []Told{tells(0, false, 0), tells(1, false, -1, 1, 2), tells(2, false, 0, -1, -1, 3)},
			want: []Told{votes(3, tells(1, false, 0, 1, 2, 3))},
		},
		"most say what a part is": {
			told:      []Told{tells(0, false, 9, 1), tells(1, false, 0), tells(2, false, 0)},
			want:      []Told{votes(3, tells(0, false, 0, 1))},
			conflicts: []Conflict{conflict(0, 0, testBlob(9))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := settle(c.told)
			require.Len(t, got, len(c.want))
			require.ElementsMatch(t, c.conflicts, got[0].Conflicts)
			for i := range got {
				got[i].Conflicts = nil
			}
			require.Equal(t, c.want, got)
		})
	}
}

func votes(n int, t Told) Told { t.Votes = n; return t }

// TestSettleTakesXetHashesFromWhoeverHasThem, and does not write into lists that
// others read as well.
func TestSettleTakesXetHashesFromWhoeverHasThem(t *testing.T) {
	t.Parallel()
	plain, full := tells(0, true, 0, 1), tells(1, false, -1, 1)
	plain.Files[1].Blob.Xet = ""
	got := settle([]Told{plain, full})
	require.Equal(t, testBlob(1), got[0].Files[1].Blob)
	require.Empty(t, got[0].Conflicts)
	require.Empty(t, plain.Files[1].Blob.Xet)

	other := tells(2, true, 0, 1)
	other.Files[1].Blob.Xet = testBlob(3).Xet
	got = settle([]Told{tells(0, true, 0, 1), other})
	require.Len(t, got, 2, "two Xet hashes of one blob are a conflict")
	require.Equal(t, []Conflict{{other.Files[1].Path, tellerNode(2), other.Files[1].Blob}}, got[0].Conflicts)
}

func TestConflictsAreBounded(t *testing.T) {
	t.Parallel()
	all, none := tells(0, true), tells(1, true)
	all.Files = testFiles(10 * maxConflicts)
	got := settle([]Told{all, none})
	require.Len(t, got[0].Conflicts, maxConflicts)
	require.Len(t, got[1].Conflicts, maxConflicts)
}
