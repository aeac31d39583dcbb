package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"hffs/cache"
	"hffs/cache/disk"
	"hffs/cli/control"
)

// lockName is the file whose lock a process holds as long as it uses the slot.
const lockName = "in-use.lock"

// maxSlots bounds how many nodes, and how many commands, one state folder serves
// at the same time.
const maxSlots = 256

// slot is a state folder of one process's own. The first node on a machine has
// HFFS_HOME itself, the next one a folder inside it, and so do commands that
// work without a node; none of them waits for another.
type slot struct {
	dir  string
	lock *disk.Lock
	once bool // the folder goes with its process
}

// claim takes the first slot of a kind ("" for nodes, "get" for commands) that
// nobody has.
func claim(state, kind string) (*slot, error) {
	for i := range maxSlots {
		dir := slotDir(state, kind, i)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, &cache.NotWritableError{Dir: dir, Err: err}
		}
		lock, err := disk.TryLock(filepath.Join(dir, lockName))
		if err != nil {
			return nil, &cache.NotWritableError{Dir: dir, Err: err}
		}
		if lock != nil {
			control.Remove(dir) // of one that was killed: its process id may be another's by now
			return &slot{dir: dir, lock: lock}, nil
		}
	}
	return nil, &control.Error{
		Code: control.CodeStorage, Message: fmt.Sprintf("more than %d processes use %s", maxSlots, state),
		Hint: "run \"hffs up\": commands then share one node",
	}
}

// claimSomewhere is claim for a command, which can do without a past and a future: where
// the state folder cannot be written, it gets a folder that goes when it does.
func claimSomewhere(state string) (*slot, error) {
	s, err := claim(state, "get")
	if err == nil || !disk.IsNotWritable(err) {
		return s, err
	}
	dir, none := os.MkdirTemp("", "hffs-")
	if none != nil {
		return nil, err
	}
	return &slot{dir: dir, once: true}, nil
}

func (s *slot) Close() error {
	err := s.lock.Release()
	if s.once {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

func slotDir(state, kind string, i int) string {
	switch {
	case kind == "" && i == 0:
		return state
	case kind == "":
		return filepath.Join(state, fmt.Sprintf("node-%d", i+1))
	}
	return filepath.Join(state, fmt.Sprintf("%s-%d", kind, i+1))
}

// Running finds a running node that works on the given cache: how to reach it,
// or nil. One that stays is found before one that does not.
func Running(state, hubCache string) *control.Place {
	var brief *control.Place
	for _, p := range Places(state) {
		switch {
		case p.Cache != hubCache:
		case !p.Brief:
			return &p
		case brief == nil:
			brief = &p
		}
	}
	return brief
}

// Places are how to reach the running nodes of a state folder, on whatever cache each
// of them works.
func Places(state string) (all []control.Place) {
	for _, l := range Lives(state) {
		all = append(all, l.Place)
	}
	return all
}

// hostname tells our own node from one of another machine with the same home on
// a network disk.
func hostname() string {
	name, _ := os.Hostname()
	return name
}

// inUse tells a live node from one that was killed: the kernel lets go of its
// lock.
func inUse(dir string) bool {
	lock, err := disk.TryLock(filepath.Join(dir, lockName))
	if err != nil || lock == nil {
		return err == nil
	}
	_ = lock.Release()
	return false
}
