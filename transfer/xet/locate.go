package xet

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"hffs/cache/ref"
)

// Bounds of asking where known runs lie.
const (
	maxAsked  = 64 // questions for a blob
	maxRounds = 6  // of them, and so of questions for a run
	askConns  = 8  // questions at once
)

// A question is where to look for a run, and what the CAS said of it.
type question struct {
	of     *layout
	length int64 // of the run
	at     int64
	answer []pin
}

// locate asks the CAS where known runs lie: the recipe for a single byte tells
// which chunk holds it, and where that begins. A guess that hits a known run has
// found it; one that misses is a pin that makes the next guess better. The longest
// runs come first, and each round spends half of the questions that are left, so
// that what the first ones tell helps the others. Runs are not found for whatever
// reason, such as that there is no more time: then they are new.
func (c *Client) locate(ctx context.Context, e ref.Entry, all []*layout) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LearnTimeout)
	defer cancel()
	left := maxAsked
	for range maxRounds {
		asked := questions(all)
		asked = asked[:min(len(asked), (left+1)/2)]
		if left -= len(asked); len(asked) == 0 || !c.askAll(ctx, e, asked) {
			return
		}
	}
}

// questions are those for all runs that are still lost, the longest first.
func questions(all []*layout) (list []question) {
	for _, l := range all {
		for _, r := range l.lost() {
			list = append(list, question{of: l, length: r.length, at: l.guess(r)})
		}
	}
	slices.SortStableFunc(list, func(a, b question) int { return cmp.Compare(b.length, a.length) })
	return list
}

// askAll says whether there was any news.
func (c *Client) askAll(ctx context.Context, e ref.Entry, asked []question) (news bool) {
	var g errgroup.Group
	g.SetLimit(askConns)
	for i := range asked {
		g.Go(func() (err error) {
			q := &asked[i]
			if q.answer, err = c.pinsAt(ctx, e, q.of.term, q.at); err != nil {
				c.cfg.Log.Debug("a known run is not found", "file", e, "err", err)
			}
			return nil
		})
	}
	_ = g.Wait()
	for _, q := range asked {
		for _, p := range q.answer {
			news = q.of.pin(p) || news
		}
		q.of.place()
	}
	return news
}

// pinsAt asks which chunks of the term hold the byte at an offset. The answer may
// be about more of them than one.
func (c *Client) pinsAt(ctx context.Context, e ref.Entry, of term, at int64) ([]pin, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	w := newWatch(ctx, c.cfg.StallTimeout)
	defer w.cancel(errClosed)
	r, err := c.recipe(w, e, at, 1)
	if err != nil {
		return nil, fmt.Errorf("recipe of a byte: %w", err)
	}
	t := r.terms[0]
	if t.xorb != of.xorb || t.start < of.start || t.end > of.end {
		return nil, nonsense("byte %d lies elsewhere", at)
	}
	return []pin{{t.start, at - r.skip}, {t.end, at - r.skip + t.size}}, nil
}
