package directory

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

var (
	now  = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	repo = ref.Repo{Type: ref.Model, ID: "org/model"}
)

func node(i int) Node {
	return Node{ID: fmt.Sprintf("%016x", i), Name: fmt.Sprintf("n%d", i), Addr: netip.MustParseAddrPort("10.0.0.1:7767")}
}

func commit(i int) ref.Commit { return ref.Commit(fmt.Sprintf("%040x", i)) }

func file(i int) manifest.File {
	return manifest.File{Path: fmt.Sprint("f", i), Blob: ref.Blob{ETag: ref.ETag(fmt.Sprintf("%040x", i)), Size: 1}}
}

// held is a node that holds files at commit c, and learnt main an age ago.
func held(c int, age time.Duration, files ...manifest.File) *manifest.Built {
	return manifest.Build(manifest.Holdings{
		Snapshots: []manifest.Snapshot{{Repo: repo, Commit: commit(c), Files: files}},
		Refs:      []manifest.Ref{{Repo: repo, Name: "main", Commit: commit(c), Learnt: now.Add(-age)}},
		Partials:  []ref.Entry{{Repo: repo, Commit: commit(c), Path: "p", Blob: file(c).Blob}},
	}, nil)
}

func TestTableMergesInAnyOrder(t *testing.T) {
	t.Parallel()
	rows := map[int]*manifest.Built{
		1: held(1, time.Hour, file(1)), 2: held(2, time.Minute, file(1)), 3: held(1, 2*time.Hour, file(1), file(2)),
	}
	var tables []*Table
	for _, order := range [][]int{{1, 2, 3}, {3, 1, 2}, {2, 2, 3, 1, 1}} {
		table := &Table{}
		for _, i := range order {
			table.Set(node(i), rows[i].Summary)
		}
		tables = append(tables, table)
	}
	for _, table := range tables {
		require.Equal(t, tables[0].Offers(repo), table.Offers(repo))
		require.Equal(t, tables[0].Claims(repo, "main"), table.Claims(repo, "main"))
	}
	claims := tables[0].Claims(repo, "main")
	require.Equal(t, []string{"n2", "n1", "n3"}, []string{claims[0].Node.Name, claims[1].Node.Name, claims[2].Node.Name})
	require.Equal(t, commit(2), claims[0].Commit)
}

func TestTableReplacesAndDrops(t *testing.T) {
	t.Parallel()
	var table Table
	require.Empty(t, table.Offers(repo))
	table.Drop("nobody")
	table.Set(node(1), held(1, 0, file(1)).Summary)
	table.Set(node(1), held(2, 0, file(1)).Summary)
	offers := table.Offers(repo)
	require.Len(t, offers, 1)
	require.Equal(t, commit(2), offers[0].Commit)
	table.Drop(node(1).ID)
	require.Empty(t, table.Offers(repo))
	require.Empty(t, table.Claims(repo, "main"))
	require.Empty(t, table.Fetching(func(ref.Entry) bool { return true }))
}

func TestTableFindsListsAndFetches(t *testing.T) {
	t.Parallel()
	var table Table
	one, two := held(1, 0, file(1)), held(2, 0, file(1), file(2))
	table.Set(node(1), one.Summary)
	table.Set(node(2), two.Summary)
	table.Set(node(3), one.Summary)

	list := one.Summary.Held[0].List
	require.Equal(t, []Node{node(1), node(3)}, table.Naming(map[manifest.Digest]bool{list: true}))
	require.Empty(t, table.Naming(map[manifest.Digest]bool{{1}: true}))

	fs := table.Fetching(func(e ref.Entry) bool { return e.Blob == file(2).Blob })
	require.Len(t, fs, 1)
	require.Equal(t, node(2), fs[0].Node)
}

func TestTableIsSafeToShare(t *testing.T) {
	t.Parallel()
	var table Table
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				table.Set(node(i), held(i, 0, file(i)).Summary)
				table.Offers(repo)
				table.Drop(node(i).ID)
			}
		})
	}
	wg.Wait()
	require.Empty(t, table.Offers(repo))
}

// 200 nodes of 1,000 snapshots each.
func BenchmarkLookUp(b *testing.B) {
	var table Table
	for n := range 200 {
		h := manifest.Holdings{}
		for i := range 1000 {
			h.Snapshots = append(h.Snapshots, manifest.Snapshot{
				Repo: ref.Repo{Type: ref.Model, ID: fmt.Sprintf("org/m%d", i)}, Commit: commit(i), Files: []manifest.File{file(n)},
			})
		}
		table.Set(node(n), manifest.Build(h, nil).Summary)
	}
	r := ref.Repo{Type: ref.Model, ID: "org/m500"}
	for b.Loop() {
		table.Offers(r)
	}
}

func TestClaiming(t *testing.T) {
	t.Parallel()
	var table Table
	table.Set(node(1), held(1, 0, file(1)).Summary)
	table.Set(node(2), held(2, 0, file(1)).Summary)
	table.Set(node(3), manifest.Build(manifest.Holdings{Refs: []manifest.Ref{{Repo: repo, Name: "v1", Commit: commit(1)}}}, nil).Summary)
	require.Equal(t, []Node{node(1), node(3)}, table.Claiming(repo, commit(1)))
	require.Empty(t, table.Claiming(ref.Repo{Type: ref.Dataset, ID: repo.ID}, commit(1)))
}
