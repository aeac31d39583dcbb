package crossing

import (
	"math/rand/v2"
	"testing"
	"time"

	"hffs/cache/chunk"

	"github.com/stretchr/testify/require"
)

const cells = 256

// party is nodes that all know each other and hear each other at once.
type party struct {
	nodes map[ID]*Crossing
	now   time.Duration
}

func gather(n int) *party {
	p := &party{nodes: map[ID]*Crossing{}, now: time.Hour}
	for i := range n {
		p.nodes[ID(i+1)] = New(cells, ID(i+1), 9)
	}
	for _, c := range p.nodes {
		for b := range p.nodes {
			c.Join(b, true)
		}
	}
	return p
}

// next lets a node claim, and tells the others.
func (p *party) next(id ID) (int, bool) {
	cell, ok := p.nodes[id].Next(p.now)
	if ok {
		for o, c := range p.nodes {
			if o != id && c.Claimed(id, cell, p.now) {
				panic("a claim that was heard at once has a rival")
			}
		}
	}
	return cell, ok
}

// bring says to all that a node has a cell.
func (p *party) bring(id ID, cell int) {
	p.nodes[id].Mine(cell, p.now)
	for o, c := range p.nodes {
		if o != id {
			c.Has(id, cell, p.now)
		}
	}
}

func TestEachCellIsClaimedOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 3, 8, 16, 40} {
		p := gather(n)
		claimed := map[int]ID{}
		idle := 0
		for idle < n {
			idle = 0
			for id := ID(1); id <= ID(n); id++ {
				cell, ok := p.next(id)
				if !ok {
					idle++
					continue
				}
				require.NotContains(t, claimed, cell)
				claimed[cell] = id
			}
		}
		require.Len(t, claimed, cells, "%d nodes", n)
		most := map[ID]int{}
		for _, id := range claimed {
			most[id]++
		}
		require.LessOrEqual(t, len(most), Drawers)
		for id, k := range most {
			require.InDelta(t, cells/len(most), k, 1, "node %d, those who are done help", id)
		}
	}
}

func TestAloneItIsFileOrder(t *testing.T) {
	t.Parallel()
	c := New(cells, 5, 9)
	first, ok := c.Next(0)
	require.True(t, ok)
	require.NotZero(t, first, "others may have begun at the same time, so not all in front")
	for i := range 10 {
		cell, ok := c.Next(time.Second)
		require.True(t, ok)
		if cell != first {
			require.Equal(t, i, cell)
		}
	}
}

func TestOwnCellsInFileOrder(t *testing.T) {
	t.Parallel()
	p := gather(4)
	last := -1
	for range 20 {
		cell, ok := p.next(2)
		require.True(t, ok)
		require.Greater(t, cell, last)
		last = cell
	}
}

func TestWhatAFellowHasIsNotDrawn(t *testing.T) {
	t.Parallel()
	p := gather(2)
	for cell := range cells - 1 {
		p.bring(1, cell)
	}
	cell, ok := p.next(2)
	require.True(t, ok)
	require.Equal(t, cells-1, cell)
	_, ok = p.next(2)
	require.False(t, ok)
}

func TestWhatADeadFellowClaimedOrHadIsFree(t *testing.T) {
	t.Parallel()
	p := gather(2)
	had, _ := p.next(1)
	p.bring(1, had)
	claimed, _ := p.next(1)
	c := p.nodes[2]
	c.Leave(1)
	require.Zero(t, c.Fellows())
	seen := map[int]bool{}
	for range cells {
		cell, ok := c.Next(p.now + time.Second)
		require.True(t, ok)
		seen[cell] = true
	}
	require.True(t, seen[had])
	require.True(t, seen[claimed])
	require.Len(t, seen, cells)
}

func TestWhoCannotDrawOwnsNothing(t *testing.T) {
	t.Parallel()
	p := gather(3)
	for _, c := range p.nodes {
		c.Draws(2, false)
	}
	_, ok := p.next(2)
	require.False(t, ok)
	require.False(t, p.nodes[2].Take(0, p.now))
	for range cells / 2 {
		_, one := p.next(1)
		_, three := p.next(3)
		require.True(t, one && three)
	}
	for _, c := range p.nodes {
		c.Draws(2, true)
	}
	_, ok = p.next(2)
	require.False(t, ok, "all are claimed")
}

func TestTheLowerBidYields(t *testing.T) {
	t.Parallel()
	for cell := range cells {
		a, b := New(cells, 1, 9), New(cells, 2, 9)
		a.Join(2, true)
		b.Join(1, true)
		require.True(t, a.Take(cell, 0))
		require.True(t, b.Take(cell, 0))
		ya, yb := a.Claimed(2, cell, time.Millisecond), b.Claimed(1, cell, time.Millisecond)
		require.NotEqual(t, ya, yb, "one of them goes on")
		require.Equal(t, ya, len(a.Claims()) == 0)
		require.Equal(t, yb, len(b.Claims()) == 0)
	}
}

