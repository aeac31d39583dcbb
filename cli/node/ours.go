package node

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"hffs/cache/ref"
	"hffs/cli/control"
)

// SettingsName is the file in a state folder with what the user has set for good.
const SettingsName = "hffs.toml"

// TaskName is the file in a state folder by which Windows was told of the service.
const TaskName = "service-task.xml"

// LogName is the name of the nth log in a state folder.
func LogName(n int) string {
	if n == 1 {
		return "daemon.log"
	}
	return fmt.Sprintf("daemon-%d.log", n)
}

// indexFolder is the folder of the cache's index of chunks.
const indexFolder = "index"

// What hffs puts into a state folder, by patterns of path.Match: files, and folders
// with what is in those. All else is somebody else's.
var (
	ourFiles = []string{
		"cache.db", "cache.db.damaged", "node-id", lockName, startLock, cacheLocks, "control.json", "control.json.tmp",
		"access.json", "access.json.*.tmp", "peers.json", "peers.json.*.tmp",
		"added-peers.json", "added-peers.json.lock", "added-peers.json.*.tmp", "daemon.log", "daemon-[0-9]*.log", "daemon.log.1", "daemon-[0-9]*.log.1", TaskName, SettingsName,
	}
	ourFolders = map[string][]string{
		indexFolder:   {"maps", "maps.new", "table", "table.new", "run-*"},
		"node-[0-9]*": ourFiles,
		"get-[0-9]*":  ourFiles,
	}
)

// Belongings are the files of hffs below a state folder and what else lies there. Where
// none is that only hffs writes, no node has ever been, and nothing is ours. A folder
// that cannot be read is an error, one that is not there has nothing.
func Belongings(state string) (ours, others []string, err error) {
	s := sorting{}
	err = s.look(state, ourFiles, false)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case !s.beenHere:
		return nil, nil, s.unread // what could have told may be what we may not read
	}
	return s.ours, s.others, nil
}

// sorting tells our files from others'.
type sorting struct {
	ours, others []string
	beenHere     bool
	unread       error // nil: no file of such a name is kept from us
}

func (s *sorting) look(dir string, files []string, inIndex bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := filepath.Join(dir, e.Name())
		inside := insideOf(e)
		switch {
		case inside != nil:
			if err := s.look(at, inside, e.Name() == indexFolder); err != nil {
				return err
			}
		case !e.IsDir() && oneOfOurs(files, e.Name()) && s.isOurs(at, e.Name(), inIndex):
			s.ours = append(s.ours, at)
		default:
			s.others = append(s.others, at)
		}
	}
	return nil
}

func (s *sorting) isOurs(at, name string, inIndex bool) bool {
	by, err := whoMade(at, name, inIndex)
	s.unread = cmp.Or(s.unread, err)
	s.beenHere = s.beenHere || by == byUs
	return by != notByUs
}

// insideOf is what a folder of ours may have in it; nil when it is none.
func insideOf(e fs.DirEntry) []string {
	for pattern, files := range ourFolders {
		if e.IsDir() && oneOfOurs([]string{pattern}, e.Name()) {
			return files
		}
	}
	return nil
}

func oneOfOurs(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok
	})
}

// Discard removes files of ours, and the folders below state in which they were and
// nothing is left, and state itself where hffs made it.
func Discard(state string, files []string) error {
	var failed []error
	dirs := map[string]bool{}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
		for dir := filepath.Dir(f); len(dir) > len(state); dir = filepath.Dir(dir) {
			dirs[dir] = true
		}
	}
	for _, dir := range slices.Backward(slices.Sorted(maps.Keys(dirs))) {
		_ = os.Remove(dir) // goes only when empty
	}
	if MadeByUs(state) {
		_ = os.Remove(state)
	}
	return errors.Join(failed...)
}

// MadeByUs tells whether a state folder goes with what is in it. By its name it is known:
// in its usual place it is called hffs, while any other may have been there before, for
// other ends; and nobody's home is a thing to delete.
func MadeByUs(state string) bool {
	home, _ := os.UserHomeDir()
	fi, err := os.Lstat(state)
	return err == nil && fi.IsDir() && strings.TrimPrefix(filepath.Base(state), ".") == "hffs" && !isFolder(home, fi)
}

func isFolder(path string, fi fs.FileInfo) bool {
	same, err := os.Stat(path)
	return err == nil && os.SameFile(same, fi)
}

// Busy are the slots of a state folder that commands at work have, which end by
// themselves, and what is known of nodes on other machines that have the same folder.
func Busy(state string) (commands []string, elsewhere []control.Place) {
	entries, _ := os.ReadDir(state)
	dirs := []string{state}
	for _, e := range entries {
		if e.IsDir() && oneOfOurs([]string{"node-[0-9]*", "get-[0-9]*"}, e.Name()) {
			dirs = append(dirs, filepath.Join(state, e.Name()))
		}
	}
	for _, dir := range dirs {
		if _, err := os.Lstat(filepath.Join(dir, lockName)); err != nil {
			continue
		}
		p, err := control.Read(dir)
		switch {
		case err == nil && p.Host != hostname():
			elsewhere = append(elsewhere, p)
		case (err != nil || p.Brief) && inUse(dir):
			commands = append(commands, dir)
		}
	}
	return commands, elsewhere
}

// RepoFolders are the folders of a Hugging Face cache that hold a repo each.
func RepoFolders(hub string) (all []string) {
	entries, _ := os.ReadDir(hub)
	for _, e := range entries {
		if _, err := ref.ParseFolder(e.Name()); err == nil && e.IsDir() {
			all = append(all, filepath.Join(hub, e.Name()))
		}
	}
	return all
}

// Unfinished are the folders of a Hugging Face cache in which fetches of ours are under
// way.
func Unfinished(hub string) (all []string) {
	for _, dir := range RepoFolders(hub) {
		at := filepath.Join(dir, ".hffs")
		if fi, err := os.Lstat(at); err == nil && fi.IsDir() {
			all = append(all, at)
		}
	}
	return all
}

// Models are all that holds the content of repos in a Hugging Face cache: the repos
// with their locks, and the blobs that repos share.
func Models(hub string) (all []string) {
	for _, dir := range RepoFolders(hub) {
		all = append(all, dir)
		locks := filepath.Join(hub, ".locks", filepath.Base(dir))
		if _, err := os.Lstat(locks); err == nil {
			all = append(all, locks)
		}
	}
	shared := filepath.Join(hub, "blobs")
	if entries, err := os.ReadDir(shared); err == nil {
		for _, e := range entries {
			if e.IsDir() && len(e.Name()) == 2 && strings.Trim(e.Name(), "0123456789abcdef") == "" {
				all = append(all, filepath.Join(shared, e.Name()))
			}
		}
	}
	return all
}
