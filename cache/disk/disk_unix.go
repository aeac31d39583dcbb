//go:build unix

package disk

import (
	"errors"
	"os"
	"syscall"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// O_NONBLOCK keeps a named pipe under a file's name from blocking the open.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// Free is how many bytes this account may still write on the disk that holds dir.
func Free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// mayWrite touches nothing: every command asks it.
func mayWrite(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &os.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}

// IsNoSpace reports whether err says that a disk or a quota is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// IsNotWritable reports whether err says that this account may not write there.
func IsNotWritable(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, os.ErrPermission)
}

// IsNoLock reports whether err says that the disk has no locks at all.
func IsNoLock(err error) bool {
	return errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOLCK)
}

// IsWatchLimit reports whether err says that no more folders can be watched.
func IsWatchLimit(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func isBusy(error) bool { return false }

func isHeld(error) bool { return false }

// removeLocked unlinks before it lets go: whoever opened the old file meanwhile
// notices that its name has gone.
func removeLocked(f *flock.Flock) error {
	return errors.Join(os.Remove(f.Path()), f.Unlock())
}
