package disk

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxMaps bounds what is read of one process's mappings, in bytes.
const maxMaps = 8 << 20

// OpenElsewhere finds a program other than this one that has one of the files open or
// mapped, and says which: a system that lets such files be removed gives nobody else
// that word. Programs of other users are not seen, unless we may look at all.
func OpenElsewhere(paths []string) (path, program string, ok bool) {
	files := map[inode]string{}
	for _, p := range paths {
		var st unix.Stat_t
		if unix.Stat(p, &st) == nil {
			files[inode{uint64(st.Dev), st.Ino}] = p
		}
	}
	if len(files) == 0 {
		return "", "", false
	}
	all, _ := os.ReadDir("/proc")
	for _, d := range all {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		proc := "/proc/" + d.Name()
		if path, ok = opened(proc, files); !ok {
			path, ok = mapped(proc, files)
		}
		if ok {
			name, _ := os.ReadFile(proc + "/comm")
			return path, fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid), true
		}
	}
	return "", "", false
}

type inode struct{ dev, ino uint64 }

func opened(proc string, files map[inode]string) (path string, ok bool) {
	all, _ := os.ReadDir(proc + "/fd")
	for _, d := range all {
		var st unix.Stat_t
		if unix.Stat(proc+"/fd/"+d.Name(), &st) == nil {
			if path, ok = files[inode{uint64(st.Dev), st.Ino}]; ok {
				return path, true
			}
		}
	}
	return "", false
}

// mapped goes by number and name: the device that the kernel tells here is not that of
// stat on all file systems.
func mapped(proc string, files map[inode]string) (path string, ok bool) {
	f, err := os.Open(proc + "/maps")
	if err != nil {
		return "", false
	}
	defer f.Close()
	names := map[uint64]string{}
	for i, p := range files {
		names[i.ino] = p
	}
	lines := bufio.NewScanner(io.LimitReader(f, maxMaps))
	for lines.Scan() {
		rest := lines.Text()
		for range 4 { // address, rights, offset, device
			_, rest, _ = strings.Cut(rest, " ")
		}
		number, name, _ := strings.Cut(rest, " ") // names may have blanks in them
		ino, _ := strconv.ParseUint(number, 10, 64)
		if path, ok = names[ino]; ok && filepath.Base(path) == filepath.Base(strings.TrimLeft(name, " ")) {
			return path, true
		}
	}
	return "", false
}
