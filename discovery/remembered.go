package discovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	maxRemembered = 64
	maxSwarms     = 16      // in one file
	maxFile       = 1 << 20 // bytes read of it
	keepFor       = 7 * 24 * time.Hour
	writeEvery    = time.Minute
	seenEvery     = time.Hour // how exact the file is about when somebody was seen
)

// RememberedConfig says where the memory is. Path is required.
type RememberedConfig struct {
	// Path is the file; its folder must exist.
	Path string
	// Swarm is the id of the swarm whose members are meant, 16 hex digits. A
	// file holds several swarms, each for itself.
	Swarm string
	// IsMember tells whether a member of that name is in the swarm now: it
	// counts as seen now, and is no candidate. nil means that nobody is.
	IsMember func(member string) bool
	// Log is where trouble goes; nil means nowhere.
	Log *slog.Logger
}

// Remembered finds the last 64 members that this machine has seen, for networks
// where multicast stopped working or never did. Members are kept for 7 days, by
// node id, in a file that other nodes of the machine may share.
type Remembered struct {
	cfg RememberedConfig

	mu      sync.Mutex // guards all below
	entries map[string]entry
	dirty   bool
	written time.Time

	writing sync.Mutex // one writer at a time; taken before mu
	failed  sync.Once  // says once that the file cannot be written
}

// entry is a member as the file has it.
type entry struct {
	Node   string       `json:"node,omitempty"`
	Member string       `json:"member"`
	Addrs  []netip.Addr `json:"addrs"`
	Gossip uint16       `json:"gossip"`
	Door   uint16       `json:"door,omitempty"`
	Seen   time.Time    `json:"seen"`
}

// memory is the whole file.
type memory struct {
	Version int                `json:"version"`
	Swarms  map[string][]entry `json:"swarms"`
}

// OpenRemembered reads the file. One that is missing, damaged or of another
// version counts as empty: it saves a minute's search and is not worth more.
func OpenRemembered(cfg RememberedConfig) *Remembered {
	cfg.Log = orDiscard(cfg.Log)
	if cfg.IsMember == nil {
		cfg.IsMember = func(string) bool { return false }
	}
	r := &Remembered{cfg: cfg, entries: map[string]entry{}}
	r.takeLocked(r.read().Swarms[cfg.Swarm]) // nobody else has r yet
	return r
}

func (r *Remembered) read() memory {
	m, err := readMemory(r.cfg.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.cfg.Log.Warn("the remembered peers are lost", "err", err)
	}
	return m
}

