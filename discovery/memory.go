package discovery

import (
	"context"
	"sync"
)

// Memory is a finder for tests: it finds whoever was added. The zero value is
// empty and ready; several Finds may run on one Memory.
type Memory struct {
	mu    sync.Mutex // guards all below
	peers []Peer
	more  chan struct{} // closed and replaced when peers grows
}

// Add makes p known to all that are looking, and to all that will.
func (m *Memory) Add(p Peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.From = "memory"
	m.peers = append(m.peers, p)
	if m.more != nil {
		close(m.more)
		m.more = nil
	}
}

// Find reports every peer once.
func (m *Memory) Find(ctx context.Context, found func(Peer)) error {
	for told := 0; ; {
		peers, more := m.after(told)
		for _, p := range peers {
			if ctx.Err() != nil {
				return nil
			}
			found(p)
		}
		told += len(peers)
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// after returns the peers from the nth on, and a channel that closes when there
// are more.
func (m *Memory) after(n int) ([]Peer, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.more == nil {
		m.more = make(chan struct{})
	}
	return m.peers[n:len(m.peers):len(m.peers)], m.more
}
