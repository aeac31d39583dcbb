package node

import (
	"context"
	"time"

	"hffs/cache/ref"
	"hffs/transfer"
	"hffs/transfer/hub/caller"
)

const (
	// checkPatience is how long a download waits to hear whether its repo is public.
	checkPatience = 300 * time.Millisecond
	listPatience  = 20 * time.Second
)

// resolve says what a file is that is going to be fetched for this machine's own user.
// Meanwhile it is found out whether others may be told of it, for they may be fetching
// it as well.
func (e *engine) resolve(ctx context.Context, f ref.File) (transfer.Resolved, error) {
	checked := e.check(ctx, f.Repo)
	r, err := e.resolver.Resolve(ctx, f)
	if err != nil {
		return r, err
	}
	e.resolved(ctx, f, r)
	e.heard(r)
	select {
	case <-checked:
	case <-time.After(checkPatience):
	case <-ctx.Done():
	}
	return r, nil
}

// check asks the Hub whether a repo is public, where a token may have opened it.
func (e *engine) check(ctx context.Context, repo ref.Repo) (done <-chan struct{}) {
	checked := make(chan struct{})
	if e.own == "" {
		close(checked)
		return checked
	}
	e.running.Go(func() {
		defer close(checked)
		e.access.Check(ctx, repo)
	})
	return checked
}

// resolved takes note of what an answer of the Hub shows.
func (e *engine) resolved(ctx context.Context, f ref.File, r transfer.Resolved) {
	if r.Stale {
		return
	}
	anonymous := !ref.IsCommit(f.Revision) && // which may have been known here
		caller.Token(ctx, e.own) == ""
	// Where there are mirrors one of them may have answered: that is no word against what
	// the Hub has said, or what somebody needed a token for.
	if anonymous && (len(e.hub.Endpoints()) == 1 || !e.access.Known(r.Entry.Repo)) {
		e.access.Learned(r.Entry.Repo, true)
	}
	e.learnList(ctx, r.Entry)
}

// learnList has the list of a commit's files be known here, for whoever asks for them
// when the Hub cannot be asked.
func (e *engine) learnList(ctx context.Context, of ref.Entry) {
	if _, known := e.catalog.Known(of.Repo, of.Commit); known || e.life.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listPatience)
	context.AfterFunc(e.life, cancel)
	e.running.Go(func() {
		defer cancel()
		if _, _, err := e.catalog.List(ctx, of.Repo, of.Commit); err != nil {
			e.log.Debug("file list was not learnt", "entry", of, "err", err)
		}
	})
}
