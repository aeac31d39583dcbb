package node

import (
	"context"
	"io"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer/hub"
	"hffs/transfer/source"
	"hffs/transfer/xet"
)

// hubSources are the ways to the Hub for a blob: by the Xet protocol first, where
// the Hub stores it so, then the endpoints, which take its place silently.
func hubSources(h *hub.Client, x *xet.Client) func(ref.Entry) []source.Source {
	return func(e ref.Entry) (all []source.Source) {
		if x != nil && e.Blob.Xet != "" {
			all = append(all, byXet{x, e})
		}
		return append(all, h.Sources(e)...)
	}
}

func newXet(cfg Config, h *hub.Client) *xet.Client {
	if cfg.NoXet || cfg.Hub.Offline {
		return nil
	}
	return xet.New(xet.Config{
		Token: func(ctx context.Context, e ref.Entry) (xet.Token, error) {
			t, err := h.XetToken(ctx, e)
			return xet.Token(t), err
		},
		UserAgent: cfg.Hub.UserAgent, Log: cfg.Log,
	})
}

// Bounds of looking for older revisions, for a download that waits meanwhile.
const (
	olderPatience  = 3 * time.Second
	passerPatience = 200 * time.Millisecond
	olderMost      = 3
	learnMost      = 2 << 30 // bytes of a blob that is read to learn its chunks
)

// derive works out a map from older revisions of the file, here or in the swarm.
func (e *engine) derive(x *xet.Client) func(context.Context, ref.Entry, func(int64, []byte) error) (chunk.Map, error) {
	if x == nil {
		return nil
	}
	return func(ctx context.Context, entry ref.Entry, keep func(int64, []byte) error) (chunk.Map, error) {
		return x.Derive(ctx, entry, e.older(ctx, entry), keep)
	}
}

func (e *engine) older(ctx context.Context, entry ref.Entry) (known []xet.Known) {
	for _, v := range e.cache.Versions(ctx, entry.Repo, entry.Path, olderMost, learnMost) {
		if k, ok := e.knownHere(ctx, v); ok && v.Blob.ETag != entry.Blob.ETag {
			known = append(known, k)
		}
	}
	if len(known) > 0 {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, olderPatience)
	defer cancel()
	for _, v := range e.versions(ctx, entry) {
		if len(known) == olderMost || v.Blob.Xet == "" || v.Blob.ETag == entry.Blob.ETag {
			continue
		}
		if m, ok := e.askMap(ctx, v); ok {
			known = append(known, xet.Known{Entry: v, Map: m})
		}
	}
	return known
}

// versions are the versions of a file that the swarm holds: all that a member
// knows of, or, for a passer-by, what main was.
func (e *engine) versions(ctx context.Context, entry ref.Entry) (all []ref.Entry) {
	if s, ok := e.swarm.(interface {
		Versions(context.Context, ref.Repo, string) []ref.Entry
	}); ok {
		return s.Versions(ctx, entry.Repo, entry.Path)
	}
	ctx, cancel := context.WithTimeout(ctx, passerPatience) // whom it has not found by now it does not wait for
	defer cancel()
	told, err := e.swarm.Known(ctx, ref.File{Repo: entry.Repo, Revision: "main", Path: entry.Path})
	if err != nil {
		e.log.Debug("asked for versions", "file", entry, "err", err)
	}
	for _, k := range told {
		if k.HasEntry {
			all = append(all, k.Entry)
		}
	}
	return all
}

// knownHere learns what a version on this disk is made of, and asks the Hub for
// its Xet hash where another tool brought it.
func (e *engine) knownHere(ctx context.Context, v ref.Entry) (xet.Known, bool) {
	if v.Blob.Xet == "" {
		stated, err := e.hub.Resolve(ctx, ref.File{Repo: v.Repo, Revision: string(v.Commit), Path: v.Path})
		if err != nil || stated.Blob.ETag != v.Blob.ETag {
			return xet.Known{}, false
		}
		v = stated
	}
	m, err := e.cache.ContentMap(v.Blob)
	if err != nil && v.Blob.Size <= learnMost && e.cache.Learn(ctx, v.Blob) == nil {
		m, err = e.cache.ContentMap(v.Blob)
	}
	return xet.Known{Entry: v, Map: m}, err == nil && m.Verify(v.Blob.Xet, v.Blob.Size) == nil
}

// learn has the index know older versions of a file before its chunks are looked
// for: a node may not have got to them yet, and a passer-by has no background.
func (e *engine) learn(ctx context.Context, entry ref.Entry) {
	for _, v := range e.cache.Versions(ctx, entry.Repo, entry.Path, olderMost, learnMost) {
		if err := e.cache.Learn(ctx, v.Blob); err != nil {
			e.log.Debug("a version was not learnt", "file", v, "err", err)
		}
	}
}

func (e *engine) askMap(ctx context.Context, entry ref.Entry) (chunk.Map, bool) {
	holders, err := e.swarm.Holders(ctx, entry)
	if err != nil {
		return chunk.Map{}, false
	}
	for _, h := range holders[:min(len(holders), olderMost)] {
		if m, err := e.dialer.Source(h.Node.Name, h.Node.Addr).ContentMap(ctx, entry.Blob); err == nil {
			return m, true
		}
	}
	return chunk.Map{}, false
}

// byXet is the CAS as a source that asks for a token only when it is first used.
type byXet struct {
	client *xet.Client
	entry  ref.Entry
}

func (byXet) Name() string      { return "xet" }
func (byXet) Kind() source.Kind { return source.Hub }

func (x byXet) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	s, err := x.client.Source(ctx, x.entry)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, e, off, n)
}
