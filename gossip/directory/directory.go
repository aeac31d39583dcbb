// Package directory is who holds what: the manifests of all nodes merged into
// one [Table]. What it says is hearsay and may be seconds old: a node in it is a
// candidate until it answers the request for bytes.
//
// The table knows summaries only. That a list of files contains a blob is for
// its user to find out, since lists are fetched when they are needed.
package directory

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

// Node is another node. Addr is its HTTP door.
type Node struct {
	ID, Name string
	Addr     netip.AddrPort
}

// Holder is a node that says it has a blob. One that is fetching it itself is
// not Complete; its Bytes are 0 while they are unknown.
type Holder struct {
	Node     Node
	Complete bool
	Bytes    int64
}

// Claim is what a node says that a branch or tag stands for. Learnt is when
// that node had it from the Hub, on our clock.
type Claim struct {
	Commit ref.Commit
	Learnt time.Time
	Node   Node
}

// Offer is a file list that a node names for a snapshot.
type Offer struct {
	Node   Node
	Commit ref.Commit
	List   manifest.Digest
}

// Table merges the summaries of all nodes that are there. The zero Table is
// empty and ready for use.
type Table struct {
	mu    sync.RWMutex // guards nodes
	nodes map[string]row
}

type row struct {
	node    Node
	summary *manifest.Summary
}

// Set replaces what a node holds.
func (t *Table) Set(n Node, s *manifest.Summary) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.nodes == nil {
		t.nodes = map[string]row{}
	}
	t.nodes[n.ID] = row{n, s}
}

// Drop forgets a node.
func (t *Table) Drop(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.nodes, id)
}

// each calls f for every node, in the order of their ids, so that equal tables
// give equal answers.
func (t *Table) each(f func(row)) {
	t.mu.RLock()
	rows := make([]row, 0, len(t.nodes))
	for _, r := range t.nodes {
		rows = append(rows, r)
	}
	t.mu.RUnlock()
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.node.ID, b.node.ID) })
	for _, r := range rows {
		f(r)
	}
}

// Claims are what nodes say of a branch or tag, the latest learnt first.
func (t *Table) Claims(repo ref.Repo, name string) (cs []Claim) {
	t.each(func(r row) {
		if known, ok := r.summary.Ref(repo, name); ok {
			cs = append(cs, Claim{known.Commit, known.Learnt, r.node})
		}
	})
	slices.SortStableFunc(cs, func(a, b Claim) int { return b.Learnt.Compare(a.Learnt) })
	return cs
}

// Offers are the file lists that nodes name for snapshots of a repo.
func (t *Table) Offers(repo ref.Repo) (os []Offer) {
	t.each(func(r row) {
		for _, h := range r.summary.Of(repo) {
			os = append(os, Offer{r.node, h.Commit, h.List})
		}
	})
	return os
}

// Naming are the nodes whose summary names one of the lists, for any repo.
func (t *Table) Naming(lists map[manifest.Digest]bool) (ns []Node) {
	t.each(func(r row) {
		if slices.ContainsFunc(r.summary.Held, func(h manifest.Held) bool { return lists[h.List] }) {
			ns = append(ns, r.node)
		}
	})
	return ns
}

// Claiming are the nodes that say of some branch or tag that it is a commit.
func (t *Table) Claiming(repo ref.Repo, commit ref.Commit) (ns []Node) {
	t.each(func(r row) {
		if slices.ContainsFunc(r.summary.Refs, func(m manifest.Ref) bool { return m.Commit == commit && m.Repo == repo }) {
			ns = append(ns, r.node)
		}
	})
	return ns
}

// Fetching is a blob that a node is fetching just now.
type Fetching struct {
	Node  Node
	Entry ref.Entry
}

// Fetching are the fetches under way that want is true for.
func (t *Table) Fetching(want func(ref.Entry) bool) (fs []Fetching) {
	t.each(func(r row) {
		for _, e := range r.summary.Partials {
			if want(e) {
				fs = append(fs, Fetching{r.node, e})
			}
		}
	})
	return fs
}
