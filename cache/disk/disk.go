// Package disk holds the rough edges of file systems: locks between processes,
// renames that other systems refuse for a moment, links that some disks do not
// have, and how to tell whether a file is still the one it was.
//
// It is the only place in hffs with a _unix.go or _windows.go. Nothing here
// knows of caches or blobs; it deals in paths and open files.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Stamp tells one state of a file from another without reading it: whoever
// writes into a file, replaces it, or copies another over it changes at least
// one of these. ChangeNs is the inode's own change time, which no tool can set
// back, unlike the modification time (which "cp -p" and "touch -r" do set).
type Stamp struct {
	Size     int64
	ModNs    int64 // last write of the content
	ChangeNs int64 // last change of content or inode; on Windows the creation time
	Inode    uint64
}

// coarse is how far apart two changes of a file must be on disks that count in
// whole seconds (FAT counts in twos), and fine on all others, whose clock ticks
// 100 to 1000 times a second.
const (
	coarse = 2 * time.Second
	fine   = 20 * time.Millisecond
)

// Settles returns when a file with this stamp may be read for good: a write
// after that moment is sure to change the stamp, while an earlier one could
// fall into the same tick of the disk's clock and go unnoticed.
func (s Stamp) Settles() time.Time {
	last := max(s.ModNs, s.ChangeNs)
	if last%int64(time.Second) == 0 {
		return time.Unix(0, last).Add(coarse)
	}
	return time.Unix(0, last).Add(fine)
}

// OpenFile opens a plain file for reading, with its stamp. Links, folders and
// devices under that name are refused, so that a name found in a cache cannot
// lead out of it.
func OpenFile(path string) (*os.File, Stamp, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, Stamp{}, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a plain file")}
	}
	if err != nil {
		return nil, Stamp{}, errors.Join(err, f.Close())
	}
	return f, StampOf(fi), nil
}

// Replace renames from to to inside root, over whatever file is there. On
// Windows a scanner or reader may hold either file for a moment; it is asked
// again until that has passed.
func Replace(root *os.Root, from, to string) error {
	var err error
	for wait := time.Millisecond; wait < time.Second; wait *= 2 {
		if err = root.Rename(from, to); err == nil || !isHeld(err) {
			return err
		}
		time.Sleep(wait)
	}
	return err
}

// IsBusy reports whether err says that a file or folder is open somewhere, on systems
// that then let nobody rename or remove it.
func IsBusy(err error) bool { return isHeld(err) }

// CanSymlink finds out by trial whether the disk that holds dir takes symbolic
// links from this account.
func CanSymlink(dir string) bool {
	tmp, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(tmp)
	target := filepath.Join(tmp, "target")
	if os.WriteFile(target, nil, 0o600) != nil {
		return false
	}
	link := filepath.Join(tmp, "link")
	if os.Symlink("target", link) != nil {
		return false
	}
	fi, err := os.Stat(link)
	return err == nil && fi.Mode().IsRegular()
}

// MayWrite asks whether this account may make files in dir, or, where that is not
// there, in the nearest folder above it. Nothing is left behind.
func MayWrite(dir string) error {
	for {
		_, err := os.Stat(dir)
		up := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || up == dir {
			return mayWrite(dir)
		}
		dir = up
	}
}

// CanWrite finds out by trial whether files can be made in dir.
func CanWrite(dir string) error {
	f, err := os.CreateTemp(dir, "probe-")
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("try %s: %w", dir, err)
	}
	return nil
}
