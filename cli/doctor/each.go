package doctor

import "sync"

// result is what came of one of several.
type result[T any] struct {
	of  T
	err error
}

// each does the same with all at once, and keeps their order.
func each[T any](all []T, do func(T) error) []result[T] {
	results := make([]result[T], len(all))
	var wait sync.WaitGroup
	for i, v := range all {
		wait.Go(func() { results[i] = result[T]{v, do(v)} })
	}
	wait.Wait()
	return results
}
