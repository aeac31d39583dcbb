package disk

import (
	"io/fs"
	"os"
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
