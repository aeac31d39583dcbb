package swarmsim

import "time"

// A flow is the answer to one request: n bytes that go from one host to a node, in
// segments, no more of them under way than the window allows.
type flow struct {
	sim     *Sim
	from    *uplink
	path    []*pipe // what a segment goes through behind the uplink
	latency time.Duration
	left    int64 // not sent yet
	room    int   // segments that may be sent before one is acknowledged
	queued  bool  // at the uplink
	arrived func(n int64)
}

// segment is a piece of a flow under way; stage counts what it has passed.
type segment struct {
	flow  *flow
	n     int64
	stage int
}

// uplink sends the segments of its flows in turn, so that they share its rate
// fairly.
type uplink struct {
	clock *clock
	rate  float64 // bytes per second
	ready []*flow
	busy  *segment
	sent  int64
}

// begin lets a flow start sending.
func (u *uplink) begin(f *flow) {
	if !f.queued && f.left > 0 && f.room > 0 {
		f.queued = true
		u.ready = append(u.ready, f)
	}
	u.next()
}

func (u *uplink) next() {
	for u.busy == nil && len(u.ready) > 0 {
		f := u.ready[0]
		u.ready = u.ready[1:]
		f.queued = false
		if f.left <= 0 {
			continue
		}
		seg := &segment{flow: f, n: min(f.sim.segment, f.left)}
		f.left -= seg.n
		f.room--
		u.busy = seg
		u.sent += seg.n
		if f.left > 0 && f.room > 0 {
			f.queued = true
			u.ready = append(u.ready, f)
		}
		u.clock.after(seconds(float64(seg.n)/u.rate), u)
	}
}

// happen: the segment has left.
func (u *uplink) happen() {
	seg := u.busy
	u.busy = nil
	u.clock.after(seg.flow.latency, seg)
	u.next()
}

// pipe passes segments on in the order in which they come.
type pipe struct {
	clock *clock
	rate  float64
	queue []*segment
	busy  bool
}

func (p *pipe) happen() {
	seg := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.busy = false
	seg.stage++
	seg.happen()
	p.next()
}

func (p *pipe) next() {
	if !p.busy && len(p.queue) > 0 {
		p.busy = true
		p.clock.after(seconds(float64(p.queue[0].n)/p.rate), p)
	}
}

// happen: the segment has come to the next part of its way, or to its end, or its
// acknowledgement has come back.
func (s *segment) happen() {
	f := s.flow
	switch {
	case s.stage < len(f.path):
		p := f.path[s.stage]
		p.queue = append(p.queue, s)
		p.next()
	case s.stage == len(f.path):
		s.stage++
		f.sim.clock.after(f.latency, s)
		f.arrived(s.n)
	default:
		f.room++
		f.from.begin(f)
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
