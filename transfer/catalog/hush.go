package catalog

import (
	"context"
	"fmt"
	"time"
)

const (
	// hush is how long the Hub may be silent before the neighbours are asked as well
	// what a branch is; a list of files is waited for longer, as nobody's but the
	// Hub's is kept. look is how often they are asked then.
	hush     = 1 * time.Second
	hushList = 4 * time.Second
	look     = 500 * time.Millisecond
	// news is how old what neighbours say of a branch may be to serve instead: then
	// somebody has just reached the Hub, and this machine does not.
	news = 30 * time.Second
	// patience is what the neighbours get to answer.
	patience = 2 * time.Second
	// rumours are waited for where the Hub cannot be reached from here and there are
	// neighbours: they may be asking it right now.
	rumourMost = 3 * time.Second
	rumourLook = 200 * time.Millisecond
)

// hushed asks, and when no answer has come for as long as the quiet lasts it looks
// elsewhere again and again. It says whether the value was found there.
func hushed[T any](ctx context.Context, quiet time.Duration, ask func(context.Context) (T, error), elsewhere func(context.Context) (T, bool)) (v T, found bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		v   T
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		v, err := ask(ctx)
		answers <- answer{v, err}
	}()
	wait := time.NewTimer(quiet)
	defer wait.Stop()
	for {
		select {
		case a := <-answers:
			return a.v, false, a.err
		case <-ctx.Done():
			return v, false, context.Cause(ctx)
		case <-wait.C:
			if v, ok := elsewhere(ctx); ok {
				return v, true, nil
			}
			wait.Reset(look)
		}
	}
}

// rumour looks until something is found, as long as there is somebody who may come
// to know.
func rumour[T any](ctx context.Context, others func(context.Context) bool, elsewhere func(context.Context) (T, bool)) (v T, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, rumourMost)
	defer cancel()
	for {
		if v, ok = elsewhere(ctx); ok || others == nil || !others(ctx) {
			return v, ok
		}
		select {
		case <-time.After(rumourLook):
		case <-ctx.Done():
			return v, false
		}
	}
}

// Ago says in words how long ago something was learnt.
func Ago(d time.Duration) string {
	n, unit := 0, ""
	switch {
	case d < time.Minute:
		n, unit = max(1, int(d.Seconds())), "second"
	case d < time.Hour:
		n, unit = int(d.Minutes()), "minute"
	case d < 48*time.Hour:
		n, unit = int(d.Hours()), "hour"
	default:
		n, unit = int(d.Hours()/24), "day"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s ago", n, unit)
}