func readMemory(path string) (m memory, err error) {
	if i, err := os.Stat(path); err == nil && i.Size() > maxFile {
		return m, fmt.Errorf("%s: %d bytes, more than any such file has", path, i.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	if m, err = parseMemory(b); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func parseMemory(b []byte) (m memory, err error) {
	if err := json.Unmarshal(b, &m); err != nil {
		return memory{}, err
	}
	if m.Version != 1 {
		return memory{}, fmt.Errorf("version %d", m.Version)
	}
	for swarm, es := range m.Swarms {
		m.Swarms[swarm] = slices.DeleteFunc(es, func(e entry) bool { return !e.valid() })
	}
	return m, nil
}

func (e entry) valid() bool {
	return isMember(e.Member) && (e.Node == "" || isID(e.Node)) && e.Gossip != 0 &&
		len(e.Addrs) > 0 && len(e.Addrs) <= maxAddrs &&
		!slices.ContainsFunc(e.Addrs, func(a netip.Addr) bool { return !reachable(a, true) })
}

// key is the node, since its member name is another one after each start.
func (e entry) key() string { return cmp.Or(e.Node, e.Member) }

// takeLocked adds entries where they are newer than ours.
func (r *Remembered) takeLocked(es []entry) {
	now := time.Now()
	for _, e := range es {
		if e.Seen.After(now) { // the clock was set back; else it would stay for ever
			e.Seen = now
		}
		if r.entries[e.key()].Seen.Before(e.Seen) {
			r.entries[e.key()] = e
		}
	}
	r.trimLocked(now)
}

// trimLocked drops the old, and of the rest all but the last 64.
func (r *Remembered) trimLocked(now time.Time) {
	for k, e := range r.entries {
		if now.Sub(e.Seen) > keepFor {
			delete(r.entries, k)
		}
	}
	for _, e := range newest(r.entries)[min(len(r.entries), maxRemembered):] {
		delete(r.entries, e.key())
	}
}

func newest(m map[string]entry) []entry {
	es := make([]entry, 0, len(m))
	for _, e := range m {
		es = append(es, e)
	}
	slices.SortFunc(es, func(a, b entry) int { return cmp.Or(b.Seen.Compare(a.Seen), cmp.Compare(a.Member, b.Member)) })
	return es
}

// Saw notes a member. It is cheap: the file is written at most once a minute
// while Find runs, and on Close, and not at all for what it says already.
func (r *Remembered) Saw(p Peer) {
	e := entry{p.Node, p.Member, slices.Clone(p.Addrs), p.Gossip, p.Door, time.Now()}
	if !e.valid() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.entries[e.key()].covers(e) {
		r.entries[e.key()] = e
		r.dirty = true
	}
}

// covers tells whether e says as much as a later entry.
func (e entry) covers(later entry) bool {
	return e.Member == later.Member && slices.Equal(e.Addrs, later.Addrs) && e.Gossip == later.Gossip &&
		e.Door == later.Door && later.Seen.Sub(e.Seen) < seenEvery
}

// touch notes that the member of e is still here.
func (r *Remembered) touch(e entry) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if cur := r.entries[e.key()]; cur.Member == e.Member && now.Sub(cur.Seen) >= seenEvery {
		cur.Seen, r.dirty = now, true
		r.entries[e.key()] = cur
	}
}

// Find reports all that are not members at once, and then one of them every 30
// seconds, by chance: that is what brings a swarm together again where nobody
// hears multicast.
func (r *Remembered) Find(ctx context.Context, found func(Peer)) error {
	tick := time.NewTicker(again)
	defer tick.Stop()
	for peers := r.absent(); ; {
		for _, p := range peers {
			if ctx.Err() == nil {
				found(p)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if peers = r.absent(); len(peers) > 1 {
			i := rand.IntN(len(peers))
			peers = peers[i : i+1]
		}
		r.writeIfDue()
	}
}

// absent lists who is remembered and not a member now, last seen first. Those
// who are members count as seen now.
func (r *Remembered) absent() (peers []Peer) {
	here, _ := lanLinks() // only for the order
	r.mu.Lock()
	r.trimLocked(time.Now())
	es := newest(r.entries)
	r.mu.Unlock()
	for _, e := range es {
		if r.cfg.IsMember(e.Member) { // without mu: it may take a lock under which Saw is called
			r.touch(e)
		} else {
			peers = append(peers, e.peer(here))
		}
	}
	return peers
}

// peer gives e as a candidate. Loopback passes: it was this machine's when it
// was written down.
func (e entry) peer(here []link) Peer {
	addrs := slices.Clone(e.Addrs)
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return first(shared(a, here), shared(b, here)) })
	return Peer{Member: e.Member, Node: e.Node, Addrs: addrs, Gossip: e.Gossip, Door: e.Door, From: "remembered"}
}

func (r *Remembered) writeIfDue() {
	r.mu.Lock()
	due := r.dirty && time.Since(r.written) >= writeEvery
	r.mu.Unlock()
	if !due {
		return
	}
	if err := r.write(); err != nil {
		r.failed.Do(func() { r.cfg.Log.Warn("the remembered peers cannot be written", "err", err) })
	}
}

// Close writes down what is not written yet.
func (r *Remembered) Close() error {
	r.mu.Lock()
	dirty := r.dirty
	r.mu.Unlock()
	if !dirty {
		return nil
	}
	return r.write()
}

// write puts our entries into the file, which another node may have changed
// since: what it knows of our swarm is taken over, other swarms stay as they
// are. Two writers at the same moment can lose a line; it is only a memory.
func (r *Remembered) write() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	m := r.read()
	r.mu.Lock()
	r.takeLocked(m.Swarms[r.cfg.Swarm])
	own := newest(r.entries)
	r.dirty, r.written = false, time.Now()
	r.mu.Unlock()
	err := replaceMemory(r.cfg.Path, m.with(r.cfg.Swarm, own, time.Now()))
	if err != nil {
		r.mu.Lock()
		r.dirty = true
		r.mu.Unlock()
	}
	return err
}

// with is m with other entries for one swarm, without what is out of date in
// the others.
func (m memory) with(swarm string, own []entry, now time.Time) memory {
	out := memory{Version: 1, Swarms: map[string][]entry{swarm: own}}
	for s, es := range m.Swarms {
		es = slices.DeleteFunc(slices.Clone(es), func(e entry) bool { return now.Sub(e.Seen) > keepFor })
		if s != swarm && len(es) > 0 && len(out.Swarms) < maxSwarms {
			out.Swarms[s] = es[:min(len(es), maxRemembered)]
		}
	}
	return out
}

func replaceMemory(path string, m memory) error {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(b, '\n'))
}

// replaceFile writes beside the file and renames, so that a reader sees the old or
// the new one whole.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing left of that name
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
