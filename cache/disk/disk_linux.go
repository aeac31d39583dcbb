package disk

import (
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// WatchesFolders says that watching a folder costs the same however many files
// it has.
const WatchesFolders = true

// StampOf is the stamp of the file that fi describes.
func StampOf(fi fs.FileInfo) Stamp {
	s := Stamp{Size: fi.Size(), ModNs: fi.ModTime().UnixNano()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.ChangeNs = st.Ctim.Nano()
		s.Inode = st.Ino
	}
	return s
}

// WriteBehind asks the system to begin writing out a part of a file, so that
// little is left for Sync to wait for.
func WriteBehind(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// Boot names this start of the machine; empty where it has no name.
func Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// How a thread steps back: it gets a tenth of a processor that others want, and
// the disk when nobody else does.
const (
	backgroundNice = 10
	ioOfProcess    = 1       // IOPRIO_WHO_PROCESS
	ioIdle         = 3 << 13 // IOPRIO_CLASS_IDLE
)

// stepBack lowers the calling thread. It is only a wish, so faults do not matter.
func stepBack() {
	tid := unix.Gettid()
	// The call counts backwards from 20. Whoever stands further back stays there.
	if now, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && 20-now < backgroundNice {
		_ = unix.Setpriority(unix.PRIO_PROCESS, tid, backgroundNice)
	}
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioOfProcess, uintptr(tid), ioIdle)
}
