package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Reflink makes dst, which must not be there, a copy of src that shares its blocks on
// disk, where the file system can (btrfs, XFS, bcachefs).
func Reflink(src, dst string) error {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	err = unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
	if err = errors.Join(err, to.Close()); err != nil {
		return errors.Join(err, os.Remove(dst))
	}
	return nil
}
