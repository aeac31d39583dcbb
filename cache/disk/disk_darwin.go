package disk

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// WatchesFolders is false where watching a folder opens each file in it.
const WatchesFolders = false

// StampOf is the stamp of the file that fi describes.
func StampOf(fi fs.FileInfo) Stamp {
	s := Stamp{Size: fi.Size(), ModNs: fi.ModTime().UnixNano()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.ChangeNs = st.Ctimespec.Nano()
		s.Inode = uint64(st.Ino)
	}
	return s
}

// WriteBehind does nothing here: the system has no such wish to express.
func WriteBehind(*os.File, int64, int64) {}

// Boot names this start of the machine.
func Boot() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

// stepBack puts the calling thread into the system's background, which slows its
// use of processor and disk alike. It is only a wish, so faults do not matter.
func stepBack() {
	const darwinThread, darwinBackground = 3, 0x1000
	_ = unix.Setpriority(darwinThread, 0, darwinBackground)
}
