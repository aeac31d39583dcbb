package gossip

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptrace"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/directory"
	"hffs/gossip/manifest"
)

const (
	treePatience = 1 * time.Second // for a node to begin with its answer
	treeTime     = listTime        // for all of it
)

var errSilent = errors.New("it does not answer")

// tree asks for the files of a commit. A long list takes its time to arrive, but
// who has not begun to send it soon is not waited for.
func (d door) tree(ctx context.Context, repo ref.Repo, commit ref.Commit) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(treePatience, func() { cancel(errSilent) })
	defer silence.Stop()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { silence.Stop() }})
	b, err := d.get(ctx, treePath, commitQuery(repo, commit), manifest.MaxWire)
	if err != nil && context.Cause(ctx) == errSilent {
		return nil, fmt.Errorf("ask %s: %w", d.addr, errSilent)
	}
	return b, err
}

// ballot is what nodes have told of one commit.
type ballot struct {
	all      []Told
	answered map[string]bool // by node id; also those who know nothing
	errs     []error
	seen     map[[sha256.Size]byte]int // which of all an answer became
}

// poll asks nodes for the files of a commit, all at once. The first whole list
// ends it, but for a moment in which others may contradict.
func poll(ctx context.Context, nodes []directory.Node, ask func(context.Context, directory.Node) ([]byte, error)) ballot {
	ctx, cancel := context.WithTimeout(ctx, treeTime)
	defer cancel()
	type answer struct {
		node directory.Node
		wire []byte
		err  error
	}
	answers := make(chan answer, len(nodes))
	for _, n := range nodes {
		go func() {
			wire, err := ask(ctx, n)
			answers <- answer{n, wire, err}
		}()
	}
	b := ballot{answered: map[string]bool{}, seen: map[[sha256.Size]byte]int{}}
	var grace <-chan time.Time
	for range nodes {
		select {
		case a := <-answers:
			if b.take(a.node, a.wire, a.err); grace == nil && b.whole() {
				grace = time.After(enoughGrace)
			}
		case <-grace:
			return b
		case <-ctx.Done():
			return b
		}
	}
	return b
}

// take adds an answer. Lists are long and mostly the same, so each is read once.
func (b *ballot) take(n directory.Node, wire []byte, err error) {
	sum := sha256.Sum256(wire)
	i, known := b.seen[sum]
	var tree manifest.Tree
	if err == nil && !known {
		tree, err = manifest.DecodeTree(wire)
	}
	switch {
	case errors.Is(err, errNotHere):
	case err != nil:
		b.errs = append(b.errs, fmt.Errorf("%s: %w", n.Name, err))
		return
	case known:
		b.all[i].Votes++
	default:
		b.seen[sum] = len(b.all)
		b.all = append(b.all, Told{Files: tree.Files, Whole: tree.Whole, Node: n, Votes: 1})
	}
	b.answered[n.ID] = true
}

func (b *ballot) whole() bool {
	for _, t := range b.all {
		if t.Whole {
			return true
		}
	}
	return false
}
