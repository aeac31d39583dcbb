package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"hffs/cache"
	"hffs/cache/disk"
	"hffs/cli/control"
)

// halt is how a node is told to end by somebody else than its ctx. The zero value
// works.
type halt struct {
	mu   sync.Mutex // guards what follows
	told bool
	end  context.CancelFunc // nil before Run
}

// within is ctx with one more way to end.
func (h *halt) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end = end; h.told {
		end()
	}
	return ctx, end
}

// Stop has Run leave the swarm and return, as when its ctx ends.
func (n *Node) Stop() {
	n.halt.mu.Lock()
	defer n.halt.mu.Unlock()
	n.halt.told = true
	if n.halt.end != nil {
		n.halt.end()
	}
}

// Life is a running node as other processes see it.
type Life struct {
	control.Place
	dir string // its slot
}

// Status asks the node about itself, and gives it a moment to answer.
func (l Life) Status(ctx context.Context) (control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return control.NewClient(l.Addr, l.Key).Status(ctx)
}

// Lives are the running nodes of a state folder, on whatever cache each of them
// works.
func Lives(state string) (all []Life) {
	for _, dir := range slotDirs(state) {
		p, err := control.Read(dir)
		if err == nil && p.Host == hostname() && inUse(dir) {
			all = append(all, Life{p, dir})
		}
	}
	return all
}

// slotDirs are the slots that nodes have used.
func slotDirs(state string) (all []string) {
	for i := range maxSlots {
		dir := slotDir(state, "", i)
		if _, err := os.Stat(dir); err != nil {
			break
		}
		all = append(all, dir)
	}
	return all
}

// Lasts tells whether the node is still there. Its process id is good for as long:
// the place is removed by whoever takes the slot next, and nobody else has its key.
func (l Life) Lasts() bool {
	p, err := control.Read(l.dir)
	return inUse(l.dir) && err == nil && p.Key == l.Key
}

// Gone tells whether the process has ended: a node that leaves is not to be found
// any more before that.
func (l Life) Gone() bool {
	p, err := control.Read(l.dir)
	return !inUse(l.dir) || err == nil && p.Key != l.Key
}

// lifePoll is how often it is looked whether a process has ended.
const lifePoll = 20 * time.Millisecond

// AwaitEnd waits until the process has ended, or ctx has.
func (l Life) AwaitEnd(ctx context.Context) error {
	for !l.Gone() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lifePoll):
		}
	}
	return nil
}

// answerWithin is how long a node may take to hear that it is to end, and termWithin
// how long to end once it was sent a signal.
const (
	answerWithin = 3 * time.Second
	termWithin   = 5 * time.Second
)

// End has the node end: it is told to and gets so long to leave in good order. One
// that does not hear is sent a signal, one that does not leave is killed, which is
// what killed says.
func (l Life) End(ctx context.Context, patience time.Duration) (killed bool, err error) {
	// The process is taken hold of before it is found to be the node's, so that no
	// other one can get its number in between.
	process, err := os.FindProcess(l.PID)
	if err != nil || !l.Lasts() {
		return false, l.awaitFor(ctx, termWithin) // it is just leaving
	}
	defer process.Release()
	if l.tell(ctx) != nil {
		patience = min(patience, termWithin)
		if process.Signal(syscall.SIGTERM) != nil { // as on Windows
			patience = 0
		}
	}
	if err := l.awaitFor(ctx, patience); !errors.Is(err, context.DeadlineExceeded) {
		return false, err
	}
	if err := process.Kill(); err != nil && !l.Gone() {
		return false, fmt.Errorf("kill process %d: %w", l.PID, err)
	}
	return true, l.awaitFor(ctx, termWithin)
}

func (l Life) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return control.NewClient(l.Addr, l.Key).Stop(ctx)
}

func (l Life) awaitFor(ctx context.Context, d time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err := l.AwaitEnd(limited)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Tidy removes what nodes left that were killed, and says which.
func Tidy(state string) (dead []control.Place) {
	for _, dir := range slotDirs(state) {
		p, err := control.Read(dir)
		if err != nil || p.Host != hostname() {
			continue
		}
		lock, err := disk.TryLock(filepath.Join(dir, lockName))
		if err != nil || lock == nil {
			continue // it lives
		}
		control.Remove(dir)
		_ = lock.Release()
		dead = append(dead, p)
	}
	return dead
}

// startLock is the file whose lock keeps two commands from starting a node each.
const startLock = "start.lock"

// HoldStart waits until nobody else starts a node of this state folder.
func HoldStart(ctx context.Context, state string) (release func(), err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, &cache.NotWritableError{Dir: state, Err: err}
	}
	lock, err := disk.TakeLock(ctx, filepath.Join(state, startLock))
	if err != nil && ctx.Err() == nil {
		return nil, &cache.NotWritableError{Dir: state, Err: err}
	}
	return func() { _ = lock.Release() }, err
}

// HoldCache has this process be the one node of a state folder that stays and works on
// a cache, for as long as it likes: two on one cache would announce the same files twice. A
// nil release without an error means that another process is that node, or is about to be.
func HoldCache(state, hubCache string) (release func(), err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, &cache.NotWritableError{Dir: state, Err: err}
	}
	lock, err := disk.TryLock(filepath.Join(state, cacheLock(hubCache)))
	if err != nil {
		return nil, &cache.NotWritableError{Dir: state, Err: err}
	}
	if lock == nil {
		return nil, nil
	}
	return func() { _ = lock.Release() }, nil
}

// cacheLocks is the pattern of their names.
const cacheLocks = "cache-*.lock"

// cacheLock is the file for one cache on one machine: a home on a network disk has a node
// on each machine that mounts it.
func cacheLock(hubCache string) string {
	sum := sha256.Sum256([]byte(hostname() + "\x00" + hubCache))
	return strings.Replace(cacheLocks, "*", hex.EncodeToString(sum[:8]), 1)
}
