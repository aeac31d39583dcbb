package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"hffs/cache/ref"
	"hffs/gossip/manifest"
)

// learntMost bounds how many revisions are remembered here; the cache keeps those
// of which it has a file.
const learntMost = 64

// learnt is what the Hub has said of branches and tags since this node runs. Others
// may want the same file at the same moment and not reach the Hub, so they are told
// before the first byte of it is here.
type learnt struct {
	mu   sync.Mutex // guards refs
	refs []manifest.Ref
}

func (l *learnt) add(f ref.File, c ref.Commit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refs = slices.DeleteFunc(l.refs, func(r manifest.Ref) bool { return r.Repo == f.Repo && r.Name == f.Revision })
	l.refs = append(l.refs, manifest.Ref{Repo: f.Repo, Name: f.Revision, Commit: c, Learnt: time.Now()})
	l.refs = l.refs[max(0, len(l.refs)-learntMost):]
}

// over puts what was learnt over what is in the cache, where that is older.
func (l *learnt) over(refs []manifest.Ref) []manifest.Ref {
	l.mu.Lock()
	defer l.mu.Unlock()
	refs = slices.Clone(refs)
	for _, mine := range l.refs {
		i := slices.IndexFunc(refs, func(r manifest.Ref) bool { return r.Repo == mine.Repo && r.Name == mine.Name })
		switch {
		case i < 0:
			refs = append(refs, mine)
		case refs[i].Learnt.Before(mine.Learnt):
			refs[i] = mine
		}
	}
	return refs
}

// others tells whether anybody else is there.
func (e *engine) others(ctx context.Context) bool { return len(e.nodes(ctx)) > 0 }
