package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"hffs/cache"
	"hffs/cache/ref"
	"hffs/transfer/source"
)

// Small files, many at a time. What a download of a large file needs, a plan, a
// journal, sources that are watched and judged, costs more than the bytes of a small
// one; so they are fetched whole into memory, held against their etags, and written
// together. The neighbours are asked once what they hold of all of them, and for
// hundreds in one request. What cannot be had so is left for the ordinary way, which
// also finds the words for what is wrong.

const (
	smallRounds  = 8               // times that the neighbours are asked
	smallBatch   = 128             // files in one request to a neighbour
	batchBytes   = 4 << 20         // and bytes, about
	batchConns   = 2               // requests at a time to one neighbour
	hubConns     = 8               // to the Hub
	crowdShare   = 128             // files from the Hub before the neighbours are asked again
	hasPatience  = 2 * time.Second // for neighbours to say what they hold
	findWorkers  = 4
	storeAtOnce  = 64 // files written together
	storeWaiting = 16 // files in memory that wait for that
)

// small brings small files and returns those that are left for the ordinary way.
func (m *many) small(ctx context.Context, items []*item) (rest []*item) {
	missing := m.absent(ctx, items)
	if m.t.cfg.Cache.Writable() != nil {
		return missing // there is nowhere to put them
	}
	missing, twins := firstOfEach(missing)
	rest, missing = m.inFlight(missing)
	s := m.newShelf(ctx)
	for range smallRounds {
		if len(missing) == 0 || ctx.Err() != nil {
			break
		}
		missing = m.round(ctx, s, missing, &rest)
	}
	s.close()
	rest = append(append(rest, missing...), s.refused...)
	return append(rest, m.absent(ctx, twins)...) // here by now, most of them
}

// absent are the files that are not on this disk; the others are done.
func (m *many) absent(ctx context.Context, items []*item) (missing []*item) {
	work := make(chan *item)
	var mu sync.Mutex // guards missing
	var wait sync.WaitGroup
	for range findWorkers {
		wait.Go(func() {
			for i := range work {
				path, err := m.t.cfg.Cache.Find(ctx, i.Entry)
				switch {
				case err == nil:
					m.t.foundHere(i.Entry)
					m.done(i, Result{Path: path, Entry: i.Entry, Sources: []SourceState{{Kind: source.Local, Name: "cache", Bytes: i.Blob.Size}}})
				case errors.Is(err, cache.ErrNotFound):
					mu.Lock()
					missing = append(missing, i)
					mu.Unlock()
				default:
					m.failed(i, err)
				}
			}
		})
	}
	for _, i := range items {
		work <- i
	}
	close(work)
	wait.Wait()
	return missing
}

// firstOfEach parts those that have a blob in common with one before them.
func firstOfEach(items []*item) (first, twins []*item) {
	seen := map[ref.ETag]bool{}
	for _, i := range items {
		if seen[i.Blob.ETag] {
			twins = append(twins, i)
		} else {
			first = append(first, i)
		}
		seen[i.Blob.ETag] = true
	}
	return first, twins
}

// inFlight parts those whose blobs somebody is fetching here.
func (m *many) inFlight(items []*item) (flying, others []*item) {
	m.t.mu.Lock()
	defer m.t.mu.Unlock()
	for _, i := range items {
		if m.t.flights[i.Blob.ETag] != nil {
			flying = append(flying, i)
		} else {
			others = append(others, i)
		}
	}
	return flying, others
}

// round asks the neighbours what they hold, fetches that from them and a part of the
// rest from the Hub: others may be fetching the same, and have more the next time. It
// returns what is still missing; what the Hub did not give is left for the ordinary way.
func (m *many) round(ctx context.Context, s *shelf, missing []*item, rest *[]*item) (again []*item) {
	near := m.whoHas(ctx, missing)
	shares, unheld := deal(near, missing)
	fromHub := unheld
	if len(near) > 0 && len(unheld) > crowdShare {
		rand.Shuffle(len(unheld), func(i, j int) { unheld[i], unheld[j] = unheld[j], unheld[i] })
		fromHub, again = unheld[:crowdShare], unheld[crowdShare:]
	}
	var mu sync.Mutex // guards again and rest
	var wait sync.WaitGroup
	for k, share := range shares {
		wait.Go(func() {
			left := m.fromNeighbour(ctx, s, near[k].Batcher, share)
			mu.Lock()
			defer mu.Unlock()
			again = append(again, left...)
		})
	}
	wait.Go(func() {
		left := m.fromHub(ctx, s, fromHub)
		mu.Lock()
		defer mu.Unlock()
		*rest = append(*rest, left...)
	})
	wait.Wait()
	return again
}

