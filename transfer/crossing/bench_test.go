package crossing

import (
	"testing"
	"time"
)

// BenchmarkHelp is what it costs to find a cell of somebody else's in a blob of
// 100 GiB, which is the dearest way.
func BenchmarkHelp(b *testing.B) {
	const n = 12_800
	c := New(n, 1, 9)
	for id := ID(2); id <= 24; id++ {
		c.Join(id, true)
	}
	for {
		if _, ok := c.own(0); !ok {
			break
		}
		c.Mine(c.cursor, 0)
	}
	for b.Loop() {
		if _, ok := c.help(time.Second); !ok {
			b.Fatal("nothing left")
		}
	}
}
