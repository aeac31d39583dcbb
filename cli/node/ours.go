package node

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

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

// What hffs puts into a state folder, by patterns of path.Match: files, and folders
// with what is in those. All else is somebody else's.
var (
	ourFiles = []string{
		"cache.db", "cache.db.damaged", "node-id", lockName, startLock, "control.json", "control.json.tmp",
		"access.json", "access.json.*.tmp", "peers.json", "peers.json.*.tmp",
		"added-peers.json", "added-peers.json.lock", "added-peers.json.*.tmp", "daemon*.log", "daemon*.log.1", TaskName, SettingsName,
	}
	ourFolders = map[string][]string{
		"index":       {"maps", "maps.new", "table", "table.new", "run-*"},
		"node-[0-9]*": ourFiles,
		"get-[0-9]*":  ourFiles,
	}
)

// Belongings are the files of hffs below a state folder and what else lies there.
// Where no node has ever been, nothing is ours.
func Belongings(state string) (ours, others []string, err error) {
	if !beenHere(state) {
		return nil, nil, nil
	}
	err = sortOut(state, ourFiles, &ours, &others)
	return ours, others, err
}

func beenHere(state string) bool {
	for _, name := range []string{"node-id", "cache.db", lockName, startLock, SettingsName, "get-1/" + lockName} {
		if _, err := os.Lstat(filepath.Join(state, name)); err == nil {
			return true
		}
	}
	return false
}

func sortOut(dir string, files []string, ours, others *[]string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := filepath.Join(dir, e.Name())
		inside := insideOf(e)
		switch {
		case inside != nil:
			if err := sortOut(at, inside, ours, others); err != nil {
				return err
			}
		case !e.IsDir() && oneOfOurs(files, e.Name()):
			*ours = append(*ours, at)
		default:
			*others = append(*others, at)
		}
	}
	return nil
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

// Discard removes files of ours, and the folders that are empty then, up to state.
func Discard(state string, files []string) error {
	var failed []error
	dirs := map[string]bool{state: true}
	for _, f := range files {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	_ = filepath.WalkDir(state, func(at string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && at != state {
			if insideOf(d) == nil {
				return fs.SkipDir
			}
			dirs[at] = true
		}
		return nil
	})
	for _, dir := range slices.Backward(slices.Sorted(maps.Keys(dirs))) {
		_ = os.Remove(dir) // goes only when empty
	}
	return errors.Join(failed...)
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
