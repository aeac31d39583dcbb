package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/gofrs/flock"
	"golang.org/x/sys/windows"
)

const noFollow = 0 // OpenFile's check for plain files has to do

// WatchesFolders says that watching a folder costs the same however many files
// it has.
const WatchesFolders = true

// StampOf is the stamp of the file that fi describes. Windows tells a change
// time only for open files; the creation time at least notices replacements.
func StampOf(fi fs.FileInfo) Stamp {
	s := Stamp{Size: fi.Size(), ModNs: fi.ModTime().UnixNano()}
	if st, ok := fi.Sys().(*syscall.Win32FileAttributeData); ok {
		s.ChangeNs = st.CreationTime.Nanoseconds()
	}
	return s
}

// Free is how many bytes this account may still write on the disk that holds dir.
func Free(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, &os.PathError{Op: "free space", Path: dir, Err: err}
	}
	return int64(min(free, 1<<62)), nil
}

// mayWrite tries it, since the system's answer does not know of all that may forbid it.
func mayWrite(dir string) error { return CanWrite(dir) }

// IsNoSpace reports whether err says that a disk or a quota is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED)
}

// IsNotWritable reports whether err says that this account may not write there.
func IsNotWritable(err error) bool {
	return errors.Is(err, windows.ERROR_WRITE_PROTECT) || errors.Is(err, os.ErrPermission)
}

// IsNoLock reports whether err says that the disk has no locks at all.
func IsNoLock(err error) bool {
	return errors.Is(err, windows.ERROR_NOT_SUPPORTED) || errors.Is(err, windows.ERROR_INVALID_FUNCTION)
}

// IsWatchLimit reports whether err says that no more folders can be watched.
func IsWatchLimit(err error) bool { return errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES) }

// isBusy recognises what passes by itself: an open handle elsewhere, or a file
// whose deletion is under way.
func isBusy(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) ||
		errors.Is(err, windows.ERROR_DELETE_PENDING)
}

// isHeld also takes "access denied" for passing: that is what a rename over a
// file gets that a virus scanner has open.
func isHeld(err error) bool { return isBusy(err) || errors.Is(err, windows.ERROR_ACCESS_DENIED) }

// removeLocked lets go first, since an open file cannot be removed here. When
// somebody else takes the lock in between, the file stays: no harm done.
func removeLocked(f *flock.Flock) error {
	if err := f.Unlock(); err != nil {
		return err
	}
	_ = os.Remove(f.Path())
	return nil
}

// WriteBehind does nothing here: the system has no such wish to express.
func WriteBehind(*os.File, int64, int64) {}

// Boot is empty: the system has no name for a start of the machine.
func Boot() string { return "" }

var setThreadPriority = windows.NewLazySystemDLL("kernel32.dll").NewProc("SetThreadPriority")

// stepBack puts the calling thread into the system's background, which slows its
// use of processor and disk alike. It is only a wish, so faults do not matter.
func stepBack() {
	const backgroundBegin, thisThread = 0x10000, ^uintptr(1)
	if setThreadPriority.Find() == nil {
		_, _, _ = setThreadPriority.Call(thisThread, backgroundBegin)
	}
}
