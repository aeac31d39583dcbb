package index

import (
	"container/heap"
	"context"
	"io"
)

// merger reads several runs as one, without rows of records that are gone and
// without twins.
type merger struct {
	ctx   context.Context
	alive set
	heads heads
	last  row
	begun bool
	count int
}

// head is a run that is being merged, and its next row.
type head struct {
	row
	reader
}

// heads is a heap of runs by their next rows.
type heads []*head

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return h[i].row.compare(h[j].row) < 0 }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(v any)        { *h = append(*h, v.(*head)) }

func (h *heads) Pop() any {
	last := len(*h) - 1
	v := (*h)[last]
	*h = (*h)[:last]
	return v
}

func newMerger(ctx context.Context, runs []*run, alive set) (*merger, error) {
	m := &merger{ctx: ctx, alive: alive}
	for _, r := range runs {
		h := &head{}
		h.begin(r)
		var err error
		if h.row, err = h.read(); err == nil {
			m.heads = append(m.heads, h)
		} else if err != io.EOF {
			return nil, err
		}
	}
	heap.Init(&m.heads)
	return m, nil
}

func (m *merger) next() (row, error) {
	for {
		r, err := m.smallest()
		if err != nil {
			return row{}, err
		}
		if m.alive.has(r.blob) && !(m.begun && r.twin(m.last)) {
			m.last, m.begun = r, true
			return r, nil
		}
	}
}

// smallest takes the smallest row of all.
func (m *merger) smallest() (r row, err error) {
	if m.count++; m.count%pageLen == 0 && m.ctx.Err() != nil {
		return row{}, m.ctx.Err()
	}
	if len(m.heads) == 0 {
		return row{}, io.EOF
	}
	h := m.heads[0]
	r = h.row
	switch h.row, err = h.read(); err {
	case nil:
		heap.Fix(&m.heads, 0)
	case io.EOF:
		heap.Pop(&m.heads)
	default:
		return row{}, err
	}
	return r, nil
}
