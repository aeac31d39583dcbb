package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"hffs/cache/chunk"
	"hffs/cache/ref"
	"hffs/transfer"
	"hffs/transfer/hub"
	"hffs/transfer/peer"
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
		UserAgent: cfg.Hub.UserAgent, Log: cfg.Log, Limits: cfg.limits,
	})
}

// Bounds of looking for blobs that have chunks in common with a new one, for a
// download that waits meanwhile. Who is not there, or does not say at once that it
// holds one, does not hold it up for long; who does say so may take the time to
// read it before it tells its map.
const (
	olderPatience  = 8 * time.Second // in all
	holderPatience = 2 * time.Second // for holders to say that they hold it
	olderMost      = 3               // versions that others hold
	relativesMost  = 8               // blobs here
	learnMost      = 2 << 30         // bytes that are read to learn their chunks
	// strangerMin is the size of a blob, in bytes, from which the Hub is asked how it
	// is put together even where nothing here seems to be like it.
	strangerMin = 64 << 20
)

// derive works out a map from other blobs, here or in the swarm: older revisions
// of the file most of all.
func (e *engine) derive(x *xet.Client) func(context.Context, transfer.Derivation) (chunk.Map, error) {
	if x == nil {
		return nil
	}
	return func(ctx context.Context, d transfer.Derivation) (chunk.Map, error) {
		j := xet.Job{Entry: d.Entry, Known: e.known(ctx, d.Entry), Most: d.Most, Ready: d.Ready, Keep: d.Keep, Bridge: e.bridge(d.Entry)}
		for _, a := range d.Ahead {
			j.Ahead = append(j.Ahead, xet.Piece(a))
		}
		if len(j.Known)+len(j.Ahead) == 0 && d.Entry.Blob.Size < strangerMin {
			return chunk.Map{}, xet.ErrNothingShared
		}
		return x.Derive(ctx, j)
	}
}

