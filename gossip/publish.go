package gossip

import (
	"math/rand/v2"
	"sync"
	"time"

	"hffs/gossip/manifest"
)

// publisher is this node's own manifest: what it is, and how it came to be so.
type publisher struct {
	wake    chan struct{} // something new to hold
	changed chan struct{} // a new version to tell of

	mu      sync.Mutex // guards all below
	pending *manifest.Holdings
	ver     manifest.Version
	built   *manifest.Built
	check   manifest.Check
	log     []logged // the latest changes, each following the one before
	logSize int
}

type logged struct {
	delta manifest.Delta
	size  int
}

const (
	maxLog      = 256
	maxLogBytes = 1 << 20
	// minDeltaBytes is what changes may take however small the summary is.
	minDeltaBytes = 8 << 10
)

func (p *publisher) init(epoch uint64) {
	p.wake = make(chan struct{}, 1)
	p.changed = make(chan struct{}, 1)
	p.built = manifest.Build(manifest.Holdings{}, nil)
	p.check = emptyCheck
	p.ver = manifest.Version{Epoch: epoch}
}

func (p *publisher) hold(h manifest.Holdings) {
	p.mu.Lock()
	p.pending = &h
	p.mu.Unlock()
	poke(p.wake)
}

func (p *publisher) version() manifest.Version {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ver
}

// manifest is the manifest that is published now.
func (p *publisher) manifest() *manifest.Built {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.built
}

// latest is the manifest that will be published next: who asks this node itself
// need not wait for it to be told to all.
func (p *publisher) latest() *manifest.Built {
	p.mu.Lock()
	h, built := p.pending, p.built
	p.mu.Unlock()
	if h == nil {
		return built
	}
	return manifest.Build(*h, built)
}

// take makes the pending holdings the published ones. It returns the change, or
// nil when there is none. Only the publish loop calls it, so building goes on
// without the lock.
func (p *publisher) take(now time.Time) (d *manifest.Delta, skipped int) {
	p.mu.Lock()
	h, old, seq := p.pending, p.built, p.ver.Seq
	p.pending = nil
	p.mu.Unlock()
	if h == nil {
		return nil, 0
	}
	built := manifest.Build(*h, old)
	if d = manifest.Diff(old, built, seq); d == nil {
		return nil, built.Skipped
	}
	size := d.Size(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.built, p.check, p.ver.Seq = built, d.Check, d.To
	p.log = append(p.log, logged{*d, size})
	p.logSize += size
	for len(p.log) > maxLog || p.logSize > maxLogBytes {
		p.logSize -= p.log[0].size
		p.log = p.log[1:]
	}
	return d, built.Skipped
}

// since answers who has seen version v: with the changes from there when they
// are known and shorter than everything.
func (p *publisher) since(v manifest.Version) manifest.Answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := manifest.Answer{Version: p.ver}
	if v == p.ver {
		return a
	}
	room := max(p.built.Summary.Size(), minDeltaBytes)
	for i := len(p.log) - 1; i >= 0 && v.Epoch == p.ver.Epoch && v.Seq > 0; i-- { // at 0 nothing of ours is known
		if room -= p.log[i].size; room < 0 {
			break
		}
		if p.log[i].delta.From == v.Seq {
			for _, l := range p.log[i:] {
				a.Deltas = append(a.Deltas, l.delta)
			}
			return a
		}
	}
	a.Summary = p.built.Summary
	return a
}

// encodeMeta is what memberlist tells the others of us.
func (s *Swarm) encodeMeta() []byte {
	s.mu.Lock()
	life := s.lives
	s.mu.Unlock()
	p := &s.pub
	p.mu.Lock()
	defer p.mu.Unlock()
	files, bytes := p.built.Summary.Total()
	return meta{
		door: uint16(s.cfg.DoorPort), life: life, version: p.ver, check: p.check,
		files: uint32(min(files, maxMetaFiles)), bytes: uint64(min(bytes, maxMetaBytes)),
		name: s.cfg.Name, program: s.cfg.Version,
	}.encode(maxPad)
}

// publish makes a new version of our manifest whenever something was held,
// after a short wait for what comes along with it.
func (s *Swarm) publish() {
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.pub.wake:
		}
		if !sleep(s.life, s.patience()) {
			return
		}
		d, skipped := s.pub.take(s.now())
		if skipped > 0 && s.quiet.pass("skipped") {
			s.log.Warn("not all files can be announced", "left_out", skipped)
		}
		if d == nil {
			continue
		}
		poke(s.pub.changed)
		s.tell(d)
	}
}

// patience is how long to collect changes: less than half a second, more where
// many nodes have something to say at once.
func (s *Swarm) patience() time.Duration {
	if s.pub.version().Seq == 0 {
		return 0 // the first one is whole
	}
	most := 100 * time.Millisecond
	if n, busy := s.roster.busy(s.now()); busy {
		most = max(most, min(time.Duration(n)*20*time.Millisecond, 4*time.Second))
	}
	return 200*time.Millisecond + rand.N(most)
}
