package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// print writes the figure: medians, and how often the first contender's.
func (r *run) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %d MiB, median of %d rounds\n", r.name, r.size>>20, r.rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "contender\tseconds\t×\tMB/s\tof line\tCPU s/GiB\t×\tfetcher MiB (own)\tholder MiB (own)")
	first := r.results[r.contenders[0].name]
	for _, c := range r.contenders {
		fmt.Fprintln(t, c.name+"\t"+r.row(r.results[c.name], first))
	}
	_ = t.Flush() // to a terminal or a pipe that has gone
}

func (r *run) row(s, first []sample) string {
	wall, cpu := median(s, seconds), median(s, busy)
	rate := float64(r.size) / wall
	line := "–"
	if r.line > 0 {
		line = fmt.Sprintf("%.1f %%", 100*rate/r.line)
	}
	return fmt.Sprintf("%.2f\t%.2f\t%.0f\t%s\t%.2f\t%.2f\t%s\t%s",
		wall, wall/median(first, seconds), rate/1e6, line,
		cpu*float64(1<<30)/float64(r.size), cpu/median(first, busy),
		mebibytes(s, func(s sample) memory { return s.fetcher }),
		mebibytes(s, func(s sample) memory { return s.holder }))
}

func seconds(s sample) float64 { return s.wall.Seconds() }
func busy(s sample) float64    { return s.cpu.Seconds() }

// mebibytes is the highest of all rounds: a peak has no median.
func mebibytes(all []sample, of func(sample) memory) string {
	var m memory
	for _, s := range all {
		m.atLeast(of(s))
	}
	return fmt.Sprintf("%.0f (%.0f)", float64(m.peak)/(1<<20), float64(m.anon)/(1<<20))
}

func median[T any](all []T, of func(T) float64) float64 {
	var v []float64
	for _, x := range all {
		v = append(v, of(x))
	}
	slices.SortFunc(v, cmp.Compare[float64])
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