func TestAnOldClaimDoesNotYield(t *testing.T) {
	t.Parallel()
	for cell := range 20 {
		a := New(cells, 1, 9)
		a.Join(2, true)
		require.True(t, a.Take(cell, 0))
		require.False(t, a.Claimed(2, cell, time.Minute))
	}
}

func TestOverdueClaimsAreClaimedAgain(t *testing.T) {
	t.Parallel()
	p := gather(2)
	stuck, _ := p.next(1)
	for cell := range cells {
		if cell != stuck {
			p.bring(2, cell)
		}
	}
	_, ok := p.next(2)
	require.False(t, ok)
	require.False(t, p.nodes[2].Take(stuck, p.now))
	p.now += time.Minute
	cell, ok := p.next(2)
	require.True(t, ok)
	require.Equal(t, stuck, cell)
	p.bring(2, cell)
	require.Empty(t, p.nodes[1].Claims(), "it need not go on")
}

func TestPatienceFollowsWhatClaimsTake(t *testing.T) {
	t.Parallel()
	p := gather(2)
	for range 20 {
		cell, _ := p.next(1)
		p.now += 10 * time.Second
		p.bring(1, cell)
	}
	require.InDelta(t, 40, p.nodes[2].patience(p.now).Seconds(), 1)
}

// A node whose cells nobody takes pauses while the others go on; it does not
// wait for fellows that are slow themselves.
func TestWhoCannotPassOnPauses(t *testing.T) {
	t.Parallel()
	p := gather(2)
	drawn := 0
	for range 2 * burden {
		if cell, ok := p.next(1); ok {
			p.bring(1, cell)
			drawn++
		}
		for range 20 {
			cell, ok := p.next(2)
			require.True(t, ok)
			p.bring(2, cell)
			p.nodes[1].Mine(cell, p.now)
		}
	}
	require.Equal(t, burden, drawn)

	p = gather(2)
	for range 4 * burden {
		cell, ok := p.next(1)
		require.True(t, ok, "the other one does nothing at all")
		p.bring(1, cell)
	}
}

func TestRescue(t *testing.T) {
	t.Parallel()
	p := gather(3)
	for cell := range cells {
		p.bring(1, cell)
		if cell != 7 {
			p.bring(2, cell)
		}
	}
	_, ok := p.next(3)
	require.False(t, ok)
	cell, ok := p.nodes[3].Rescue(p.now)
	require.True(t, ok)
	require.Equal(t, 7, cell, "the fewest have it")
	require.Equal(t, []int{7}, p.nodes[3].Claims())
	p.nodes[2].Claimed(3, 7, p.now)
	_, ok = p.nodes[2].Rescue(p.now)
	require.False(t, ok, "one is enough")
}

func TestTheUnneededRecallTheirClaims(t *testing.T) {
	t.Parallel()
	recalled := 0
	for me := ID(1); me <= 40; me++ {
		c := New(cells, me, 9)
		cell, ok := c.Next(0)
		require.True(t, ok)
		for o := ID(1); o <= 40; o++ {
			c.Join(o, true)
		}
		if got := c.Recall(); got != nil {
			require.Equal(t, []int{cell}, got)
			require.Empty(t, c.Claims())
			_, ok = c.Next(time.Second)
			require.False(t, ok, "others draw")
			_, ok = c.Next(time.Hour)
			require.True(t, ok, "but bring nothing")
			recalled++
		}
	}
	require.Equal(t, 40-Drawers, recalled)
}

func TestNewcomersMoveLittle(t *testing.T) {
	t.Parallel()
	p := gather(8)
	c := p.nodes[1]
	c.assign()
	before := append([]ID(nil), c.owners...)
	c.Join(99, true)
	c.assign()
	for s, id := range c.owners {
		require.True(t, id == before[s] || id == 99)
	}
	c.Leave(99)
	c.assign()
	require.Equal(t, before, c.owners)
}

func TestPartnersOfALargeCrowd(t *testing.T) {
	t.Parallel()
	const n = 300
	all := map[ID]*Crossing{}
	for me := ID(1); me <= n; me++ {
		c := New(cells, me, 9)
		for o := ID(1); o <= n; o++ {
			c.Join(o, true)
		}
		all[me] = c
	}
	draw := map[ID]bool{}
	for _, d := range all[1].drawers() {
		draw[d.id] = true
	}
	listeners, reached, next := map[ID]int{}, map[ID]bool{1: true}, []ID{1}
	for me, c := range all {
		partners := c.Partners()
		require.LessOrEqual(t, len(partners), MostPartners+Drawers/2)
		drawers := 0
		for _, o := range partners {
			listeners[o]++
			if draw[o] {
				drawers++
			}
		}
		if draw[me] {
			require.Equal(t, Drawers-1, drawers, "drawers hear all claims")
		}
	}
	for len(next) > 0 {
		for _, o := range all[next[0]].Partners() {
			if !reached[o] {
				reached[o] = true
				next = append(next, o)
			}
		}
		next = next[1:]
	}
	require.Len(t, reached, n, "everybody hangs together")
	for id, k := range listeners {
		require.Less(t, k, 60, "node %d", id)
	}
}

func TestSmallCrowdsListenToAll(t *testing.T) {
	t.Parallel()
	require.Len(t, gather(MostPartners + 1).nodes[1].Partners(), MostPartners)
}

