package disk

import (
	"context"
	"os"
	"time"

	"github.com/gofrs/flock"
)

// lockPoll is how often a taken lock is tried again; the Python library that
// shares these locks polls at the same rate.
const lockPoll = 50 * time.Millisecond

// Lock is an exclusive lock on a file, held between processes (and between two
// holders in one process) by flock, or by LockFileEx on Windows. It is
// advisory: on some network disks everybody gets it, so it may save work but
// nothing correct may hang on it.
type Lock struct{ f *flock.Flock }

// TakeLock waits for the lock until ctx ends. The file is made with mode 0664
// when it is not there and stays in place afterwards.
func TakeLock(ctx context.Context, path string) (*Lock, error) {
	for {
		l, err := TryLock(path)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// TryLock takes the lock if it is free; a nil lock without an error means that
// somebody has it.
func TryLock(path string) (*Lock, error) {
	f := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow), flock.SetPermissions(lockMode))
	ok, err := f.TryLock()
	if err != nil && isBusy(err) {
		return nil, nil // Windows: the file is just being deleted
	}
	if err != nil || !ok {
		return nil, err
	}
	if !sameFile(f, path) {
		// The former holder removed the file after we opened it: what we hold
		// is a lock on nothing, while others may hold the new file of that name.
		return nil, f.Unlock()
	}
	_ = os.Chmod(path, lockMode) // whatever the umask took, so that other accounts can lock too
	return &Lock{f}, nil
}

const lockMode = 0o664

func sameFile(f *flock.Flock, path string) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(path)
	return err == nil && os.SameFile(held, named)
}

// Release gives the lock back. A nil lock may be released.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.f.Unlock()
}

// Remove gives the lock back and removes its file.
func (l *Lock) Remove() error {
	if l == nil {
		return nil
	}
	return removeLocked(l.f)
}