// neighbour is somebody who holds some of the files.
type neighbour struct {
	source.Batcher
	has []bool
}

// whoHas asks the neighbours what they hold of items. Who does not answer in time
// holds nothing.
func (m *many) whoHas(ctx context.Context, items []*item) (near []neighbour) {
	if m.t.cfg.Batchers == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, hasPatience)
	defer cancel()
	etags := make([]ref.ETag, len(items))
	for k, i := range items {
		etags[k] = i.Blob.ETag
	}
	all := m.t.cfg.Batchers(ctx, items[0].Entry)
	near = make([]neighbour, len(all))
	var wait sync.WaitGroup
	for k, b := range all {
		wait.Go(func() {
			has, err := b.HasBlobs(ctx, etags)
			if err != nil {
				m.t.cfg.Log.Debug("asked what a neighbour holds", "source", b.Name(), "err", err)
				return
			}
			near[k] = neighbour{b, has}
		})
	}
	wait.Wait()
	return slices.DeleteFunc(near, func(n neighbour) bool { return n.has == nil })
}

// deal gives each file to the neighbour with least to bring of those who hold it.
func deal(near []neighbour, items []*item) (shares [][]*item, unheld []*item) {
	shares = make([][]*item, len(near))
	load := make([]int64, len(near))
	for k, i := range items {
		best := -1
		for n := range near {
			if near[n].has[k] && !i.refused[near[n].Name()] && (best < 0 || load[n] < load[best]) {
				best = n
			}
		}
		if best < 0 {
			unheld = append(unheld, i)
			continue
		}
		const each = 4 << 10 // what a file costs beside its bytes
		load[best] += i.Blob.Size + each
		shares[best] = append(shares[best], i)
	}
	return shares, unheld
}

// fromNeighbour fetches files in batches and returns what did not come.
func (m *many) fromNeighbour(ctx context.Context, s *shelf, from source.Batcher, items []*item) (left []*item) {
	batches := make(chan []*item)
	var mu sync.Mutex // guards left
	var wait sync.WaitGroup
	for range batchConns {
		wait.Go(func() {
			ok := true
			for batch := range batches {
				if ok {
					batch, ok = m.batch(ctx, s, from, batch)
				}
				mu.Lock()
				left = append(left, batch...)
				mu.Unlock()
			}
		})
	}
	for len(items) > 0 {
		n, bytes := 0, int64(0)
		for n < len(items) && n < smallBatch && (n == 0 || bytes+items[n].Blob.Size <= batchBytes) {
			bytes += items[n].Blob.Size
			n++
		}
		batches <- items[:n]
		items = items[n:]
	}
	close(batches)
	wait.Wait()
	for _, i := range left {
		if i.refused == nil {
			i.refused = map[string]bool{}
		}
		i.refused[from.Name()] = true
	}
	return left
}

// batch fetches one batch; ok is whether the neighbour is worth asking for another.
func (m *many) batch(ctx context.Context, s *shelf, from source.Batcher, items []*item) (left []*item, ok bool) {
	blobs := make([]ref.Blob, len(items))
	for k, i := range items {
		blobs[k] = i.Blob
	}
	came := make([]bool, len(items))
	err := from.Blobs(ctx, blobs, func(k int, data []byte) error {
		if err := cache.CheckWhole(blobs[k], data); err != nil {
			return fmt.Errorf("%s sent wrong bytes of %s: %w", from.Name(), items[k].Path, err)
		}
		came[k] = true
		return s.put(ctx, parcel{items[k], data, SourceState{Kind: source.Peer, Name: from.Name(), Bytes: int64(len(data))}})
	})
	for k, i := range items {
		if !came[k] {
			left = append(left, i)
		}
	}
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, cache.ErrMismatch):
		m.note(Note{Source: from.Name(), Text: err.Error() + "; it is not asked any more", Dropped: true})
		m.blame(from, left, err)
	default:
		m.t.cfg.Log.Debug("a neighbour did not give small files", "source", from.Name(), "err", err)
	}
	return left, err == nil
}

