package swarmsim

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// summit is the largest of some times and the middle one.
func summit(all []time.Duration) (most, middle time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)-1], all[len(all)/2]
}

// Over is the makespan in multiples of the ideal.
func (r Result) Over() float64 { return r.Makespan.Seconds() / r.Ideal.Seconds() }

func (r Result) String() string {
	return fmt.Sprintf("%.3f x ideal (%.2fs, median %.2fs)  copies %.3f  waste %.2f%%  up max %.2f mean %.2f  finished %d/%d",
		r.Over(), r.Makespan.Seconds(), r.Median.Seconds(), r.Copies, 100*r.Waste, r.UpMost, r.UpMean, r.Finished, r.Honest)
}

// Median plays a crowd with several seeds and gives the result whose makespan is in
// the middle, with the median of each other figure.
func Median(cfg Config, runs int) Result {
	var all []Result
	for i := range runs {
		cfg.Seed = uint64(i + 1)
		all = append(all, Run(cfg))
	}
	out := sortBy(all, func(r Result) float64 { return r.Over() })
	out.Copies = sortBy(all, func(r Result) float64 { return r.Copies }).Copies
	out.Waste = sortBy(all, func(r Result) float64 { return r.Waste }).Waste
	out.UpMost = sortBy(all, func(r Result) float64 { return r.UpMost }).UpMost
	return out
}

func sortBy(all []Result, key func(Result) float64) Result {
	slices.SortFunc(all, func(a, b Result) int { return cmp.Compare(key(a), key(b)) })
	return all[len(all)/2]
}
