package plan

import (
	"testing"

	"hffs/cache/chunk"
)

// BenchmarkCrowd is what it costs to hand out a task of a blob of 100 GiB to a
// fellow that has half of it.
func BenchmarkCrowd(b *testing.B) {
	const n = 400 << 10
	p := New(blob(n), chunk.NewHave(n))
	p.Crowd(8<<20, 1)
	for id := 1; id <= 24; id++ {
		has := chunk.NewHave(n)
		for i := range n {
			if (i/32+id)%2 == 0 {
				has.Add(i)
			}
		}
		p.Add(id, has)
	}
	for i := 0; b.Loop(); i++ {
		if task, _, ok := p.Next(1 + i%24); ok {
			p.Ended(task.ID)
		}
	}
}
