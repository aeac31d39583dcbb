package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/transfer/catalog"
	"hffs/transfer/hub"
)

// Resolved is what a file is: its commit and blob, and what to tell the user.
type Resolved struct {
	Entry ref.Entry
	// Stale says that the Hub could not be asked and an older answer serves.
	Stale bool
	Notes []Note
}

// A Claim is what somebody says that a revision was when they last asked.
type Claim struct {
	Entry  ref.Entry
	Learnt time.Time
	From   string // "this machine" or a peer's name
}

// Resolver finds out what a file is. The Hub's word counts; only when it cannot
// be had does the last known answer serve, ours before a peer's, and the user is
// told which and how old it is.
type Resolver struct {
	Cache *cache.Cache
	Hub   interface {
		Resolve(context.Context, ref.File) (ref.Entry, error)
	}
	// Swarm is what the neighbours last knew; may be nil.
	Swarm func(context.Context, ref.File) ([]Claim, error)
	// Others tells whether there are neighbours who may come to know; may be nil.
	Others func(context.Context) bool
	// Learnt is told what the Hub has said of a revision; may be nil.
	Learnt func(f ref.File, c ref.Commit)
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger
}

// Resolve says what f is. A commit that was seen before needs no asking; a
// branch or tag is asked anew each time.
func (r *Resolver) Resolve(ctx context.Context, f ref.File) (Resolved, error) {
	if c, err := ref.ParseCommit(f.Revision); err == nil {
		if e, ok := r.Cache.SureEntry(f.Repo, c, f.Path); ok {
			return Resolved{Entry: e}, nil
		}
	}
	e, passed, rumoured, err := r.askHub(ctx, f)
	if rumoured != nil {
		return *rumoured, nil
	}
	if err == nil {
		r.Log.Info("the Hub has told what a file is", "file", f, "commit", e.Commit, "bytes", e.Blob.Size)
		if err := r.Cache.Remember(e); err != nil {
			r.Log.Warn("entry was not recorded", "entry", e, "err", err)
		}
		if r.Learnt != nil && !ref.IsCommit(f.Revision) {
			r.Learnt(f, e.Commit)
		}
		return Resolved{Entry: e, Notes: passed}, nil
	}
	if ctx.Err() != nil {
		return Resolved{}, ctx.Err()
	}
	if outOfReach(err) {
		return r.lastKnown(ctx, f, err)
	}
	return r.refused(ctx, f, err)
}

// hush is how long the Hub may be silent before the neighbours are asked as well;
// news is how old what they say may be to serve instead: then somebody has just
// reached the Hub, and this machine does not.
const (
	hush     = 1 * time.Second
	hushLook = 500 * time.Millisecond
	news     = 30 * time.Second
)

// askHub asks the Hub, and when that is silent, whether a neighbour has just heard
// from it.
func (r *Resolver) askHub(ctx context.Context, f ref.File) (e ref.Entry, passed []Note, rumoured *Resolved, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		e      ref.Entry
		passed []Note
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		a.e, a.err = r.Hub.Resolve(hub.Listen(ctx, func(line string) { a.passed = append(a.passed, Note{Text: line}) }), f)
		answers <- a
	}()
	wait := time.NewTimer(hush)
	defer wait.Stop()
	for {
		select {
		case a := <-answers:
			return a.e, a.passed, nil, a.err
		case <-wait.C:
			if res, ok := r.justHeard(ctx, f); ok {
				return ref.Entry{}, nil, &res, nil
			}
			wait.Reset(hushLook)
		}
	}
}

// errSilent is why an answer of the neighbours serves.
var errSilent = errors.New("the Hub is silent")