func (m *many) blame(from source.Source, left []*item, err error) {
	m.t.cfg.Log.Warn("source dropped", "source", from.Name(), "err", err)
	if m.t.cfg.Failed != nil && len(left) > 0 {
		m.t.cfg.Failed(from.Name(), left[0].Entry, err)
	}
}

// fromHub fetches files one by one, several at a time, and returns what did not come.
func (m *many) fromHub(ctx context.Context, s *shelf, items []*item) (left []*item) {
	work := make(chan *item)
	var mu sync.Mutex // guards left
	var wait sync.WaitGroup
	for range min(hubConns, len(items)) {
		wait.Go(func() {
			for i := range work {
				err := m.oneFromHub(ctx, s, i)
				if err == nil {
					continue
				}
				m.t.cfg.Log.Debug("a small file did not come at once", "file", i.Entry, "err", err)
				mu.Lock()
				left = append(left, i)
				mu.Unlock()
			}
		})
	}
	for _, i := range items {
		work <- i
	}
	close(work)
	wait.Wait()
	return left
}

// oneFromHub asks the first endpoint. The others, and trying again, are for the
// ordinary way.
func (m *many) oneFromHub(ctx context.Context, s *shelf, i *item) error {
	for _, from := range m.t.cfg.Hub(i.Entry) {
		if _, coarse := from.(source.Coarse); coarse {
			continue // it has more to ask than a small file is worth
		}
		body, err := from.Open(ctx, i.Entry, 0, i.Blob.Size)
		if err != nil {
			return err
		}
		data := make([]byte, i.Blob.Size)
		_, err = io.ReadFull(body, data)
		_ = body.Close()
		if err == nil {
			err = cache.CheckWhole(i.Blob, data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", from.Name(), err)
		}
		return s.put(ctx, parcel{i, data, SourceState{Kind: source.Hub, Name: from.Name(), Bytes: i.Blob.Size}})
	}
	return source.ErrGone
}

// parcel is a file that has come.
type parcel struct {
	*item
	data []byte
	from SourceState
}

// shelf writes what has come, as much at once as there is.
type shelf struct {
	m       *many
	in      chan parcel
	ended   chan struct{}
	refused []*item // that could not be written; for after close
}

func (m *many) newShelf(ctx context.Context) *shelf {
	s := &shelf{m: m, in: make(chan parcel, storeWaiting), ended: make(chan struct{})}
	go s.run(context.WithoutCancel(ctx))
	return s
}

func (s *shelf) put(ctx context.Context, p parcel) error {
	select {
	case s.in <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close waits until all is written.
func (s *shelf) close() {
	close(s.in)
	<-s.ended
}

func (s *shelf) run(ctx context.Context) {
	defer close(s.ended)
	for p := range s.in {
		some := []parcel{p}
		for bytes := int64(0); len(some) < storeAtOnce && bytes < batchBytes; {
			select {
			case p, ok := <-s.in:
				if ok {
					some = append(some, p)
					bytes += p.Blob.Size
					continue
				}
			default:
			}
			break
		}
		s.write(ctx, some)
	}
}

// write keeps files, those of one repo together.
func (s *shelf) write(ctx context.Context, some []parcel) {
	for len(some) > 0 {
		repo := some[0].Repo
		n := 0
		var all []cache.Whole
		for _, p := range some {
			if p.Repo != repo {
				break
			}
			all = append(all, cache.Whole{Entry: p.Entry, Data: p.data})
			n++
		}
		paths, errs := s.m.t.cfg.Cache.KeepWhole(ctx, repo, all)
		for k, p := range some[:n] {
			if errs[k] != nil {
				s.m.t.cfg.Log.Debug("a small file was not kept", "file", p.Entry, "err", errs[k])
				s.refused = append(s.refused, p.item)
				continue
			}
			s.m.t.fetched(p.Entry, []SourceState{p.from}, 0)
			s.m.done(p.item, Result{Path: paths[k], Entry: p.Entry, Sources: []SourceState{p.from}})
		}
		some = some[n:]
	}
}
