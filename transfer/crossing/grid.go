package crossing

import (
	"math/bits"

	"hffs/cache/chunk"
)

// Bounds of a grid. Cells are small enough that a crowd has many to divide, and
// large enough that one request for one cell is worth it.
const (
	cellsAimed = 512
	minCell    = 256 << 10
	maxCell    = 8 << 20
)

// CellBytes is how long the cells of a blob of the given size (bytes) are: a
// power of two, so that there are about 512, from 256 KiB up to 8 MiB.
func CellBytes(size int64) int64 {
	cell := int64(1) << bits.Len64(uint64(max(size-1, 0)/cellsAimed))
	return min(max(cell, minCell), maxCell)
}

// Grid is the cells of one blob, laid over its chunks. A chunk belongs to the
// cell that its first byte lies in.
type Grid struct {
	m    chunk.Map
	cell int64
}

// NewGrid lays the blob's cells over its chunks.
func NewGrid(m chunk.Map) Grid { return Grid{m, CellBytes(m.Size())} }

// Len is the number of cells.
func (g Grid) Len() int { return int((g.m.Size() + g.cell - 1) / g.cell) }

// Bytes is the length of a cell (the last one may be shorter).
func (g Grid) Bytes() int64 { return g.cell }

// Of is the cell that chunk i belongs to.
func (g Grid) Of(i int) int { return int(g.m.Offset(i) / g.cell) }

// Chunks is the run of chunks that belong to a cell; it may be empty where
// chunks are longer than cells.
func (g Grid) Chunks(cell int) chunk.Span {
	return chunk.Span{First: g.begin(cell), End: g.begin(cell + 1)}
}

// begin is the first chunk that begins at or behind the cell's first byte.
func (g Grid) begin(cell int) int {
	off := int64(cell) * g.cell
	if off >= g.m.Size() {
		return g.m.Len()
	}
	i := g.m.At(off)
	if g.m.Offset(i) < off {
		i++
	}
	return i
}

// Whole reports whether all of a cell is in have.
func (g Grid) Whole(have *chunk.Have, cell int) bool {
	s := g.Chunks(cell)
	return have.NextMissing(s.First) >= s.End
}

// Bounds of a request to the origin, in seconds: long enough that waiting for the
// first byte is a small part, and never so long that others wait for what is
// claimed.
const (
	runLeast = 0.1
	runMost  = 0.25
	waits    = 8
)

// Run is how many bytes to claim for one request to an origin that brings rate
// bytes per second by one request and lets wait for the first one: a cell at least.
// Rates and waits that are unknown are 0.
func (g Grid) Run(rate, wait float64) int64 {
	return max(g.cell, int64(rate*min(max(waits*wait, runLeast), runMost)))
}