// justHeard is what a neighbour has learnt from the Hub a moment ago.
func (r *Resolver) justHeard(ctx context.Context, f ref.File) (Resolved, bool) {
	if ref.IsCommit(f.Revision) || r.Others == nil {
		return Resolved{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, hushLook)
	defer cancel()
	claims, err := r.ask(ctx, f)
	if err != nil {
		r.Log.Debug("swarm was asked in vain", "file", f, "err", err)
	}
	for _, c := range claims {
		if age := r.now().Sub(c.Learnt); !c.Learnt.IsZero() && age < news {
			return r.stale(f, c, errSilent), true
		}
	}
	return Resolved{}, false
}

// refused is for a Hub that lets us in no more. What this machine has of the
// repo stays of use to it, as it does for huggingface_hub.
func (r *Resolver) refused(ctx context.Context, f ref.File, hubErr error) (Resolved, error) {
	noAccess := errors.Is(hubErr, hub.ErrGated) || errors.Is(hubErr, hub.ErrUnauthorized) ||
		errors.Is(hubErr, hub.ErrRepoNotFound) || errors.Is(hubErr, hub.ErrDisabled)
	c, ok := r.own(f)
	if !noAccess || !ok {
		return Resolved{}, hubErr
	}
	if _, err := r.Cache.Find(ctx, c.Entry); err != nil {
		return Resolved{}, hubErr
	}
	text := fmt.Sprintf("the Hub refuses access to %s by now; the copy on this machine serves", f.Repo)
	return Resolved{Entry: c.Entry, Stale: true, Notes: []Note{{Text: text}}}, nil
}

// outOfReach tells a Hub that did not answer from one that said no.
func outOfReach(err error) bool {
	return errors.Is(err, hub.ErrUnreachable) || errors.Is(err, hub.ErrOffline) || errors.Is(err, hub.ErrRateLimited)
}

func (r *Resolver) lastKnown(ctx context.Context, f ref.File, hubErr error) (Resolved, error) {
	if c, ok := r.own(f); ok {
		return r.newerElsewhere(ctx, f, c, r.stale(f, c, hubErr)), nil
	}
	claims := r.rumour(ctx, f, hubErr)
	if len(claims) == 0 {
		return Resolved{}, fmt.Errorf("%w; nobody in the swarm knows it either", hubErr)
	}
	slices.SortStableFunc(claims, func(a, b Claim) int { return cmp.Compare(b.Learnt.UnixNano(), a.Learnt.UnixNano()) })
	best, chosen := r.choose(f, claims)
	res := r.stale(f, best, hubErr)
	for _, c := range claims {
		if c.Entry.Commit != best.Entry.Commit {
			text := fmt.Sprintf("%s knows another commit, %.8s; the %s is used", c.From, c.Entry.Commit, chosen)
			res.Notes = append(res.Notes, Note{Source: c.From, Text: text, Conflict: true})
			break
		}
	}
	return res, nil
}

// choose takes a commit that was once seen here for the revision, so that files got one
// by one are of one commit, else the newest claim; claims are the newest first.
func (r *Resolver) choose(f ref.File, claims []Claim) (best Claim, why string) {
	if seen, err := r.Cache.Ref(f.Repo, f.Revision); err == nil {
		for _, c := range claims {
			if c.Entry.Commit == seen.Commit {
				return c, "one seen here before"
			}
		}
	}
	return claims[0], "newer answer"
}

// newerElsewhere tells of a neighbour who has learnt since that the revision is
// another commit. Ours is kept: it was seen here.
func (r *Resolver) newerElsewhere(ctx context.Context, f ref.File, own Claim, res Resolved) Resolved {
	if ref.IsCommit(f.Revision) {
		return res
	}
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	claims, _ := r.ask(ctx, f)
	for _, c := range claims {
		if c.Entry.Commit != own.Entry.Commit && c.Learnt.After(own.Learnt) {
			text := fmt.Sprintf("%s knows a newer %s, %.8s, learnt %s; take it with --revision %s",
				c.From, f.Revision, c.Entry.Commit, catalog.Ago(r.now().Sub(c.Learnt)), c.Entry.Commit)
			res.Notes = append(res.Notes, Note{Source: c.From, Text: text, Conflict: true})
			break
		}
	}
	return res
}

// rumours are waited for where the Hub cannot be reached from here and there are
// neighbours: they may be asking it right now, for the same new file.
const (
	rumourMost = 3 * time.Second
	rumourLook = 200 * time.Millisecond
)

// rumour is what the neighbours say, once somebody says something.
func (r *Resolver) rumour(ctx context.Context, f ref.File, hubErr error) []Claim {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for end := time.Now().Add(rumourMost); ; {
		claims, err := r.ask(ctx, f)
		if err != nil {
			r.Log.Debug("swarm was asked in vain", "file", f, "err", err)
		}
		if len(claims) > 0 || time.Now().After(end) || !errors.Is(hubErr, hub.ErrUnreachable) || r.Others == nil || !r.Others(ctx) {
			return claims
		}
		select {
		case <-time.After(rumourLook):
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *Resolver) ask(ctx context.Context, f ref.File) ([]Claim, error) {
	if r.Swarm == nil {
		return nil, nil
	}
	return r.Swarm(ctx, f)
}

// own is what this machine itself last learnt.
func (r *Resolver) own(f ref.File) (Claim, bool) {
	known, err := r.Cache.Ref(f.Repo, f.Revision)
	if err != nil {
		return Claim{}, false
	}
	e, err := r.Cache.Entry(f.Repo, known.Commit, f.Path)
	if err != nil {
		return Claim{}, false
	}
	return Claim{Entry: e, Learnt: known.Learnt, From: "this machine"}, true
}

func (r *Resolver) stale(f ref.File, c Claim, hubErr error) Resolved {
	r.Log.Info("last known answer serves", "file", f, "commit", c.Entry.Commit, "from", c.From, "err", hubErr)
	text := fmt.Sprintf("the Hub cannot be asked; %s was commit %.8s", f.Revision, c.Entry.Commit)
	if ref.IsCommit(f.Revision) {
		text = fmt.Sprintf("the Hub cannot be asked; the hash of %s is as %s states it", f.Path, c.From)
	} else if !c.Learnt.IsZero() {
		text += fmt.Sprintf(" %s, says %s", catalog.Ago(r.now().Sub(c.Learnt)), c.From)
	} else {
		text += ", says " + c.From
	}
	return Resolved{Entry: c.Entry, Stale: true, Notes: []Note{{Source: c.From, Text: text}}}
}

func (r *Resolver) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