// TestAnyScheduleEnds plays random crowds whose news comes late or in odd order,
// with nodes that lie about cells, die and lose things. As long as one node lives
// and draws, it gets everything; and the sums that are kept stay right.
func TestAnyScheduleEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		n := 1 + r.IntN(64)
		c := New(n, 1000, r.Uint64())
		have, now := map[int]bool{}, time.Duration(0)
		for step := 0; len(have) < n; step++ {
			require.Less(t, step, 100_000, "seed %d", seed)
			now += time.Duration(r.IntN(100)) * time.Millisecond
			disturb(r, c, n, now, step < 5000)
			if cell, ok := c.Next(now); ok {
				require.NotContains(t, have, cell)
				if r.IntN(4) == 0 {
					c.Drop(cell)
				}
			}
			for _, cell := range c.Claims() {
				if r.IntN(3) == 0 {
					c.Mine(cell, now)
					have[cell] = true
				}
			}
			if len(have) > 0 && r.IntN(50) == 0 && step < 5000 {
				cell := r.IntN(n)
				c.Lost(cell)
				delete(have, cell)
			}
			checkSums(t, c)
		}
	}
}

func disturb(r *rand.Rand, c *Crossing, n int, now time.Duration, allowed bool) {
	id, cell := ID(1+r.IntN(20)), r.IntN(n+2)-1
	if !allowed {
		c.Leave(id)
		return
	}
	switch r.IntN(9) {
	case 0:
		c.Join(id, r.IntN(4) > 0)
	case 1:
		c.Leave(id)
	case 2, 3:
		c.Claimed(id, cell, now)
	case 4:
		c.Released(id, cell)
	case 5:
		c.Has(id, cell, now)
	case 6:
		c.Lacks(id, cell)
	case 7:
		c.Draws(id, r.IntN(2) == 0)
	case 8:
		c.Forget(id)
	}
}

func checkSums(t *testing.T, c *Crossing) {
	unspread := 0
	for cell := range c.cells {
		held, taken := 0, 0
		for _, f := range c.fellows {
			if f.has.has(cell) {
				held++
			}
			if _, there := f.claims[cell]; there {
				taken++
			}
		}
		if held != int(c.held[cell]) || taken != int(c.taken[cell]) {
			require.Fail(t, "holders or claims are miscounted", "cell %d", cell)
		}
		if c.drawn.has(cell) && held == 0 {
			unspread++
		}
	}
	require.Equal(t, unspread, c.unspread)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	var w Watch
	for range 20 {
		w.Tick(1e6, 9e6, true, 1e9)
	}
	require.False(t, w.Short(), "the origin is at work")
	for range 20 {
		w.Tick(1e6, 0, false, 1e9)
	}
	require.True(t, w.Short())
	for range 20 {
		w.Tick(9e6, 0, false, 1e9)
	}
	require.False(t, w.Short(), "they have become quick")
	for range 20 {
		w.Tick(1e6, 0, false, 1e6)
	}
	require.False(t, w.Short(), "it is nearly done")
}

func TestGrid(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]int64{
		0: 256 << 10, 1: 256 << 10, 64 << 20: 256 << 10, 128 << 20: 256 << 10,
		129 << 20: 512 << 10, 1 << 30: 2 << 20, 4 << 30: 8 << 20, 1 << 40: 8 << 20,
	} {
		require.Equal(t, want, CellBytes(size), "%d bytes", size)
	}
	r := rand.New(rand.NewPCG(1, 1))
	var chunks []chunk.Chunk
	for range 5000 {
		chunks = append(chunks, chunk.Chunk{Length: 8192 + r.Int64N(120_000)})
	}
	content, err := chunk.Content(chunks)
	require.NoError(t, err)
	for _, m := range []chunk.Map{content, chunk.Fixed(100<<20+5, chunk.FixedLen, nil), chunk.Fixed(0, chunk.FixedLen, nil)} {
		g := NewGrid(m)
		next := 0
		for cell := range g.Len() {
			s := g.Chunks(cell)
			require.Equal(t, next, s.First)
			for i := s.First; i < s.End; i++ {
				require.Equal(t, cell, g.Of(i))
			}
			next = s.End
		}
		require.Equal(t, m.Len(), next)
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	g := NewGrid(chunk.Fixed(10<<20, 64<<10, nil))
	have := chunk.NewHave(160)
	for i := range 7 {
		have.Add(i)
	}
	require.True(t, g.Whole(have, 0))
	require.False(t, g.Whole(have, 1))
}

func TestRun(t *testing.T) {
	t.Parallel()
	g := NewGrid(chunk.Fixed(64<<20, chunk.FixedLen, nil))
	require.EqualValues(t, 256<<10, g.Run(0, 0))
	require.EqualValues(t, 256<<10, g.Run(1e6, 3), "slow")
	require.EqualValues(t, 10e6, g.Run(1e8, 0.01))
	require.EqualValues(t, 16e6, g.Run(1e8, 0.02))
	require.EqualValues(t, 25e6, g.Run(1e8, 1), "far")
}