// bridge reads a blob's plain bytes from the first endpoint that has them.
func (e *engine) bridge(entry ref.Entry) func(context.Context, int64, int64) (io.ReadCloser, error) {
	return func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		var errs []error
		for _, s := range e.hub.Sources(entry) {
			r, err := s.Open(ctx, entry, off, n)
			if err == nil {
				return r, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}
}

// known are blobs like a new one of which every chunk is known: relatives here, and
// versions of the file elsewhere.
func (e *engine) known(ctx context.Context, entry ref.Entry) []xet.Known {
	ctx, cancel := context.WithTimeout(ctx, olderPatience)
	defer cancel()
	relatives := e.cache.Relatives(ctx, entry, relativesMost, learnMost)
	var here, there []xet.Known
	var wait sync.WaitGroup
	wait.Go(func() { there = e.askMaps(ctx, e.versions(ctx, entry)) })
	wait.Go(func() { here = e.knownHere(ctx, relatives) })
	wait.Wait()
	return append(here, there...)
}

// versions are versions of a file that the swarm holds, other than entry.
func (e *engine) versions(ctx context.Context, entry ref.Entry) []ref.Entry {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	all, err := e.swarm.Versions(ctx, entry.Repo, entry.Path)
	if err != nil {
		e.log.Debug("asked for versions", "file", entry, "err", err)
	}
	all = slices.DeleteFunc(all, func(v ref.Entry) bool { return v.Blob.ETag == entry.Blob.ETag })
	return e.stated(ctx, all[:min(len(all), olderMost)])
}

// askMaps asks holders what versions are made of, all at the same time.
func (e *engine) askMaps(ctx context.Context, versions []ref.Entry) (known []xet.Known) {
	all := make([]xet.Known, len(versions))
	var wait sync.WaitGroup
	for i, v := range versions {
		wait.Go(func() {
			if m, ok := e.askMap(ctx, v); ok {
				all[i] = xet.Known{Entry: v, Map: m}
			}
		})
	}
	wait.Wait()
	return slices.DeleteFunc(all, func(k xet.Known) bool { return k.Map.Len() == 0 })
}

// knownHere learns what blobs on this disk are made of.
func (e *engine) knownHere(ctx context.Context, relatives []ref.Entry) (known []xet.Known) {
	most := int64(learnMost)
	for _, v := range e.stated(ctx, relatives) {
		m, err := e.cache.ContentMap(v.Blob)
		if err != nil && v.Blob.Size <= most && e.cache.Learn(ctx, v.Blob) == nil {
			most -= v.Blob.Size
			m, err = e.cache.ContentMap(v.Blob)
		}
		if err == nil && m.Verify(v.Blob.Xet, v.Blob.Size) == nil {
			known = append(known, xet.Known{Entry: v, Map: m})
		}
	}
	return known
}

// stated are those of the entries that have a Xet hash. The Hub is asked for it
// where another tool brought the file.
func (e *engine) stated(ctx context.Context, entries []ref.Entry) []ref.Entry {
	entries = slices.Clone(entries)
	ctx, cancel := context.WithTimeout(ctx, holderPatience)
	defer cancel()
	var wait sync.WaitGroup
	for i, v := range entries {
		if v.Blob.Xet != "" {
			continue
		}
		wait.Go(func() {
			stated, err := e.hub.Resolve(ctx, ref.File{Repo: v.Repo, Revision: string(v.Commit), Path: v.Path})
			if err == nil && stated.Blob.ETag == v.Blob.ETag {
				entries[i] = stated
			}
		})
	}
	wait.Wait()
	return slices.DeleteFunc(entries, func(v ref.Entry) bool { return v.Blob.Xet == "" })
}

// learn has the index know blobs like a new one before its chunks are looked for: a
// node may not have got to them yet, and a passer-by has no background.
func (e *engine) learn(ctx context.Context, entry ref.Entry) {
	most := int64(learnMost)
	for _, v := range e.cache.Relatives(ctx, entry, relativesMost, learnMost) {
		if most -= v.Blob.Size; most < 0 {
			return
		}
		if err := e.cache.Learn(ctx, v.Blob); err != nil {
			e.log.Debug("a blob was not learnt", "file", v, "err", err)
		}
	}
}

func (e *engine) askMap(ctx context.Context, entry ref.Entry) (chunk.Map, bool) {
	holders := e.wholeHolders(ctx, entry)
	for _, h := range holders[:min(len(holders), olderMost)] {
		m, err := e.source(h.Node).ContentMap(ctx, entry.Blob)
		if err == nil {
			return m, true
		}
		if errors.Is(err, source.ErrWrong) {
			e.log.Warn("a peer told a wrong map", "file", entry, "source", h.Name, "err", err)
			e.failed(h.Name, entry, err)
		} else {
			e.log.Debug("asked for a map", "file", entry, "source", h.Name, "err", err)
		}
	}
	return chunk.Map{}, false
}

// wholeHolders are those who have just said themselves that they hold a blob.
func (e *engine) wholeHolders(ctx context.Context, entry ref.Entry) []having {
	looking, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	holders, err := e.swarm.Holders(looking, entry)
	if err != nil {
		e.log.Debug("looked for holders", "file", entry, "err", err)
	}
	whole := e.haves(ctx, holderPatience, entry, holders[:min(len(holders), probeMost)], (*peer.Source).Have)
	return slices.DeleteFunc(whole, func(h having) bool { return !h.Whole })
}

// byXet is the CAS as a source that asks for a token only when it is first used.
type byXet struct {
	client *xet.Client
	entry  ref.Entry
}

func (byXet) Name() string      { return "xet" }
func (byXet) Kind() source.Kind { return source.Hub }

// Grain makes what is sent twice, half a chunk at either end, one in a hundred.
func (byXet) Grain() int64 { return 8 << 20 }

func (x byXet) Open(ctx context.Context, e ref.Entry, off, n int64) (io.ReadCloser, error) {
	s, err := x.client.Source(ctx, x.entry)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, e, off, n)
}
